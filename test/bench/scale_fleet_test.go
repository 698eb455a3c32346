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

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

const (
	// scaleInterfaces is how many interfaces a simulated node has: a state has 20 kB then.
	scaleInterfaces = 18
	// hung is which share of the agents can hang: one in so many.
	hung = 100
	// batches is in how many parts all agents are updated.
	batches = 10
	// settled is how long agents may take to be there.
	settled = 5 * time.Minute
)

// nodeName returns the name of a simulated node.
func nodeName(i int) string { return fmt.Sprintf("node%05d", i) }

// simulated are agents in this process, each with a network in memory and a connection of its own.
type simulated struct {
	site    *site
	agents  []*fake.Agent
	configs []uplink.Config
	// states are the states of the nodes, with a mark where the text goes that changes.
	states []string
	links  []*link
	// relay is what the connections of those agents go through that can hang.
	relay *relay
}

// link is a running uplink.
type link struct {
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// simulate returns agents that have not joined yet, of a standalone server.
func (s *site) simulate(b *testing.B, nodes int) *simulated {
	b.Helper()
	keys := make([]uplink.Files, nodes)
	for i := range keys {
		keys[i] = uplink.Files{Token: filepath.Join(s.dir, "join-token"), NodeKey: filepath.Join(s.dir, fmt.Sprint("key", i))}
		if err := secretfile.Ensure(keys[i].NodeKey); err != nil {
			b.Fatal(err)
		}
	}
	return s.simulateWith(b, filepath.Join(s.dir, "ca.crt"), "", keys)
}

// simulateWith returns agents that have not joined yet, one for each of the credentials.
func (s *site) simulateWith(b *testing.B, ca, serverName string, credentials []uplink.Files) *simulated {
	b.Helper()
	server := fmt.Sprintf("127.0.0.1:%d", s.agentsPort)
	f := &simulated{site: s, relay: newRelay(b, server)}
	for i, own := range credentials {
		a := fake.New()
		config := uplink.Config{Server: server, ServerName: serverName, CAFile: ca, Credentials: own, Node: nodeName(i), Agent: a}
		if i%hung == hung-1 {
			config.Server = f.relay.Addr().String()
		}
		f.agents, f.configs, f.states = append(f.agents, a), append(f.configs, config), append(f.states, realisticState(i, scaleInterfaces, mark))
		if err := f.change(b.Context(), i, f.state(i, stamped())); err != nil {
			b.Fatal(err)
		}
	}
	f.links = make([]*link, len(f.agents))
	b.Cleanup(func() {
		for i := range f.links {
			f.end(i)
		}
	})
	return f
}

// mark stands in a node's state for the text that changes.
const mark = "MARK"

// state returns the state of a node that has a text in it.
func (f *simulated) state(node int, text string) string {
	return strings.Replace(f.states[node], mark, text, 1)
}

// change gives a node a new state.
func (f *simulated) change(_ context.Context, node int, state string) error {
	return f.agents[node].SetState(state)
}

// begin starts an agent.
func (f *simulated) begin(i int) {
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	l := &link{stop: stop}
	l.ended.Go(func() { _ = uplink.New(f.configs[i]).Run(ctx) })
	f.links[i] = l
}

// end stops an agent that runs.
func (f *simulated) end(i int) {
	if l := f.links[i]; l != nil {
		l.stop()
		l.ended.Wait()
		f.links[i] = nil
	}
}

// join has all agents join, and measures it.
func (f *simulated) join(b *testing.B, s *subject, site *site) {
	m := s.meter(b, len(f.agents), "all agents join for the first time")
	for i := range f.agents {
		f.begin(i)
	}
	f.await(b, s, site)
	m.stop()
	m.keep(1, samples{time.Since(m.begin)}, "")
}

// await returns once all agents are connected and have sent their object. It asks again after a tenth of the time that has
// passed: an answer costs the server as much as some agents that join.
func (f *simulated) await(b *testing.B, s *subject, site *site) {
	b.Helper()
	want := fmt.Sprintf("\nnmstate_agents_connected %d\n", len(f.agents))
	for begin := time.Now(); ; time.Sleep(max(100*time.Millisecond, time.Since(begin)/10)) {
		site.revive(b, s)
		text, err := site.rest.Get().AbsPath("/metrics").DoRaw(b.Context())
		if err == nil && strings.Contains(string(text), want) {
			return
		}
		if time.Since(begin) > settled {
			connected := regexp.MustCompile(`(?m)^nmstate_agents_connected .*`).Find(text)
			b.Fatalf("%d agents are not all connected: %s, %v", len(f.agents), connected, err)
		}
	}
}

// revive starts the server again if it has ended, as a kubelet would: one that has lost its Lease, because kube-apiserver had no
// processor time, ends.
func (s *site) revive(b *testing.B, subject *subject) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.server.Pid))
	if err != nil {
		b.Fatal(err)
	}
	if strings.Contains(string(status), "State:\tZ") {
		s.server = start(b, bin+"apiserver", s.arguments...)
		subject.replace(b, server, s.server)
	}
}

// measure measures what happens when the server or agents are away.
func (f *simulated) measure(b *testing.B, s *subject, site *site) {
	f.await(b, s, site)
	f.measureHung(b, s, site)
	f.measureUpdate(b, s, site)
	f.measureKill(b, s, site)
}

// measureHung lists while one agent in a hundred hangs.
func (f *simulated) measureHung(b *testing.B, s *subject, site *site) {
	nodes := len(f.agents)
	if nodes < hung {
		return
	}
	client := s.client(b)
	// A kube-apiserver that had no processor time to spare takes the server for absent, for a while.
	s.awaitServed(b, client)
	f.relay.freeze()
	thaw := sync.OnceFunc(f.relay.thaw)
	defer thaw()
	for _, one := range []struct {
		what  string
		times int
	}{{"LIST live, the first after one agent in a hundred hangs", 1}, {"LIST live, one agent in a hundred hangs", rounds}} {
		m := s.meter(b, nodes, one.what)
		var took samples
		for range one.times {
			begin := time.Now()
			size, _, err := s.read(b.Context(), client, "", asJSON)
			if err != nil {
				b.Fatal(err)
			}
			m.bytes.Add(size)
			took = append(took, time.Since(begin))
		}
		m.stop()
		m.keep(one.times, took, fmt.Sprintf("%d agents hang", nodes/hung))
	}
	thaw()
	f.await(b, s, site)
}

// measureUpdate starts all agents anew, a part of them at a time.
func (f *simulated) measureUpdate(b *testing.B, s *subject, site *site) {
	m := s.meter(b, len(f.agents), fmt.Sprintf("rolling update of all agents, a %dth at a time", batches))
	size := (len(f.agents) + batches - 1) / batches
	for first := 0; first < len(f.agents); first += size {
		last := min(first+size, len(f.agents))
		for i := first; i < last; i++ {
			f.end(i)
		}
		for i := first; i < last; i++ {
			f.begin(i)
		}
		f.await(b, s, site)
	}
	m.stop()
	m.keep(1, samples{time.Since(m.begin)}, "")
}

// measureKill kills the server and starts it anew.
func (f *simulated) measureKill(b *testing.B, s *subject, site *site) {
	_ = site.server.Signal(syscall.SIGKILL)
	begin := time.Now()
	// Until it is gone, which takes a while with thousands of connections, the next one does not get its ports.
	_, _ = site.server.Wait()
	site.server = start(b, bin+"apiserver", site.arguments...)
	s.processes[server] = site.server
	m := s.meter(b, len(f.agents), "the server is killed and started: until all nodes are shown")
	f.await(b, s, site)
	client := s.client(b)
	m.bytes.Add(s.awaitServed(b, client))
	m.stop()
	m.keep(1, samples{time.Since(begin)}, "")
}
