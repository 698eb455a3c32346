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
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const secretState = `{"interfaces":[
	{"name":"eth1","type":"ethernet","802.1x":{"identity":"me","password":"s3cret\"1","private-key-password":"s3cret2"}},
	{"name":"mac0","type":"macsec","macsec":{"mka-cak":"s3cret3","mka-ckn":"public"}},
	{"name":"ip0","type":"ipsec","libreswan":{"psk":"s3cret4","left":"192.0.2.1"}},
	{"name":"wg0","type":"wireguard","wireguard":{"private-key":"s3cret5","peers":[{"public-key":"A","preshared-key":"s3cret6"}]}}]}`

// TestSecretsNeverLeaveTheAgent: not in the object, not in kubectl's annotation,
// not in errors; they are in the record, and come back from it.
func TestSecretsNeverLeaveTheAgent(t *testing.T) {
	h := newHost(t, t.TempDir())
	change := desire(t, h, secretState)
	change.Object.Annotations = map[string]string{secret.LastApplied: `{"spec":{"desiredState":` + secretState + `}}`}
	_, err := h.Apply(t.Context(), change)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error is %v", err)
	}
	obj := h.feed.Last()
	if strings.Contains(obj.Status.LastApply.Message, "s3cret") {
		t.Errorf("lastApply is %+v", obj.Status.LastApply)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.view
	v.record = v.record.with(change.Object, change.Object.Spec.DesiredState)
	shown, err := compose(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(shown.Spec.DesiredState.Raw) + shown.Annotations[secret.LastApplied]; strings.Contains(text, "s3cret") || !strings.Contains(text, secret.Mask) {
		t.Errorf("shown: %s", text)
	}
	if !strings.Contains(string(v.record.Desired.Raw), "s3cret4") {
		t.Error("the record lost a secret")
	}
	if _, err := agent.Fingerprint(shown); err != nil {
		t.Error(err)
	}
}

// TestSecretsOfBefore are in the record alone, too: what was there before its entry came, and is to be put back.
func TestSecretsOfBefore(t *testing.T) {
	h := newHost(t, t.TempDir())
	ethernets(t)
	h.mu.Lock()
	h.view.record.Desired = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1","type":"ethernet","802.1x":{"identity":"me","password":"s3cret-new"}}]}`))
	h.view.record.Before = []byte(`{"interfaces":{"eth1":{"type":"veth","state":"up","fields":{"state":"up","802.1x":{"identity":"me","password":"s3cret-old"}},"routes":null}}}`)
	err := h.publish()
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	change := removing(t, h, "{}")
	planned, err := h.begin(change, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if spec := planned.PreviousSpec; spec == nil || strings.Contains(string(spec.DesiredState.Raw), "s3cret") || !strings.Contains(string(spec.DesiredState.Raw), secret.Mask) {
		t.Errorf("the history is given the spec %+v", spec)
	}
	settled, err := planned.Settle([]byte(`{"interfaces":[{"name":"eth1","type":"veth","state":"up"}]}`))
	if err != nil || !strings.Contains(string(settled.State), "s3cret-old") || settled.Difference == nil || strings.Contains(string(settled.Difference.Raw), "s3cret") {
		t.Errorf("what is asked for is %s, and the history is given %+v, %v", settled.State, settled.Difference, err)
	}
	h.refuse(planned.Story, errors.New("this was a test"), false)
	_, err = h.Validate(t.Context(), removing(t, h, "{}"))
	if err == nil || !strings.Contains(err.Error(), "802.1x: Forbidden") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the dry run ends with %v", err)
	}
	obj, err := json.Marshal(h.feed.Last())
	if err != nil || strings.Contains(string(obj), "s3cret") {
		t.Errorf("the object is %s, %v", obj, err)
	}
}
