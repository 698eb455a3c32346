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

package command

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// The kinds of lines that are about no part of a state.
const (
	kindNode      netstate.Kind = "node"
	kindChange    netstate.Kind = "change"
	kindCondition netstate.Kind = "condition"
)

// told is one line about what has changed on a node.
type told struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	netstate.Change
	By *author `json:"by,omitempty"`
}

// author is who has changed something.
type author struct {
	// Origin is "api" for a change through this API, else "outside".
	Origin  string `json:"origin"`
	Change  string `json:"change,omitempty"`
	User    string `json:"user,omitempty"`
	Manager string `json:"manager,omitempty"`
}

// text returns the line as people read it.
func (t told) text() string {
	parts := []string{t.Time.Local().Format(time.TimeOnly), t.Node, strings.TrimSpace(string(t.Kind) + " " + t.Name)}
	value := func(text string) string {
		if text == "" {
			return "-"
		}
		return text
	}
	text := value(t.Before) + " → " + value(t.After)
	if t.Field != "" {
		text = t.Field + ": " + text
	}
	parts = append(parts, text)
	if t.By != nil {
		by := "outside"
		if t.By.Origin == "api" {
			by = strings.TrimSuffix(fmt.Sprintf("by change %s of %s", shortID(t.By.Change), t.By.User), " of ")
		}
		parts = append(parts, "("+by+")")
	}
	return safe(strings.Join(parts, "  "))
}

// shortID is enough of a change's id to tell it from the others of a node.
func shortID(id string) string {
	if i := strings.IndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}

// teller tells what has changed from event to event.
type teller struct {
	begun time.Time
	// states are the last ones that were seen of the nodes: a node that cannot be asked has none in its object.
	states map[string]map[string]any
	// idle are the last objects that were seen with no change under way.
	idle map[string]*v1alpha1.NodeNetworkState
	now  func() time.Time
	any  bool
}

func newTeller(begun time.Time) *teller {
	return &teller{begun: begun, states: map[string]map[string]any{}, idle: map[string]*v1alpha1.NodeNetworkState{}, now: time.Now}
}

// known tells whether any node was seen.
func (t *teller) known() bool { return t.any }

// tell returns the lines of an event. The first object of a node has none, unless the node is new.
func (t *teller) tell(event change.Event) []told {
	t.any = true
	node, lines := "", []netstate.Change(nil)
	switch old, now := event.Old, event.New; {
	case now == nil:
		node = old.Name
		delete(t.states, node)
		delete(t.idle, node)
		lines = []netstate.Change{{Kind: kindNode, Before: "present"}}
	case old == nil:
		node = now.Name
		t.take(now)
		t.conditionLines(now, now)
		if now.CreationTimestamp.After(t.begun) {
			lines = []netstate.Change{{Kind: kindNode, After: "present"}}
		}
	default:
		node = now.Name
		lines = append(applyLines(old, now), t.conditionLines(old, now)...)
		before, known := t.states[node]
		if t.take(now) && known {
			return append(t.lines(node, lines, nil), t.lines(node, netstate.Changes(before, t.states[node]), authorOf(old, now))...)
		}
	}
	return t.lines(node, lines, nil)
}

// take keeps the state of an object, and tells whether it has one.
func (t *teller) take(object *v1alpha1.NodeNetworkState) bool {
	state, err := decode(object.Status.CurrentState)
	if err != nil || state == nil {
		return false
	}
	t.states[object.Name] = state
	return true
}

func (t *teller) lines(node string, changes []netstate.Change, by *author) []told {
	var lines []told
	for _, one := range changes {
		lines = append(lines, told{Time: t.now(), Node: node, Change: one, By: by})
	}
	return lines
}

// authorOf tells who has changed what differs between two objects: the change that was under way in between, if there was one.
func authorOf(old, now *v1alpha1.NodeNetworkState) *author {
	before, last := old.Status.LastApply, now.Status.LastApply
	if last == nil {
		return &author{Origin: "outside"}
	}
	under := last.Outcome == v1alpha1.ApplyInProgress
	if under || before == nil || before.ID != last.ID || before.Outcome != last.Outcome {
		return &author{Origin: "api", Change: last.ID, User: last.User, Manager: last.Manager}
	}
	return &author{Origin: "outside"}
}

// applyLines tell how a change through the API goes: that it has begun, that it waits, and how it has ended.
func applyLines(old, now *v1alpha1.NodeNetworkState) []netstate.Change {
	before, last := old.Status.LastApply, now.Status.LastApply
	if last == nil {
		return nil
	}
	is := func(last *v1alpha1.LastApply) string {
		switch {
		case last == nil:
			return ""
		case last.Outcome == v1alpha1.ApplyInProgress && last.ConfirmBefore != nil:
			return string(v1alpha1.StageAwaitingConfirmation)
		case last.Reason != "":
			return fmt.Sprintf("%s (%s)", last.Outcome, last.Reason)
		}
		return string(last.Outcome)
	}
	was := ""
	if before != nil && before.ID == last.ID {
		was = is(before)
	}
	if is(last) == was {
		return nil
	}
	name := shortID(last.ID)
	if last.User != "" {
		name += " of " + last.User
	}
	return []netstate.Change{{Kind: kindChange, Name: name, Before: was, After: is(last)}}
}

// conditionLines tell which conditions have changed. That a change is under way its own lines tell; the network differs from one of both specs
// then, so whether it is in sync counts when the change has ended.
func (t *teller) conditionLines(old, now *v1alpha1.NodeNetworkState) []netstate.Change {
	var lines []netstate.Change
	underWay := apimeta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionProgressing)
	for _, kind := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync, v1alpha1.ConditionFailing} {
		text := func(object *v1alpha1.NodeNetworkState) (string, metav1.ConditionStatus) {
			c := apimeta.FindStatusCondition(object.Status.Conditions, kind)
			if c == nil {
				return "", ""
			}
			return fmt.Sprintf("%s (%s)", c.Status, c.Reason), c.Status
		}
		since := old
		if kind == v1alpha1.ConditionInSync {
			if underWay {
				continue
			}
			since = cmp.Or(t.idle[now.Name], old)
		}
		before, was := text(since)
		after, is := text(now)
		if was != is {
			lines = append(lines, netstate.Change{Kind: kindCondition, Name: kind, Before: before, After: after})
		}
	}
	if !underWay {
		t.idle[now.Name] = now
	}
	return lines
}
