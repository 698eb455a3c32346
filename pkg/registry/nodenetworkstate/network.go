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

package nodenetworkstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Bounds of what the table reads of a state, which may come from a hostile node.
const (
	// maxInterfaces and maxRoutes are how many are looked at. No message has room for
	// more: nmstate writes more than 512 bytes for an interface, and 128 for a route.
	maxInterfaces = agent.MaxMessageSize / 512
	maxRoutes     = agent.MaxMessageSize / 128
	// maxAddresses is how many addresses are shown.
	maxAddresses = 1000
	// maxAddress and maxInterfaceName are the sizes in bytes of what is shown of an
	// address, which may have a zone, and of a name: Linux has 15, Open vSwitch more.
	maxAddress, maxInterfaceName = 64, 64
)

// network is the little of a state that the table shows.
type network struct {
	// defaultRoute is next hop and interface of the default route, IPv4 first.
	defaultRoute string
	// addresses are those of the interfaces that are up, without those that are the same on every host.
	addresses []string
}

// listed is an interface in nmstate's format.
type listed struct {
	Type  string `json:"type"`
	State string `json:"state"`
	IPv4  ipConf `json:"ipv4"`
	IPv6  ipConf `json:"ipv6"`
}

type ipConf struct {
	Address json.RawMessage `json:"address"`
}

type address struct {
	IP     string `json:"ip"`
	Length int    `json:"prefix-length"`
}

type route struct {
	Destination string `json:"destination"`
	Interface   string `json:"next-hop-interface"`
	NextHop     string `json:"next-hop-address"`
	Table       int64  `json:"table-id"`
}

// parseNetwork reads a state as far as it can be read: a column that cannot be filled
// must not take the row away. It decodes one entry after the other and keeps only what
// is shown, so that a state costs little more than its text.
func parseNetwork(state *v1alpha1.State) network {
	var n network
	if state == nil {
		return n
	}
	var parts struct {
		Interfaces json.RawMessage `json:"interfaces"`
		Routes     struct {
			Running json.RawMessage `json:"running"`
		} `json:"routes"`
	}
	// What comes before an error is decoded all the same.
	_ = json.Unmarshal(state.Raw, &parts)
	each(parts.Interfaces, maxInterfaces, func(i listed) bool {
		if i.State == "up" && i.Type != "loopback" {
			n.add(i.IPv4)
			n.add(i.IPv6)
		}
		return len(n.addresses) < maxAddresses
	})
	n.defaultRoute = defaultRoute(parts.Routes.Running)
	return n
}

// add adds addresses, but for link-local ones.
func (n *network) add(conf ipConf) {
	each(conf.Address, maxAddresses, func(a address) bool {
		if isAddress(a.IP) && !strings.HasPrefix(a.IP, "fe80:") {
			n.addresses = append(n.addresses, fmt.Sprintf("%s/%d", a.IP, a.Length))
		}
		return len(n.addresses) < maxAddresses
	})
}

// mainTable is the routing table of ordinary routes (rtnetlink(7), RT_TABLE_MAIN).
const mainTable = 254

func defaultRoute(routes json.RawMessage) string {
	var ipv4, ipv6 *route
	each(routes, maxRoutes, func(r route) bool {
		if r.Table != 0 && r.Table != mainTable {
			return true
		}
		switch r.Destination {
		case "0.0.0.0/0":
			ipv4 = &r
		case "::/0":
			if ipv6 == nil {
				ipv6 = &r
			}
		}
		return ipv4 == nil
	})
	if ipv4 == nil {
		ipv4 = ipv6
	}
	if ipv4 == nil {
		return ""
	}
	if !isAddress(ipv4.NextHop) {
		ipv4.NextHop = ""
	}
	if len(ipv4.Interface) > maxInterfaceName || strings.ContainsFunc(ipv4.Interface, unicode.IsControl) {
		ipv4.Interface = ""
	}
	return strings.TrimPrefix(ipv4.NextHop+"%"+ipv4.Interface, "%")
}

// isAddress tells whether a text is an IP address. Anything else, of any length, is not shown.
func isAddress(text string) bool {
	if len(text) > maxAddress {
		return false
	}
	_, err := netip.ParseAddr(text)
	return err == nil && !strings.ContainsFunc(text, unicode.IsControl)
}

// each visits the entries of a JSON list, at most so many, until visit returns false. A
// field that has the wrong type is not set.
func each[T any](list json.RawMessage, most int, visit func(T) bool) {
	if len(list) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(list))
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return
	}
	for range most {
		if !decoder.More() {
			return
		}
		var entry T
		var mismatch *json.UnmarshalTypeError
		if err := decoder.Decode(&entry); err != nil && !errors.As(err, &mismatch) || !visit(entry) {
			return
		}
	}
}
