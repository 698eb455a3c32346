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

package host

import (
	"bytes"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// state is the node's network as it was read.
type state struct {
	// full is all of it, without noise: what changes are validated and compared with.
	full []byte
	// shown is full without what is not shown.
	shown *v1alpha1.State
	count v1alpha1.InterfaceCount
}

// noise are fields that change by themselves while nothing changes: a bridge's
// timers, and how long an address is preferred.
var noise = map[string]bool{
	"gc-timer": true, "hello-timer": true, "tcn-timer": true, "topology-change-timer": true,
	"preferred-life-time": true,
}

const (
	// lifetime is the field that tells how long an address is valid. libnmstate
	// takes an address with any value but forever for a dynamic one, which it does
	// not configure.
	lifetime = "valid-life-time"
	forever  = "forever"
	// dynamic is what is shown instead of the seconds, which change all the time.
	// An address that is sent back with it stays a lease.
	dynamic = "dynamic"
	// protocol is the field that tells who made an address. libnmstate does not
	// configure an address with a number there: it is another program's. The names
	// are the kernel's, which not every version tells.
	protocol = "protocol"
)

// parseState makes a state of what libnmstate returned. Veths that
// NetworkManager leaves alone are pods' and not shown unless keepVeths is set.
func parseState(raw []byte, keepVeths bool) (*state, error) {
	tree, err := decode(raw)
	if err != nil {
		return nil, err
	}
	dropNoise(tree)
	full, err := encode(tree)
	if err != nil {
		return nil, err
	}
	s := &state{full: full, shown: v1alpha1.NewState(full)}
	hidden := map[any]bool{}
	for _, item := range list(tree, "interfaces") {
		iface, _ := item.(map[string]any)
		if !keepVeths && iface["type"] == "veth" && iface["state"] == "ignore" {
			hidden[iface["name"]] = true
			continue
		}
		s.count.Total++
		if iface["state"] == "up" {
			s.count.Up++
		}
	}
	if len(hidden) == 0 {
		return s, nil
	}
	hide(tree, hidden)
	shown, err := encode(tree)
	s.shown = v1alpha1.NewState(shown)
	return s, err
}

func dropNoise(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, isAddress := node["ip"]; isAddress {
			steady(node)
		}
		for key, child := range node {
			if noise[key] {
				delete(node, key)
				continue
			}
			dropNoise(child)
		}
	case []any:
		for _, child := range node {
			dropNoise(child)
		}
	}
}

// steady leaves of an address what stays as long as the address does.
func steady(address map[string]any) {
	if isDynamic(address) {
		address[lifetime] = dynamic
	} else {
		delete(address, lifetime)
	}
	if !isForeign(address) {
		delete(address, protocol)
	}
}

// isDynamic tells whether an address ends by itself unless somebody renews it: it
// is from DHCP or from a router's advertisement.
func isDynamic(address map[string]any) bool {
	value, given := address[lifetime]
	return given && value != forever
}

// isForeign tells whether another program has marked the address as its own.
func isForeign(address map[string]any) bool {
	return strings.HasPrefix(stringAt(address, protocol), "0x")
}

// hide takes interfaces, and the routes over them, out of tree.
func hide(tree map[string]any, names map[any]bool) {
	keep := func(items []any, key string) []any {
		kept := []any{}
		for _, item := range items {
			if fields, ok := item.(map[string]any); !ok || !names[fields[key]] {
				kept = append(kept, item)
			}
		}
		return kept
	}
	tree["interfaces"] = keep(list(tree, "interfaces"), "name")
	routes, _ := tree["routes"].(map[string]any)
	for _, kind := range []string{"running", "config"} {
		if items := list(routes, kind); items != nil {
			routes[kind] = keep(items, "next-hop-interface")
		}
	}
}

// list returns the list at key, nil if there is none.
func list(tree map[string]any, key string) []any {
	items, _ := tree[key].([]any)
	return items
}

// equal tells whether two states are the same.
func (s *state) equal(other *state) bool {
	return s != nil && other != nil && bytes.Equal(s.full, other.full)
}
