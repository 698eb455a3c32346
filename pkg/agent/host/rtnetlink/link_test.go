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

package rtnetlink

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
)

// TestHSRIsReadWhole: an HSR link is made again, after it was removed, with the last byte of its supervision frames' address.
func TestHSRIsReadWhole(t *testing.T) {
	data := nl.NewRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(4, []byte{0x01, 0x15, 0x4e, 0x00, 0x01, 0x28})
	data.AddRtAttr(7, []byte{1})
	var l Link
	if err := l.parseKind(slices.Concat(nl.NewRtAttr(nl.IFLA_INFO_KIND, nl.ZeroTerminated("hsr")).Serialize(), data.Serialize())); err != nil {
		t.Fatal(err)
	}
	if kept := l.Lasting().Data; !slices.Equal(kept[3], []byte{0x28}) || !slices.Equal(kept[7], []byte{1}) {
		t.Errorf("what is kept of it is %v", kept)
	}
}
