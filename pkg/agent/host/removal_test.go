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
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// union is a state with all that two lists of sections say.
func union(t *testing.T, lists ...string) string {
	t.Helper()
	state := map[string]any{}
	for _, list := range lists {
		root, err := tree.Decode([]byte("{" + list + "}"))
		if err != nil {
			t.Fatalf("%v: %s", err, list)
		}
		for section, value := range root {
			switch has := state[section].(type) {
			case nil:
				state[section] = value
			case []any:
				state[section] = withInterfaces(has, tree.Items(value))
			default:
				t.Fatalf("both have %s", section)
			}
		}
	}
	text, err := tree.Encode(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withInterfaces(has, more []any) []any {
	for _, item := range more {
		at := slices.IndexFunc(has, func(one any) bool { return tree.Object(one)["name"] == tree.Object(item)["name"] })
		if at < 0 {
			has = append(has, item)
			continue
		}
		for name, value := range tree.Object(item) {
			tree.Object(has[at])[name] = value
		}
	}
	return has
}

// removing returns the change to a state that has what leaves taken away.
func removing(t *testing.T, h *Host, state string) agent.Change {
	t.Helper()
	change := desire(t, h, state)
	change.Object.Spec.Removal = v1alpha1.RemovalRevert
	return change
}

// run has something come into the spec, and leave it: then the node is as it was.
func (one removalCase) run(t *testing.T, h *Host, picture func(*testing.T) string) {
	must := func(change agent.Change) *v1alpha1.NodeNetworkState {
		t.Helper()
		obj, err := h.Apply(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
	if one.there != "" {
		must(desire(t, h, "{"+one.there+"}"))
		must(desire(t, h, "{}")) // it stays, and nobody tells that it was ever in the spec
	}
	for _, command := range one.commands {
		netns.Run(t, "sh", "-c", command)
	}
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	stays := union(t, one.stays)
	if one.stays != "" {
		must(desire(t, h, stays))
	}
	before := picture(t)
	must(desire(t, h, union(t, one.stays, one.comes)))
	came := picture(t)
	if came == before {
		t.Fatal("what comes changes nothing")
	}
	plan, err := h.Validate(t.Context(), removing(t, h, stays))
	if err != nil {
		t.Fatal(err)
	}
	if difference := plan.Object.Status.Difference; difference == nil || !strings.Contains(string(difference.Raw), one.dry) {
		t.Errorf("a dry run does not show %s: %+v", one.dry, difference)
	}
	if now := picture(t); now != came {
		t.Errorf("a dry run changes\n%s", changed(came, now))
	}
	obj := must(removing(t, h, stays))
	if now := picture(t); now != before {
		t.Errorf("this is not as it was:\n%s", changed(before, now))
	}
	if obj.Status.Difference != nil {
		t.Errorf("the difference is %s", obj.Status.Difference.Raw)
	}
}

// passing is what comes and goes by itself: the addresses that the kernel gives each link that has a carrier, and a link's number,
// if it is made again.
var passing = regexp.MustCompile(`(?m)^.* inet6 fe80:.*\n|^[0-9]+: `)

// metrics are those that NetworkManager chooses whenever it activates a device.
var metrics = regexp.MustCompile(` metric 1[0-9][0-9]\b`)

// removalPicture is nodePicture with the kernel's routes, and without what comes and goes by itself.
func removalPicture(t *testing.T) string {
	t.Helper()
	return passing.ReplaceAllString(nodePicture(t), "") + metrics.ReplaceAllString(netns.Run(t, "ip", "route"), "")
}

// namesOfProfiles are the interfaces for which NetworkManager has profiles on the disk.
func namesOfProfiles(t *testing.T) string {
	t.Helper()
	lines := slices.DeleteFunc(strings.Split(profiles(t), "\n"), func(line string) bool { return !strings.HasPrefix(line, "interface-name=") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// ethernets makes eth1 to eth3.
func ethernets(t *testing.T) {
	t.Helper()
	for i, name := range []string{"eth1", "eth2", "eth3"} {
		netns.Run(t, "ip", "link", "add", name, "address", "02:00:00:00:01:0"+string(rune('1'+i)), "type", "veth", "peer", "name", "p"+name)
		netns.Run(t, "ip", "link", "set", name, "up")
		netns.Run(t, "ip", "link", "set", "p"+name, "up")
	}
}

// TestWhatLeavesIsTakenAway, and the node is as it was before it came.
func TestWhatLeavesIsTakenAway(t *testing.T) {
	for _, one := range removalCases() {
		t.Run(one.name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			ethernets(t)
			t.Cleanup(func() {
				_ = exec.Command("sh", "-c", "ip rule flush; ip rule add priority 32766 table main; ip rule add priority 32767 table default").Run()
			})
			one.run(t, h, removalPicture)
		})
	}
}

// TestManagedWhatLeavesIsTakenAway does the same with NetworkManager.
func TestManagedWhatLeavesIsTakenAway(t *testing.T) {
	for _, one := range removalCases() {
		if one.kernelOnly {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			h := newManagedHost(t, t.TempDir())
			forgetProfiles(t)
			t.Cleanup(func() { forgetProfiles(t) })
			one.run(t, h, func(t *testing.T) string {
				if one.keepsProfile {
					return removalPicture(t)
				}
				return removalPicture(t) + namesOfProfiles(t)
			})
		})
	}
}
