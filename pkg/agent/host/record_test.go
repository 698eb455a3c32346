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
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func TestRecordOutlivesTheAgent(t *testing.T) {
	dir := t.TempDir()
	t.Run("first", func(t *testing.T) {
		h := newHost(t, dir)
		change := desire(t, h, veth(0))
		change.Object.Annotations = map[string]string{"a": "b"}
		if _, err := h.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	})
	obj := newHost(t, dir).feed.Last()
	if obj.Annotations["a"] != "b" || obj.Generation != 2 || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("after a restart: %v, generation %d, %+v", obj.Annotations, obj.Generation, obj.Status.LastApply)
	}
	if !v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(veth(0)))) {
		t.Errorf("after a restart the spec is %s", obj.Spec.DesiredState.Raw)
	}
	if !apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionInSync) {
		t.Error("the veth is gone, and the object is in sync")
	}
}

func TestDamagedRecordIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"cut":      func(s string) string { return s[:len(s)/2] },
		"empty":    func(string) string { return "" },
		"flipped":  func(s string) string { return strings.Replace(s, "generation\":1", "generation\":7", 1) },
		"noJSON":   func(string) string { return "\x00\x01" },
		"noFormat": func(s string) string { return strings.Replace(s, "format\":1", "format\":0", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newStore(dir)
			if err := s.save(record{Generation: 1}); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(s.path)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(string(text))
			if damaged == string(text) {
				t.Fatal("nothing was damaged")
			}
			if err := os.WriteFile(s.path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			obj := newHost(t, dir).feed.Last()
			failing := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFailing)
			if failing.Reason != v1alpha1.ReasonRecordDamaged {
				t.Errorf("condition is %+v", failing)
			}
			aside, err := filepath.Glob(s.path + ".damaged-*")
			if err != nil || len(aside) != 1 || !strings.Contains(failing.Message, aside[0]) {
				t.Errorf("set aside: %v, %v; the condition says %q", aside, err, failing.Message)
			}
		})
	}
}

const (
	writable = 0
	readOnly = syscall.MS_RDONLY
)

// tmpfs makes dir a file system of its own, and returns how to remount it.
func tmpfs(t *testing.T, dir string) (remount func(flags uintptr)) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return func(flags uintptr) {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func setAside(t *testing.T, path string) []string {
	t.Helper()
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return aside
}

func wantFailing(t *testing.T, h *Host, reason string) {
	t.Helper()
	failing := apimeta.FindStatusCondition(h.feed.Last().Status.Conditions, v1alpha1.ConditionFailing)
	if failing == nil || failing.Reason != reason {
		t.Errorf("condition is %+v, want reason %s", failing, reason)
	}
}

// TestDiskThatTakesNothing: the write fails and says so, the network is as it
// was, and nothing that was recorded is lost.
func TestDiskThatTakesNothing(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"full": func(t *testing.T, dir string) {
			file, err := os.Create(filepath.Join(dir, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for block := make([]byte, 4096); ; {
				if _, err := file.Write(block); err != nil {
					return
				}
			}
		},
		"readOnly": func(t *testing.T, dir string) {
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			h := newHost(t, dir)
			if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
				t.Fatal(err)
			}
			for h.runner.Owes() != nil { // emptying the journal would make room
				time.Sleep(time.Millisecond)
			}
			before, err := undo.Note(t.Context(), undo.Request{All: true})
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			spoil(t, dir)
			_, err = h.Apply(t.Context(), desire(t, h, veth(1)))
			if agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
				t.Fatalf("the apply ended with %v", err)
			}
			left, err := before.Differences(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("not as before: %v", left)
			}
			obj := h.feed.Last()
			if !v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(veth(0)))) {
				t.Errorf("the spec is %s", obj.Spec.DesiredState.Raw)
			}
			failing := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFailing)
			if failing.Reason != v1alpha1.ReasonRecordNotWritable {
				t.Errorf("condition is %+v", failing)
			}
		})
	}
}

// TestDiskThatFailsInTheMiddle: what was applied but cannot be written down is
// put back.
func TestDiskThatFailsInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h := newHost(t, dir)
	before, err := undo.Note(t.Context(), undo.Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	err = interfere(t, h, veth(0), func() {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
		t.Fatalf("the apply ended with %v", err)
	}
	left, err := before.Differences(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("not as before: %v", left)
	}
	if obj := h.feed.Last(); obj.Spec.DesiredState != nil || obj.Status.LastApply.Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("spec %v, lastApply %+v", obj.Spec.DesiredState, obj.Status.LastApply)
	}
}

func TestInterruptedApplyIsToldAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	started := record{Generation: 1, LastApply: &v1alpha1.LastApply{Generation: 2, StartTime: now(), Outcome: v1alpha1.ApplyInProgress}}
	if err := newStore(dir).save(started); err != nil {
		t.Fatal(err)
	}
	last := newHost(t, dir).feed.Last().Status.LastApply
	if last.Outcome != v1alpha1.ApplyInterrupted || last.FinishTime == nil {
		t.Errorf("lastApply is %+v", last)
	}
}

// TestARecordThatMayBeGoodIsKept: this agent cannot read it, and writes nothing over it.
func TestARecordThatMayBeGoodIsKept(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"ofANewerAgent": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(`{"format":9,"sha256":"","record":{}}`), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"notRead": func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := newStore(dir).path
			spoil(t, path)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t, dir)
			wantFailing(t, h, v1alpha1.ReasonRecordDamaged)
			_, err = h.Apply(t.Context(), desire(t, h, veth(0)))
			if err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) || !strings.Contains(err.Error(), path) {
				t.Errorf("the apply ended with %v", err)
			}
			wantFailing(t, h, v1alpha1.ReasonRecordDamaged)
			if last := h.feed.Last().Status.LastApply; last == nil || last.Outcome != v1alpha1.ApplyRejected {
				t.Errorf("lastApply is %+v", last)
			}
			after, err := os.Stat(path)
			if err != nil || !os.SameFile(before, after) || len(setAside(t, path)) > 0 {
				t.Errorf("the file is not what it was: %v", err)
			}
		})
	}
}

// TestRecordIsNotEscapedForHTML: a byte of a spec must not become six.
func TestRecordIsNotEscapedForHTML(t *testing.T) {
	const state, escaped = `{"description":"<&>"}`, `{ "description": "\u003c\u0026\u003e" }`
	s := newStore(t.TempDir())
	obj := &v1alpha1.NodeNetworkState{}
	obj.Annotations = map[string]string{"a": "<&>"}
	if err := s.save(record{}.with(obj, v1alpha1.NewState([]byte(escaped)))); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.path)
	if err != nil || strings.Contains(string(text), `\u00`) || strings.Count(string(text), "<&>") != 2 {
		t.Errorf("%v, the file is %s", err, text)
	}
	if r, damage := s.load(); damage != "" || string(r.Desired.Raw) != state {
		t.Errorf("read %s, %s", r.Desired.Raw, damage)
	}
}

// TestRecordOfBeforeIsRead: agents of before escaped it.
func TestRecordOfBeforeIsRead(t *testing.T) {
	content := `{"annotations":{"a":"\u003c"},"generation":7,"desiredState":{"description":"\u003c\u0026\u003e"}}`
	sum := sha256.Sum256([]byte(content))
	r, err := parseRecord([]byte(`{"format":1,"sha256":"` + hex.EncodeToString(sum[:]) + `","record":` + content + `}`))
	if err != nil || r.Generation != 7 || r.Annotations["a"] != "<" || string(r.Desired.Raw) != `{"description":"<&>"}` {
		t.Errorf("read %+v, %v", r, err)
	}
}

// TestSpecThatIsTooLargeIsInvalid: an agent does not trust a server to have checked it.
func TestSpecThatIsTooLargeIsInvalid(t *testing.T) {
	h := newHost(t, t.TempDir())
	large := `{"description":"` + strings.Repeat("<", v1alpha1.MaxDesiredState) + `"}`
	_, err := h.Apply(t.Context(), desire(t, h, large))
	if agent.KindOf(err) != agent.Invalid || !strings.Contains(err.Error(), "may have at most 1048576") {
		t.Errorf("got %v", err)
	}
	if obj := h.feed.Last(); obj.Spec.DesiredState != nil || obj.Generation != 1 {
		t.Errorf("the spec became one of %d bytes, of generation %d", len(obj.Spec.DesiredState.Raw), obj.Generation)
	}
}

// FuzzParseRecord: whatever the file holds, the agent starts.
func FuzzParseRecord(f *testing.F) {
	for _, content := range []string{`{"generation":1}`, `{"desiredState":null,"lastApply":{}}`, `[]`, `{"desiredState":7}`} {
		sum := sha256.Sum256([]byte(content))
		f.Add([]byte(`{"format":1,"sha256":"`+hex.EncodeToString(sum[:])+`","record":`+content+`}`), []byte(content))
	}
	f.Fuzz(func(t *testing.T, file, content []byte) {
		_, _ = parseRecord(file)
		// Behind the checksum, too.
		sum := sha256.Sum256(content)
		r, err := parseRecord([]byte(`{"format":1,"sha256":"` + hex.EncodeToString(sum[:]) + `","record":` + string(content) + `}`))
		if err != nil {
			return
		}
		s := newStore(t.TempDir())
		if err := s.save(r); err != nil {
			t.Fatal(err)
		}
		again, damage := s.load()
		before, _ := tree.Encode(r)
		if after, err := tree.Encode(again); damage != "" || err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s was read back as %s, %s, %v", before, after, damage, err)
		}
	})
}

// TestWhatACrashLeavesIsSwept: a part of the record beside it has its secrets.
func TestWhatACrashLeavesIsSwept(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, ".record.json-1234567890")
	if err := os.WriteFile(left, []byte(`{"psk":"s3cret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	newHost(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
