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

package transaction

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestAutoconfAlone(t *testing.T) {
	const current = `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":true,"autoconf":true}},
		{"name":"eth2","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":false,"autoconf":false}}]}`
	for name, c := range map[string]struct {
		iface   string
		refused bool
	}{
		"alone":                        {`{"name":"eth1","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":false,"autoconf":true}}`, true},
		"DHCP is not there":            {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":true,"autoconf":true}}`, true},
		"a new interface":              {`{"name":"dum1","type":"dummy","ipv6":{"enabled":true,"autoconf":"true"}}`, true},
		"DHCP is there":                {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"autoconf":true}}`, false},
		"with DHCP":                    {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":true,"dhcp":true,"autoconf":true}}`, false},
		"without IPv6":                 {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":false,"autoconf":true}}`, false},
		"down":                         {`{"name":"eth2","type":"ethernet","state":"down","ipv6":{"enabled":true,"autoconf":true}}`, false},
		"IPv6 is not spoken of":        {`{"name":"eth2","type":"ethernet","state":"up"}`, false},
		"neither autoconf nor DHCP":    {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"dhcp":false,"autoconf":false}}`, false},
		"DHCP ends, autoconf is there": {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"dhcp":false}}`, false}, // left to nmstate, which knows what it inherits
	} {
		errs, err := autoconfAlone(field.NewPath("spec"), []byte(`{"interfaces":[`+c.iface+`]}`), []byte(current))
		if err != nil || len(errs) > 0 != c.refused {
			t.Errorf("%s: %v, %v", name, errs, err)
		}
		if c.refused && (len(errs) != 1 || errs[0].Field[len(errs[0].Field)-len(".ipv6.autoconf"):] != ".ipv6.autoconf") {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
