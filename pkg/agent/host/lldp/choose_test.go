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

package lldp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// TestChoose: hardware, and veths where there is none.
func TestChoose(t *testing.T) {
	hardware := func(index int) rtnetlink.Port {
		return rtnetlink.Port{Index: index, Name: fmt.Sprint("eth", index), Hardware: unix.ARPHRD_ETHER}
	}
	loopback := rtnetlink.Port{Index: 1, Name: "lo", Hardware: unix.ARPHRD_LOOPBACK, Flags: unix.IFF_LOOPBACK}
	veth := rtnetlink.Port{Index: 7, Name: "veth7", Kind: "veth", Hardware: unix.ARPHRD_ETHER}
	pod := rtnetlink.Port{Index: 8, Name: "pod", Kind: "veth", Hardware: unix.ARPHRD_ETHER}
	bridge := rtnetlink.Port{Index: 9, Name: "br0", Kind: "bridge", Hardware: unix.ARPHRD_ETHER}
	ofBridge, ofVSwitch := hardware(3), hardware(4)
	ofBridge.PortKind, ofVSwitch.PortKind = "bridge", "openvswitch"
	l := New(func(p rtnetlink.Port) bool { return p.Name != "pod" })
	for name, test := range map[string]struct {
		links []rtnetlink.Port
		want  []choice
	}{
		"hardware":         {[]rtnetlink.Port{loopback, hardware(2), ofBridge, ofVSwitch, veth, pod, bridge}, []choice{{hardware(2), false}, {ofBridge, false}, {ofVSwitch, true}}},
		"none":             {[]rtnetlink.Port{loopback, veth, pod, bridge}, []choice{{veth, false}}},
		"neither, nothing": {[]rtnetlink.Port{loopback, bridge}, nil},
	} {
		got := l.choose(test.links)
		if !slices.EqualFunc(got, test.want, func(a, b choice) bool { return a.Index == b.Index && a.tapped == b.tapped }) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestTooManyPortsSaySo: those beyond the limit, and those that are not there any more.
func TestTooManyPortsSaySo(t *testing.T) {
	l := New(nil)
	l.mu.Lock()
	past := l.open(nil, choice{rtnetlink.Port{Index: 5, Name: "eth5"}, false}, maxPorts)
	gone := l.open(nil, choice{rtnetlink.Port{Index: 1 << 30, Name: "gone"}, false}, 0)
	l.ports[5] = past
	l.mu.Unlock()
	if past.socket != nil || !strings.Contains(past.failure, "128 ports") {
		t.Errorf("%+v", past)
	}
	if gone.socket != nil || gone.failure == "" {
		t.Errorf("%+v", gone)
	}
	if told := l.Heard(rtnetlink.Port{Index: 5}); told == nil || told.Message != past.failure || told.Neighbors == nil {
		t.Errorf("%+v", told)
	}
	if told := (*Listener)(nil).Heard(rtnetlink.Port{Index: 5}); told != nil {
		t.Errorf("without a listener %+v was heard", told)
	}
}
