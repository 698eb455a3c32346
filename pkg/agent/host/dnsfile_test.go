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

import (
	"strings"
	"syscall"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestDNSThatCannotBeWritten: in a container the file is read-only, and none of the node. A change of DNS is refused before
// anything is touched, and in a dry run; one that leaves DNS as it is can be made.
func TestDNSThatCannotBeWritten(t *testing.T) {
	h := newHost(t, t.TempDir())
	for _, flags := range []uintptr{syscall.MS_BIND, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY} {
		if err := syscall.Mount(undo.ResolvConf, undo.ResolvConf, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(undo.ResolvConf, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	before := picture(t)
	links := strings.TrimSuffix(veth(0), "}")
	change := desire(t, h, links+`,"dns-resolver":{"config":{"server":["192.0.2.53"]}}}`)
	for what, try := range map[string]func() error{
		"a dry run": func() error { _, err := h.Validate(t.Context(), change); return err },
		"an apply":  func() error { _, err := h.Apply(t.Context(), change); return err },
	} {
		if err := try(); agent.KindOf(err) != agent.Invalid || !strings.Contains(err.Error(), "spec.desiredState.dns-resolver") {
			t.Errorf("%s ended with %v", what, err)
		}
	}
	if last := h.feed.Last().Status.LastApply; last == nil || last.Outcome != v1alpha1.ApplyRejected {
		t.Errorf("the last apply is %+v", last)
	}
	if now := picture(t); now != before {
		t.Errorf("the network was\n%s\nand is\n%s", before, now)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, links+`,"dns-resolver":{"config":{}}}`)); err != nil {
		t.Error(err)
	}
}

// TestSysctlsThatCannotBeWritten: in a container without privileges /proc/sys is read-only. A change that needs it is refused before
// anything is touched, and in a dry run; one that leaves the settings as they are can be made.
func TestSysctlsThatCannotBeWritten(t *testing.T) {
	h := newHost(t, t.TempDir())
	for _, flags := range []uintptr{syscall.MS_BIND, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY} {
		if err := syscall.Mount("/proc/sys", "/proc/sys", "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount("/proc/sys", syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	before := picture(t)
	state := func(ip string) string {
		return `{"interfaces":[{"name":"veth0","type":"veth","state":"up","veth":{"peer":"veth0peer"},` + ip + `},{"name":"veth0peer","type":"veth","state":"up","veth":{"peer":"veth0"}}]}`
	}
	change := desire(t, h, state(`"ipv6":{"enabled":false},"ipv4":{"enabled":true,"forwarding":true,"address":[{"ip":"192.0.2.9","prefix-length":24}]}`))
	for what, try := range map[string]func() error{
		"a dry run": func() error { _, err := h.Validate(t.Context(), change); return err },
		"an apply":  func() error { _, err := h.Apply(t.Context(), change); return err },
	} {
		err := try()
		for _, field := range []string{"interfaces[name=veth0].ipv6.enabled", "interfaces[name=veth0].ipv4.forwarding"} {
			if agent.KindOf(err) != agent.Invalid || !strings.Contains(err.Error(), field) {
				t.Errorf("%s ended with %v", what, err)
			}
		}
	}
	if now := picture(t); now != before {
		t.Errorf("the network was\n%s\nand is\n%s", before, now)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, state(`"ipv6":{"enabled":true}`))); err != nil {
		t.Error(err)
	}
}
