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

package probe

import (
	"context"
	"net"
	"net/netip"
	"strconv"
)

// A zone's name is given to Go as the index of the interface: Go remembers for a minute
// which index a name has, and a change may make an interface of the same name anew.

// zoneIndex returns an address with the index of its zone's interface as its zone.
func zoneIndex(address netip.Addr) netip.Addr {
	if address.Zone() == "" {
		return address
	}
	iface, err := net.InterfaceByName(address.Zone())
	if err != nil { // it is an index already, or no interface
		return address
	}
	return address.WithZone(strconv.Itoa(iface.Index))
}

// dial is dialer.DialContext for an address whose zone is looked up anew.
func dial(ctx context.Context, dialer *net.Dialer, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil {
			address = net.JoinHostPort(zoneIndex(ip).String(), port)
		}
	}
	return dialer.DialContext(ctx, network, address)
}
