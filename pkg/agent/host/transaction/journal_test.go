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

package transaction

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// entries are those of a change that is confirmed.
func entries() []entry {
	return []entry{
		{State: Prepared, Plan: &plan{Kernel: "k", Backend: v1alpha1.BackendKernel, Story: v1alpha1.LastApply{ID: "c1"}, Desired: []byte(`{}`), Record: []byte(`{}`)}},
		{State: Applied, Checkpoint: "c", Deadline: time.Unix(1, 0).UTC()},
		{State: Confirmed, Story: &v1alpha1.LastApply{ID: "c1", Outcome: v1alpha1.ApplyCommitted}},
	}
}

func written(t *testing.T, all ...entry) (*journal, []byte) {
	t.Helper()
	j, err := readJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := j.append(e); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	return j, text
}

// TestAJournalThatIsTorn anywhere says what its whole lines say.
func TestAJournalThatIsTorn(t *testing.T) {
	_, text := written(t, entries()...)
	whole := 0
	for n := range len(text) + 1 {
		at, end, err := parseJournal(text[:n])
		if err != nil {
			t.Fatalf("torn at %d: %v", n, err)
		}
		if n > 0 && text[n-1] == '\n' {
			whole++
		}
		want := append([]State{None}, Prepared, Applied, Confirmed)[whole]
		if at.State != want || end > int64(n) {
			t.Fatalf("torn at %d: %s, not %s", n, at.State, want)
		}
	}
	at, _, err := parseJournal(text)
	if err != nil || at.Plan.Story.ID != "c1" || at.Checkpoint != "c" || at.story().Outcome != v1alpha1.ApplyCommitted || at.Deadline.IsZero() {
		t.Errorf("read %+v, %v", at, err)
	}
}

// TestADamagedJournal is not taken for a shorter one: a change may have gone further.
func TestADamagedJournal(t *testing.T) {
	_, text := written(t, entries()...)
	for _, damaged := range [][]byte{
		bytes.Replace(text, []byte(`"kernel":"k"`), []byte(`"kernel":"q"`), 1),
		bytes.Replace(text, []byte("\n"), nil, 1),
		text[bytes.IndexByte(text, '\n')+1:],
	} {
		if _, _, err := parseJournal(damaged); err == nil {
			t.Errorf("read %s", damaged)
		}
	}
	b := newBench(t)
	b.write(journalName, string(text[bytes.IndexByte(text, '\n')+1:]))
	r, pending := b.open()
	if !pending {
		t.Fatal("a damaged journal is taken for an empty one")
	}
	if err := r.Recover(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
	if _, err := r.Run(t.Context(), b.change("c2")); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestAnEntryThatCannotFollow is refused.
func TestAnEntryThatCannotFollow(t *testing.T) {
	j, text := written(t, entries()...)
	for _, e := range []entry{{State: Applied}, {State: Prepared, Plan: &plan{}}, {State: "Nonsense"}, {State: None}, {State: Committed, Plan: &plan{}}} {
		if err := j.append(e); err == nil {
			t.Errorf("%s may follow", e.State)
		}
	}
	if now, err := os.ReadFile(j.path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the file has changed: %v", err)
	}
	if err := j.clear(); err != nil {
		t.Fatal(err)
	}
	if now, err := readJournal(t.TempDir()); err != nil || now.at.State != None {
		t.Error(err)
	}
}

// TestAnEntryOverATornOne: what is left of a longer line is no entry.
func TestAnEntryOverATornOne(t *testing.T) {
	j, text := written(t, entries()[0])
	if err := os.WriteFile(j.path, append(text, []byte(strings.Repeat("x", 4000)+"\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.append(entries()[1]); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	if at, _, err := parseJournal(now); err != nil || at.State != Applied {
		t.Errorf("read %s, %v", at.State, err)
	}
}

// TestTheJournalIsForRootAlone: it has secrets.
func TestTheJournalIsForRootAlone(t *testing.T) {
	j, _ := written(t, entries()[0])
	if info, err := os.Stat(j.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestAJournalThatIsTakenAway between two changes is made again, and its name is put on the disk again.
func TestAJournalThatIsTakenAway(t *testing.T) {
	j, _ := written(t, entries()...)
	if err := j.clear(); err != nil || !j.placed {
		t.Fatalf("placed: %t, %v", j.placed, err)
	}
	if err := os.Remove(j.path); err != nil {
		t.Fatal(err)
	}
	file, err := j.open()
	if err != nil || j.placed {
		t.Errorf("the name of a new file is taken to be on the disk: %v", err)
	}
	file.Close()
	if err := j.append(entries()[0]); err != nil || !j.placed {
		t.Errorf("placed: %t, %v", j.placed, err)
	}
	if now, err := readJournal(filepath.Dir(j.path)); err != nil || now.at.State != Prepared {
		t.Errorf("read %s, %v", now.at.State, err)
	}
}

// FuzzJournal: no text makes the parser fail, and what it reads can be written and read again.
func FuzzJournal(f *testing.F) {
	var text []byte
	for _, e := range entries() {
		line, err := encodeLine(e)
		if err != nil {
			f.Fatal(err)
		}
		text = append(text, line...)
		f.Add(bytes.Clone(text))
		f.Add(text[:len(text)-3])
	}
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte{0, '\n'})
	f.Fuzz(func(t *testing.T, text []byte) {
		at, end, err := parseJournal(text)
		if err != nil {
			return
		}
		if at.State != None && at.Plan == nil {
			t.Fatal("there is no plan")
		}
		again, same, err := parseJournal(text[:end])
		if err != nil || same != end || !reflect.DeepEqual(at, again) {
			t.Fatalf("the whole lines alone say something else: %v", err)
		}
	})
}
