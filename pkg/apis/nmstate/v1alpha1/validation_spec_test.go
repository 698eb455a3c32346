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

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// specOf returns the spec that is written as JSON.
func specOf(t *testing.T, text string) *NodeNetworkStateSpec {
	t.Helper()
	spec := &NodeNetworkStateSpec{}
	if err := json.Unmarshal([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// many returns so many probes.
func many(n int) string {
	var probes []string
	for i := range n {
		probes = append(probes, fmt.Sprintf(`{"name":"p%d","ping":{}}`, i))
	}
	return `{"probes":[` + strings.Join(probes, ",") + `]}`
}

func TestSpecsThatAreFine(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"confirmation":{}}`, `{"probes":[]}`, many(MaxProbes),
		`{"confirmation":{"mode":"Manual","timeout":"5s"}}`, `{"confirmation":{"mode":"None","timeout":"10m"}}`, `{"confirmation":{"mode":"Reachability"}}`,
		`{"reapply":"Never"}`, `{"reapply":"OnBoot"}`, `{"reapply":"Always"}`, `{"removal":"Orphan"}`, `{"removal":"Revert"}`,
		`{"probes":[{"name":"a","ping":{},"timeout":"1m","required":false},{"name":"b","ping":{"address":"fe80::1%eth0"}}]}`,
		`{"probes":[{"name":"a","tcp":{"address":"192.0.2.1:443"}},{"name":"b","tcp":{"address":"[2001:db8::1]:443"}},{"name":"c","tcp":{"address":"example.org:1"}}]}`,
		`{"probes":[{"name":"a","http":{"url":"https://192.0.2.1/healthz","status":204}},{"name":"b","http":{"url":"http://[2001:db8::1]:8080/?a=b"}}]}`,
		`{"probes":[{"name":"a","dns":{"name":"Example.org."}},{"name":"b","dns":{"name":"_ldap._tcp.example.org","server":"192.0.2.53"}},{"name":"c","dns":{"name":"a","server":"[2001:db8::53]:53"}}]}`,
		`{"probes":[{"name":"a","node":{"name":"node02.example.org"}}]}`,
	} {
		if errs := ValidateSpec(specOf(t, text), field.NewPath("spec")); len(errs) > 0 {
			t.Errorf("%s: %v", text, errs)
		}
	}
}

// TestErrorsInSpecsNameTheFieldAndWhatToWrite: and what is wrong in one field does not
// hide what is wrong in another.
func TestErrorsInSpecsNameTheFieldAndWhatToWrite(t *testing.T) {
	probe := func(text string) string { return `{"probes":[{"name":"a",` + text + `}]}` }
	for text, want := range map[string][]string{
		`{"confirmation":{"mode":"manual"}}`:                           {`spec.confirmation.mode: Unsupported value: "manual": supported values: "Reachability", "Manual", "None"`},
		`{"confirmation":{"timeout":"4.9s"}}`:                          {`spec.confirmation.timeout: Invalid value: "4.9s": must be from 5s to 10m`},
		`{"confirmation":{"mode":"x","timeout":"10m1s"}}`:              {`spec.confirmation.mode: Unsupported`, `spec.confirmation.timeout: Invalid value: "10m1s"`},
		`{"removal":"Delete"}`:                                         {`spec.removal: Unsupported value: "Delete": supported values: "Orphan", "Revert"`},
		`{"reapply":"Sometimes"}`:                                      {`spec.reapply: Unsupported value: "Sometimes": supported values: "Never", "OnBoot", "Always"`},
		many(MaxProbes + 1):                                            {`spec.probes: Too many: 17: must have at most 16`},
		`{"probes":[{"ping":{}}]}`:                                     {`spec.probes[0].name: Required value`},
		`{"probes":[{"name":"A b","ping":{}}]}`:                        {`spec.probes[0].name: Invalid value: "A b": must be at most 63 lower case letters`},
		`{"probes":[{"name":"a","ping":{}},{"name":"a","ping":{}}]}`:   {`spec.probes[1].name: Duplicate value: "a"`},
		`{"probes":[{"name":"a"}]}`:                                    {`spec.probes[0]: Invalid value: must have exactly one of ping, tcp, http, dns and node, and has 0`},
		probe(`"ping":{},"node":{"name":"n"}`):                         {`spec.probes[0]: Invalid value: must have exactly one of ping, tcp, http, dns and node, and has 2`},
		probe(`"ping":{},"timeout":"0s"`):                              {`spec.probes[0].timeout: Invalid value: "0s": must be more than 0s and at most 1m`},
		probe(`"ping":{},"timeout":"61s"`):                             {`spec.probes[0].timeout: Invalid value: "1m1s"`},
		probe(`"ping":{"address":"example.org"}`):                      {`spec.probes[0].ping.address: Invalid value: "example.org": must be an IP address`},
		probe(`"tcp":{}`):                                              {`spec.probes[0].tcp.address: Required value: write host and port`},
		probe(`"tcp":{"address":"192.0.2.1"}`):                         {`spec.probes[0].tcp.address: Invalid value: "192.0.2.1": must be host and port`},
		probe(`"tcp":{"address":":443"}`):                              {`spec.probes[0].tcp.address: Invalid value`},
		probe(`"tcp":{"address":"192.0.2.1:0"}`):                       {`spec.probes[0].tcp.address: Invalid value`},
		probe(`"tcp":{"address":"192.0.2.1:65536"}`):                   {`spec.probes[0].tcp.address: Invalid value`},
		probe(`"tcp":{"address":"192.0.2.1:https"}`):                   {`spec.probes[0].tcp.address: Invalid value`},
		probe(`"tcp":{"address":"192.0.2.999:443"}`):                   {`spec.probes[0].tcp.address: Invalid value`},
		probe(`"http":{}`):                                             {`spec.probes[0].http.url: Invalid value: must be a URL with http or https and a host`},
		probe(`"http":{"url":"ftp://example.org"}`):                    {`spec.probes[0].http.url: Invalid value: must be a URL with http or https`},
		probe(`"http":{"url":"example.org/x"}`):                        {`spec.probes[0].http.url: Invalid value: must be a URL with http or https`},
		probe(`"http":{"url":"http://example.org:99999/"}`):            {`spec.probes[0].http.url: Invalid value: must have a port`},
		probe(`"http":{"url":"http://eve:s3cret@example.org/"}`):       {`spec.probes[0].http.url: Invalid value: must not have a user or password`},
		probe(`"http":{"url":"http://example.org/#a"}`):                {`spec.probes[0].http.url: Invalid value: must not have a fragment`},
		probe(`"http":{"url":"http://a/","status":99}`):                {`spec.probes[0].http.status: Invalid value: 99: must be an HTTP status code, from 100 to 599`},
		probe(`"http":{"url":"http://a/","status":600}`):               {`spec.probes[0].http.status: Invalid value: 600`},
		probe(`"dns":{}`):                                              {`spec.probes[0].dns.name: Required value: write the name to resolve`},
		probe(`"dns":{"name":"a..b"}`):                                 {`spec.probes[0].dns.name: Invalid value: "a..b": must be a DNS name`},
		probe(`"dns":{"name":"a","server":"example.org"}`):             {`spec.probes[0].dns.server: Invalid value: "example.org": must be the IP address of a DNS server`},
		probe(`"dns":{"name":"a","server":"192.0.2.53:0"}`):            {`spec.probes[0].dns.server: Invalid value`},
		probe(`"node":{}`):                                             {`spec.probes[0].node.name: Required value: write the name of another node`},
		probe(`"node":{"name":"No de"}`):                               {`spec.probes[0].node.name: Invalid value: "No de"`},
		probe(`"tcp":{"address":"` + strings.Repeat("x", 5000) + `"}`): {`spec.probes[0].tcp.address: Invalid value: "xxx`},
		`{"desiredState":` + strings.Repeat(`{"a":`, MaxDepth) + `{}` + strings.Repeat("}", MaxDepth) + `,"reapply":"x","confirmation":{"mode":"y"},"probes":[{"name":"b"},{"name":"b","ping":{}}]}`: {
			`spec.desiredState: Invalid value`, `spec.probes[0]: Invalid value`, `spec.probes[1].name: Duplicate`, `spec.confirmation.mode`, `spec.reapply`},
	} {
		errs := ValidateSpec(specOf(t, text), field.NewPath("spec"))
		if len(errs) != len(want) {
			t.Errorf("%.200s: %v, want %d errors", text, errs, len(want))
			continue
		}
		for i, err := range errs {
			if !strings.HasPrefix(err.Error(), want[i]) || len(err.Error()) > 400 || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%.200s: %v, want %s", text, err, want[i])
			}
		}
	}
}

func TestReferencesToChanges(t *testing.T) {
	for id, want := range map[string]string{
		"6d3a7f3e-8f2c-4d0c-a3a5-4a3b7a1c9d10": "",
		"":                                     "id: Required value: write the id of the change",
		"x y":                                  "id: Invalid value: is no id of a change",
		strings.Repeat("a", 64):                "id: Invalid value: is no id of a change",
	} {
		errs := ValidateTransactionReference(&TransactionReference{ID: id})
		if want == "" && len(errs) > 0 || want != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want)) {
			t.Errorf("%q: %v, want %q", id, errs, want)
		}
	}
}
