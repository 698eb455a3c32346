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

package rtnetlink

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestAskRouters: who is on the link hears the question, with the hop limit that routers insist on.
func TestAskRouters(t *testing.T) {
	netns.Run(t, "sh", "-c", "ip link add ask0 type veth peer name ask1; ip link set ask0 up; ip link set ask1 up; ip addr add fe80::7/64 dev ask0 nodad")
	defer netns.Run(t, "ip", "link", "del", "ask0")
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	l, err := LinkByName("ask1")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0xdd86, Ifindex: l.Index}); err != nil { // ETH_P_IPV6, in the network's order
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	if err := AskRouters("ask0"); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1500)
	for {
		n, _, err := unix.Recvfrom(fd, packet, 0)
		if err != nil {
			t.Fatalf("no router was asked: %v", err)
		}
		const header = 40
		if n < header+1 || packet[6] != unix.IPPROTO_ICMPV6 || packet[header] != 133 || packet[8+15] != 7 {
			continue // of another protocol, or by the kernel
		}
		if packet[7] != 255 {
			t.Errorf("the hop limit is %d", packet[7])
		}
		return
	}
}
