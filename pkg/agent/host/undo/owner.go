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

package undo

import "slices"

// owner says by whose hand a thing of the network comes and goes. It is decided
// once, when the thing is noted, and it alone decides what undoing does about it.
type owner string

const (
	// ours are what changes make, alter and take away: the links, addresses, routes
	// and rules that are configured. They become what they were.
	ours owner = ""
	// others are configured routes over links that the change does not mean. The
	// change may take one away, if an entry says that it is to be absent whatever
	// link it is over, and it makes none: one that is gone is put back, one that is
	// new stays.
	others owner = "others"
	// daemons are the routes of routing daemons, which come and go by their hand, and
	// static neighbours, which network plugins set, too. One that is gone is put back
	// if the change made the kernel flush it; one that is new stays.
	daemons owner = "daemons"
	// pods are veths whose other ends are in other namespaces, and which the change
	// does not mean: ports of a bridge, say. They end with their pods: one that is
	// gone is not made again, nor are the routes over it.
	pods owner = "pods"
	// kernels are IPv6's link-local addresses. The kernel makes one when a link
	// comes up, and not again when somebody deletes it: one that is gone is put back,
	// one that is new stays.
	kernels owner = "kernels"
	// leases are the addresses that DHCP and routers' advertisements give and renew.
	// One that is gone is put back, for what is left of its time, unless another has
	// taken its place; one that is new stays.
	leases owner = "leases"
)

// thing is what a snapshot notes.
type thing interface {
	// ownedBy tells by whose hand the thing comes and goes.
	ownedBy() owner
	// over names the links that the thing cannot be without, itself if it is one.
	over() []string
}

// owed returns the things that were there, are not, and are to be put back: before
// are those of s, after those of now.
func owed[T thing](s, now *snapshot, before, after map[string]T) map[string]T {
	found := map[string]T{}
	for key, one := range before {
		if _, is := after[key]; !is && s.owes(now, one) {
			found[key] = one
		}
	}
	return found
}

// owes decides whether a thing that is gone is to be put back.
func (s *snapshot) owes(now *snapshot, gone thing) bool {
	ended := func(name string) bool {
		_, is := now.links[name]
		return s.links[name].Owner == pods && !is
	}
	if slices.ContainsFunc(gone.over(), ended) {
		return false
	}
	if gone.ownedBy() != daemons || s.disturbances == nil { // nobody watched: it may have been flushed
		return true
	}
	return slices.ContainsFunc(gone.over(), s.disturbances.has)
}

// surplus returns the things that were not there, are, and are to be taken away.
func surplus[T thing](before, after map[string]T) map[string]T {
	found := map[string]T{}
	for key, one := range after {
		if _, was := before[key]; !was && (one.ownedBy() == ours || one.ownedBy() == pods) {
			found[key] = one
		}
	}
	return found
}
