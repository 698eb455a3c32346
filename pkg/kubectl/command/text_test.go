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
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/manifest"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/ownership"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	decoded, err := tree.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

const shownState = `{"interfaces":[
	{"name":"br1","type":"linux-bridge","state":"up","mtu":1500,"bridge":{"port":[{"name":"eth1"}]},"ipv4":{"enabled":true,"address":[{"ip":"198.51.100.1","prefix-length":24}]}},
	{"name":"eth1","type":"ethernet","state":"up","mtu":1500,"controller":"br1"}],
	"routes":{"config":[],"running":[{"destination":"0.0.0.0/0","next-hop-interface":"br1","next-hop-address":"198.51.100.254","metric":425,"table-id":254}]},
	"route-rules":{"config":[{"priority":7,"ip-to":"192.0.2.0/24","route-table":100}]},
	"dns-resolver":{"running":{"server":["192.0.2.53"],"search":["example.org"]}}}`

func TestShowTables(t *testing.T) {
	one, many, narrow := &bytes.Buffer{}, &bytes.Buffer{}, &bytes.Buffer{}
	node := shownNode{Node: "node01", State: object(t, shownState)}
	other := shownNode{Node: "node02", State: object(t, `{"interfaces":[{"name":"lo","type":"loopback","state":"up"}]}`)}
	for _, err := range []error{
		showTables(one, []shownNode{node}, true, nil), showTables(many, []shownNode{node, other}, false, nil), showTables(narrow, []shownNode{{Node: "node01", State: netstate.Narrow(node.State, []string{"eth1"})}}, true, []string{"eth1"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/show.txt", one.String()+"\n"+many.String()+"\n"+narrow.String())
}

// TestShowPorts: what the kernel tells has columns of its own, where there is something to tell.
func TestShowPorts(t *testing.T) {
	var out bytes.Buffer
	node := shownNode{Node: "node01", State: object(t, `{"interfaces":[
		{"name":"eth1","type":"ethernet","state":"up","mtu":9000},{"name":"eth2","type":"ethernet","state":"down"},
		{"name":"br1","type":"ovs-bridge","state":"up"},{"name":"br1","type":"ovs-interface","state":"up"}]}`)}
	node.ports = &v1alpha1.NodeNetworkPorts{Ports: []v1alpha1.NetworkPort{{Name: "eth1", Carrier: true, Speed: 25000}, {Name: "eth2"}, {Name: "br1", Carrier: true}}}
	other := shownNode{Node: "node02", State: object(t, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up"}]}`)}
	for range 2 {
		if err := showTables(&out, []shownNode{node, other}, false, nil); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
		node.ports.Ports[0].LLDP = &v1alpha1.PortLLDP{Neighbors: []v1alpha1.LLDPNeighbor{
			{SystemName: "leaf1\x1b[2J", ChassisID: "44:38:39:00:00:01", PortID: "swp7"}, {ChassisID: "44:38:39:00:00:02", PortID: "1/1"}}}
	}
	golden(t, "testdata/showports.txt", out.String())
}

// TestDifference: what dyff prints, without colours and as it is outside of a terminal.
func TestDifference(t *testing.T) {
	var out bytes.Buffer
	before := object(t, `{"interfaces":[{"name":"eth1","mtu":1500,"ipv4":{"address":[{"ip":"192.0.2.1","prefix-length":24}]}},{"name":"old","type":"dummy","state":"up"}],"routes":{"config":[{"destination":"198.18.0.0/15"}]}}`)
	after := object(t, `{"interfaces":[{"name":"eth1","mtu":9000,"ipv4":{"address":[{"ip":"192.0.2.2","prefix-length":24}]}},{"name":"old","type":"dummy","state":"absent"},{"name":"new","type":"vlan","vlan":{"id":7}}],"routes":{"config":[]}}`)
	if err := writeDifference(&out, before, after); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/difference.txt", out.String())
}

func TestProbes(t *testing.T) {
	probes, err := parseProbes([]string{"ping", "ping=192.0.2.1", "tcp=192.0.2.1:443", "http=https://a/?b=c", "dns=a.example", "dns=a@192.0.2.53", "node=node02"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tree.Encode(probes)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"ping-1","ping":{}},{"name":"ping-2","ping":{"address":"192.0.2.1"}},{"name":"tcp-3","tcp":{"address":"192.0.2.1:443"}},` +
		`{"http":{"url":"https://a/?b=c"},"name":"http-4"},{"dns":{"name":"a.example"},"name":"dns-5"},{"dns":{"name":"a","server":"192.0.2.53"},"name":"dns-6"},{"name":"node-7","node":{"name":"node02"}}]`
	if string(text) != want {
		t.Errorf("the probes are %s, want %s", text, want)
	}
}

// TestBody: the flags add to the manifest, and leave the rest of it alone.
func TestBody(t *testing.T) {
	for _, c := range []struct {
		flags            applying
		object, expected string
	}{
		{applying{}, `{"spec":{"desiredState":{"interfaces":[]}}}`, `{"spec":{"desiredState":{"interfaces":[]}}}`},
		{applying{confirm: "Manual", timeout: 2 * time.Minute, probes: []string{"ping"}}, `{"metadata":{"name":"a"}}`,
			`{"metadata":{"name":"a"},"spec":{"confirmation":{"mode":"Manual","timeout":"2m0s"},"probes":[{"name":"ping-1","ping":{}}]}}`},
		{applying{timeout: time.Minute, probes: []string{"ping"}}, `{"spec":{"confirmation":{"mode":"None"},"probes":[{"name":"x"}]}}`,
			`{"spec":{"confirmation":{"mode":"None","timeout":"1m0s"},"probes":[{"name":"x"},{"name":"ping-1","ping":{}}]}}`},
	} {
		got, err := c.flags.body(manifest.Target{Object: object(t, c.object)})
		if err != nil || string(got) != c.expected {
			t.Errorf("it is %s, %v, want %s", got, err, c.expected)
		}
	}
}

// TestBoard: off a terminal each step is a line; on a terminal the lines are printed over.
func TestBoard(t *testing.T) {
	var plain, rewritten bytes.Buffer
	for out, rewrite := range map[*bytes.Buffer]bool{&plain: false, &rewritten: true} {
		b := newBoard(out, rewrite, []string{"node01", "n2"})
		now := noon
		b.now, b.columns = func() time.Time { return now }, func() int { return 24 }
		b.report(change.Progress{Node: "node01", Stage: "Sending"})
		b.report(change.Progress{Node: "n2", Stage: "Waiting", Message: "another change\nby x"})
		now = now.Add(3 * time.Second)
		b.report(change.Progress{Node: "node01", Change: "1", Stage: "Confirming", Probes: []v1alpha1.ProbeResult{
			{Name: "a", Required: true, After: v1alpha1.ProbePassed}, {Name: "b", Required: true, After: v1alpha1.ProbeFailed}, {Name: "c"}}})
		b.report(change.Progress{Node: "node01", Change: "1", Stage: "Confirming"})
		b.end("node01", outcome(change.Result{LastApply: &v1alpha1.LastApply{ID: "1", Outcome: v1alpha1.ApplyCommitted, ConfirmedBy: v1alpha1.WitnessAPIServer}}, 1240*time.Millisecond))
		b.end("n2", outcome(change.Result{}, 0))
	}
	golden(t, "testdata/board.txt", plain.String())
	last := rewritten.String()[strings.LastIndex(rewritten.String(), "\x1b[2A"):]
	// The line of a change that has ended is whole, and is not printed over. The other one has as many columns as the terminal.
	want := "\x1b[2A\rnode01  Committed  in 1.2s  confirmed by APIServer  change 1\x1b[K\n\rn2      Waiting  3s  an…\x1b[K\n\x1b[1A\rn2      not changed\x1b[K\n"
	if last != want {
		t.Errorf("at last it prints %q, want %q", last, want)
	}
}

// TestOutcome: what is not known is not told as if it were.
func TestOutcome(t *testing.T) {
	applying := &v1alpha1.LastApply{ID: "1", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageApplying, ConfirmedBy: v1alpha1.WitnessAPIServer}
	for want, result := range map[string]change.Result{
		"nothing to change":  {Unchanged: true},
		"not changed":        {Error: &fault.Error{Code: fault.Refused}},
		"not known":          {Error: &fault.Error{Code: fault.Interrupted}},
		"Applying  change 1": {LastApply: applying, Error: &fault.Error{Code: fault.Interrupted}},
	} {
		if got := outcome(result, time.Second); got != want {
			t.Errorf("%+v is told as %q, want %q", result, got, want)
		}
	}
}

func entries() []v1alpha1.HistoryEntry {
	at := metav1.NewTime(noon)
	end := metav1.NewTime(noon.Add(2 * time.Second))
	revert := v1alpha1.NewState([]byte(`{"interfaces":[{"name":"br1","state":"absent"}]}`))
	about := v1alpha1.NewState([]byte(`{"interfaces":[{"name":"br1"}],"routes":{"config":[{}]},"dns-resolver":{}}`))
	last := func(id string, outcome v1alpha1.ApplyOutcome, reason string) v1alpha1.LastApply {
		return v1alpha1.LastApply{ID: id, User: "anna", Manager: "kubectl", StartTime: at, FinishTime: &end, Outcome: outcome, Reason: reason}
	}
	return []v1alpha1.HistoryEntry{
		{LastApply: last("aaaa1111-x", v1alpha1.ApplyRolledBack, "NotConfirmed"), Difference: about},
		{LastApply: last("bbbb2222-x", v1alpha1.ApplyCommitted, ""), Difference: about, Revert: revert},
		{LastApply: last("bbbb3333-x", v1alpha1.ApplyCommitted, "")},
	}
}

func TestHistoryTable(t *testing.T) {
	var out bytes.Buffer
	if err := historyTable(entries()).write(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/history.txt", out.String())
}

// TestBlameTable: a bridge and an internal interface of Open vSwitch have one name, and are told apart by their types.
func TestBlameTable(t *testing.T) {
	owners := []ownership.Owner{{Manager: "net", Operation: "Apply"}}
	var out strings.Builder
	if err := blameTable([]ownership.Item{
		{Kind: "interface", Name: "br0", Type: "ovs-bridge", Owners: owners},
		{Kind: "interface", Name: "br0", Type: "ovs-interface", Owners: owners},
		{Kind: "interface", Name: "eth1", Type: "ethernet"},
	}).write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"br0 (ovs-bridge)      net", "br0 (ovs-interface)   net", "eth1 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "(ethernet)") {
		t.Errorf("eth1 needs no type:\n%s", out.String())
	}
}

// TestUndone: which change is meant, and why one cannot be taken back.
func TestUndone(t *testing.T) {
	for _, c := range []struct{ id, want, wrong string }{
		{"", "bbbb2222-x", ""},
		{"bbbb2", "bbbb2222-x", ""},
		{"bbbb", "", `the ids of 2 changes begin with "bbbb"`},
		{"cccc", "", `no id that begins with "cccc"`},
		{"aaaa", "", "ended as RolledBack: nothing of it is in effect"},
		{"bbbb3", "", `The newest that can be: "kubectl nmstate undo node01 bbbb2222".`},
	} {
		entry, err := undone("node01", entries(), c.id)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v, want %q", c.id, err, c.wrong)
			}
		} else if err != nil || entry.ID != c.want {
			t.Errorf("%q: %+v, %v", c.id, entry, err)
		}
	}
	// The end of an undo is not what somebody means who gives no ID.
	ended := append([]v1alpha1.HistoryEntry{{LastApply: v1alpha1.LastApply{ID: "dddd", Manager: restManager, Outcome: v1alpha1.ApplyCommitted}}}, entries()...)
	if entry, err := undone("node01", ended, ""); err != nil || entry.ID != "bbbb2222-x" {
		t.Errorf("after an undo: %+v, %v", entry, err)
	}
	// Nor is it what is offered instead.
	ended[0].Revert = v1alpha1.NewState([]byte("{}"))
	if _, err := undone("node01", ended, "bbbb3"); err == nil || !strings.Contains(err.Error(), `"kubectl nmstate undo node01 bbbb2222"`) {
		t.Errorf("after an undo: %v", err)
	}
	// What a change that asked nothing of the network made of the spec is known.
	options := []v1alpha1.HistoryEntry{{LastApply: v1alpha1.LastApply{ID: "eeee", Outcome: v1alpha1.ApplyCommitted}, PreviousSpec: &v1alpha1.NodeNetworkStateSpec{}}}
	if entry, err := undone("node01", options, ""); err != nil || entry.ID != "eeee" {
		t.Errorf("of options: %+v, %v", entry, err)
	}
	if _, err := undone("node01", nil, ""); err == nil || !strings.Contains(err.Error(), "no change was committed") {
		t.Errorf("of none: %v", err)
	}
}

// TestAbout: a change is told by the names of what it is about.
func TestAbout(t *testing.T) {
	if got := about(entries()[0].Difference); got != "br1, routes" {
		t.Errorf("it is about %q", got)
	}
	many := v1alpha1.NewState([]byte(`{"interfaces":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"},{"name":"e"},{"name":"f"}],"hostname":{"config":"x"}}`))
	if got := about(many); got != "a, b, c, d, e, and 2 more" {
		t.Errorf("it is about %q", got)
	}
	if got := about(nil); got != "" {
		t.Errorf("it is about %q", got)
	}
}

func lineTexts(lines []told) []string {
	var texts []string
	for _, line := range lines {
		texts = append(texts, line.text())
	}
	return slices.Clip(texts)
}

// TestSafe: what a node sends does nothing to the terminal.
func TestSafe(t *testing.T) {
	const evil = "eth0\x1b]0;title\x07\u009b2J\r\n"
	var out bytes.Buffer
	rows := &table{alone: true}
	rows.add("", "NAME")
	rows.add("", evil)
	if err := rows.write(&out); err != nil {
		t.Fatal(err)
	}
	if err := writeDifference(&out, map[string]any{"a": evil}, map[string]any{"a": "b" + evil, evil: []any{evil}}); err != nil {
		t.Fatal(err)
	}
	printError(&out, &fault.Error{Message: evil})
	out.WriteString(told{Change: netstate.Change{Name: evil}}.text())
	if strings.ContainsFunc(out.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("it prints %q", out.String())
	}
}

// TestWaitingOf: which change is meant, and which ones wait if none is.
func TestWaitingOf(t *testing.T) {
	on := func(node, id string, waits bool) v1alpha1.NodeNetworkState {
		object := v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: node}}
		object.Status.LastApply = &v1alpha1.LastApply{ID: id, Outcome: v1alpha1.ApplyCommitted}
		if waits {
			object.Status.LastApply.Outcome, object.Status.LastApply.ConfirmBefore = v1alpha1.ApplyInProgress, &metav1.Time{Time: noon}
		}
		return object
	}
	objects := []v1alpha1.NodeNetworkState{{}, on("a", "1111-x", true), on("b", "1122-x", true), on("c", "2222-x", false)}
	for id, want := range map[string]string{
		"1111": "a", "1122-x": "b", "11": `the ids of 2 changes begin with "11"`, "22": "change 2222-x of c does not wait for a confirmation: it is Committed",
		"33": "These do: 1111-x of a, 1122-x of b.",
	} {
		object, err := waitingOf(objects, id)
		switch {
		case object != nil && object.Name != want, object == nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, %v, want %s", id, object, err, want)
		}
	}
}

// TestInterfacesAre: a long list of interfaces is cut, so that the error above it is still to be seen.
func TestInterfacesAre(t *testing.T) {
	if got, want := interfacesAre([]string{"eth1", "eth0", "eth1"}), "The interfaces are eth0, eth1."; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("veth%03d", i))
	}
	if got := interfacesAre(many); !strings.HasSuffix(got, "veth019 and 280 more.") || len(got) > 250 {
		t.Errorf("it is %q", got)
	}
}
