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
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// AskRouters has the routers on a link announce themselves at once (RFC 4861, 4.1). The kernel asks them when the link comes up, but
// not when it begins to listen to them later.
func AskRouters(name string) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return fmt.Errorf("asking the routers of %s: %w", name, err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return fmt.Errorf("asking the routers of %s: %w", name, err)
	}
	solicitation := []byte{133, 0, 0, 0, 0, 0, 0, 0} // the kernel adds the checksum
	all := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::2").As16(), ZoneId: uint32(link.Index)}
	if err := unix.Sendto(fd, solicitation, 0, all); err != nil {
		return fmt.Errorf("asking the routers of %s: %w", name, err)
	}
	return nil
}
