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

package stateschema

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// repository is the folder of the repository.
const repository = "../.."

// TestExamplesAreRight: the schema knows all that the examples, the guides and the cases of the virtual machines write.
func TestExamplesAreRight(t *testing.T) {
	schema := loaded(t)
	checked := 0
	check := func(where string, state any) {
		checked++
		found := schema.Check(encode(t, state), field.NewPath("state"))
		if len(found.Wrong)+len(found.Unknown) > 0 {
			t.Errorf("%s: %+v", where, found)
		}
	}
	for where, text := range texts(t) {
		for _, document := range strings.Split(text, "\n---\n") {
			var value any
			if err := yaml.Unmarshal([]byte(document), &value); err != nil {
				continue // a part of a file that is no YAML by itself
			}
			for _, state := range states(value) {
				check(where, state)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d states were checked", checked)
	}
	t.Logf("%d states were checked", checked)
}

var fenced = regexp.MustCompile("(?s)```(?:yaml|json)\n(.*?)```")

// texts returns the YAML of the repository that has states, by file.
func texts(t *testing.T) map[string]string {
	result := map[string]string{}
	for _, folder := range []string{"docs", "test/vm/cases"} {
		err := filepath.WalkDir(filepath.Join(repository, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			switch filepath.Ext(path) {
			case ".yaml":
				result[path] = string(text)
			case ".md":
				var blocks []string
				for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
					blocks = append(blocks, block[1])
				}
				result[path] = strings.Join(blocks, "\n---\n")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return result
}

// states returns the states within a value: what is called state in a case, or desiredState in an object.
func states(value any) []any {
	var result []any
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			_, isObject := inner.(map[string]any)
			if isObject && (key == "desiredState" || key == "state") {
				result = append(result, inner)
			} else {
				result = append(result, states(inner)...)
			}
		}
	case []any:
		for _, inner := range value {
			result = append(result, states(inner)...)
		}
	}
	return result
}

// TestWrongStates has the words for each kind of error, as YAML writes it and as its user reads it.
func TestWrongStates(t *testing.T) {
	text, err := os.ReadFile("testdata/wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		State json.RawMessage `json:"state"`
		Says  []string        `json:"says"`
	}
	if err := yaml.UnmarshalStrict(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Errorf("there are only %d cases", len(cases))
	}
	schema := loaded(t)
	for _, one := range cases {
		found := schema.Check(one.State, field.NewPath("spec", "desiredState"))
		var says []string
		for _, unknown := range found.Unknown {
			says = append(says, unknown.What)
		}
		for _, wrong := range found.Wrong {
			says = append(says, wrong.Error())
		}
		if got, want := strings.Join(says, "\n"), strings.Join(one.Says, "\n"); got != want {
			t.Errorf("%s says\n%s\nwant\n%s", one.State, got, want)
		}
	}
}

// TestWhatNmstateReadsInOtherForms: numbers and booleans as texts, other names, other spellings.
func TestWhatNmstateReadsInOtherForms(t *testing.T) {
	for _, state := range []string{
		`{"interfaces":[{"name":"eth1","type":"ethernet","mtu":"1500","accept-all-mac-addresses":"on"}]}`,
		`{"interfaces":[{"name":"bond1","type":"bond","link-aggregation":{"mode":4,"ports":["eth1"],"options":{"miimon":"0x64","ad_select":"1"}}}]}`,
		`{"interfaces":[{"name":"bond1","type":"bond","bond":{"mode":"lacp"}}]}`,
		`{"interfaces":[{"name":"br1","type":"ovs-bridge","bridge":{"options":{"stp":true,"rstp":"no"}}}]}`,
		`{"interfaces":[{"name":"br1","type":"linux-bridge","bridge":{"options":{"multicast-router":"AUTO"}}}]}`,
		`{"interfaces":[{"name":"br1","type":"linux-bridge","bridge":{"options":{"multicast-router":2}}}]}`,
		`{"interfaces":[{"name":"old","type":"bridge","state":"absent","mtu":"big"}]}`,
		`{"interfaces":[{"name":"eth1","ipv4":{"dhcp-client-id":"01:02:03"},"ovs-db":{"external_ids":{"n":5,"gone":null}}}]}`,
		`{"interfaces":[{"name":"eth1","type":"ethernet","lldp":{"enabled":true,"neighbors":"whatever"}}]}`,
		`{"hostname":{"config":7},"ovs-db":{"external_ids":{"a":5}},"route-rules":{"config":[{"state":"absent","ip-to":10.1}]}}`,
		`{"route-rules":{"config":[{"ip-from":"192.0.2.0/24","fwmark":"0x20","suppress_prefixlength":0}]}}`,
	} {
		found := loaded(t).Check([]byte(state), field.NewPath("state"))
		// An absent interface may have been of a type that only an older nmstate knew.
		if len(found.Wrong) > 0 || len(found.Unknown) > 0 && !strings.Contains(state, `"old"`) {
			t.Errorf("%s: %+v", state, found)
		}
	}
}

// TestNoSecretIsRepeated: neither a secret nor what may have one within.
func TestNoSecretIsRepeated(t *testing.T) {
	for _, state := range []string{
		`{"interfaces":[{"name":"eth1","type":"ethernet","802.1x":{"password":12345678,"private-key-password":["12345678"]}}]}`,
		`{"interfaces":[{"name":"eth1","type":"ethernet","802.1x":["12345678"],"pasword":"12345678"}]}`,
		`{"interfaces":[{"name":"m","type":"macsec","macsec":{"mka-cak":12345678}},{"name":"i","type":"ipsec","libreswan":{"right":"a","psk":12345678}}]}`,
	} {
		found := loaded(t).Check([]byte(state), field.NewPath("state"))
		if len(found.Wrong) == 0 {
			t.Errorf("%s is right", state)
		}
		if told := found.Wrong.ToAggregate().Error(); strings.Contains(told, "12345678") {
			t.Error(told)
		}
		for _, unknown := range found.Unknown {
			if strings.Contains(unknown.What, "12345678") {
				t.Error(unknown.What)
			}
		}
	}
}

// TestManyErrorsAreBounded: an answer is not larger than its request.
func TestManyErrorsAreBounded(t *testing.T) {
	state := `{"interfaces":[` + strings.Repeat(`{"name":"eth1","mtu":"big","mtuu":1},`, 10_000) + `{"name":"eth2"}]}`
	found := loaded(t).Check([]byte(state), field.NewPath("state"))
	if len(found.Wrong) != most || len(found.Unknown) != most {
		t.Errorf("%d wrong, %d unknown", len(found.Wrong), len(found.Unknown))
	}
}
