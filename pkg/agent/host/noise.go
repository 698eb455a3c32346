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

import "github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"

// noise are fields that change by themselves while nothing changes: a bridge's
// timers, and how long an address is preferred.
var noise = map[string]bool{
	"gc-timer": true, "hello-timer": true, "tcn-timer": true, "topology-change-timer": true,
	"preferred-life-time": true,
}

func dropNoise(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, isAddress := node["ip"]; isAddress {
			steady(node)
		}
		if node["type"] == "ip-tunnel" {
			// The kernel has the tunnel's local IP address in the place of a MAC address, and nmstate shows it as one. No backend takes it back.
			delete(node, "mac-address")
			delete(node, "permanent-mac-address")
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
	if tree.IsDynamic(address) {
		address[tree.Lifetime] = tree.Dynamic
	} else {
		delete(address, tree.Lifetime)
	}
	if !tree.IsForeign(address) {
		delete(address, tree.Protocol)
	}
}
