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

package netstate

import (
	"reflect"
	"testing"
)

// TestTakeBack: what the change altered is as before, what came later stays.
func TestTakeBack(t *testing.T) {
	for name, c := range map[string]struct{ before, after, now, want string }{
		"the last change": {
			`{"removal":"Revert","desiredState":{"interfaces":[{"name":"b"},{"name":"a","mtu":1500}]}}`,
			`{"reapply":"Always","probes":[{"name":"p"}],"desiredState":{"interfaces":[{"name":"a","mtu":9000}]}}`,
			`{"reapply":"Always","probes":[{"name":"p"}],"desiredState":{"interfaces":[{"name":"a","mtu":9000}]}}`,
			`{"removal":"Revert","desiredState":{"interfaces":[{"name":"b"},{"name":"a","mtu":1500}]}}`},
		"the first change": {`{}`, `{"desiredState":{"hostname":{"config":"x"}}}`, `{"desiredState":{"hostname":{"config":"x"}}}`, `{}`},
		"options that a later change left": {
			`{"confirmation":{"mode":"None"},"reapply":"Never"}`, `{"confirmation":{"mode":"Manual"},"removal":"Revert"}`,
			`{"confirmation":{"mode":"Manual","timeout":"2m0s"},"removal":"Revert","probes":[{"name":"later"}]}`,
			`{"confirmation":{"mode":"None","timeout":"2m0s"},"reapply":"Never","probes":[{"name":"later"}]}`},
		"probes": {
			`{"probes":[{"name":"a"},{"name":"b","timeout":"1s"}]}`, `{"probes":[{"name":"a"},{"name":"b","timeout":"2s"},{"name":"c"}]}`,
			`{"probes":[{"name":"c"},{"name":"b","timeout":"2s"},{"name":"d"}]}`, `{"probes":[{"name":"b","timeout":"1s"},{"name":"d"}]}`},
		"an interface that came, one that left, one that a later change altered": {
			`{"desiredState":{"interfaces":[{"name":"left","mtu":1},{"name":"eth1","type":"ethernet","mtu":1500}]}}`,
			`{"desiredState":{"interfaces":[{"name":"came"},{"name":"eth1","type":"ethernet","mtu":9000}]}}`,
			`{"desiredState":{"interfaces":[{"name":"came"},{"name":"eth1","type":"ethernet","mtu":9000,"state":"up"},{"name":"later"}]}}`,
			`{"desiredState":{"interfaces":[{"name":"eth1","type":"ethernet","mtu":1500,"state":"up"},{"name":"later"},{"name":"left","mtu":1}]}}`},
		"interfaces of one name": {
			`{"interfaces":[{"name":"br","type":"ovs-bridge"}]}`, `{"interfaces":[{"name":"br","type":"ovs-bridge"},{"name":"br","type":"ovs-interface"}]}`,
			`{"interfaces":[{"name":"br","type":"ovs-interface"},{"name":"br","type":"ovs-bridge"},{"name":"later"}]}`,
			`{"interfaces":[{"name":"br","type":"ovs-bridge"},{"name":"later"}]}`},
		"routes": {
			`{"routes":{"config":[{"destination":"a"},{"destination":"b"}]}}`, `{"routes":{"config":[{"destination":"a"},{"destination":"c"}]}}`,
			`{"routes":{"config":[{"destination":"c"},{"destination":"a"},{"destination":"d"}]}}`,
			`{"routes":{"config":[{"destination":"a"},{"destination":"d"},{"destination":"b"}]}}`},
		"lists that are one value": {
			`{"dns":{"server":["1","2"]}}`, `{"dns":{"server":["3"]}}`, `{"dns":{"server":["3","4"],"search":["x"]}}`, `{"dns":{"server":["1","2"],"search":["x"]}}`},
		"nothing": {`{"reapply":"Never"}`, `{"reapply":"Never"}`, `{"reapply":"Always"}`, `{"reapply":"Always"}`},
		"what a later change took away": {
			`{"desiredState":{"hostname":{"config":"a"}}}`, `{"desiredState":{"hostname":{"config":"b"}},"removal":"Revert"}`, `{}`,
			`{"desiredState":{"hostname":{"config":"a"}}}`},
		"the first change, and what came later": {
			`{}`, `{"desiredState":{"interfaces":[{"name":"a"}]}}`,
			`{"desiredState":{"interfaces":[{"name":"a"},{"name":"later"}],"dns-resolver":{"config":{"server":["1"]}}}}`,
			`{"desiredState":{"interfaces":[{"name":"later"}],"dns-resolver":{"config":{"server":["1"]}}}}`},
		"the first interfaces, and what came later": {
			`{"desiredState":{"hostname":{"config":"a"}}}`, `{"desiredState":{"hostname":{"config":"a"},"interfaces":[{"name":"a"}]}}`,
			`{"desiredState":{"hostname":{"config":"a"},"interfaces":[{"name":"a","mtu":9000},{"name":"later"}]}}`,
			`{"desiredState":{"hostname":{"config":"a"},"interfaces":[{"name":"later"}]}}`},
		"the first probes, and what came later": {
			`{"reapply":"Never"}`, `{"probes":[{"name":"p"}]}`, `{"probes":[{"name":"p"},{"name":"later"}]}`, `{"reapply":"Never","probes":[{"name":"later"}]}`},
		"options that came, and what came later": {
			`{}`, `{"confirmation":{"mode":"Manual"}}`, `{"confirmation":{"mode":"Manual","timeout":"2m0s"}}`, `{"confirmation":{"timeout":"2m0s"}}`},
		"a desired state that was taken away, and what came later": {
			`{"desiredState":{"interfaces":[{"name":"a"}],"hostname":{"config":"a"}}}`, `{}`, `{"desiredState":{"interfaces":[{"name":"later"}]}}`,
			`{"desiredState":{"interfaces":[{"name":"later"},{"name":"a"}],"hostname":{"config":"a"}}}`},
		"an interface that was taken away, and came again": {
			`{"interfaces":[{"name":"a","mtu":1500,"state":"up"}]}`, `{"interfaces":[]}`, `{"interfaces":[{"name":"a","mtu":9000,"description":"later"}]}`,
			`{"interfaces":[{"name":"a","mtu":1500,"state":"up","description":"later"}]}`},
		"an interface that came, and left": {
			`{"interfaces":[{"name":"a"}]}`, `{"interfaces":[{"name":"a"},{"name":"b"}]}`, `{"reapply":"Never"}`, `{"reapply":"Never"}`},
		"an interface that was altered, and left": {
			`{"interfaces":[{"name":"a","mtu":1500}]}`, `{"interfaces":[{"name":"a","mtu":9000}]}`, `{}`, `{"interfaces":[{"name":"a","mtu":1500}]}`},
		"nothing in place of something": {`{"reapply":"Never"}`, `{"reapply":"Never","desiredState":{}}`, `{"desiredState":{"hostname":{"config":"a"}}}`, `{"desiredState":{"hostname":{"config":"a"}}}`},
		"null":                          {`{"a":null,"b":1}`, `{"a":null,"b":2}`, `{"a":null,"b":2,"c":3}`, `{"a":null,"b":1,"c":3}`},
		"null that came, and null that left": {
			`{"left":null,"b":1}`, `{"came":null,"b":2}`, `{"came":null,"b":2,"c":3}`, `{"left":null,"b":1,"c":3}`},
	} {
		if got, want := TakeBack(state(t, c.now), state(t, c.before), state(t, c.after)), state(t, c.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: it is %v, want %v", name, got, want)
		}
	}
}
