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

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Limits of what is taken from the stream: an entry in memory can be a hundred times as
// large as its text. An agent makes four conditions, and a write may have
// half as many managers.
const (
	maxConditions    = 16
	maxManagedFields = 2 * v1alpha1.MaxManagers
	// maxManagedFieldsText is more than a write may have: an agent's record may be older than that limit.
	maxManagedFieldsText = 4 * v1alpha1.MaxManagedFields
	// maxAnnotationsText is what 256 KiB of annotations may take as JSON, which escapes
	// some characters with six bytes.
	maxAnnotationsText = 8 * validation.TotalAnnotationSizeLimitB
	// maxStatusText is for the conditions and for the last apply, which have short texts.
	maxStatusText = 4 << 20
	// maxProbesText is for the probes of a spec, of which there are few and short ones.
	maxProbesText = 64 << 10
	// maxText is the size in bytes of a message or another text. Kubernetes' own
	// conditions have no longer messages.
	maxText = 32 << 10
	// maxWord is the size in bytes of what is one word, or a version.
	maxWord = 128
)

// received is an object as it comes from the stream. It has the fields that an agent or
// a change may set; json passes over all others without decoding them. What has lists,
// maps or times stays text at first: such a field could stand there a million times.
type received struct {
	metav1.TypeMeta `json:",inline"`

	Metadata struct {
		Name          string          `json:"name"`
		Generation    int64           `json:"generation"`
		Annotations   json.RawMessage `json:"annotations"`
		ManagedFields json.RawMessage `json:"managedFields"`
	} `json:"metadata"`
	Spec   receivedSpec   `json:"spec"`
	Status receivedStatus `json:"status"`
}

// receivedSpec is a spec, three of whose fields stay text at first.
type receivedSpec struct {
	v1alpha1.NodeNetworkStateSpec `json:",inline"`

	DesiredState json.RawMessage `json:"desiredState"`
	Probes       json.RawMessage `json:"probes"`
	Confirmation json.RawMessage `json:"confirmation"`
}

// decode decodes what is text still. path is where the spec is.
func (r *receivedSpec) decode(path string) (*v1alpha1.NodeNetworkStateSpec, error) {
	spec := r.NodeNetworkStateSpec
	var err error
	if spec.Probes, err = decodeList[v1alpha1.Probe](path+".probes", r.Probes, maxProbesText, v1alpha1.MaxProbes); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"reapply": string(spec.Reapply), "removal": string(spec.Removal)} {
		if len(text) > maxWord {
			return nil, fmt.Errorf("%s.%s has %d bytes, and may have at most %d", path, name, len(text), maxWord)
		}
	}
	return &spec, errors.Join(
		decodePart(path+".confirmation", r.Confirmation, maxText, &spec.Confirmation),
		decodeState(path+".desiredState", r.DesiredState, &spec.DesiredState),
	)
}

// receivedStatus is a status, five of whose fields stay text at first. json prefers
// them to the embedded ones.
type receivedStatus struct {
	v1alpha1.NodeNetworkStateStatus `json:",inline"`

	CurrentState             json.RawMessage `json:"currentState"`
	Difference               json.RawMessage `json:"difference"`
	Conditions               json.RawMessage `json:"conditions"`
	LastApply                json.RawMessage `json:"lastApply"`
	LastSuccessfulUpdateTime json.RawMessage `json:"lastSuccessfulUpdateTime"`
}

// DecodeObject returns the object that EncodeObject made the text of, without its kind
// and with nothing that is not an agent's to set. Anything else, an object beyond the limits, a
// state that is no JSON object, or the object of a node other than the given one is an
// error, which does not quote the text.
func DecodeObject(text []byte, node string) (*v1alpha1.NodeNetworkState, error) {
	if rest, state := cutCurrentState(text); state != nil {
		if obj, err := decodeObject(rest, state, node); err == nil {
			return obj, nil
		}
		// Whole, the text tells what is wrong, and where.
	}
	return decodeObject(text, nil, node)
}

// decodeObject decodes an object. state is the current state if it was cut out.
func decodeObject(text, state []byte, node string) (*v1alpha1.NodeNetworkState, error) {
	var r received
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("the object of node %q is not valid: %w", node, withoutText(err))
	}
	if got, want := r.GroupVersionKind(), v1alpha1.SchemeGroupVersion.WithKind(objectKind); got != want {
		return nil, fmt.Errorf("the object of node %q is not of kind %q", node, want)
	}
	if r.Metadata.Name != "" && r.Metadata.Name != node {
		return nil, fmt.Errorf("the object is of node %.253q, not %q", r.Metadata.Name, node)
	}
	if state != nil {
		if !bytes.Equal(r.Status.CurrentState, standIn) {
			return nil, fmt.Errorf("the object of node %q has more than one current state", node)
		}
		r.Status.CurrentState = state
	}
	obj, err := r.object()
	if err == nil && state != nil && !gjson.ValidBytes(state) { // it is not nested deep
		err = errors.New("status.currentState is no JSON")
	}
	if err != nil {
		return nil, fmt.Errorf("the object of node %q is not valid: %w", node, err)
	}
	return obj, nil
}

// object decodes what is text still.
func (r *received) object() (*v1alpha1.NodeNetworkState, error) {
	spec, err := r.Spec.decode("spec")
	if err != nil {
		return nil, err
	}
	obj := &v1alpha1.NodeNetworkState{Spec: *spec, Status: r.Status.NodeNetworkStateStatus}
	obj.Name, obj.Generation = r.Metadata.Name, r.Metadata.Generation
	if obj.ManagedFields, err = decodeList[metav1.ManagedFieldsEntry](
		"metadata.managedFields", r.Metadata.ManagedFields, maxManagedFieldsText, maxManagedFields); err != nil {
		return nil, err
	}
	if obj.Status.Conditions, err = decodeList[metav1.Condition](
		"status.conditions", r.Status.Conditions, maxStatusText, maxConditions); err != nil {
		return nil, err
	}
	if obj.Status.LastApply, err = decodeLastApply(r.Status.LastApply); err != nil {
		return nil, err
	}
	err = errors.Join(
		decodePart("metadata.annotations", r.Metadata.Annotations, maxAnnotationsText, &obj.Annotations),
		decodePart("status.lastSuccessfulUpdateTime", r.Status.LastSuccessfulUpdateTime, maxText, &obj.Status.LastSuccessfulUpdateTime),
		validation.ValidateAnnotationsSize(obj.Annotations),
		decodeState("status.currentState", r.Status.CurrentState, &obj.Status.CurrentState),
		decodeState("status.difference", r.Status.Difference, &obj.Status.Difference),
	)
	if err == nil {
		err = checkEntries(obj)
	}
	if err != nil {
		return nil, err
	}
	shorten(&obj.Status)
	return obj, nil
}

// receivedLastApply is the story of a change, whose probes stay text at first.
type receivedLastApply struct {
	v1alpha1.LastApply `json:",inline"`

	Probes json.RawMessage `json:"probes"`
}

// decodeLastApply decodes the story of a change, nil if there is none.
func decodeLastApply(text json.RawMessage) (*v1alpha1.LastApply, error) {
	var r *receivedLastApply
	if err := decodePart("status.lastApply", text, maxStatusText, &r); err != nil || r == nil {
		return nil, err
	}
	var err error
	r.LastApply.Probes, err = decodeProbeResults(r.Probes)
	return &r.LastApply, err
}

// decodeProbeResults decodes the results of the probes of one change. It may have one
// more than the spec has probes.
func decodeProbeResults(text json.RawMessage) ([]v1alpha1.ProbeResult, error) {
	return decodeList[v1alpha1.ProbeResult]("lastApply.probes", text, maxStatusText, v1alpha1.MaxProbes+1)
}

// checkEntries checks the managed fields, and all times of an object. One entry that
// clients cannot decode would have them fail with the list of all nodes.
func checkEntries(obj *v1alpha1.NodeNetworkState) error {
	var errs []error
	for i, entry := range obj.ManagedFields {
		if err := v1alpha1.CheckFields(entry.FieldsV1); err != nil {
			errs = append(errs, fmt.Errorf("metadata.managedFields[%d].fieldsV1 %w", i, err))
		}
		errs = append(errs, checkTime("metadata.managedFields.time", entry.Time))
	}
	for _, c := range obj.Status.Conditions {
		errs = append(errs, checkTime("status.conditions.lastTransitionTime", &c.LastTransitionTime))
	}
	if last := obj.Status.LastApply; last != nil {
		errs = append(errs, checkLastApply(last))
	}
	errs = append(errs, checkTime("status.lastSuccessfulUpdateTime", obj.Status.LastSuccessfulUpdateTime))
	return firstOf(errs)
}

// checkLastApply checks the times of the story of a change.
func checkLastApply(last *v1alpha1.LastApply) error {
	return firstOf([]error{checkTime("lastApply.startTime", &last.StartTime), checkTime("lastApply.finishTime", last.FinishTime),
		checkTime("lastApply.stageStartTime", last.StageStartTime), checkTime("lastApply.confirmBefore", last.ConfirmBefore)})
}

// firstOf returns the first error: there can be one for each of many entries.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTime makes sure that a time is encoded as RFC 3339 has it, with a year of four
// digits. A time zone can move the year out of them.
func checkTime(name string, t *metav1.Time) error {
	if t == nil || t.IsZero() {
		return nil
	}
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return fmt.Errorf("%s is of the year %d", name, year)
	}
	return nil
}

// decodePart decodes a field that may have so many bytes; none at all is fine.
func decodePart(name string, text json.RawMessage, limit int, into any) error {
	if len(text) == 0 {
		return nil
	}
	if len(text) > limit {
		return fmt.Errorf("%s has %d bytes, and may have at most %d", name, len(text), limit)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, withoutText(err))
	}
	return nil
}

// decodeList decodes a list that may have so many bytes and so many items. It stops at
// the first item that is too many.
func decodeList[T any](name string, text json.RawMessage, limit, most int) ([]T, error) {
	if len(text) > limit {
		return nil, fmt.Errorf("%s has %d bytes, and may have at most %d", name, len(text), limit)
	}
	if len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return nil, fmt.Errorf("%s is no list", name)
	}
	var list []T
	for decoder.More() {
		if len(list) == most {
			return nil, fmt.Errorf("%s has more than %d items", name, most)
		}
		var item T
		if err := decoder.Decode(&item); err != nil {
			return nil, fmt.Errorf("%s: %w", name, withoutText(err))
		}
		list = append(list, item)
	}
	return list, nil
}

// decodeState makes sure that a state, nil for none, is a JSON object that whoever reads it can afford to decode. It stays text.
func decodeState(name string, text json.RawMessage, into **v1alpha1.State) error {
	if len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil
	}
	if text[0] != '{' {
		return fmt.Errorf("%s is no JSON object", name)
	}
	state := v1alpha1.NewState(text)
	if err := state.CheckComplexity(); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	*into = state
	return nil
}

// shorten cuts the texts of a status that are too long. nmstate's own messages may quote
// whole states.
func shorten(status *v1alpha1.NodeNetworkStateStatus) {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		c.Type, c.Status = word(c.Type), word(c.Status)
		c.Reason, c.Message = word(c.Reason), shortened(c.Message)
	}
	if last := status.LastApply; last != nil {
		shortenLastApply(last)
	}
	status.Backend = word(status.Backend)
	status.AgentVersion = word(status.AgentVersion)
	status.NmstateVersion = word(status.NmstateVersion)
	status.NetworkManagerVersion = word(status.NetworkManagerVersion)
}

// shortenLastApply cuts the texts of the story of a change.
func shortenLastApply(last *v1alpha1.LastApply) {
	last.ID, last.User, last.Manager = word(last.ID), shortened(last.User), word(last.Manager)
	last.Outcome, last.Stage, last.ConfirmedBy = word(last.Outcome), word(last.Stage), word(last.ConfirmedBy)
	last.Reason, last.Message = word(last.Reason), shortened(last.Message)
	for i := range last.Probes {
		p := &last.Probes[i]
		p.Name, p.Before, p.After, p.Message = shortened(p.Name), word(p.Before), word(p.After), shortened(p.Message)
	}
}

// shortened returns a text of at most maxText bytes. It is valid UTF-8, or no message
// could carry it. It has no control characters but line breaks and tabs: others are
// commands to the terminal of whoever reads it.
func shortened[T ~string](text T) T {
	return printable(text, maxText, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// Word returns a text that came from the other end, as one word that can be shown.
func Word(text string) string { return word(text) }

// word is shortened for a text that is one word or a version. Tables show it in a column.
func word[T ~string](text T) T { return printable(text, maxWord, unicode.IsControl) }

// printable returns a text of at most so many bytes, as valid UTF-8, without what is unwanted.
func printable[T ~string](text T, limit int, unwanted func(rune) bool) T {
	const cut = " [cut]"
	if len(text) > limit {
		text = text[:limit-len(cut)] + cut
	}
	return T(strings.Map(func(r rune) rune {
		if unwanted(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(text), "")))
}

// withoutText makes sure that an error about a text that may hold anything does not quote it.
func withoutText(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("no JSON at byte %d", syntax.Offset)
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("field %q has the wrong type", mismatch.Field)
	}
	return errors.New("a field has a wrong value")
}
