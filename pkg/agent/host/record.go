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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// record is the durable part of the node's object, which the agent owns. The
// desired state in it has its secrets; its file is for root alone.
type record struct {
	Annotations   map[string]string           `json:"annotations,omitempty"`
	ManagedFields []metav1.ManagedFieldsEntry `json:"managedFields,omitempty"`
	Generation    int64                       `json:"generation"`
	Desired       *v1alpha1.State             `json:"desiredState,omitempty"`
	LastApply     *v1alpha1.LastApply         `json:"lastApply,omitempty"`

	// Agents of before do not know these, and keep the rest.
	Probes       []v1alpha1.Probe       `json:"probes,omitempty"`
	Confirmation *v1alpha1.Confirmation `json:"confirmation,omitempty"`
	Reapply      v1alpha1.ReapplyPolicy `json:"reapply,omitempty"`
	Removal      v1alpha1.RemovalPolicy `json:"removal,omitempty"`
	// Before is what there was before each part of Desired came, see removal.Plan. It has secrets.
	Before json.RawMessage `json:"before,omitempty"`
	// Kernel is the kernel and network namespace in which Desired was committed; see hostid.
	Kernel string `json:"kernel,omitempty"`
	// Kept are the ids of the last changes of annotations and managed fields alone, the newest first.
	Kept []string `json:"kept,omitempty"`
}

// with returns the record as it is once obj's annotations, managed fields and
// the desired state are committed.
func (r record) with(obj *v1alpha1.NodeNetworkState, desired *v1alpha1.State) record {
	r.Annotations = secret.MaskAnnotations(maps.Clone(obj.Annotations))
	obj = obj.DeepCopy()
	r.ManagedFields = obj.ManagedFields
	changes := !r.sameOptions(obj.Spec)
	if changes {
		r.Probes, r.Confirmation, r.Reapply, r.Removal = obj.Spec.Probes, obj.Spec.Confirmation, obj.Spec.Reapply, obj.Spec.Removal
	}
	if !v1alpha1.SameState(r.Desired, desired) {
		r.Desired = desired.Compact().DeepCopy()
		changes = true
	}
	if changes {
		r.Generation++
	}
	return r
}

// sameOptions tells whether a spec makes changes in the same way.
func (r record) sameOptions(spec v1alpha1.NodeNetworkStateSpec) bool {
	return equality.Semantic.DeepEqual(r.Probes, spec.Probes) &&
		equality.Semantic.DeepEqual(r.Confirmation, spec.Confirmation) && r.Reapply == spec.Reapply && r.Removal == spec.Removal
}

// mode is who confirms changes.
func (r record) mode() v1alpha1.ConfirmationMode {
	if r.Confirmation == nil || r.Confirmation.Mode == "" {
		return v1alpha1.ConfirmByReachability
	}
	return r.Confirmation.Mode
}

const (
	defaultConfirmTimeout = time.Minute
	minConfirmTimeout     = 5 * time.Second
	maxConfirmTimeout     = 10 * time.Minute
)

// confirmTimeout is until when a change must be confirmed once it is applied.
func (r record) confirmTimeout() time.Duration {
	if r.Confirmation == nil || r.Confirmation.Timeout == nil {
		return defaultConfirmTimeout
	}
	return min(max(r.Confirmation.Timeout.Duration, minConfirmTimeout), maxConfirmTimeout)
}

// reapply is when the desired state is applied again.
func (r record) reapply(backend v1alpha1.Backend) v1alpha1.ReapplyPolicy {
	switch {
	case r.Reapply != "":
		return r.Reapply
	case backend == v1alpha1.BackendKernel:
		return v1alpha1.ReapplyOnBoot
	}
	return v1alpha1.ReapplyNever
}

// prepare returns the record that the change leads to. The change must start from
// this record, or it is a conflict. Between a commit and the read after it the record
// is newer than the published object: a change that starts from that object is a
// conflict, too.
func (r record) prepare(change agent.Change) (record, error) {
	durable, err := r.object()
	if err != nil {
		return record{}, failed(err)
	}
	base, err := agent.Fingerprint(durable)
	if err != nil {
		return record{}, failed(err)
	}
	if base != change.Base {
		return record{}, &agent.Error{Kind: agent.Conflict, Message: "the object was changed since it was read"}
	}
	desired := change.Object.Spec.DesiredState
	if errs := v1alpha1.ValidateState(desired, statePath()); len(errs) > 0 {
		return record{}, invalid(errs.ToAggregate())
	}
	if desired != nil {
		var known []byte
		if r.Desired != nil {
			known = r.Desired.Raw
		}
		raw, err := secret.UnmaskState(desired.Raw, known)
		if err != nil {
			return record{}, invalid(err)
		}
		desired = v1alpha1.NewState(raw)
	}
	return r.with(change.Object, desired), nil
}

// object returns the object's durable part as it is shown, without secrets.
func (r record) object() (*v1alpha1.NodeNetworkState, error) {
	obj := &v1alpha1.NodeNetworkState{}
	obj.Annotations = r.Annotations
	obj.ManagedFields = r.ManagedFields
	obj.Generation = r.Generation
	obj.Spec.Probes, obj.Spec.Confirmation, obj.Spec.Reapply, obj.Spec.Removal = r.Probes, r.Confirmation, r.Reapply, r.Removal
	if r.Desired != nil {
		masked, err := secret.MaskState(r.Desired.Raw)
		if err != nil {
			return nil, err
		}
		obj.Spec.DesiredState = v1alpha1.NewState(masked)
	}
	return obj, nil
}

// spec returns the spec as it is shown, without secrets, for the history: nil if it cannot be shown.
func (r record) spec() *v1alpha1.NodeNetworkStateSpec {
	obj, err := r.object()
	if err != nil {
		return nil
	}
	return obj.Spec.DeepCopy()
}

// sameMetadata tells whether annotations and managed fields are the same.
func (r record) sameMetadata(other record) bool {
	return maps.Equal(r.Annotations, other.Annotations) &&
		equality.Semantic.DeepEqual(r.ManagedFields, other.ManagedFields)
}

// told returns the record with the story of an apply that has ended.
func (r record) told(story v1alpha1.LastApply, outcome v1alpha1.ApplyOutcome, err error) record {
	finish := now()
	story.FinishTime, story.Outcome = &finish, outcome
	var known *agent.Error
	if errors.As(err, &known) {
		story.Reason, story.Message = known.Reason, known.Message
	}
	r.LastApply = &story
	return r
}

// desiresNothing tells whether nothing is asked of the network: there is no
// desired state, or it is empty, which means the same.
func (r record) desiresNothing() bool {
	if r.Desired == nil || len(r.Desired.Raw) == 0 {
		return true
	}
	root, err := tree.Decode(r.Desired.Raw)
	return err == nil && len(root) == 0
}

// statePath is the path of the desired state in the object.
func statePath() *field.Path { return field.NewPath("spec", "desiredState") }

// invalid returns the error for a fault of the desired state that the agent itself
// has found. Its reason is the one that nmstate gives.
func invalid(err error) error {
	return &agent.Error{Kind: agent.Invalid, Reason: string(nmstate.InvalidArgument), Message: err.Error()}
}

// recordFormat is the version of the file's format.
const recordFormat = 1

// recordFile is the file: the record and a checksum over it.
type recordFile struct {
	Format int             `json:"format"`
	SHA256 string          `json:"sha256"`
	Record json.RawMessage `json:"record"`
}

// store keeps the record in one file.
type store struct {
	path string
	// spoilt tells that the file is damaged and could not be set aside.
	spoilt bool
	// kept is why the file must not be overwritten, nil if it may be: it may be good.
	kept error
}

func newStore(dir string) *store { return &store{path: filepath.Join(dir, "record.json")} }

// sweep removes the temporary files that a crash during save has left. They have secrets.
func (s *store) sweep() {
	if err := errors.Join(atomicfile.Sweep(s.path), atomicfile.Sweep(s.staged())); err != nil {
		klog.Background().Error(err, "A part of the agent's record, with its secrets, may be left beside it")
	}
}

// load returns the record. If there is no file, or it cannot be read, load returns a
// first record: the agent must show the network all the same. A damaged file is set
// aside; damage then says where it is and what is wrong with it. A file that may be
// good, but that this agent cannot read now, is kept: save does not overwrite it.
func (s *store) load() (r record, damage string) {
	first := record{Generation: 1}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return first, ""
	}
	var wrong error
	if err == nil {
		if r, wrong = parseRecord(text); wrong == nil {
			return r, ""
		}
	}
	if err != nil || errors.Is(wrong, errNewer) {
		s.kept = fmt.Errorf("the agent's record %s cannot be read (%w): spec and annotations are not shown, and cannot be changed; "+
			"put it right, or move the file away, and start the agent again", s.path, errors.Join(err, wrong))
		return first, s.kept.Error()
	}
	aside, err := s.setAside()
	if err != nil {
		s.spoilt = true
		return first, fmt.Sprintf("the agent's record is damaged (%v) and cannot be set aside (%v): spec and annotations start anew", wrong, err)
	}
	return first, fmt.Sprintf("the agent's record was damaged (%v) and is now %s: spec and annotations start anew", wrong, aside)
}

// setAside renames a damaged file, so that somebody can see what is left in it.
func (s *store) setAside() (string, error) {
	aside := s.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	return aside, os.Rename(s.path, aside)
}

// errNewer tells that a newer agent has written the record.
var errNewer = fmt.Errorf("its format is newer than this agent's, which is %d: run the newer agent", recordFormat)

func parseRecord(text []byte) (record, error) {
	var file recordFile
	if err := json.Unmarshal(text, &file); err != nil {
		return record{}, errors.New("it is no JSON")
	}
	if file.Format > recordFormat {
		return record{}, errNewer
	}
	if file.Format != recordFormat {
		return record{}, fmt.Errorf("its format is %d, this agent's %d", file.Format, recordFormat)
	}
	sum := sha256.Sum256(file.Record)
	if hex.EncodeToString(sum[:]) != file.SHA256 {
		return record{}, errors.New("its checksum is wrong")
	}
	return parseContent(file.Record)
}

func parseContent(content []byte) (record, error) {
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return record{}, errors.New("its content is not a record's")
	}
	// Agents of before kept it escaped for HTML.
	r.Desired = r.Desired.Compact()
	return r, nil
}

// save writes the record so that after a crash there is the old file or the new one.
func (s *store) save(r record) error {
	text, err := s.prepare(r)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path, text, 0o600); err != nil {
		return fmt.Errorf("writing the agent's record: %w", err)
	}
	return nil
}

// prepare returns the text of a record's file. An error says why it must not be written.
func (s *store) prepare(r record) ([]byte, error) {
	if s.kept != nil {
		return nil, s.kept
	}
	if s.spoilt {
		if _, err := s.setAside(); err != nil {
			return nil, fmt.Errorf("setting the agent's damaged record aside: %w", err)
		}
		s.spoilt = false
	}
	content, err := tree.Encode(r)
	if err != nil {
		return nil, fmt.Errorf("writing the agent's record: %w", err)
	}
	sum := sha256.Sum256(content)
	text, err := tree.Encode(recordFile{Format: recordFormat, SHA256: hex.EncodeToString(sum[:]), Record: content})
	if err != nil {
		return nil, fmt.Errorf("writing the agent's record: %w", err)
	}
	return text, nil
}

// staged is the file of a record that a change leads to, beside the one that counts.
func (s *store) staged() string { return s.path + ".next" }

// stage puts a record on the disk so that adopt needs no room.
func (s *store) stage(r record) error {
	text, err := s.prepare(r)
	if err == nil {
		err = atomicfile.Write(s.staged(), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the agent's next record: %w", err)
	}
	return nil
}

// adopt makes the staged record the one that counts. If it is not r, r is written.
func (s *store) adopt(r record) error {
	text, err := s.prepare(r)
	if err != nil {
		return err
	}
	if staged, err := os.ReadFile(s.staged()); err == nil && bytes.Equal(staged, text) {
		return atomicfile.Rename(s.staged(), s.path)
	}
	defer s.unstage()
	if now, err := os.ReadFile(s.path); err == nil && bytes.Equal(now, text) {
		return nil
	}
	return s.save(r)
}

// unstage removes the staged record. It has secrets.
func (s *store) unstage() {
	if err := os.Remove(s.staged()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		klog.Background().Error(err, "Removing the record of a change that was rolled back")
	}
}
