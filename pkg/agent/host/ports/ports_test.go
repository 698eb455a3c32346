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

package ports

import (
	"math"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func TestTypes(t *testing.T) {
	for want, link := range map[string]rtnetlink.Port{
		"ethernet":      {Hardware: unix.ARPHRD_ETHER},
		"loopback":      {Hardware: unix.ARPHRD_LOOPBACK, Flags: unix.IFF_LOOPBACK},
		"infiniband":    {Hardware: unix.ARPHRD_INFINIBAND, Kind: "ipoib"},
		"unknown":       {Hardware: unix.ARPHRD_NONE},
		"linux-bridge":  {Hardware: unix.ARPHRD_ETHER, Kind: "bridge"},
		"mac-vlan":      {Hardware: unix.ARPHRD_ETHER, Kind: "macvlan"},
		"mac-vtap":      {Hardware: unix.ARPHRD_ETHER, Kind: "macvtap"},
		"ovs-interface": {Hardware: unix.ARPHRD_ETHER, Kind: "openvswitch"},
		"bond":          {Hardware: unix.ARPHRD_ETHER, Kind: "bond"},
		"wireguard":     {Hardware: unix.ARPHRD_NONE, Kind: "wireguard"},
	} {
		if got := describe(link).Type; got != want {
			t.Errorf("%+v is %s, not %s", link, got, want)
		}
		if IsHardware(link) != (want == "ethernet") {
			t.Errorf("%s is hardware: %t", want, IsHardware(link))
		}
	}
}

// TestDescribe: what cannot be shown is left out, or is as near as the API can come.
func TestDescribe(t *testing.T) {
	own, bonds := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	port := describe(rtnetlink.Port{Index: 3, Name: "eth1", Flags: unix.IFF_UP | unix.IFF_LOWER_UP, State: 6, MAC: bonds, Permanent: own, CarrierChanges: math.MaxUint32,
		Statistics: rtnetlink.Statistics{RxBytes: math.MaxUint64, TxDropped: 7, Multicast: 9}})
	if port.MACAddress != bonds.String() || port.PermanentMACAddress != own.String() || !port.Carrier || port.OperState != v1alpha1.OperUp || port.CarrierChanges != math.MaxUint32 {
		t.Errorf("%+v", port)
	}
	if c := port.Counters; c.RxBytes != math.MaxInt64 || c.TxDropped != 7 || c.RxMulticast != 9 {
		t.Errorf("%+v", c)
	}
	for _, link := range []rtnetlink.Port{
		{MAC: own, Permanent: own}, {MAC: own}, {MAC: own, Permanent: make(net.HardwareAddr, 6)}, {MAC: own, Permanent: net.HardwareAddr{1, 2, 3}},
	} {
		if port := describe(link); port.PermanentMACAddress != "" {
			t.Errorf("%+v", port)
		}
	}
	// A tunnel has its own IP address where others have a MAC address, and what is set down has no carrier.
	tunnel := describe(rtnetlink.Port{Kind: "ipip", MAC: net.HardwareAddr{192, 0, 2, 1}, Flags: unix.IFF_LOWER_UP, State: 99})
	if tunnel.MACAddress != "" || tunnel.Carrier || tunnel.OperState != v1alpha1.OperUnknown {
		t.Errorf("%+v", tunnel)
	}
	for text, want := range map[string]string{"N/A": "", "n/a": "", " 16.35 ": "16.35", "": ""} {
		if got := told(text); got != want {
			t.Errorf("%q is told as %q", text, got)
		}
	}
	// A link that is gone by the time it is asked for is told as far as the kernel has told of it.
	if gone := Describe([]rtnetlink.Port{{Name: "no-such-link", Index: 9, Hardware: unix.ARPHRD_ETHER}}); len(gone) != 1 || gone[0].Type != "ethernet" || gone[0].Driver != "" || gone[0].AutoNegotiation != nil {
		t.Errorf("%+v", gone)
	}
}
