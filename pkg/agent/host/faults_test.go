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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestABootInTheMidstOfAChange: what the kernel had is gone, and the files are put back. What was confirmed is applied again.
func TestABootInTheMidstOfAChange(t *testing.T) {
	for _, moment := range []transaction.Moment{transaction.AfterApplied, transaction.AfterConfirmed} {
		t.Run(string(moment), func(t *testing.T) {
			dir := t.TempDir()
			t.Cleanup(func() { clean(t) })
			const before = "nameserver 192.0.2.1\n"
			if err := os.WriteFile("/etc/resolv.conf", []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
			state := strings.TrimSuffix(veth(0), "}") + `,"dns-resolver":{"config":{"server":["192.0.2.53"]}}}`
			crash(t, dir, BackendKernel, state, moment, bothDie, v1alpha1.ConfirmByReachability)
			path := filepath.Join(dir, "transaction.journal")
			if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "192.0.2.53") {
				t.Fatalf("the journal is %s, %v", text, err)
			}
			netns.Run(t, "ip", "link", "del", "v0a")
			config := Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}, adjust: func(c *transaction.Config) { c.Kernel = "another boot" }}
			h, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			h.kernel = "another boot"
			run(t, h)
			obj := recovered(t, h)
			resolver, err := os.ReadFile("/etc/resolv.conf")
			if err != nil {
				t.Fatal(err)
			}
			if moment == transaction.AfterApplied {
				if last := obj.Status.LastApply; last.Reason != v1alpha1.ReasonRebooted || obj.Generation != 1 || string(resolver) != before {
					t.Errorf("lastApply is %+v; resolv.conf %s", last, resolver)
				}
				return
			}
			obj = awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
				return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted
			})
			if obj.Generation != 2 || obj.Status.Difference != nil || string(resolver) == before {
				t.Errorf("lastApply is %+v; resolv.conf %s", obj.Status.LastApply, resolver)
			}
		})
	}
}

// TestADiskThatIsFullAtEachStep: the change is refused or undone, or committed all the same; never a half.
func TestADiskThatIsFullAtEachStep(t *testing.T) {
	for _, moment := range append([]transaction.Moment{transaction.BeforePrepared}, append(committedMoments, rolledBackMoments...)...) {
		t.Run(string(moment), func(t *testing.T) {
			dir := t.TempDir()
			tmpfs(t, dir)
			filled := false
			filler := filepath.Join(dir, "filler")
			h := newHostWith(t, dir, yes{}, func(config *transaction.Config) {
				config.At = func(is transaction.Moment) {
					if is == moment && !filled {
						filled = true
						fill(t, filler)
					}
				}
			})
			state := veth(0)
			if strings.Contains(string(moment), "RolledBack") || strings.Contains(string(moment), "undo") || strings.Contains(string(moment), "told") {
				state = halfWay
			}
			before := picture(t)
			_, err := h.Apply(t.Context(), desire(t, h, state))
			obj := h.feed.Last()
			isNew := oldOrNew(t, obj, before, picture(t), state)
			if isNew != (err == nil) {
				t.Errorf("it ended with %v, lastApply %+v", err, obj.Status.LastApply)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); err != nil {
				t.Errorf("the next change ended with %v", err)
			}
		})
	}
}

// fill leaves no room on the disk.
func fill(t *testing.T, filler string) {
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); err != nil {
			return
		}
	}
}

// TestAnOutcomeThatIsWrittenLate, because the disk failed after the decision, replaces no newer record: neither by this
// agent nor by the next one.
func TestAnOutcomeThatIsWrittenLate(t *testing.T) {
	dir := t.TempDir()
	remount := tmpfs(t, dir)
	failed := false
	h := newHostWith(t, dir, yes{}, func(config *transaction.Config) {
		config.At = func(is transaction.Moment) {
			if is == transaction.AfterConfirmed && !failed {
				failed = true
				remount(readOnly)
			}
		}
	})
	annotate := func(note string) error {
		change := desire(t, h, veth(0))
		change.Object.Annotations = map[string]string{"example.com/note": note}
		_, err := h.Apply(t.Context(), change)
		return err
	}
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	if err := annotate("while the disk fails"); err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
		t.Errorf("while the disk fails, a write ends with %v", err)
	}
	remount(0)
	if err := annotate("newer"); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "next") // what the next agent would find
	if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(filepath.Join(next, "transaction.journal")); err != nil || len(left) > 0 {
		t.Errorf("the journal still has %s, %v", left, err)
	}
	if r, damage := newStore(next).load(); r.Annotations["example.com/note"] != "newer" || r.Generation != 2 || damage != "" {
		t.Errorf("the record is %+v, %s", r, damage)
	}
	_, _ = h.Apply(t.Context(), desire(t, h, halfWay))
	if obj := h.feed.Last(); obj.Annotations["example.com/note"] != "newer" || obj.Generation != 2 {
		t.Errorf("after a change that failed, the object is %+v", obj)
	}
}
