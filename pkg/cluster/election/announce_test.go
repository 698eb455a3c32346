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

package election

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

func (a admin) createPod(name string, labels map[string]string) {
	a.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{NameLabel: NameValue}}}
	for key, value := range labels {
		pod.Labels[key] = value
	}
	_, err := a.CoreV1().Pods(namespace).Create(a.t.Context(), pod, metav1.CreateOptions{})
	a.must(err)
}

// patchPod is a merge patch by somebody else.
func (a admin) patchPod(name, patch string) {
	a.t.Helper()
	_, err := a.CoreV1().Pods(namespace).Patch(a.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	a.must(err)
}

const (
	labelOn  = `{"metadata":{"labels":{"nmstate.io/active":"true"}}}`
	labelOff = `{"metadata":{"labels":{"nmstate.io/active":null}}}`
)

func (g *group) hasLabel() []string {
	g.t.Helper()
	pods, err := g.admin.CoreV1().Pods(namespace).List(g.t.Context(), metav1.ListOptions{LabelSelector: ActiveLabel + "=true"})
	g.admin.must(err)
	var names []string
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name)
	}
	slices.Sort(names)
	return names
}

// labelled checks which pods have the label.
func (g *group) labelled(want ...string) {
	g.t.Helper()
	if got := g.hasLabel(); !slices.Equal(got, want) {
		g.t.Errorf("pods %v have the label, want %v", got, want)
	}
}

// goesLast checks which pod a rolling update is to delete last.
func (g *group) goesLast(want string) {
	g.t.Helper()
	pods, err := g.admin.CoreV1().Pods(namespace).List(g.t.Context(), metav1.ListOptions{})
	g.admin.must(err)
	for i := range pods.Items {
		cost, isCostly := pods.Items[i].Annotations[corev1.PodDeletionCost]
		if name := pods.Items[i].Name; isCostly != (name == want) || isCostly && cost != "1" {
			g.t.Errorf("pod %s has the deletion cost %q", name, cost)
		}
	}
}

func (g *group) announce(s *server) {
	g.t.Helper()
	if err := s.Announce(g.ctx); err != nil {
		g.t.Errorf("Announce: %v", err)
	}
}

func TestLabelMoves(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		// One that crashed has left its label behind.
		g.admin.createPod("old", map[string]string{ActiveLabel: "true"})
		g.admin.createPod("a", nil)
		g.admin.createPod("b", nil)
		a := g.start("a")
		g.awaitLeader(atOnce)
		b := g.start("b")
		synctest.Wait()
		if err := b.Announce(g.ctx); !errors.Is(err, ErrStandby) {
			t.Errorf("the standby announces: %v", err)
		}
		g.labelled("old")
		g.announce(a)
		g.labelled("a")
		g.goesLast("a")

		a.stop()
		g.awaitLeader(atOnce)
		g.labelled("a")
		g.announce(b)
		g.announce(b)
		g.labelled("b")
		g.goesLast("b")
		if err := a.Announce(g.ctx); !errors.Is(err, ErrStandby) {
			t.Errorf("after its term a announces: %v", err)
		}
	})
}

func TestLabelIsKept(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.createPod("a", nil)
		g.admin.createPod("b", nil)
		a := g.start("a")
		g.awaitLeader(atOnce)
		g.announce(a)
		for _, change := range []func(){
			func() { g.admin.patchPod("a", labelOff) },
			func() { g.admin.patchPod("a", `{"metadata":{"labels":{"nmstate.io/active":"maybe"}}}`) },
			func() { g.admin.patchPod("b", labelOn) },
			func() { g.admin.createPod("c", map[string]string{ActiveLabel: "true"}) },
		} {
			time.Sleep(aWhile)
			change()
			synctest.Wait()
			g.labelled("a")
		}
		// Neither does it take two to make an endless quarrel at full speed.
		a.client.ClearActions()
		for range 1000 {
			g.admin.patchPod("a", labelOff)
			time.Sleep(10 * time.Millisecond)
		}
		if got := a.client.count("patch", "pods"); got > 10*int(time.Second/labelInterval)+2*labelBurst {
			t.Errorf("the label was put back %d times in 10 s", got)
		}
		time.Sleep(time.Second)
		g.labelled("a")

		a.client.ClearActions()
		for range 100 {
			g.admin.patchPod("a", `{"metadata":{"annotations":{"unrelated":"`+time.Now().String()+`"}}}`)
			time.Sleep(time.Second)
		}
		if got := a.client.count("list", "pods"); got > 0 {
			t.Errorf("%d lists of pods whose labels are right", got)
		}
	})
}

// TestLabelIsTriedAgain: a failure delays it, and the others' pods do not hinder
// this one's.
func TestLabelIsTriedAgain(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.createPod("b", map[string]string{ActiveLabel: "true"})
		g.admin.createPod("a", nil)
		a := g.start("a")
		g.awaitLeader(atOnce)
		heals := time.Now().Add(30 * time.Second)
		a.client.intercept(func(action clienttesting.Action) error {
			patch, isPatch := action.(clienttesting.PatchAction)
			if isPatch && action.GetResource() == podResource && patch.GetName() == "b" && time.Now().Before(heals) {
				return errDown
			}
			return nil
		})
		soon, cancel := context.WithTimeout(g.ctx, 10*time.Second)
		defer cancel()
		if err := a.Announce(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Announce: %v", err)
		}
		g.labelled("a", "b")
		g.announce(a)
		g.labelled("a")
		if late := time.Since(heals); late < 0 || late > 2*time.Second {
			t.Errorf("announced %s after it could be", late)
		}
	})
}

// TestAnnounceWithoutItsPod: it waits for the pod, and for the term's end at the
// longest.
func TestAnnounceWithoutItsPod(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		g.awaitLeader(atOnce)
		result := make(chan error, 1)
		go func() { result <- a.Announce(g.ctx) }()
		time.Sleep(aWhile)
		select {
		case err := <-result:
			t.Fatalf("Announce: %v", err)
		default:
		}
		a.stop()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Announce: %v", err)
		}
		if err := g.awaitEnd(a, atOnce); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestNoPodNoLabel(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("")
		g.awaitLeader(atOnce)
		g.announce(a)
		a.stop()
		if err := g.awaitEnd(a, atOnce); err != nil {
			t.Errorf("Run: %v", err)
		}
		for _, action := range a.client.Actions() {
			if action.GetResource() == podResource {
				t.Errorf("%s pods", action.GetVerb())
			}
		}
	})
}

// TestLabelStaysUntilTheNextTerm: who loses the Lease leaves it to the next one.
func TestLabelStaysUntilTheNextTerm(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.createPod("a", nil)
		a := g.start("a")
		g.awaitLeader(atOnce)
		g.announce(a)
		g.admin.setLease(hold("thief"))
		if err := g.awaitEnd(a, atOnce); !errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
		g.labelled("a")
	})
}
