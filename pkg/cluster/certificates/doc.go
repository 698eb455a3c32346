/*
Copyright The Kubernetes NMState Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package certificates makes, publishes and rotates the certificates that the API
// server shows in a cluster, so that clients that trust what is published are
// never cut off.
//
// # What is where
//
// The Secret nmstate-apiserver-certificates in the own namespace is the state; it
// is written with optimistic concurrency, so of two servers that make it at the
// same time one wins and the other reads what it made. All servers watch it and
// show the same certificate.
//
//	ca.crt, ca.key            the CA that signs serving certificates
//	tls.crt, tls.key          the serving certificate, signed by ca.crt
//	next-ca.crt, next-ca.key  the CA that will sign next (phase Publishing)
//	previous-ca.crt           the CA that signed before (phase Retiring)
//
// The active server, and no other, publishes all CAs of the Secret that are valid
// as spec.caBundle of the APIService v1alpha1.nmstate.io, for kube-apiserver, and
// as ca.crt of the ConfigMap nmstate-apiserver-ca, for agents. What others make of
// these is put right. An APIService that is not there, or names another Service,
// is left alone.
//
// # Rotation
//
// The serving certificate is signed anew when two thirds of its life are over, or
// when its names are no longer the wanted ones. A CA is rotated when four fifths of
// its life are over, in phases that the annotation nmstate.io/phase tells, and
// nmstate.io/phase-since since when:
//
//	Publishing  there is a next CA and it is published. Without interruption for
//	            Times.PublishOverlap, which is the time that clients may take to
//	            read it, then it becomes the CA and signs a serving certificate.
//	Retiring    the CA before stays published for Times.RetireOverlap, in which a
//	            server that has not heard of it may still show the old certificate.
//	Stable      nothing is going on.
//
// A server that is started in the midst of a phase goes on from there. What has
// expired, because no server ran, is replaced at once.
//
// # For administrators
//
// To have a rotation now:
//
//	kubectl -n nmstate-system annotate secret nmstate-apiserver-certificates nmstate.io/rotate=ca
//
// or nmstate.io/rotate=serving. The server takes the annotation off when it begins;
// a CA's rotation begins when the one before it is over.
//
// A Secret that is damaged is an error, and stays as it is: the server shows what
// it last read. An empty or deleted Secret is made anew, at once, with a CA that
// nobody knows yet: after a key has leaked this is what one wants, and agents
// cannot connect until they have read it (the kubelet takes up to two minutes). A
// Secret with ca.crt and ca.key alone gets its serving certificate from that CA.
//
// # Rights
//
// In the own namespace (a Role):
//
//	apiGroups: [""], resources: [secrets], verbs: [create]
//	apiGroups: [""], resources: [secrets], resourceNames: [nmstate-apiserver-certificates], verbs: [get, list, watch, update]
//	apiGroups: [""], resources: [configmaps], verbs: [create]
//	apiGroups: [""], resources: [configmaps], resourceNames: [nmstate-apiserver-ca], verbs: [get, list, watch, update]
//
// In the cluster (a ClusterRole):
//
//	apiGroups: [apiregistration.k8s.io], resources: [apiservices], resourceNames: [v1alpha1.nmstate.io], verbs: [get, list, watch, update]
//
// List and watch are of one name (a field selector), which resourceNames allows;
// create can't be held to a name.
package certificates
