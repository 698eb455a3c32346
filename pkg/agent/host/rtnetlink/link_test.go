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
	"reflect"
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

// TestTunnelIsToldAll: a tunnel loses what it is not told when one parameter changes.
func TestTunnelIsToldAll(t *testing.T) {
	const local, remote, ttl, encapType = 2, 3, 4, 15
	l := Link{Kind: "ipip", Data: Attributes{local: {192, 0, 2, 1}, remote: {192, 0, 2, 2}, ttl: {33}, encapType: {0, 0}}}
	want := Attributes{local: {192, 0, 2, 1}, remote: {192, 0, 2, 2}, ttl: {64}}
	if got := l.whole(Attributes{ttl: {64}}); !reflect.DeepEqual(got, want) {
		t.Errorf("it is told %v, not %v", got, want)
	}
	if l.Data[ttl][0] != 33 {
		t.Error("the link itself was changed")
	}
}
