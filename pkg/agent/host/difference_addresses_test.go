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

const (
	wantedAddress = "{ip: 192.0.2.1, prefix-length: 24}"
	otherAddress  = "{ip: 192.0.2.9, prefix-length: 32}"
	lease         = "{ip: 192.0.2.77, prefix-length: 24, valid-life-time: 3599sec, preferred-life-time: 3599sec}"
)

// eth1 is an interface with the given fields.
func eth1(fields string) string { return one("name: eth1", "type: ethernet", "state: up", fields) }

// addressCases are of ipv4 and ipv6.
var addressCases = []comparisonCase{
	{"address", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), ""},
	{"address beside another", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + otherAddress + ", " + wantedAddress + "]}"), ""},
	{"address beside another that may be", eth1("ipv4: {enabled: true, allow-extra-address: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + otherAddress + ", " + wantedAddress + "]}"), ""},
	{"address beside another that must not be", eth1("ipv4: {enabled: true, allow-extra-address: false, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + otherAddress + ", " + wantedAddress + "]}"),
		eth1("ipv4: {allow-extra-address: false, address: [" + wantedAddress + "]}")},
	{"address beside a lease where no other must be", eth1("ipv4: {enabled: true, dhcp: true, allow-extra-address: false, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, dhcp: true, address: [" + lease + ", " + wantedAddress + "]}"), ""},
	{"only the allowance", eth1("ipv4: {enabled: true, allow-extra-address: true}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), ""},
	{"address missing", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + otherAddress + "]}"), eth1("ipv4: {address: [" + wantedAddress + "]}")},
	{"address of another length", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 32}]}"), eth1("ipv4: {address: [" + wantedAddress + "]}")},
	{"address with what nmstate only shows", eth1("ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: '24', valid-life-time: forever, mptcp-flags: [signal], protocol: 0x5}]}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), ""},
	{"a lease that was shown", eth1("ipv4: {enabled: true, dhcp: true, address: [" + lease + "]}"), eth1("ipv4: {enabled: true, dhcp: true, address: []}"), ""},
	{"a lease where a static address is wanted", eth1("ipv4: {enabled: true, dhcp: true, address: [{ip: 192.0.2.77, prefix-length: 24}]}"), eth1("ipv4: {enabled: true, dhcp: true, address: [" + lease + "]}"),
		eth1("ipv4: {address: [{ip: 192.0.2.77, prefix-length: 24}]}")},
	{"DHCP lost", eth1("ipv4: {enabled: true, dhcp: true}"), eth1("ipv4: {enabled: true, dhcp: false, address: [" + wantedAddress + "]}"), eth1("ipv4: {dhcp: true}")},
	{"IP off", eth1("ipv4: {enabled: false, dhcp: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: false}"), ""},
	{"IP on that is to be off", eth1("ipv4: {enabled: false}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: false}")},
	{"IP off that is to be on", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: false}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}")},
	{"IPv4 on without an address", eth1("ipv4: {enabled: true, dhcp: false, address: []}"), eth1("ipv4: {enabled: false}"), ""},
	{"IPv6 on without an address", eth1("ipv6: {enabled: true, address: []}"), eth1("ipv6: {enabled: false}"), eth1("ipv6: {enabled: true}")},
	{"IPv6 address in capitals", eth1("ipv6: {enabled: true, address: [{ip: '2001:DB8:0::1', prefix-length: 64}]}"), eth1("ipv6: {enabled: true, address: [{ip: 'fe80::1', prefix-length: 64}, {ip: '2001:db8::1', prefix-length: 64}]}"), ""},
	{"the kernel's own address", eth1("ipv6: {enabled: true, address: [{ip: 'fe80::1', prefix-length: 64}]}"), eth1("ipv6: {enabled: true, address: [{ip: 'fe80::2', prefix-length: 64}]}"), ""},
	{"the kernel's own address where no other must be", eth1("ipv6: {enabled: true, allow-extra-address: false, address: []}"), eth1("ipv6: {enabled: true, address: [{ip: 'fe80::2', prefix-length: 64}]}"), ""},
	{"IPv6 address missing", eth1("ipv6: {enabled: true, address: [{ip: '2001:db8::1', prefix-length: 64}]}"), eth1("ipv6: {enabled: true, address: [{ip: 'fe80::1', prefix-length: 64}]}"), eth1("ipv6: {address: [{ip: '2001:db8::1', prefix-length: 64}]}")},
	{"settings of DHCP without it", eth1("ipv4: {enabled: true, dhcp: false, auto-dns: true, auto-route-table-id: 5, dhcp-client-id: ll, dhcp-custom-hostname: me, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, dhcp: false, address: [" + wantedAddress + "]}"), ""},
	{"settings of DHCP", eth1("ipv4: {enabled: true, dhcp: true, auto-dns: false, auto-route-table-id: 0, auto-route-metric: -1, dhcp-custom-hostname: ''}"), eth1("ipv4: {enabled: true, dhcp: true, auto-dns: false, auto-gateway: true}"), ""},
	{"settings of DHCP, others", eth1("ipv4: {enabled: true, dhcp: true, auto-dns: false, auto-route-metric: 100, dhcp-client-id: LL}"), eth1("ipv4: {enabled: true, dhcp: true, auto-dns: true, auto-route-metric: 200}"), eth1("ipv4: {auto-dns: false, auto-route-metric: 100, dhcp-client-id: ll}")},
	{"settings of router advertisements", eth1("ipv6: {enabled: true, autoconf: true, dhcp: false, auto-routes: true, token: '::'}"), eth1("ipv6: {enabled: true, autoconf: true, auto-routes: true}"), ""},
	{"a token", eth1("ipv6: {enabled: true, autoconf: true, token: '::0.0.250.193'}"), eth1("ipv6: {enabled: true, autoconf: true, token: '::fac1'}"), ""},
	{"another token", eth1("ipv6: {enabled: true, autoconf: true, token: '::5'}"), eth1("ipv6: {enabled: true, autoconf: true, token: '::fac1'}"), eth1("ipv6: {token: '::5'}")},
	{"forwarding", eth1("ipv4: {enabled: true, forwarding: true, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, forwarding: false, address: [" + wantedAddress + "]}"), eth1("ipv4: {forwarding: true}")},
	{"metric of the address's route", eth1("ipv4: {enabled: true, prefix-route-metric: -1, address: [" + wantedAddress + "]}"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), ""},
}
