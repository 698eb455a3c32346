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

package secret

import (
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const secretState = `{"interfaces":[
	{"name":"eth1","type":"ethernet","802.1x":{"identity":"me","password":"s3cret\"1","private-key-password":"s3cret2"}},
	{"name":"mac0","type":"macsec","macsec":{"mka-cak":"s3cret3","mka-ckn":"public"}},
	{"name":"ip0","type":"ipsec","libreswan":{"psk":"s3cret4","left":"192.0.2.1"}},
	{"name":"wg0","type":"wireguard","wireguard":{"private-key":"s3cret5","peers":[{"public-key":"A","preshared-key":"s3cret6"}]}}]}`

func TestMaskHidesAllSecretsAndNothingElse(t *testing.T) {
	masked, err := MaskState([]byte(secretState))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(masked), "s3cret") {
		t.Errorf("a secret is shown: %s", masked)
	}
	if got := strings.Count(string(masked), "hid_by_nmstate"); got != 6 {
		t.Errorf("%d masks, want 6: %s", got, masked)
	}
	for _, open := range []string{"me", "public", "192.0.2.1"} {
		if !strings.Contains(string(masked), open) {
			t.Errorf("%s is gone: %s", open, masked)
		}
	}
}

func TestMaskLeavesAStateWithoutSecretsAsItIs(t *testing.T) {
	const plain = `{ "interfaces" : [ {"mtu": 1.50e3, "name":"eth1"} ] }`
	if masked, err := MaskState([]byte(plain)); err != nil || string(masked) != plain {
		t.Errorf("%s, %v", masked, err)
	}
}

func TestUnmaskKeepsTheRealOnes(t *testing.T) {
	masked, err := MaskState([]byte(secretState))
	if err != nil {
		t.Fatal(err)
	}
	back, err := UnmaskState(masked, []byte(secretState))
	if err != nil || !v1alpha1.SameState(v1alpha1.NewState(back), v1alpha1.NewState([]byte(secretState))) {
		t.Errorf("%s, %v", back, err)
	}
	// A new secret replaces the real one, wherever the interface is in the list.
	next := `{"interfaces":[{"name":"ip0","libreswan":{"psk":"new"}},{"name":"eth1","802.1x":{"password":"` + Mask + `"}}]}`
	back, err = UnmaskState([]byte(next), []byte(secretState))
	if err != nil || !strings.Contains(string(back), `"psk":"new"`) || !strings.Contains(string(back), `s3cret\"1`) {
		t.Errorf("%s, %v", back, err)
	}
}

func TestUnmaskRefusesAMaskWithNothingBehindIt(t *testing.T) {
	_, err := UnmaskState([]byte(`{"interfaces":[{"name":"eth9","802.1x":{"password":"`+Mask+`"}}]}`), []byte(secretState))
	if err == nil || !strings.Contains(err.Error(), "interfaces[eth9].802.1x.password") {
		t.Error(err)
	}
}

func TestASecretThatIsNoTextIsHiddenToo(t *testing.T) {
	const state = `{"interfaces":[{"name":"eth1","802.1x":{"password":987654321,"private-key-password":["s3cret"]}}]}`
	masked, err := MaskState([]byte(state))
	if err != nil || strings.Contains(string(masked), "s3cret") || strings.Contains(string(masked), "987654321") {
		t.Errorf("%s, %v", masked, err)
	}
	if text := Scrub("invalid type: integer 987654321", []byte(state)); strings.Contains(text, "987654321") {
		t.Error(text)
	}
}

func TestASecretInPlaceOfItsObjectIsHiddenToo(t *testing.T) {
	for name, state := range map[string]string{
		"802.1x":    `{"interfaces":[{"name":"eth1","802.1x":"s3cret"}]}`,
		"macsec":    `{"interfaces":[{"name":"eth1","macsec":["s3cret",null]}]}`,
		"libreswan": `{"interfaces":[{"name":"eth1","libreswan":[["s3cret"]]}]}`,
		"peers":     `{"interfaces":[{"name":"eth1","wireguard":{"peers":["s3cret",{"preshared-key":"s3cret"}]}}]}`,
	} {
		masked, err := MaskState([]byte(state))
		if err != nil || strings.Contains(string(masked), "s3cret") || !strings.Contains(string(masked), "eth1") {
			t.Errorf("%s: %s, %v", name, masked, err)
		}
		if got := Scrub(`invalid type: string "s3cret", expected struct`, []byte(state)); strings.Contains(got, "s3cret") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestScrubTakesSecretsOutOfText(t *testing.T) {
	text := Scrub(`invalid password s3cret\"1 and s3cret"1, psk s3cret4`, []byte(secretState), nil)
	if strings.Contains(text, "s3cret") {
		t.Error(text)
	}
}

// TestScrubTakesTheLongestSecret: one may be a part of another, or of the mask.
func TestScrubTakesTheLongestSecret(t *testing.T) {
	psk := func(secret string) []byte {
		return []byte(`{"interfaces":[{"name":"ip0","libreswan":{"psk":"` + secret + `"}}]}`)
	}
	for _, order := range [][][]byte{{psk("hunter2"), psk("hunter2-2026")}, {psk("hunter2-2026"), psk("hunter2")}} {
		if text := Scrub("desire 'hunter2-2026', current 'hunter2'", order...); text != "desire '"+Mask+"', current '"+Mask+"'" {
			t.Error(text)
		}
	}
	if text := Scrub("current '"+Mask+"'", psk("password")); text != "current '"+Mask+"'" {
		t.Error(text)
	}
}
