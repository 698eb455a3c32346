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

package lldp

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// neighbors are those of one port, the one that was heard last first.
type neighbors struct{ known []neighbor }

// neighbor is one neighbour, and when it was heard last.
type neighbor struct {
	message
	heard time.Time
}

// expired tells whether what the neighbour has said is over.
func (n neighbor) expired(now time.Time) bool {
	return now.Sub(n.heard) >= time.Duration(n.TTLSeconds)*time.Second
}

// add remembers what a neighbour has just said, in place of what it said before. One with a TTL of 0 says that it
// ends, and is forgotten. If there are too many neighbours, the one that was heard least recently is forgotten. A neighbour
// that is still there is heard again soon.
func (n *neighbors) add(said *message, now time.Time) {
	n.known = slices.DeleteFunc(n.known, func(known neighbor) bool {
		return known.identity == said.identity || known.expired(now)
	})
	if said.TTLSeconds == 0 {
		return
	}
	n.known = slices.Insert(n.known, 0, neighbor{*said, now})
	n.known = n.known[:min(len(n.known), agent.MaxNeighbors)]
}

// forget forgets all.
func (n *neighbors) forget() { n.known = nil }

// list returns the neighbours whose time is not over.
func (n *neighbors) list(now time.Time) []v1alpha1.LLDPNeighbor {
	n.known = slices.DeleteFunc(n.known, func(known neighbor) bool { return known.expired(now) })
	list := make([]v1alpha1.LLDPNeighbor, 0, len(n.known))
	for _, known := range n.known {
		told := *known.DeepCopy()
		told.LastHeardTime = metav1.NewTime(known.heard)
		list = append(list, told)
	}
	return list
}
