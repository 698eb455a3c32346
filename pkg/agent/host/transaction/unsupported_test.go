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
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestUnsupported: what libnmstate would refuse in the midst of a change is refused by its field; what may work is not.
func TestUnsupported(t *testing.T) {
	const current = `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":true,"autoconf":true}},
		{"name":"eth2","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":false,"autoconf":false}}]}`
	for name, c := range map[string]struct {
		iface   string
		refused string // the end of the field's path, nothing if nothing is refused
	}{
		"alone":                        {`{"name":"eth1","type":"ethernet","state":"up","ipv6":{"enabled":true,"dhcp":false,"autoconf":true}}`, "ipv6.autoconf"},
		"DHCP is not there":            {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":true,"autoconf":true}}`, "ipv6.autoconf"},
		"a new interface":              {`{"name":"dum1","type":"dummy","ipv6":{"enabled":true,"autoconf":"true"}}`, "ipv6.autoconf"},
		"DHCP is there":                {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"autoconf":true}}`, ""},
		"with DHCP":                    {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":true,"dhcp":true,"autoconf":true}}`, ""},
		"without IPv6":                 {`{"name":"eth2","type":"ethernet","ipv6":{"enabled":false,"autoconf":true}}`, ""},
		"down":                         {`{"name":"eth2","type":"ethernet","state":"down","ipv6":{"enabled":true,"autoconf":true}}`, ""},
		"IPv6 is not spoken of":        {`{"name":"eth2","type":"ethernet","state":"up"}`, ""},
		"neither autoconf nor DHCP":    {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"dhcp":false,"autoconf":false}}`, ""},
		"SR-IOV without hardware":      {`{"name":"eth2","type":"ethernet","ethernet":{"sr-iov":{"total-vfs":2}}}`, "ethernet.sr-iov"},
		"SR-IOV by its functions":      {`{"name":"eth2","ethernet":{"sr-iov":{"vfs":[{"id":0}]}}}`, "ethernet.sr-iov"},
		"SR-IOV":                       {`{"name":"eth1","type":"ethernet","ethernet":{"sr-iov":{"total-vfs":2}}}`, ""},
		"SR-IOV, none":                 {`{"name":"eth2","type":"ethernet","ethernet":{"sr-iov":{"total-vfs":0}}}`, ""},
		"SR-IOV of a missing port":     {`{"name":"eth9","type":"ethernet","ethernet":{"sr-iov":{"total-vfs":2}}}`, ""},
		"DHCP ends, autoconf is there": {`{"name":"eth1","type":"ethernet","ipv6":{"enabled":true,"dhcp":false}}`, ""}, // left to nmstate, which knows what it inherits
	} {
		errs, err := unsupported(field.NewPath("spec"), []byte(`{"interfaces":[`+c.iface+`]}`), []byte(current), func(name string) bool { return name == "eth1" })
		if err != nil || len(errs) > 0 != (c.refused != "") || len(errs) > 1 {
			t.Errorf("%s: %v, %v", name, errs, err)
		}
		if len(errs) == 1 && !strings.HasSuffix(errs[0].Field, "]."+c.refused) {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
