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
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

var errCut = errors.New("no route to host")

// TestWhatConfirms: which answers count, before and after the change.
func TestWhatConfirms(t *testing.T) {
	type answer struct {
		testimony      agent.Testimony
		err            error
		there, answers bool
	}
	elsewhere := answer{testimony: agent.Testimony{Server: "s"}}
	outside := answer{testimony: agent.Testimony{Server: "s", SameHost: true, Outside: "kube-apiserver"}}
	gateway := answer{testimony: agent.Testimony{Server: "s", SameHost: true}, there: true, answers: true}
	silent := answer{testimony: agent.Testimony{Server: "s", SameHost: true}, there: true}
	alone := answer{testimony: agent.Testimony{Server: "s", SameHost: true}}
	cut := answer{err: errCut}
	for name, c := range map[string]struct {
		before, after answer
		mode          v1alpha1.ConfirmationMode
		witness       v1alpha1.Witness
		reason        string
	}{
		"elsewhere":             {before: elsewhere, after: elsewhere, witness: v1alpha1.WitnessAPIServer},
		"outside":               {before: outside, after: outside, witness: v1alpha1.WitnessKubeAPIServer},
		"gateway":               {before: gateway, after: gateway, witness: v1alpha1.WitnessGateway},
		"outsideThenGateway":    {before: outside, after: gateway, witness: v1alpha1.WitnessGateway},
		"takenOver":             {before: alone, after: elsewhere, witness: v1alpha1.WitnessAPIServer},
		"alone":                 {before: alone, after: alone, witness: v1alpha1.WitnessNothing},
		"silentGateway":         {before: silent, after: silent, witness: v1alpha1.WitnessNothing},
		"gatewayThenSilent":     {before: gateway, after: silent, reason: v1alpha1.ReasonNotConfirmed},
		"gatewayThenNone":       {before: gateway, after: alone, reason: v1alpha1.ReasonNotConfirmed},
		"elsewhereThenAlone":    {before: elsewhere, after: alone, reason: v1alpha1.ReasonNotConfirmed},
		"outsideThenAlone":      {before: outside, after: alone, reason: v1alpha1.ReasonNotConfirmed},
		"cut":                   {before: elsewhere, after: cut, reason: v1alpha1.ReasonNotConfirmed},
		"cutBefore":             {before: cut, after: elsewhere, reason: v1alpha1.ReasonNotReachable},
		"nobodyIsAsked":         {before: cut, after: cut, mode: v1alpha1.ConfirmNone},
		"gatewayOfAnotherNodes": {before: answer{testimony: elsewhere.testimony, there: true, answers: true}, after: gateway, witness: v1alpha1.WitnessGateway},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var applied atomic.Bool
			b.moments = func(moment Moment) {
				if moment == AfterApplied {
					applied.Store(true)
				}
			}
			now := func() answer {
				if applied.Load() {
					return c.after
				}
				return c.before
			}
			b.answer = func(q agent.Question) (agent.Testimony, error) {
				if q.Rehearsal == applied.Load() || q.Transaction != "c1" || len(q.StateHash) != 32 {
					t.Errorf("asked %+v", q)
				}
				return now().testimony, now().err
			}
			b.gateway = func() (bool, bool) { return now().there, now().answers }
			r, _ := b.open()
			change := b.change("c1")
			if c.mode != "" {
				change.Mode = c.mode
			}
			begun, err := r.Run(t.Context(), change)
			var known *agent.Error
			if errors.As(err, &known) != (c.reason != "") || known != nil && known.Reason != c.reason {
				t.Errorf("it ended with %v", err)
			}
			if begun != (c.reason != v1alpha1.ReasonNotReachable) {
				t.Errorf("begun: %v", begun)
			}
			if last := b.told(); last.ConfirmedBy != c.witness || c.witness == v1alpha1.WitnessNothing && last.Message == "" {
				t.Errorf("lastApply is %+v", last)
			}
			b.consistent(name)
			if c.reason == v1alpha1.ReasonNotConfirmed {
				if network := <-b.restored; network != oldState {
					t.Errorf("when the network was said to be put back it was %s", network)
				}
			} else if len(b.restored) > 0 {
				t.Error("the network is said to be put back")
			}
		})
	}
}

// TestProbes: what passed before must pass again, what did not is reported.
func TestProbes(t *testing.T) {
	no := false
	probes := []v1alpha1.Probe{{Name: "both"}, {Name: "after"}, {Name: "before"}, {Name: "optional", Required: &no}}
	for name, c := range map[string]struct {
		probes    []v1alpha1.Probe
		committed bool
	}{
		"requiredPasses":  {[]v1alpha1.Probe{probes[0], probes[1], probes[3]}, true},
		"requiredFails":   {probes, false},
		"none":            {nil, true},
		"passesInTheEnd":  {[]v1alpha1.Probe{{Name: "late"}}, true},
		"optionalTooLate": {[]v1alpha1.Probe{{Name: "before", Required: &no}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var applied atomic.Bool
			b.moments = func(moment Moment) {
				if moment == AfterApplied {
					applied.Store(true)
				}
			}
			tries := 0
			b.probe = func(probe v1alpha1.Probe) bool {
				switch probe.Name {
				case "before", "optional":
					return !applied.Load()
				case "after":
					return applied.Load()
				case "late":
					tries++
					return !applied.Load() || tries > 3
				}
				return true
			}
			r, _ := b.open()
			change := b.change("c1")
			change.Probes = c.probes
			_, err := r.Run(t.Context(), change)
			if (err == nil) != c.committed || err != nil && !strings.Contains(err.Error(), "probe before failed") {
				t.Errorf("it ended with %v", err)
			}
			last := b.told()
			if len(last.Probes) != len(c.probes) {
				t.Fatalf("the probes are %+v", last.Probes)
			}
			for _, result := range last.Probes {
				if result.Required != (result.Before == v1alpha1.ProbePassed && result.Name != "optional" && name != "optionalTooLate") || result.After == "" {
					t.Errorf("result %+v", result)
				}
			}
			b.consistent(name)
		})
	}
}

// TestTheDefaultProbe is the default gateway, where there is one.
func TestTheDefaultProbe(t *testing.T) {
	for _, there := range []bool{true, false} {
		b := newBench(t)
		b.gateway = func() (bool, bool) { return there, there }
		b.probe = func(probe v1alpha1.Probe) bool { return probe.Ping != nil && probe.Ping.Address == "" }
		r, _ := b.open()
		if _, err := r.Run(t.Context(), b.change("c1")); err != nil {
			t.Error(err)
		}
		last := b.told()
		if (len(last.Probes) == 1) != there || there && !last.Probes[0].Required {
			t.Errorf("with a gateway: %v; the probes are %+v", there, last.Probes)
		}
	}
}

// TestManualConfirmation: by id, refused, with a wrong id, twice, too late.
func TestManualConfirmation(t *testing.T) {
	for name, c := range map[string]struct {
		decide func(r *Runner) error
		state  string
		reason string
	}{
		"confirmed": {func(r *Runner) error {
			return r.Decide(context.Background(), agent.Decision{Transaction: "c1", Commit: true, User: "admin"})
		}, newState, ""},
		"refused": {func(r *Runner) error {
			return r.Decide(context.Background(), agent.Decision{Transaction: "c1", User: "admin"})
		}, oldState, v1alpha1.ReasonRefusedByUser},
		"wrongID": {func(r *Runner) error {
			if err := r.Decide(context.Background(), agent.Decision{Transaction: "c2", Commit: true}); agent.KindOf(err) != agent.Conflict || !strings.Contains(err.Error(), "c1") {
				return errors.New("a wrong id was accepted")
			}
			return nil
		}, oldState, v1alpha1.ReasonNotConfirmed},
		"stopped":      {func(r *Runner) error { r.Stop(); return nil }, oldState, v1alpha1.ReasonAgentStopped},
		"notConfirmed": {func(*Runner) error { return nil }, oldState, v1alpha1.ReasonNotConfirmed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r, _ := b.open()
			change := b.change("c1")
			change.Mode, change.Timeout = v1alpha1.ConfirmManually, 2*time.Second
			if name == "confirmed" || name == "refused" || name == "stopped" {
				change.Timeout = time.Minute
			}
			ended := make(chan error, 1)
			go func() {
				_, err := r.Run(t.Context(), change)
				ended <- err
			}()
			<-b.awaits
			if j, err := readJournal(b.dir); err != nil || !j.at.Awaiting || j.at.Story.ConfirmBefore == nil || b.read("record") != oldState {
				t.Errorf("while it waits the journal has %+v, %v, and the record %s", j.at, err, b.read("record"))
			}
			if err := c.decide(r); err != nil {
				t.Error(err)
			}
			if err := <-ended; (err == nil) != (c.state == newState) {
				t.Errorf("it ended with %v", err)
			}
			if state, last := b.consistent(name), b.told(); state != c.state || last.Reason != c.reason || last.ConfirmBefore != nil || (last.ConfirmedBy == v1alpha1.WitnessUser) != (state == newState) {
				t.Errorf("the state is %s, the story %+v", state, last)
			}
			if err := r.Decide(context.Background(), agent.Decision{Transaction: "c1", Commit: true}); agent.KindOf(err) != agent.Conflict {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// TestACrashWhileAUserIsAwaited is a rollback.
func TestACrashWhileAUserIsAwaited(t *testing.T) {
	b := newBench(t)
	r, _ := b.open()
	change := b.change("c1")
	change.Mode, change.Timeout = v1alpha1.ConfirmManually, time.Minute
	ended := make(chan error, 1)
	go func() {
		_, err := r.Run(t.Context(), change)
		ended <- err
	}()
	<-b.awaits
	left := b.crashed()
	next, _ := left.open()
	if err := next.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left.consistent("after the crash") != oldState || left.told().Reason != v1alpha1.ReasonAgentRestarted {
		t.Errorf("the story is %+v", left.told())
	}
	if err := r.Decide(t.Context(), agent.Decision{Transaction: "c1", Commit: true}); err != nil {
		t.Error(err)
	}
	<-ended
}
