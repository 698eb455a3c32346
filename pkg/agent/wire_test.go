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
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

func full() *v1alpha1.NodeNetworkState {
	stamp := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local())
	obj := &v1alpha1.NodeNetworkState{}
	obj.Name = "node01"
	obj.Annotations = map[string]string{"a": "<b>"}
	obj.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m", Operation: "Apply", Time: &stamp,
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}}
	obj.Generation = 7
	obj.Spec.DesiredState = v1alpha1.NewState([]byte(`{"hostname":"wanted"}`))
	obj.Status.CurrentState = v1alpha1.NewState([]byte(`{"hostname":"is"}`))
	obj.Status.Difference = v1alpha1.NewState([]byte(`{"hostname":"wanted"}`))
	obj.Status.LastApply = &v1alpha1.LastApply{Generation: 7, StartTime: stamp, FinishTime: &stamp, Outcome: v1alpha1.ApplyCommitted}
	return obj
}

func TestObjectsTravel(t *testing.T) {
	text, err := EncodeObject(full())
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeObject(text, "node01")
	if err != nil || !reflect.DeepEqual(got, full()) {
		t.Errorf("%+v became %+v, %v", full(), got, err)
	}
	before, _ := Fingerprint(full())
	if after, _ := Fingerprint(got); after != before {
		t.Error("an object that travelled has another fingerprint")
	}
}

// TestNothingIsEscapedForHTML: a byte must stay a byte, in whichever field it is.
func TestNothingIsEscapedForHTML(t *testing.T) {
	const sharp = "<>&"
	obj := full()
	obj.Annotations = map[string]string{"a": sharp}
	obj.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:` + sharp + `":{}}`)
	obj.Spec.DesiredState = v1alpha1.NewState([]byte(`{"description":"` + sharp + `"}`))
	obj.Status.CurrentState, obj.Status.Difference = obj.Spec.DesiredState, obj.Spec.DesiredState
	obj.Status.LastApply.Message = sharp
	text, err := EncodeObject(obj)
	if err != nil || bytes.Contains(text, []byte(`\u00`)) || bytes.Count(text, []byte(sharp)) != 6 {
		t.Errorf("%v, encoded as %s", err, text)
	}
	// A patch escapes what it does not even change.
	patched := full()
	patched.Spec.DesiredState = v1alpha1.NewState([]byte(`{ "description": "\u003c\u003e\u0026" }`))
	wire, err := EncodeChange(Change{Object: patched})
	if err != nil || !bytes.Contains(wire.GetObject(), []byte(`{"description":"`+sharp+`"}`)) {
		t.Errorf("%v, encoded as %s", err, wire.GetObject())
	}
	// Agents and servers of before escape, and compute the same fingerprint.
	plain, _ := Fingerprint(obj)
	obj.Spec.DesiredState = v1alpha1.NewState([]byte(`{"description":"\u003c\u003e\u0026"}`))
	if escaped, _ := Fingerprint(obj); escaped != plain {
		t.Error("an object that was escaped has another fingerprint")
	}
}

func TestObjectsThatAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `null`, `{}`, `[]`, `{]`, `"secret"`,
		`{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1"}`,
		kind + `"metadata":{"name":"node02"}}`,
		kind + `"status":{"lastSuccessfulUpdateTime":"secret"}}`,
		kind + `"status":{"lastApply":{"startTime":"secret"}}}`,
		kind + `"status":{"conditions":[{"lastTransitionTime":"secret"}]}}`,
		kind + `"status":{"conditions":{"secret":1}}}`,
		kind + `"metadata":{"annotations":["secret"]}}`,
		kind + `"spec":{"desiredState":"secret"}}`,
		kind + `"spec":{"desiredState":["secret"]}}`,
		kind + `"status":{"currentState":1}}`,
		kind + `"status":{"difference":false}}`,
		kind + `"status":"secret"}`,
		kind + `"status":{"conditions":[` + strings.Repeat(`{},`, maxConditions) + `{}]}}`,
		kind + `"metadata":{"managedFields":[` + strings.Repeat(`{},`, maxManagedFields) + `{}]}}`,
		kind + `"status":{"currentState":` + strings.Repeat("[", 20000),
		kind + `"status":{"currentState":` + strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 150) + `}}`,
		kind + "\"status\":{\"currentState\":{\"secret\":\"\xff\"}}}",
		kind + "\"spec\":{\"desiredState\":{\"secret\xff\":1}}}",
		kind + "\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:secret\xff\":{}}}]}}",
		kind + `"metadata":{"managedFields":[{"fieldsV1":` + strings.Repeat(`{"f:a":`, 150) + "{}" + strings.Repeat("}", 150) + `}]}}`,
	} {
		_, err := DecodeObject([]byte(text), "node01")
		if err == nil {
			t.Errorf("%.80q is taken for an object", text)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes the text: %v", err)
		}
	}
}

func TestChangesTravel(t *testing.T) {
	wire, err := EncodeChange(Change{Object: full(), Base: "base", User: "user"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeChange(wire, "node01")
	if err != nil || got.Base != "base" || got.User != "user" {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := &v1alpha1.NodeNetworkState{Spec: full().Spec}
	want.Name, want.Annotations, want.ManagedFields = "node01", full().Annotations, full().ManagedFields
	if !reflect.DeepEqual(got.Object, want) {
		t.Errorf("the change's object became\n%+v, not\n%+v", got.Object, want)
	}
	if _, err := EncodeChange(Change{Object: withState(full(), 'x', MaxMessageSize)}); KindOf(err) != Invalid {
		t.Errorf("a change of %d bytes is %v, not Invalid", MaxMessageSize, err)
	}
	if _, err := DecodeChange(nil, "node01"); KindOf(err) != Invalid {
		t.Errorf("no change at all is %v, not Invalid", err)
	}
}

// TestTextsThatNoMessageCarries: a name or an error must not end the stream.
func TestTextsThatNoMessageCarries(t *testing.T) {
	long := strings.Repeat("\u00e9", MaxMessageSize)
	wire, err := EncodeChange(Change{Object: full(), User: "user\xff"})
	if err != nil || wire.User != "user" {
		t.Errorf("the user became %q, %v", wire.GetUser(), err)
	}
	for _, text := range []string{long, "a\xff" + long} {
		sent := ErrorToWire(&Error{Kind: Failed, Message: text})
		if _, err := proto.Marshal(sent); err != nil || len(sent.Message) > maxText {
			t.Errorf("an error of %d bytes became one of %d, %v", len(text), len(sent.Message), err)
		}
		got := ErrorFromWire(&agentpb.Error{Message: text})
		if len(got.Error()) > maxText || !utf8.ValidString(got.Error()) {
			t.Errorf("an error of %d bytes came as one of %d", len(text), len(got.Error()))
		}
	}
}

// TestNothingIsSaidToTerminals: what an agent says is shown in tables, Events and errors.
func TestNothingIsSaidToTerminals(t *testing.T) {
	const text = "\x1b[2Jone\r\u009b\ntwo\tthree\x00"
	obj := available()
	obj.Status.Conditions[0].Type, obj.Status.Conditions[0].Message = text, text
	obj.Status.LastApply = &v1alpha1.LastApply{User: text, Outcome: text, Reason: text, Message: text}
	obj.Status.AgentVersion = text + strings.Repeat("x", MaxMessageSize/2)
	encoded, err := EncodeObject(obj)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeObject(encoded, obj.Name)
	if err != nil {
		t.Fatal(err)
	}
	const word, said = "[2Jonetwothree", "[2Jone\ntwo\tthree"
	if c := got.Status.Conditions[0]; c.Type != word || c.Message != said {
		t.Errorf("the condition %q says %q", c.Type, c.Message)
	}
	if last := got.Status.LastApply; last.User != said || last.Outcome != word || last.Reason != word || last.Message != said {
		t.Errorf("%+v", last)
	}
	if version := got.Status.AgentVersion; len(version) > maxWord || !strings.HasPrefix(version, word) {
		t.Errorf("the version has %d bytes: %.20q", len(version), version)
	}
	var failure *Error
	if !errors.As(ErrorFromWire(&agentpb.Error{Reason: text, Message: text}), &failure) || failure.Reason != word || failure.Message != said {
		t.Errorf("%+v", failure)
	}
}

func TestErrorsTravel(t *testing.T) {
	if ErrorFromWire(ErrorToWire(nil)) != nil {
		t.Error("no error became one")
	}
	for _, kind := range []ErrorKind{Invalid, Conflict, Busy, Failed, Unreachable, Lost, InProgress} {
		want := &Error{Kind: kind, Reason: "Reason", Message: "message"}
		if got := ErrorFromWire(ErrorToWire(fmt.Errorf("wrapped: %w", want))); !reflect.DeepEqual(got, error(want)) {
			t.Errorf("%v became %v", want, got)
		}
	}
	if got := ErrorFromWire(ErrorToWire(errors.New("any"))); KindOf(got) != Failed || got.Error() != "any" {
		t.Errorf("any error became %v", got)
	}
	if got := ErrorFromWire(&agentpb.Error{Kind: "FromTheFuture", Message: "m"}); KindOf(got) != Failed {
		t.Errorf("an unknown kind became %v", got)
	}
}

// TestWhatGoesBesideAChange travels with it.
func TestWhatGoesBesideAChange(t *testing.T) {
	wanted := full()
	wanted.Generation, wanted.Status = 0, v1alpha1.NodeNetworkStateStatus{}
	want := Change{Object: wanted, Base: "base", User: "user", Manager: "kubectl", ID: "id",
		Addresses: map[string][]string{"node01": {"192.0.2.1", "2001:db8::1"}, "node02": {"192.0.2.2"}}}
	wire, err := EncodeChange(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeChange(wire, "node01"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v became %+v, %v", want, got, err)
	}
}

// TestChangesBeyondTheLimits: an agent does not trust a server to keep them.
func TestChangesBeyondTheLimits(t *testing.T) {
	many := map[string]*agentpb.Addresses{}
	for i := range maxAddressed + 1 {
		many[fmt.Sprint(i)] = &agentpb.Addresses{Ips: []string{"192.0.2.1"}}
	}
	ips := make([]string, MaxAddresses+1)
	for i := range ips {
		ips[i] = "192.0.2.1"
	}
	for name, edit := range map[string]func(*agentpb.Change){
		"a base of":      func(c *agentpb.Change) { c.Base = strings.Repeat("b", MaxBase+1) },
		"an id of":       func(c *agentpb.Change) { c.Id = strings.Repeat("i", maxWord+1) },
		"many nodes":     func(c *agentpb.Change) { c.Addresses = many },
		"many addresses": func(c *agentpb.Change) { c.Addresses = map[string]*agentpb.Addresses{"node01": {Ips: ips}} },
		"no address": func(c *agentpb.Change) {
			c.Addresses = map[string]*agentpb.Addresses{"node01": {Ips: []string{"host"}}}
		},
	} {
		wire, err := EncodeChange(Change{Object: full(), Base: "base"})
		if err != nil {
			t.Fatal(err)
		}
		edit(wire)
		if _, err := DecodeChange(wire, "node01"); KindOf(err) != Invalid || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestLegacyFingerprint: a program of protocol 0 knows nothing of the spec but the desired state.
func TestLegacyFingerprint(t *testing.T) {
	plain := full()
	legacy, err := LegacyFingerprint(plain)
	if now, _ := Fingerprint(plain); err != nil || legacy != now {
		t.Errorf("of an object that such a program could have made, %q is not %q (%v)", legacy, now, err)
	}
	rich := full()
	rich.Spec.Reapply, rich.Spec.Removal = v1alpha1.ReapplyAlways, v1alpha1.RemovalRevert
	rich.Spec.Probes = []v1alpha1.Probe{{Name: "gateway"}}
	if got, err := LegacyFingerprint(rich); err != nil || got != legacy {
		t.Errorf("of the same object with a newer spec it is %q, not %q (%v)", got, legacy, err)
	}
	if rich.Spec.Probes == nil {
		t.Error("the object was changed")
	}
}
