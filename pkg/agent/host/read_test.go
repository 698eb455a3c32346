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

import "testing"

// TestWhatIsShownOfAddresses: what stays as long as the address does, and what
// libnmstate has to know to leave it alone.
func TestWhatIsShownOfAddresses(t *testing.T) {
	for name, c := range map[string]struct{ read, shown string }{
		"static":       {`{"ip":"192.0.2.1","prefix-length":24}`, `{"ip":"192.0.2.1","prefix-length":24}`},
		"lease":        {`{"ip":"192.0.2.1","preferred-life-time":"7sec","prefix-length":24,"valid-life-time":"9sec"}`, `{"ip":"192.0.2.1","prefix-length":24,"valid-life-time":"dynamic"}`},
		"forever":      {`{"ip":"192.0.2.1","preferred-life-time":"0sec","prefix-length":24,"valid-life-time":"forever"}`, `{"ip":"192.0.2.1","prefix-length":24}`},
		"advertised":   {`{"ip":"2001:db8::1","prefix-length":64,"protocol":"ra","valid-life-time":"9sec"}`, `{"ip":"2001:db8::1","prefix-length":64,"valid-life-time":"dynamic"}`},
		"link-local":   {`{"ip":"fe80::1","prefix-length":64,"protocol":"kernel_ll"}`, `{"ip":"fe80::1","prefix-length":64}`},
		"otherProgram": {`{"ip":"192.0.2.1","prefix-length":24,"protocol":"0x42"}`, `{"ip":"192.0.2.1","prefix-length":24,"protocol":"0x42"}`},
	} {
		t.Run(name, func(t *testing.T) {
			wrap := func(address string) string {
				return `{"interfaces":[{"ipv4":{"address":[` + address + `]},"name":"eth1","state":"up"}]}`
			}
			s, err := parseState(wrap(c.read), false)
			if err != nil {
				t.Fatal(err)
			}
			if shown := string(s.shown.Raw); shown != wrap(c.shown) {
				t.Errorf("shown is %s", shown)
			}
		})
	}
}
