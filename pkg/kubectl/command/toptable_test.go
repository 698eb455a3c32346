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
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/traffic"
)

// busy is a round of three nodes.
func busy() topRound {
	port := func(name string, carrier bool, speed int64, rates *traffic.Rates) traffic.Port {
		return traffic.Port{NetworkPort: v1alpha1.NetworkPort{Name: name, Carrier: carrier, Speed: speed}, Rates: rates}
	}
	return topRound{Nodes: []topNode{
		{Node: "node01", Seconds: 2, Interfaces: []traffic.Port{
			port("eth1", true, 25000, &traffic.Rates{RxBytes: 1.25e9, RxPackets: 812345, TxBytes: 999.4, TxPackets: 7, RxDropped: 0.5}),
			port("eth0", true, 1000, &traffic.Rates{RxBytes: 12, TxErrors: 40}),
			port("new0\x1b[2J", true, 2500, nil)}},
		{Node: "node02", Interfaces: []traffic.Port{}, Message: "the agent does not answer\x1b[2J"},
		{Node: "node03", Seconds: 2, Interfaces: []traffic.Port{port("eth0", false, 0, &traffic.Rates{})}},
	}}
}

func TestTopTable(t *testing.T) {
	var out bytes.Buffer
	for _, order := range topOrders {
		shown := &top{sortBy: order}
		out.WriteString(strings.Join(shown.lines(busy()), "\n") + "\n\n")
	}
	one := busy()
	one.Nodes = one.Nodes[2:]
	out.WriteString(strings.Join((&top{sortBy: sortByName}).lines(one), "\n") + "\n")
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("it commands the terminal: %q", out.String())
	}
	golden(t, "testdata/top.txt", out.String())
}

func TestQuantity(t *testing.T) {
	for number, want := range map[float64]string{
		0: "0", 0.01: "0.1", 0.5: "0.5", 1: "1", 7: "7", 9.96: "10", 12.4: "12", 999.4: "999", 999.5: "1k", 1.02: "1", 1500: "1.5k", 9960: "10k", 812345: "812k", 1.25e9: "1.2G", 3e15: "3000T",
	} {
		if got := quantity(number); got != want {
			t.Errorf("%v is shown as %s, not %s", number, got, want)
		}
	}
	for megabits, want := range map[int64]string{0: "", -1: "", 10: "10M", 100: "100M", 1000: "1G", 2500: "2.5G", 10000: "10G", 400000: "400G"} {
		if got := speed(megabits); got != want {
			t.Errorf("%d Mbit/s are shown as %s, not %s", megabits, got, want)
		}
	}
}

// TestScreen: lines are printed over, and neither wrap nor scroll.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, size: func() (int, int) { return 10, 5 }}
	s.draw([]string{"one", "two"})
	s.draw([]string{"0123456789abc", "two", "three", "four", "five", "six"})
	s.draw([]string{"last"})
	want := "\rone\x1b[K\n\rtwo\x1b[K\n\x1b[J" +
		"\x1b[2A\r012345678…\x1b[K\n\rtwo\x1b[K\n\rthree\x1b[K\n\rand 3 mor…\x1b[K\n\x1b[J" +
		"\x1b[4A\rlast\x1b[K\n\x1b[J"
	if out.String() != want {
		t.Errorf("it prints %q, want %q", out.String(), want)
	}
}

// TestTopKnowsInterfaces: a typo is no empty table.
func TestTopKnowsInterfaces(t *testing.T) {
	nodes := map[string]*v1alpha1.NodeNetworkPorts{"node01": {Ports: []v1alpha1.NetworkPort{{Name: "eth0"}, {Name: "lo"}}}, "node02": {Ports: []v1alpha1.NetworkPort{{Name: "eth1"}}}}
	if err := (&top{interfaces: []string{"eth1", "eth0"}}).known(nodes); err != nil {
		t.Error(err)
	}
	err := (&top{interfaces: []string{"eth9"}}).known(nodes)
	if fault.CodeOf(err) != fault.Usage || !strings.Contains(err.Error(), "The interfaces are eth0, eth1, lo.") {
		t.Errorf("%v", err)
	}
}
