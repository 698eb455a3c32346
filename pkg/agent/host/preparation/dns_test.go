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

package preparation

import "testing"

func TestSetsDNS(t *testing.T) {
	for name, c := range map[string]struct {
		desired, current string
		want             bool
	}{
		"no section":              {`{}`, `{}`, false},
		"no configuration":        {`{"dns-resolver":{}}`, `{}`, false},
		"another server":          {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{"dns-resolver":{"config":{"server":["192.0.2.2"]}}}`, true},
		"the same server":         {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{"dns-resolver":{"config":{"server":["192.0.2.1"],"search":["a.example"]}}}`, false},
		"another order":           {`{"dns-resolver":{"config":{"server":["192.0.2.1","192.0.2.2"]}}}`, `{"dns-resolver":{"config":{"server":["192.0.2.2","192.0.2.1"]}}}`, true},
		"a first server":          {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{}`, true},
		"cleared":                 {`{"dns-resolver":{"config":{}}}`, `{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, true},
		"cleared, and clear":      {`{"dns-resolver":{"config":{}}}`, `{"dns-resolver":{"config":{}}}`, false},
		"cleared, and there none": {`{"dns-resolver":{"config":{"server":[],"search":[]}}}`, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SetsDNS([]byte(c.desired), []byte(c.current))
			if err != nil || got != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := SetsDNS([]byte(`{`), []byte(`{}`)); err == nil {
		t.Error("what is no JSON is taken")
	}
}
