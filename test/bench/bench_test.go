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

// Package bench measures what a user feels against what they would use instead:
// each pair in the same run, medians, printed as ratios, and whether each of the
// project's targets was met. Machines are shared and noisy, so nothing fails here.
package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

const bin = "../../_output/bin/"

// The benchmarks run in one network of their own, which is the node.
func TestMain(m *testing.M) {
	if folder := os.Getenv(onNode); folder != "" {
		if err := os.Chdir(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	netns.Main(m)
}

// start starts a program that ends with the benchmark, and returns its process.
func start(b *testing.B, name string, args ...string) *os.Process {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process
}

// site is a server and the folder of its state.
type site struct {
	dir        string
	agentsPort int
	// arguments are those of the server.
	arguments []string
	server    *os.Process
	config    *rest.Config
	rest      rest.Interface
	nns       typed.NodeNetworkStateInterface
}

// newSite starts a server, with further flags.
func newSite(b *testing.B, flags ...string) *site {
	b.Helper()
	s := &site{dir: b.TempDir(), agentsPort: port(b)}
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	// Some benchmarks read in a loop, more often than a node is read for its readers.
	s.arguments = append([]string{"--max-node-reads=0", "--standalone", "--state-dir", s.dir, "--kubeconfig-out", kubeconfig,
		"--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(port(b)),
		"--agent-bind-address", "127.0.0.1", "--agent-port", strconv.Itoa(s.agentsPort),
		"--max-nodes-per-source", "0"}, flags...)
	s.server = start(b, bin+"apiserver", s.arguments...)
	poll(b, func(context.Context) bool { _, err := os.Stat(kubeconfig); return err == nil })
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		b.Fatal(err)
	}
	config.QPS = -1
	s.config = config
	clients := clientsOf(b, config)
	s.rest = clients.NmstateV1alpha1().RESTClient()
	s.nns = clients.NmstateV1alpha1().NodeNetworkStates()
	return s
}

// clientsOf returns clients with that configuration.
func clientsOf(b *testing.B, config *rest.Config) versioned.Interface {
	b.Helper()
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	return clients
}

// agent starts the agent of this network as node "node".
func (s *site) agent(b *testing.B) *os.Process {
	b.Helper()
	return s.agentWith(b, "kernel")
}

// agentWith is agent with a backend.
func (s *site) agentWith(b *testing.B, backend string) *os.Process {
	b.Helper()
	agent := start(b, bin+"node-agent", "--node-name", "node", "--server", fmt.Sprintf("127.0.0.1:%d", s.agentsPort),
		"--ca-file", filepath.Join(s.dir, "ca.crt"), "--join-token-file", filepath.Join(s.dir, "join-token"),
		"--state-dir", filepath.Join(s.dir, "agent"), "--backend", backend)
	s.await(b, 1)
	return agent
}

func (s *site) await(b *testing.B, nodes int) {
	b.Helper()
	poll(b, func(ctx context.Context) bool {
		list, err := s.nns.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == nodes &&
			!slices.ContainsFunc(list.Items, func(n v1alpha1.NodeNetworkState) bool { return n.Status.CurrentState == nil })
	})
}

func poll(b *testing.B, done func(context.Context) bool) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), 20*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) { return done(ctx), nil })
	if err != nil {
		b.Fatal(err)
	}
}

// enough is how many samples a 99th percentile needs to be one.
const enough = 100

// target prints whether a target was met.
func target(met bool, format string, args ...any) {
	verdict := "MISS"
	if met {
		verdict = "PASS"
	}
	fmt.Println(verdict, fmt.Sprintf(format, args...))
}

// part is one of the things that are compared.
type part struct {
	form  string
	times samples
}

// compare records the times of things that do the same: the first is ours.
func compare(b *testing.B, what string, parts ...part) {
	b.Helper()
	for _, one := range parts {
		keep(b, measurement{Suite: "bench", What: what, Form: one.form}.of(one.times))
	}
}

// samples are the times of the runs of one thing.
type samples []time.Duration

func (s samples) at(quantile float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(float64(len(sorted))*quantile), len(sorted)-1)]
}

// interleave runs the things in turn, so that noise hits all alike.
func interleave(b *testing.B, rounds int, things ...func() error) []samples {
	b.Helper()
	result := make([]samples, len(things))
	for range rounds {
		for i, thing := range things {
			begin := time.Now()
			if err := thing(); err != nil {
				b.Fatal(err)
			}
			result[i] = append(result[i], time.Since(begin))
		}
	}
	return result
}

// makeVeths makes pairs of veths, from a1 and b1 on, that go with the benchmark.
func makeVeths(b *testing.B, pairs int) {
	b.Helper()
	batch := func(line string) {
		netns.Run(b, "sh", "-c", fmt.Sprintf("for i in $(seq %d); do echo %s; done | ip -batch -", pairs, line))
	}
	batch("link add a$i up type veth peer b$i")
	b.Cleanup(func() { batch("link del a$i") })
}

// BenchmarkGet compares a GET through the API with what reads the same node
// otherwise: nmstatectl, and the bare library. Nothing changes meanwhile, so the
// agent need not read; right after a change it has to.
func BenchmarkGet(b *testing.B) {
	for _, interfaces := range []int{3, 50, 500} {
		b.Run(fmt.Sprintf("interfaces=%d", interfaces), func(b *testing.B) {
			makeVeths(b, interfaces/2)
			b.Cleanup(func() { netns.Run(b, "ip", "addr", "flush", "dev", "lo", "to", "198.18.0.0/16") })
			s := newSite(b)
			s.agent(b)
			times := interleave(b, max(enough, 2000/interfaces),
				func() error { _, err := s.nns.Get(b.Context(), "node", metav1.GetOptions{}); return err },
				func() error { return exec.Command(nmstatectl, "show", "--kernel").Run() },
				func() error { _, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly); return err })
			get, command, library := times[0], times[1], times[2]
			fmt.Printf("GET, %d interfaces, %d samples: p50 %v, p99 %v; nmstatectl show p50 %v, ratio %.2f; library p50 %v, ratio %.2f, difference %v\n",
				interfaces, len(get), get.at(.5), get.at(.99), command.at(.5), ratio(get, command), library.at(.5), ratio(get, library), get.at(.5)-library.at(.5))
			compare(b, fmt.Sprintf("GET, kernel, %d interfaces", interfaces), part{"the API", get}, part{"nmstatectl show --kernel", command}, part{"the library", library})
			compareAfterChanges(b, s, interfaces)
			switch interfaces {
			case 3:
				target(ratio(get, command) <= .3, "GET p50 at 3 interfaces is %.2f of nmstatectl show (at most 0.3)", ratio(get, command))
			case 500:
				limit := time.Duration(1.05*float64(library.at(.5))) + 10*time.Millisecond
				target(get.at(.5) <= limit, "GET p50 at 500 interfaces is %v (at most 1.05 of the library call + 10 ms, %v)", get.at(.5), limit)
			}
		})
	}
}

// compareAfterChanges compares GETs right after a change with what reads the same node otherwise.
func compareAfterChanges(b *testing.B, s *site, interfaces int) {
	b.Helper()
	get := func() error { _, err := s.nns.Get(b.Context(), "node", metav1.GetOptions{}); return err }
	times := interleave(b, enough/2,
		func() error { return exec.Command(nmstatectl, "show", "--kernel").Run() },
		func() error { _, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly); return err },
		func() error {
			netns.Run(b, "ip", "addr", "replace", fmt.Sprintf("198.18.0.%d/32", 1+time.Now().UnixMicro()%250), "dev", "lo")
			return nil
		},
		get, get) // the second GET ends what the agent reads by itself after the change
	command, library, changed := times[0], times[1], times[3]
	fmt.Printf("GET right after a change, %d interfaces, %d samples: p50 %v; nmstatectl show ratio %.2f; library p50 %v, ratio %.2f\n",
		interfaces, len(changed), changed.at(.5), ratio(changed, command), library.at(.5), ratio(changed, library))
	compare(b, fmt.Sprintf("GET right after a change, kernel, %d interfaces", interfaces), part{"the API", changed}, part{"nmstatectl show --kernel", command}, part{"the library", library})
	targetAfter("a change", changed, library)
}

// targetAfter prints whether GETs right after something took little more than the library's call.
func targetAfter(what string, changed, library samples) {
	limit := time.Duration(1.05*float64(library.at(.5))) + 5*time.Millisecond
	target(changed.at(.5) <= limit, "right after %s it is %v (at most 1.05 of the library call + 5 ms, %v)", what, changed.at(.5), limit)
}

func ratio(a, b samples) float64 { return float64(a.at(.5)) / float64(b.at(.5)) }

// BenchmarkWatch measures from a change in the kernel to the watch's event, and
// compares with polling once a minute, whose median is half a minute.
func BenchmarkWatch(b *testing.B) {
	s := newSite(b)
	s.agent(b)
	w, err := s.nns.Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	<-w.ResultChan()
	var times samples
	for i := range enough {
		ip := fmt.Sprintf("198.18.0.%d", i+1)
		begin := time.Now()
		netns.Run(b, "ip", "addr", "add", ip+"/32", "dev", "lo")
		for event := range w.ResultChan() {
			obj, ok := event.Object.(*v1alpha1.NodeNetworkState)
			if ok && bytes.Contains(obj.Status.CurrentState.Raw, []byte(`"`+ip+`"`)) {
				break
			}
		}
		times = append(times, time.Since(begin))
		// Bursts are held back on purpose: one change every 1.1 s is none.
		time.Sleep(1100 * time.Millisecond)
	}
	compare(b, "from a change to the event of a watch", part{"the API", times})
	fmt.Printf("watch event after a change, %d samples: p50 %v, p99 %v; polled once a minute p50 30s, ratio %.4f\n",
		len(times), times.at(.5), times.at(.99), times.at(.5).Seconds()/30)
	target(times.at(.5) < 150*time.Millisecond, "a watch event comes p50 %v after the change (under 150 ms)", times.at(.5))
}

// BenchmarkList measures a LIST of a hundred agents of 20 kB each, and the memory
// of the server with them.
func BenchmarkList(b *testing.B) {
	const nodes = 100
	s := newSite(b)
	s.fakes(b, nodes, 20_000)
	times := interleave(b, enough,
		func() error { _, err := s.nns.List(b.Context(), metav1.ListOptions{}); return err },
		func() error { _, err := s.nns.List(b.Context(), metav1.ListOptions{ResourceVersion: "0"}); return err })
	fmt.Printf("LIST of %d agents of 20 kB, %d samples: live p50 %v, p99 %v; from the cache p50 %v, ratio %.2f; server %d MB resident\n",
		nodes, len(times[0]), times[0].at(.5), times[0].at(.99), times[1].at(.5), ratio(times[0], times[1]), residentMB(b, s.server))
}

// fakes starts agents in memory, each with a state of so many bytes, and returns when all are shown.
func (s *site) fakes(b *testing.B, nodes, bytes int) []*fake.Agent {
	b.Helper()
	agents := s.startFakes(b, nodes, func(int) string { return stateOf(bytes, 0) })
	s.await(b, nodes)
	return agents
}

// startFakes starts agents in memory, each with a state of its own.
func (s *site) startFakes(b *testing.B, nodes int, state func(node int) string) []*fake.Agent {
	b.Helper()
	poll(b, func(context.Context) bool { _, err := os.Stat(filepath.Join(s.dir, "join-token")); return err == nil })
	var links sync.WaitGroup
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	b.Cleanup(func() { cancel(); links.Wait() })
	agents := make([]*fake.Agent, nodes)
	for i := range agents {
		key := filepath.Join(s.dir, fmt.Sprint("key", i))
		if err := secretfile.Ensure(key); err != nil {
			b.Fatal(err)
		}
		agents[i] = fake.New()
		if err := agents[i].SetState(state(i)); err != nil {
			b.Fatal(err)
		}
		link := uplink.New(uplink.Config{
			Server: fmt.Sprintf("127.0.0.1:%d", s.agentsPort), CAFile: filepath.Join(s.dir, "ca.crt"),
			Credentials: uplink.Files{Token: filepath.Join(s.dir, "join-token"), NodeKey: key},
			Node:        fmt.Sprintf("node%03d", i), Agent: agents[i],
		})
		links.Go(func() { _ = link.Run(ctx) })
	}
	return agents
}

// stateOf returns version n of a state of so many bytes.
func stateOf(bytes, n int) string {
	return fmt.Sprintf(`{"interfaces":[{"name":"lo","type":"loopback","state":"up"}],"hostname":"%s%09d"}`, strings.Repeat("x", bytes), n)
}

// BenchmarkIdle measures the memory and the processor time of an idle agent.
func BenchmarkIdle(b *testing.B) {
	s := newSite(b)
	agent := s.agent(b)
	// An agent that has just started has some more to do: it gives free memory back after 15 s.
	const quiet, windows = 10 * time.Second, 3
	ticks := -1
	for range windows {
		before := processorTicks(b, agent)
		time.Sleep(quiet)
		if ticks = processorTicks(b, agent) - before; ticks == 0 {
			break
		}
	}
	resident := residentMB(b, agent)
	fmt.Printf("idle agent: %d MB resident, %d ticks of 10 ms in %v; server with it %d MB resident\n",
		resident, ticks, quiet, residentMB(b, s.server))
	target(ticks == 0, "an idle agent uses %d ticks of the processor in %v (none)", ticks, quiet)
	target(resident < 40, "an idle agent has %d MB resident (under 40 MB)", resident)
}

// residentMB is the memory that a process has now.
func residentMB(b *testing.B, p *os.Process) int { return memoryMB(b, p, "VmRSS:") }

// memoryMB reads the memory of a process from a line of proc(5), /proc/pid/status.
func memoryMB(b *testing.B, p *os.Process, line string) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), line)
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}

// processorTicks are user and system time (proc(5), /proc/pid/stat, fields 14 and 15).
func processorTicks(b *testing.B, p *os.Process) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return user + system
}
