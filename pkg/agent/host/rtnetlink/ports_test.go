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
	"encoding/binary"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestPortsOfOtherKernels may have fewer counters, or more.
func TestPortsOfOtherKernels(t *testing.T) {
	counters := make([]byte, 0, 8*25)
	for n := range 25 {
		counters = binary.NativeEndian.AppendUint64(counters, uint64(n+1))
	}
	for count, want := range map[int]Statistics{
		25: {1, 2, 3, 4, 5, 6, 7, 8, 9}, 9: {1, 2, 3, 4, 5, 6, 7, 8, 9}, 3: {RxPackets: 1, TxPackets: 2, RxBytes: 3}, 0: {},
	} {
		header := nl.NewIfInfomsg(unix.AF_UNSPEC)
		header.Index, header.Type, header.Flags = 7, unix.ARPHRD_ETHER, unix.IFF_UP
		port, err := parsePort(slices.Concat(header.Serialize(),
			nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("eth7")).Serialize(),
			nl.NewRtAttr(unix.IFLA_OPERSTATE, []byte{6}).Serialize(),
			nl.NewRtAttr(unix.IFLA_CARRIER_CHANGES, nl.Uint32Attr(5)).Serialize(),
			nl.NewRtAttr(unix.IFLA_STATS64, counters[:8*count]).Serialize()))
		if err != nil || port.Name != "eth7" || port.Index != 7 || port.Hardware != unix.ARPHRD_ETHER || port.State != 6 || port.CarrierChanges != 5 || port.Statistics != want {
			t.Errorf("with %d counters: %+v, %v", count, port, err)
		}
	}
}
