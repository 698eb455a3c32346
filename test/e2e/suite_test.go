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

// Package e2e runs the real binaries on real nodes and uses them as people do:
// with kubectl and client-go. The specs are the same for either form:
//
//	go test ./test/e2e                 a demo of the suite's own, which stands beside one that may be running
//	go test ./test/e2e -form=cluster   a cluster that runs already (make cluster-up cluster-sync)
//
// Ginkgo's flags narrow a run down: -ginkgo.focus, -ginkgo.label-filter, -ginkgo.v.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// long is how long anything may take that does not wait for nmstate.
const long = 60 * time.Second

var (
	form       = flag.String("form", "standalone", "which form to test: standalone or cluster")
	rounds     = flag.Int("rounds", 9, "how many faults the storm has, with -form=cluster, and as many rollouts")
	whole      = flag.Bool("whole", false, "make all changes that cut a node off, all faults in the midst of a change, and five times as many reads right after changes, not only a sample")
	kills      = flag.Int("kills", 4, "how many times an agent is killed in the midst of a change, for each backend and way")
	powerCuts  = flag.Int("power-cuts", 2, "how many times a node's power fails in the midst of a change, for each backend")
	prefix     = flag.String("prefix", "e2e-", "what the names of the suite's own demo begin with, its folder's in _output included: with others, and another port, suites run side by side")
	port       = flag.Int("port", 17443, "port of the suite's own demo, which uses the next one, too")
	kubeconfig = flag.String("kubeconfig", "", "way into the cluster, with -form=cluster; default $CLUSTER_DIR/kubeconfig")
)

// suite is what the specs share. It is made before them, and does not change.
type suite struct {
	environment
	root string
}

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	klog.SetLogger(GinkgoLogr)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{root: root}
	switch *form {
	case "standalone":
		s.environment = newStandalone(root)
	case "cluster":
		s.environment = newCluster(root, *kubeconfig)
	default:
		t.Fatalf("there is no form %q: it is standalone or cluster", *form)
	}
	BeforeSuite(func(ctx SpecContext) { Expect(s.start(ctx)).To(Succeed()) }, NodeTimeout(5*time.Minute))
	AfterSuite(func(ctx SpecContext) { Expect(s.stop(ctx)).To(Succeed()) }, NodeTimeout(2*time.Minute))
	Describe("NodeNetworkStates", Label(*form), s.specs)
	ReportAfterSuite("by label", func(report Report) { fmt.Println(byLabel(report) + undoings(report) + failures(report)) })
	RunSpecs(t, "NodeNetworkStates, "+*form)
}

// specs are in an order that saves time: a change of node02 that takes two
// minutes goes on while others are tested on the other nodes.
func (s *suite) specs() {
	ReportAfterEach(func(ctx SpecContext, report SpecReport) {
		if report.Failed() {
			AddReportEntry("logs", s.logs(ctx, report.StartTime), ReportEntryVisibilityFailureOrVerbose)
		}
	})

	slow := &slowApply{suite: s, node: "node02"}
	Describe("an apply that takes long", slow.beginSpecs)
	Describe("states", s.stateSpecs)
	Describe("failures", s.failureSpecs)
	Describe("writers", s.writerSpecs)
	Describe("ownership", s.ownershipSpecs)
	Describe("kubectl", s.kubectlSpecs)
	Describe("the plugin", s.pluginSpecs)
	Describe("an apply that takes long, in the end", slow.endSpecs)
	Describe("examples", s.exampleSpecs)
	Describe("reads", s.readSpecs)
	Describe("ports", s.portSpecs)
	Describe("metrics", s.metricsSpecs)
	Describe("slow reads", s.slowReadSpecs)
	Describe("outages", s.outageSpecs)
	Describe("cut off", s.cutSpecs)
	Describe("a change that a user is to confirm", s.manualSpecs)
	Describe("faults", s.faultSpecs)
	Describe("the demo", s.demoSpecs)
	if server, ok := s.environment.(*standalone); ok {
		Describe("alerts", s.alertSpecs)
		Describe("joining", joining{s, server}.specs)
	}
	if c, ok := s.environment.(*cluster); ok {
		Describe("in a cluster", inCluster{s, c}.specs)
	}
}

// node is a node of the environment.
type node struct {
	name    string
	backend v1alpha1.Backend
}

// witness is what must answer for a change of a node to be confirmed: the active server, or if that is on the node itself
// something outside.
type witness struct {
	// address is where the node's packets to it go in the end, and beside one of its network that nobody has.
	address, beside string
	// node is where it is, empty for the hub, and link is its way to the nodes' management links.
	node, link string
}

// environment is a system that runs, in one of its forms. Specs know no more of it.
type environment interface {
	// start returns once the agents of all nodes are connected; stop takes away what start has made.
	start(ctx context.Context) error
	stop(ctx context.Context) error
	kubeconfig() string
	nodes() []node
	// on runs a command in a node and returns what it prints.
	on(ctx context.Context, node string, args ...string) (string, error)
	// hub runs a shell command in the network that the nodes are plugged into.
	hub(ctx context.Context, command string) (string, error)
	// shell returns a shell in a node, which ends with ctx.
	shell(ctx context.Context, node string) (*shell, error)
	// killAgent ends a node's agent as a crash would; it stays away until startAgent.
	killAgent(ctx context.Context, node string) error
	startAgent(ctx context.Context, node string) error
	// killServer ends the server that serves as a crash would. startServer sees to it that there is
	// one again, within outage.
	killServer(ctx context.Context) error
	startServer(ctx context.Context) error
	outage() time.Duration
	// metrics returns what the server that serves tells Prometheus.
	metrics(ctx context.Context) (string, error)
	// logs returns what was logged since then.
	logs(ctx context.Context, since time.Time) string
	// agentLog returns the log of a node's agent, and the time zone of its times.
	agentLog(ctx context.Context, node string) (string, *time.Location, error)
	// witness returns what must answer for a change of a node to be confirmed.
	witness(ctx context.Context, node string) (witness, error)
	// renew makes a node anew, and perhaps others.
	renew(ctx context.Context, node string) error
}

// oneOfEach returns a node of each backend that the form has.
func (s *suite) oneOfEach() []node {
	var result []node
	for _, n := range s.nodes() {
		if !slices.ContainsFunc(result, func(have node) bool { return have.backend == n.backend }) {
			result = append(result, n)
		}
	}
	return result
}

// kernelOnly skips a spec, visibly, unless the form has such a node, which it returns.
func (s *suite) kernelOnly() string {
	GinkgoHelper()
	for _, n := range s.nodes() {
		if n.backend == v1alpha1.BackendKernel {
			return n.name
		}
	}
	Skip("no node of this form has the kernel alone")
	return ""
}

// byLabel tells how many specs of each label ran, and which did not, and why.
func byLabel(report Report) string {
	type count struct{ passed, failed, left int }
	counts := map[string]*count{}
	var left []string
	for _, spec := range report.SpecReports {
		if spec.LeafNodeType != types.NodeTypeIt {
			continue
		}
		for _, label := range append(spec.Labels(), "all") {
			if counts[label] == nil {
				counts[label] = &count{}
			}
			switch {
			case spec.Failed():
				counts[label].failed++
			case spec.State.Is(types.SpecStatePassed):
				counts[label].passed++
			default:
				counts[label].left++
			}
		}
		if spec.State.Is(types.SpecStateSkipped|types.SpecStatePending) && spec.Failure.Message != "" {
			left = append(left, fmt.Sprintf("  left out: %s: %s", spec.FullText(), spec.Failure.Message))
		}
	}
	var lines []string
	for label, c := range counts {
		lines = append(lines, fmt.Sprintf("  %-16s %3d passed, %d failed, %d left out", label, c.passed, c.failed, c.left))
	}
	slices.Sort(lines)
	return "\nspecs by label:\n" + strings.Join(append(lines, left...), "\n")
}

// failures says again what failed and why, in short: much is printed after it.
func failures(report Report) string {
	const most = 1000
	var lines []string
	for _, spec := range report.SpecReports {
		if spec.Failed() {
			why := spec.FailureMessage()
			lines = append(lines, fmt.Sprintf("\nfailed at %s: %s\n%s", spec.FailureLocation().String(), spec.FullText(), why[:min(most, len(why))]))
		}
	}
	return strings.Join(lines, "\n")
}
