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
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestWhatIsReadUntilAChangeIsAppliedIsReadAgain: a barrier is passed with what the change has made of the network, also
// while it is not decided yet whether the change stays.
func TestWhatIsReadUntilAChangeIsAppliedIsReadAgain(t *testing.T) {
	listener := brokenBus(t)
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendAuto, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	h.view.change = &underWay{stage: v1alpha1.StageApplying}
	reads := hangUp(listener, func(n int64) {
		if n == 1 {
			owner{h}.Applied()
		}
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reads.Load() != 2 || h.feed.Last() == nil {
		t.Errorf("the network was read %d times; published: %v", reads.Load(), h.feed.Last())
	}
}

// TestAChangeThatIsDecidedLate: what was read when the change was applied is not shown as the network that it has led to if it
// took long until the change was decided.
func TestAChangeThatIsDecidedLate(t *testing.T) {
	var h *Host
	late := func(config *transaction.Config) {
		config.At = func(moment transaction.Moment) {
			if moment != transaction.BeforeStaged {
				return
			}
			if err := h.awaitReread(t.Context()); err != nil {
				t.Error(err)
			}
			h.mu.Lock()
			h.view.change.appliedAt = time.Now().Add(-2 * decidedWithin)
			h.mu.Unlock()
			netns.Run(t, "ip", "address", "add", "198.51.100.77/32", "dev", "lo")
		}
	}
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendKernel, Confirmer: yes{}, adjust: late})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.drain()
		clean(t)
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	obj, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"v0a"`, `"198.51.100.77"`} {
		if !strings.Contains(string(obj.Status.CurrentState.Raw), want) {
			t.Errorf("the object does not show %s: %s", want, obj.Status.CurrentState.Raw)
		}
	}
}

// TestHasSeen: with NetworkManager, a read counts for a change only if it began while the change was being applied, and all that is
// desired holds in it.
func TestHasSeen(t *testing.T) {
	const desired, other = `{"hostname":{"running":"new"}}`, `{"hostname":{"running":"old"}}`
	for name, test := range map[string]struct {
		read, applied bool
		state         string
		want          bool
	}{
		"seen":                     {true, true, desired, true},
		"not applied yet":          {true, false, desired, false},
		"read before the change":   {false, true, desired, false},
		"read before it has taken": {true, true, other, false},
		"could not be read":        {true, true, "", false},
	} {
		h := &Host{}
		if test.state != "" {
			read, err := parseState(test.state, true)
			if err != nil {
				t.Fatal(err)
			}
			h.view.state = read
		}
		change := &underWay{asked: v1alpha1.NewState([]byte(desired)), read: test.read}
		if test.applied {
			change.appliedAt = time.Now()
		}
		if got := h.hasSeen(change); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// TestANetworkThatCannotBeReadIsReadAgain, although the kernel reports nothing: NetworkManager may be back.
func TestANetworkThatCannotBeReadIsReadAgain(t *testing.T) {
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendNetworkManager, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	reads, seen := 0, make(chan struct{})
	h.rounds = agent.NewRounds(func() (bool, error) {
		if reads++; reads > 2 { // the agent's first one, and a barrier's
			<-seen
			h.detector.choice = BackendKernel
		}
		return h.read()
	})
	run(t, h)
	awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionAvailable)
	})
	close(seen)
	awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionAvailable)
	})
}
