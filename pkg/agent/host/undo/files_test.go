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

package undo

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFilesArePutBackWithTheirModes, in folders that are gone, too.
func TestFilesArePutBackWithTheirModes(t *testing.T) {
	alias, script := linkFiles+"/98-nmstate-a1.link", scriptFiles+"/nmstate-a1-up.sh"
	added := scriptFiles + "/nmstate-a1-down.sh"
	for _, name := range []string{alias, script} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("before\xff"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(name) })
	}
	in := scope{files: []string{alias, script, added}}
	s, err := takeSnapshot(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	back := throughJSON(t, &Before{was: s})
	if err := os.RemoveAll(linkFiles); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(script, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(added, nil, 0o744); err != nil {
		t.Fatal(err)
	}
	if left, err := back.Differences(t.Context()); err != nil || len(left) != 3 {
		t.Errorf("differences: %q, %v", left, err)
	}
	if left := back.Restore(t.Context(), nothing); left != "" {
		t.Errorf("left is %s", left)
	}
	if now, err := takeSnapshot(in, nil); err != nil || len(now.files) != 2 || !now.files[alias].same(s.files[alias]) || !now.files[script].same(s.files[script]) {
		t.Errorf("the files are %v, %v", now.files, err)
	}
}

// TestWhichFilesAreInTheScope: with NetworkManager there are dispatch scripts and sysctls.
func TestWhichFilesAreInTheScope(t *testing.T) {
	const full = `{"interfaces":[{"name":"eth1","type":"ethernet"},{"name":"br9","type":"linux-bridge","bridge":{"port":[{"name":"eth1"},{"name":"eth2"}]}}]}`
	script, forwarding := scriptFiles+"/nmstate-eth1-up.sh", "/proc/sys/net/ipv4/conf/eth1/forwarding"
	for desired, want := range map[string][2]bool{
		`{"interfaces":[{"name":"eth1","state":"absent"}]}`:                         {true, true},
		`{"interfaces":[{"name":"eth1","dispatch":{"post-activation":"echo"}}]}`:    {true, true},
		`{"interfaces":[{"name":"eth1","state":"up"}]}`:                             {false, true},
		`{"interfaces":[{"name":"eth2","dispatch":{"post-deactivation":"echo"}}]}`:  {true, true},
		`{"interfaces":[{"name":"eth9"}],"routes":{"config":[{"state":"absent"}]}}`: {false, false},
	} {
		for _, managed := range []bool{false, true} {
			s, err := scopeOf([]byte(desired), []byte(full), managed)
			if err != nil {
				t.Fatal(err)
			}
			got := [2]bool{slices.Contains(s.files, script), slices.Contains(s.files, forwarding)}
			if managed && got != want || !managed && got != [2]bool{} {
				t.Errorf("%s, managed %v: the files are %q", desired, managed, s.files)
			}
		}
	}
}

// TestSysctlsArePutBack, and with IPv6 the addresses that went with it.
func TestSysctlsArePutBack(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	in := scope{links: map[string]bool{"a1": true}, files: sysctlsOf("a1")}
	s, err := takeSnapshot(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sysctlsOf("a1") {
		if !isWritten(name) {
			t.Errorf("%s is no file of nmstate's", name)
		}
		if err := os.WriteFile(name, []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := &Before{was: s}
	if left, err := before.Differences(t.Context()); err != nil || len(left) < 2 {
		t.Errorf("differences: %q, %v", left, err)
	}
	if left := before.Restore(t.Context(), nothing); left != "" {
		t.Errorf("left is %s", left)
	}
}
