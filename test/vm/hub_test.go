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

package vm

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
)

// neighbour starts what a case needs in the network that the node is plugged into.
func (s scripts) neighbour(ctx context.Context, node, what string) (stop func(), err error) {
	switch what {
	case "dhcp":
		return s.dhcp(ctx)
	case "lldp":
		return s.lldp(node)
	}
	return nil, fmt.Errorf("there is no neighbour %q", what)
}

// dhcp gives leases: on data1 of both families, on data2 of IPv4, with router advertisements. A node forgets a router that does
// not say that it is one when it is asked for its address (RFC 4861, 7.2.5): the hub has to forward.
func (s scripts) dhcp(ctx context.Context) (func(), error) {
	_, err := s.hub(ctx, `for n in 1 2; do
		ip addr replace 198.18.20$n.1/24 dev data$n && ip -6 addr replace 2001:db8:20$n::1/64 dev data$n nodad && sysctl -qw net.ipv6.conf.data$n.forwarding=1 || exit 1
	done`)
	if err != nil {
		return nil, err
	}
	tools := s.root + "/_output/vm/tools"
	return s.inHub(strings.Join([]string{
		tools + "/lib64/ld-linux-x86-64.so.2", "--library-path", tools + "/usr/lib/x86_64-linux-gnu", tools + "/usr/sbin/dnsmasq",
		"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--bind-interfaces", "--interface=data1,data2",
		"--pid-file=" + s.dir + "/dnsmasq.pid", "--dhcp-leasefile=" + s.dir + "/dnsmasq.leases", "--log-facility=-", "--dhcp-authoritative",
		"--no-ping", "--enable-ra", "--dhcp-option=option:dns-server,198.18.201.1",
		"--dhcp-range=198.18.201.50,198.18.201.99,1h", "--dhcp-range=2001:db8:201::50,2001:db8:201::99,64,1h",
		"--dhcp-range=198.18.202.50,198.18.202.99,1h", "--dhcp-range=2001:db8:202::,slaac,64,1h",
	}, " "))
}

// lldp tells a node at its port eth1, every two seconds, that there is a switch.
func (s scripts) lldp(node string) (func(), error) {
	tlv := func(kind int, value string) string {
		return string([]byte{byte(kind << 1), byte(len(value))}) + value
	}
	frame := "\x01\x80\xc2\x00\x00\x0e" + "\x02\x00\x00\x00\x11\x0d" + "\x88\xcc" +
		tlv(1, "\x04\x02\x00\x00\x00\x11\x0d") + tlv(2, "\x05port-one") + tlv(3, "\x00\x78") + tlv(5, "switch-of-the-hub") + tlv(0, "")
	var escaped strings.Builder
	for _, b := range []byte(frame) {
		escaped.WriteString(`\\x` + hex.EncodeToString([]byte{b}))
	}
	return s.inHub(fmt.Sprintf(`bash -c "while printf '%s' | socat -u STDIN INTERFACE:%s-1; do sleep 2; done"`, escaped.String(), node))
}
