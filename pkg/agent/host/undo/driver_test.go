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

package undo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/safchain/ethtool"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func openDrivers(t *testing.T) *ethtool.Ethtool {
	t.Helper()
	tool, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tool.Close)
	return tool
}

// TestDriversArePutBack: features and coalescing of links that are there, and of one that is made again.
func TestDriversArePutBack(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	netns.Run(t, "ip", "link", "add", "br1", "type", "bridge")
	netns.Run(t, "ip", "tuntap", "add", "dev", "tap1", "mode", "tap")
	tool := openDrivers(t)
	set := func(link, feature string, on bool) {
		t.Helper()
		if err := tool.Change(link, map[string]bool{feature: on}); err != nil {
			t.Fatal(err)
		}
	}
	frames := func(number uint32) {
		t.Helper()
		coalesce, err := tool.GetCoalesce("tap1")
		if err != nil {
			t.Fatal(err)
		}
		coalesce.RxMaxCoalescedFrames = number
		if _, err := tool.SetCoalesce("tap1", coalesce); err != nil {
			t.Fatal(err)
		}
	}
	look := func() string {
		text := ""
		for _, link := range []string{"a1", "b1", "br1", "tap1"} {
			d := driverOf(tool, link, true)
			raw, err := json.Marshal(d)
			if err != nil || len(d.Features) == 0 {
				t.Fatalf("the features of %s are %s, %v", link, raw, err)
			}
			text += fmt.Sprintf("%s %s\n", link, raw)
		}
		return text
	}
	set("a1", "rx-gro", false)
	set("br1", "tx-tcp-segmentation", false)
	frames(7)
	was := look()
	noted, err := Note(t.Context(), Request{
		Desired: []byte(`{"interfaces":[{"name":"a1","ethtool":{"feature":{"gso":false}}},{"name":"br1"},{"name":"tap1"}]}`), Current: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer noted.Close()
	before := throughJSON(t, noted)
	set("a1", "tx-generic-segmentation", false)
	set("a1", "rx-gro", true)
	frames(9)
	netns.Run(t, "ip", "link", "del", "br1")
	if left, err := before.Differences(t.Context()); err != nil || !reflect.DeepEqual(left, []string{"link br1 is missing", "link a1 is different", "link tap1 is different"}) {
		t.Errorf("the differences are %q, %v", left, err)
	}
	if left := before.Restore(t.Context(), applyKernel); left != "" {
		t.Errorf("left is %s", left)
	}
	if is := look(); is != was {
		t.Errorf("the drivers had\n%s\nand have\n%s", was, is)
	}
}

// TestWhatADriverRefusesIsTold, with the link and what it is about.
func TestWhatADriverRefusesIsTold(t *testing.T) {
	was := driver{Features: map[string]bool{"no-such-feature": true}}
	err := was.mend("lo", &driver{Features: map[string]bool{"no-such-feature": false}})
	if err == nil || !strings.Contains(err.Error(), "features of link lo") {
		t.Errorf("a feature that is not there is put back: %v", err)
	}
}

// TestDriversThatChangeByThemselves: what comes of the load, or of the other end, is no difference.
func TestDriversThatChangeByThemselves(t *testing.T) {
	was := func() *driver {
		return &driver{
			Features: map[string]bool{"rx-gro": true}, Ring: &ethtool.Ring{RxPending: 256, TxPending: 256},
			Coalesce: &ethtool.Coalesce{UseAdaptiveRxCoalesce: 1, RxCoalesceUsecs: 20, TxCoalesceUsecs: 30},
			Pause:    &ethtool.Pause{Autoneg: 1, RxPause: 1},
		}
	}
	for name, one := range map[string]struct {
		change func(*driver)
		same   bool
	}{
		"nothing":                 {func(*driver) {}, true},
		"another feature":         {func(d *driver) { d.Features["rx-gro"] = false }, false},
		"more features":           {func(d *driver) { d.Features["tx-gso-list"] = true }, true},
		"another ring":            {func(d *driver) { d.Ring.RxPending = 128 }, false},
		"a ring that is not read": {func(d *driver) { d.Ring = nil }, true},
		"adaptive":                {func(d *driver) { d.Coalesce.RxCoalesceUsecs = 90 }, true},
		"not adaptive":            {func(d *driver) { d.Coalesce.TxCoalesceUsecs = 90 }, false},
		"adaptive no more":        {func(d *driver) { d.Coalesce.UseAdaptiveRxCoalesce = 0 }, false},
		"negotiated pause":        {func(d *driver) { d.Pause.TxPause = 1 }, true},
		"no negotiation":          {func(d *driver) { d.Pause.Autoneg = 0 }, false},
	} {
		is := was()
		one.change(is)
		if is.same(was()) != one.same || was().same(is) != one.same {
			t.Errorf("%s: the driver is the same: %v", name, is.same(was()))
		}
	}
}
