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

import (
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestABootThatIsNotOver: a desired state that holds as the node comes up, since nobody has configured the link yet, is applied
// again when somebody configures the link.
func TestABootThatIsNotOver(t *testing.T) {
	for name, one := range map[string]struct {
		limit   time.Duration
		policy  v1alpha1.ReapplyPolicy
		applied bool
	}{
		"soon":  {bootTime, v1alpha1.ReapplyOnBoot, true},
		"later": {0, v1alpha1.ReapplyOnBoot, false},
		"never": {bootTime, v1alpha1.ReapplyNever, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			link := func() {
				netns.Run(t, "ip", "link", "add", "v0a", "type", "veth", "peer", "name", "v0b")
				netns.Run(t, "ip", "link", "set", "v0b", "up")
			}
			t.Run("first", func(t *testing.T) {
				link()
				h := newHost(t, dir)
				if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[{"name":"v0a","type":"veth","state":"down"}]}`)); err != nil {
					t.Fatal(err)
				}
			})
			rebooted(t, dir, func(r *record) { r.Reapply = one.policy })
			link()
			h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}})
			if err != nil {
				t.Fatal(err)
			}
			h.boot.limit = one.limit
			t.Cleanup(func() { clean(t) })
			run(t, h)
			obj := awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool { return obj.Status.Difference == nil })
			if obj.Status.LastApply.User == ItselfUser {
				t.Fatal("what holds was applied again")
			}
			h.reapplyDue() // the agent, too, looks at each object once it is published
			netns.Run(t, "ip", "link", "set", "v0a", "up")
			if one.applied {
				awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
					return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted && obj.Status.Difference == nil
				})
				return
			}
			awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool { return obj.Status.Difference != nil })
			if _, due := h.reapplyDue(); due {
				t.Error("it is to be applied again")
			}
		})
	}
}

// TestWhenABootIsOver: once the desired state holds at the end of the time, or has held until then.
func TestWhenABootIsOver(t *testing.T) {
	type look struct {
		after time.Duration
		holds bool
	}
	for name, one := range map[string]struct {
		looks []look
		fresh bool
	}{
		"it has never held":                           {[]look{{0, false}, {time.Hour, false}}, true},
		"it has held for the first time":              {[]look{{time.Hour, true}}, true},
		"it holds, and the time is not over":          {[]look{{0, true}, {bootTime - 1, true}}, true},
		"it differs, and the time is not over":        {[]look{{0, true}, {bootTime - 1, false}}, true},
		"it holds when the time is over":              {[]look{{0, true}, {bootTime, true}}, false},
		"it differs since the time is over":           {[]look{{0, true}, {time.Hour, false}}, false},
		"it differs since before the time was over":   {[]look{{0, true}, {bootTime / 2, false}, {time.Hour, false}}, true},
		"what differed is mended after the time":      {[]look{{0, true}, {bootTime / 2, false}, {time.Hour, true}}, false},
		"it is applied late, and others come at once": {[]look{{0, false}, {time.Hour, true}, {time.Hour + time.Second, false}}, true},
	} {
		b, boots := boot{isFresh: true, limit: bootTime}, time.Now()
		for _, look := range one.looks {
			b.look(look.holds, boots.Add(look.after))
		}
		if b.isFresh != one.fresh {
			t.Errorf("%s: the boot is not over yet: %v", name, b.isFresh)
		}
	}
}
