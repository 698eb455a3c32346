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

package nodenetworkstate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestTheSameAgainChangesNothing: an apply that asks for what is there leaves all as it is, also the time of the entry.
func TestTheSameAgainChangesNothing(t *testing.T) {
	m := newMerger(t)
	const state = `{interfaces: [{name: br1, type: linux-bridge, bridge: {port: []}, ipv4: {enabled: true, address: []}}], routes: {config: []}}`
	live := m.apply(t, m.apply(t, unmanaged(), "two", `{routes: {config: []}}`), "one", state)
	for i := range live.ManagedFields {
		live.ManagedFields[i].Time = &metav1.Time{Time: time.Unix(1e9, 0)}
	}
	now := m.apply(t, live, "one", state)
	if managers(now) != managers(live) || now.ManagedFields[0].Time.Unix() != 1e9 || now.ManagedFields[1].Time.Unix() != 1e9 {
		t.Errorf("managed fields were\n%s\nand are\n%s", managers(live), managers(now))
	}
	checkSpec(t, "the same again", now, state)
}

// TestTheSameAgainByAnyManager: the entry of the manager that applies the same again is not the last one. It stays where it is, with its time.
func TestTheSameAgainByAnyManager(t *testing.T) {
	m := newMerger(t)
	const state = `{interfaces: [{name: br1, type: linux-bridge, bridge: {port: []}}]}`
	live := m.apply(t, m.apply(t, unmanaged(), "one", state), "two", `{hostname: {config: node1}}`)
	for i := range live.ManagedFields {
		live.ManagedFields[i].Time = &metav1.Time{Time: time.Unix(1e9+int64(i), 0)}
	}
	now := m.apply(t, live, "one", state)
	if managers(now) != managers(live) || now.ManagedFields[0].Time.Unix() != 1e9 || now.ManagedFields[1].Time.Unix() != 1e9+1 {
		t.Errorf("managed fields were\n%s\nand are\n%s", managers(live), managers(now))
	}
}

// TestNullForAList: it is a value that leaves with its manager, and no empty list, which would take away what the node has.
func TestNullForAList(t *testing.T) {
	m := newMerger(t)
	const state = `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true, address: null}}]}`
	live := m.apply(t, unmanaged(), "one", state)
	live = m.apply(t, live, "two", `{routes: {config: []}}`)
	checkSpec(t, "beside another manager", live, `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true, address: null}}], routes: {config: []}}`)
	live = m.apply(t, live, "two", nil)
	checkSpec(t, "the other manager gives up", live, state)
	live = m.apply(t, live, "one", `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true}}]}`)
	checkSpec(t, "given up", live, `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true}}]}`)
	live = m.apply(t, m.apply(t, unmanaged(), "one", `{interfaces: null}`), "one", nil)
	checkSpec(t, "all given up", live, ``)
}

// TestNothingIsLeftOver: managers apply states at random. What a manager applies is there, null is nowhere, what nobody applies is
// gone, and nobody has a conflict by giving up.
func TestNothingIsLeftOver(t *testing.T) {
	m := newMerger(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 15))
		live := unmanaged()
		var story []string
		for range 8 {
			manager, state := fmt.Sprintf("m%d", random.IntN(3)), randomState(random, false)
			text, _ := json.Marshal(state)
			live = m.apply(t, live, manager, state)
			story = append(story, fmt.Sprintf("%s applied %s: %s", manager, text, live.Spec.DesiredState.Raw))
			got, err := decode(live.Spec.DesiredState)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			note(got, "", found)
			if len(found) > 0 || !contains(got, plainJSON(t, state)) {
				t.Fatalf("seed %d: something is null or lacks\n%s\n%s", seed, strings.Join(story, "\n"), managers(live))
			}
		}
		for _, i := range random.Perm(3) {
			now, err := m.tryApply(t, live, fmt.Sprintf("m%d", i), nil, false)
			if err != nil {
				t.Fatalf("seed %d: giving up: %v\n%s\n%s", seed, err, strings.Join(story, "\n"), managers(live))
			}
			live = now
		}
		if live.Spec.DesiredState != nil || len(live.ManagedFields) > 0 {
			t.Fatalf("seed %d: %s is left\n%s\n%s", seed, live.Spec.DesiredState.Raw, strings.Join(story, "\n"), managers(live))
		}
	}
}

// TestManagersLeaveEachOtherAlone: managers apply states at random, without force. Whatever another manager owns stays its own, and the
// same again changes nothing, whoever applies it. All have their entries in the same order: what is applied last decides it.
func TestManagersLeaveEachOtherAlone(t *testing.T) {
	m := newMerger(t)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 16))
		live, last := unmanaged(), map[string]any{}
		for range 8 {
			manager, state := fmt.Sprintf("m%d", random.IntN(3)), randomState(random, true).(map[string]any)
			state["hostname"] = map[string]any{"config": "node1"} // an empty state may lose its owner to one that has nothing but empty lists
			now, err := m.tryApply(t, live, manager, state, false)
			if apierrors.IsConflict(err) {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, entry := range live.ManagedFields {
				at := slices.IndexFunc(now.ManagedFields, claim{entry: entry}.isOf)
				if entry.Manager != manager && (at < 0 || now.ManagedFields[at].FieldsV1.GetRawString() != entry.FieldsV1.GetRawString()) {
					t.Fatalf("seed %d: %s had\n%s\nand %s leaves\n%s", seed, entry.Manager, managers(live), manager, managers(now))
				}
			}
			last[manager], live = state, now
		}
		for i := range live.ManagedFields {
			live.ManagedFields[i].Time = &metav1.Time{Time: time.Unix(1e9+int64(i), 0)}
		}
		for manager, state := range last {
			now, err := m.tryApply(t, live, manager, state, false)
			if err != nil || !v1alpha1.SameState(now.Spec.DesiredState, live.Spec.DesiredState) || !apiequality.Semantic.DeepEqual(now.ManagedFields, live.ManagedFields) {
				t.Fatalf("seed %d: %s applies the same again: %v\n%s\nbecomes\n%s", seed, manager, err, managers(live), managers(now))
			}
		}
	}
}

// plainJSON returns a value as it is decoded.
func plainJSON(t *testing.T, value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := decode(v1alpha1.NewState(text))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// contains tells whether a state has all that was applied: of a list each entry.
func contains(state, applied any) bool {
	switch want := applied.(type) {
	case map[string]any:
		is, ok := state.(map[string]any)
		for name, field := range want {
			ok = ok && contains(is[name], field)
		}
		return ok
	case []any:
		is, ok := state.([]any)
		for _, entry := range want {
			ok = ok && slices.ContainsFunc(is, func(other any) bool { return contains(other, entry) })
		}
		return ok
	}
	return fmt.Sprint(state) == fmt.Sprint(applied)
}

// randomState returns a state of few interfaces, ports, addresses and routes, so that managers meet. inOrder has all such states list them in
// the same order.
func randomState(random *rand.Rand, inOrder bool) any {
	maybe := func(fields map[string]any, name string, make func() any) {
		if random.IntN(2) == 0 {
			fields[name] = make()
		}
	}
	some := func(most int, make func(i int) any) []any {
		entries, chosen := []any{}, random.Perm(most)[:random.IntN(most+1)]
		if inOrder {
			slices.Sort(chosen)
		}
		for _, i := range chosen {
			entries = append(entries, make(i))
		}
		return entries
	}
	state := map[string]any{}
	maybe(state, "interfaces", func() any {
		return some(3, func(i int) any {
			one := map[string]any{"name": fmt.Sprint("eth", i), "type": "ethernet"}
			maybe(one, "mtu", func() any { return 1400 })
			maybe(one, "ipv4", func() any {
				ipv4 := map[string]any{}
				maybe(ipv4, "enabled", func() any { return true })
				maybe(ipv4, "address", func() any {
					return some(3, func(i int) any { return map[string]any{"ip": fmt.Sprint("192.0.2.", i), "prefix-length": 24} })
				})
				return ipv4
			})
			maybe(one, "bridge", func() any {
				return map[string]any{"port": some(3, func(i int) any { return map[string]any{"name": fmt.Sprint("p", i)} })}
			})
			maybe(one, "vrf", func() any { return map[string]any{"port": some(2, func(i int) any { return fmt.Sprint("p", i) })} })
			return one
		})
	})
	maybe(state, "routes", func() any {
		routes := map[string]any{}
		maybe(routes, "config", func() any {
			return some(3, func(i int) any { return map[string]any{"destination": "198.51.100.0/24", "metric": i} })
		})
		return routes
	})
	maybe(state, "dns-resolver", func() any {
		dns := map[string]any{}
		maybe(dns, "config", func() any { return map[string]any{} })
		return dns
	})
	return state
}
