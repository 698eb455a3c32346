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

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/command"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// plugin runs the kubectl plugin, and returns what it prints and its exit code.
func (s *server) plugin(ctx context.Context, args ...string) (out, errs string, code fault.Code) {
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}
	code = command.Run(ctx, streams, "kubectl-nmstate", append(args, "--kubeconfig="+s.kubeconfig()))
	return stdout.String(), stderr.String(), code
}

// TestTop: rates of what the agents count, of many nodes and of some, and what is told of nodes that do not answer.
func TestTop(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.join("node2")
	s.awaitNodes(2)

	out, errs, code := s.plugin(t.Context(), "top", "--once", "--interval=1s", "-o", "json")
	var round struct {
		Time  time.Time
		Nodes []struct {
			Node       string
			Seconds    float64
			Interfaces []struct {
				Name     string
				Carrier  bool
				Counters v1alpha1.PortCounters
				Rates    struct{ RxBytes, TxPackets, RxDropped float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &round); err != nil || errs != "" || code != fault.Done || strings.Count(out, "\n") != 1 {
		t.Fatalf("%d %s %s %v", code, out, errs, err)
	}
	if len(round.Nodes) != 2 || round.Nodes[0].Node != "node1" || len(round.Nodes[0].Interfaces) != 1 || round.Time.IsZero() {
		t.Fatalf("%+v", round)
	}
	// A fake counts a thousand bytes from one read to the next.
	for _, n := range round.Nodes {
		i := n.Interfaces[0]
		bytes, packets := i.Rates.RxBytes*n.Seconds, i.Rates.TxPackets*n.Seconds
		if n.Seconds < 0.9 || math.Round(bytes) != 1000 || math.Round(1000*packets) != 1000 || !i.Carrier || i.Counters.RxBytes != 2000 {
			t.Errorf("%+v", n)
		}
	}

	for name, test := range map[string]struct {
		args     []string
		code     fault.Code
		has, err string
	}{
		"a table":        {[]string{"top", "--once", "--interval=1s"}, fault.Done, "NODE    INTERFACE   CARRIER", ""},
		"of one":         {[]string{"top", "--once", "--interval=1s", "node2", "-i", "lo"}, fault.Done, "lo          yes", ""},
		"of labels":      {[]string{"top", "--once", "--interval=1s", "-l", "kubernetes.io/hostname=node2"}, fault.Done, "lo ", ""},
		"of none":        {[]string{"top", "--once", "-l", "a=b"}, fault.Usage, "", "no node has labels"},
		"no such node":   {[]string{"top", "--once", "nod1"}, fault.Refused, "", "The nodes are node1, node2."},
		"no such link":   {[]string{"top", "--once", "-i", "eth9"}, fault.Usage, "", `there is no interface "eth9"`},
		"shown besides":  {[]string{"show", "node2"}, fault.Done, "lo     loopback   up      yes", ""},
		"and not in it":  {[]string{"show", "node2", "-o", "json"}, fault.Done, `"name": "lo"`, ""},
		"two intervals":  {[]string{"top", "--interval=10ms"}, fault.Usage, "", "at least 1s"},
		"no API server":  {[]string{"top", "--once", "--server=https://127.0.0.1:1"}, fault.Unreachable, "", "cannot be reached"},
		"interrupted it": {[]string{"top", "--once", "--interval=1h"}, fault.Interrupted, "", "interrupted"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), long)
		if test.code == fault.Interrupted {
			ctx, cancel = context.WithCancel(t.Context())
			context.AfterFunc(t.Context(), cancel)
			time.AfterFunc(time.Second, cancel) // as a user would
		}
		out, errs, code := s.plugin(ctx, test.args...)
		cancel()
		if code != test.code || !strings.Contains(out, test.has) || !strings.Contains(errs, test.err) || test.err == "" && errs != "" {
			t.Errorf("%s: %d\n%s%s", name, code, out, errs)
		}
	}

	node.disconnect()
	s.await("the node to be lost", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	out, errs, code = s.plugin(t.Context(), "top", "--once", "--interval=1s")
	if code != fault.Unreachable || !strings.Contains(out, "node2") || strings.Contains(out, "node1") || !strings.Contains(errs, "node1: ") || !strings.Contains(errs, "does its agent run?") {
		t.Errorf("with a node that is away: %d\n%s%s", code, out, errs)
	}
}
