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
// server shows in a cluster. Clients that trust the published CAs are never cut
// off.
//
// # What is where
//
// The Secret nmstate-apiserver-certificates in the server's namespace is the state.
// It is written with optimistic concurrency: if two servers create it at the same
// time, one wins and the other reads the result. All servers watch the Secret and
// show the same certificate.
//
//	ca.crt, ca.key            the CA that signs serving certificates
//	tls.crt, tls.key          the serving certificate, signed by ca.crt
//	next-ca.crt, next-ca.key  the CA that will sign next (phase Publishing)
//	previous-ca.crt           the CA that signed before (phase Retiring)
//
// The active server, and no other, publishes all CAs of the Secret that are valid
// as spec.caBundle of the APIService v1alpha1.nmstate.io, for kube-apiserver, and
// as ca.crt of the ConfigMap nmstate-apiserver-ca, for agents. It corrects changes
// by others. It does not create the APIService, and leaves one that names another
// Service alone.
//
// # Rotation
//
// The serving certificate is signed anew when two thirds of its life are over, or
// when its names are no longer the wanted ones. A CA is rotated when four fifths of
// its life are over, in phases that the annotation nmstate.io/phase tells, and
// nmstate.io/phase-since since when:
//
//	Publishing  the next CA is published for Times.PublishOverlap without
//	            interruption, so that clients can read it. Then it becomes the CA
//	            and signs a serving certificate.
//	Retiring    the previous CA stays published for Times.RetireOverlap, because a
//	            server that lags behind may still show the old certificate.
//	Stable      no rotation is under way.
//
// A server that starts during a phase continues it. Certificates that expired while
// no server ran are replaced at once.
//
// # For administrators
//
// To have a rotation now:
//
//	kubectl -n nmstate-system annotate secret nmstate-apiserver-certificates nmstate.io/rotate=ca
//
// or nmstate.io/rotate=serving. The server removes the annotation when the
// rotation begins. A rotation of the CA waits for the one under way.
//
// A damaged Secret is an error and is not changed: the server shows the certificate
// that it read last. An empty or deleted Secret is made again at once, with a new
// CA. Do this after a key has leaked. Agents cannot connect until they have read the
// new CA; the kubelet takes up to two minutes. If a Secret has only ca.crt and
// ca.key, that CA signs the serving certificate.
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
// List and watch use a field selector for one name, which resourceNames allows.
// RBAC cannot restrict create to a name.
package certificates
