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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// journalName is the journal's file in the state folder.
	journalName = "transaction.journal"
	// journalRoom is what is reserved on the disk for the entries after Prepared, so that a
	// disk that fills up does not keep them from being written.
	journalRoom = 24 << 10
	// maxText is how much of a message an entry has, so that it fits into the room.
	maxText = 4 << 10
)

// entry is one line of the journal: the state that the change is in from then on.
type entry struct {
	State State `json:"state"`
	// Plan is in the entry Prepared alone.
	Plan *plan `json:"plan,omitempty"`
	// Checkpoint is NetworkManager's, if it is open, and Deadline is until when the change
	// must be confirmed: both from Applied on. Awaiting tells that a user must confirm it.
	Checkpoint string    `json:"checkpoint,omitempty"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Awaiting   bool      `json:"awaiting,omitempty"`
	// Story is how the change went so far; Leftover is what could not be put back.
	Story    *v1alpha1.LastApply `json:"story,omitempty"`
	Leftover string              `json:"leftover,omitempty"`
	// Unsettled tells that the backend did not answer when the change was undone.
	Unsettled bool `json:"unsettled,omitempty"`
}

// line is an entry with the checksum over its text.
type line struct {
	SHA256 string          `json:"sha256"`
	Entry  json.RawMessage `json:"entry"`
}

// progress is all that a journal says: the plan, and the last entry with what earlier
// entries have said.
type progress struct {
	entry
}

// add adds the next entry. It returns an error if the entry cannot follow.
func (p *progress) add(next entry) error {
	if err := p.State.follow(next.State); err != nil {
		return err
	}
	if (next.Plan != nil) != (next.State == Prepared) {
		return fmt.Errorf("the entry %s must have a plan if it is %s, and none otherwise", next.State, Prepared)
	}
	before := p.entry
	p.entry = next
	if p.Plan == nil {
		p.Plan = before.Plan
	}
	if p.Checkpoint == "" {
		p.Checkpoint = before.Checkpoint
	}
	if p.Deadline.IsZero() {
		p.Deadline = before.Deadline
	}
	if p.Story == nil {
		p.Story = before.Story
	}
	return nil
}

// story is how the change went so far; nil if there is none.
func (p *progress) story() *v1alpha1.LastApply {
	if p.Story == nil && p.Plan != nil {
		return &p.Plan.Story
	}
	return p.Story
}

// journal is the file. Entries are appended; it is emptied when a change has ended. It is
// open only while it is written.
type journal struct {
	path string
	// end is where the next entry begins; a torn line may be there.
	end int64
	at  progress
	// placed tells that the file's name is on the disk.
	placed bool
}

// readJournal reads the journal in a folder. A journal that cannot be understood is an
// error: it must not be taken for an empty one.
func readJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalName)}
	return j, j.read()
}

func (j *journal) read() error {
	text, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		j.at, j.end, err = parseJournal(text)
	}
	if err != nil {
		return fmt.Errorf("reading the journal of changes %s: %w", j.path, err)
	}
	return nil
}

// parseJournal returns what a journal says, and where its last whole entry ends. The last
// line may be torn: the step that it announces has not begun then.
func parseJournal(text []byte) (at progress, end int64, err error) {
	for rest := text; len(rest) > 0; {
		text, after, whole := bytes.Cut(rest, []byte{'\n'})
		next, err := parseLine(text)
		if err != nil || !whole {
			if torn(after) {
				return at, end, nil
			}
			return at, end, fmt.Errorf("entry %d is damaged, and others follow it: %w", end, err)
		}
		if err := at.add(next); err != nil {
			return at, end, err
		}
		end += int64(len(text)) + 1
		rest = after
	}
	return at, end, nil
}

// torn tells whether nothing follows a damaged line that could be an entry.
func torn(after []byte) bool {
	for text := range bytes.Lines(after) {
		if _, err := parseLine(bytes.TrimSuffix(text, []byte{'\n'})); err == nil {
			return false
		}
	}
	return true
}

func parseLine(text []byte) (entry, error) {
	var l line
	var e entry
	if err := json.Unmarshal(text, &l); err != nil {
		return e, errors.New("it is no JSON")
	}
	if sum := sha256.Sum256(l.Entry); hex.EncodeToString(sum[:]) != l.SHA256 {
		return e, errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(l.Entry, &e); err != nil {
		return e, fmt.Errorf("its content is not an entry's: %w", err)
	}
	return e, nil
}

// append writes an entry. It is on the disk when append returns. If append fails, the
// journal is as before, but for a torn line.
func (j *journal) append(next entry) error {
	after := j.at
	if err := after.add(next); err != nil {
		return err
	}
	text, err := encodeLine(next)
	if err == nil {
		err = j.write(func(file *os.File) error {
			if next.State == Prepared {
				if err := reserve(file, j.end, int64(len(text))+journalRoom); err != nil {
					return err
				}
			}
			_, err := file.WriteAt(text, j.end)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("writing the journal of changes: %w", err)
	}
	j.end += int64(len(text))
	j.at = after
	return nil
}

// encodeLine returns an entry as a line of the journal.
func encodeLine(e entry) ([]byte, error) {
	content, err := tree.Encode(e)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	text, err := tree.Encode(line{SHA256: hex.EncodeToString(sum[:]), Entry: content})
	return append(text, '\n'), err
}

// write has the file written, and put on the disk. What is left of a write that has failed
// is no entry, and the next one overwrites it: cutting it off would give up the room.
func (j *journal) write(change func(*os.File) error) error {
	file, err := j.open()
	if err != nil {
		return err
	}
	if j.end == 0 {
		err = file.Truncate(0)
	}
	if err == nil {
		err = change(file)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil && !j.placed {
		err = syncFolder(filepath.Dir(j.path))
		j.placed = err == nil
	}
	if err != nil {
		_, spoilt := file.WriteAt([]byte{0}, j.end)
		err = errors.Join(err, spoilt, file.Sync())
	}
	return errors.Join(err, file.Close())
}

// open opens the file. If there is none, open makes one, whose name is not on the disk yet.
func (j *journal) open() (*os.File, error) {
	file, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		j.placed = false
		file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE, 0o600)
	}
	return file, err
}

// reserve reserves room on the disk, where the file system can do that.
func reserve(file *os.File, from, size int64) error {
	err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// clear empties the journal: the change has ended, and its outcome is in the record.
func (j *journal) clear() error {
	before := *j
	j.end, j.at = 0, progress{}
	if err := j.write(func(*os.File) error { return nil }); err != nil {
		*j = before
		return fmt.Errorf("emptying the journal of changes: %w", err)
	}
	return nil
}

// clip shortens a text so that it fits into the room that the journal has reserved.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + " …"
}
