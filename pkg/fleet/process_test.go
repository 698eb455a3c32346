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

package fleet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// processServer and processFolder are in the environment of a test binary that is
// to be the agent of node01 rather than to run tests.
const processServer, processFolder = "FLEET_TEST_SERVER", "FLEET_TEST_FOLDER"

func TestMain(m *testing.M) {
	if server := os.Getenv(processServer); server != "" {
		beAgent(server, os.Getenv(processFolder))
		return
	}
	os.Exit(m.Run())
}

// beAgent is an agent of node01, until its standard input ends. Each line there
// makes its next barriers use up all processors for that long.
func beAgent(server, folder string) {
	ctx, cancel := context.WithCancel(context.Background())
	node := fake.New()
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			busy, err := time.ParseDuration(lines.Text())
			if err != nil {
				panic(err)
			}
			node.SetHooks(fake.Hooks{Barrier: func() { spin(busy) }})
			fmt.Println("taken")
		}
	}()
	_ = uplink.New(uplink.Config{
		Server: server, ServerName: "localhost", CAFile: filepath.Join(folder, "cert.pem"),
		Credentials: uplink.Files{Token: filepath.Join(folder, "token")}, Node: "node01", Agent: node,
	}).Run(ctx)
}

// spin uses up all processors for so long.
func spin(busy time.Duration) {
	done := make(chan struct{})
	begin := time.Now()
	for range 2 * runtime.GOMAXPROCS(0) {
		go func() {
			for time.Since(begin) < busy {
			}
			done <- struct{}{}
		}()
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		<-done
	}
}

// process starts the agent of node01 as a process of its own. tell has it obey a line.
func (s *server) process() (agent *os.Process, tell func(line string)) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processServer+"="+s.address, processFolder+"="+s.folder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.sink.until(s.t, "node01", "available", available)
	lines := bufio.NewScanner(out)
	return cmd.Process, func(line string) {
		s.t.Helper()
		if _, err := fmt.Fprintln(in, line); err != nil || !lines.Scan() {
			s.t.Fatalf("the agent does not obey: %v", err)
		}
	}
}

// onOneStream checks that the node's agent has had one stream, which has not ended.
func (s *server) onOneStream() {
	s.t.Helper()
	if connected, lost := s.count(eventConnected), s.count(eventLost); connected != 1 || lost != 0 {
		s.t.Errorf("the agent has connected %v times and lost its stream %v times", connected, lost)
	}
}

// isReading tells whether an object shows that the agent is reading.
func isReading(obj *v1alpha1.NodeNetworkState) bool {
	return unknown(obj) && obj.Status.Conditions[0].Reason == v1alpha1.ReasonReading
}

// TestLongReadKeepsItsStream: an agent whose read takes longer than a list waits is
// shown as Reading, with its stream, and available after the read.
func TestLongReadKeepsItsStream(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout, c.Reads.ListTimeout = 10*time.Second, 100*time.Millisecond }, "node01")
	node := s.join("node01")
	entered, release := hold(node)
	for range 3 {
		if w, _ := s.pass(); len(w) != 1 || !strings.Contains(w[0], "still reading the network of node01") {
			t.Errorf("warnings: %q", w)
		}
	}
	if !isReading(s.sink.last("node01")) {
		t.Errorf("the node is shown as %+v", s.sink.last("node01").Status.Conditions)
	}
	// A write needs no read before the agent's own.
	if _, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy)); err != nil {
		t.Errorf("Apply: %v", err)
	}
	<-entered
	release()
	s.sink.until(t, "node01", "available", available)
	s.onOneStream()
	if s.count(eventUnreachable) != 0 {
		t.Error("the agent was taken for lost")
	}
}

// TestStarvedAgentKeepsItsStream: its read takes all processors.
func TestStarvedAgentKeepsItsStream(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout, c.Reads.ListTimeout = 4*time.Second, 500*time.Millisecond }, "node01")
	_, tell := s.process()
	tell("5s")
	if w, _ := s.pass(); len(w) != 1 {
		t.Errorf("warnings: %q", w)
	}
	s.sink.until(t, "node01", "reading", isReading)
	s.sink.until(t, "node01", "available", available)
	s.onOneStream()
	if s.count(eventUnreachable) != 0 {
		t.Error("the agent was taken for lost")
	}
}

// TestStoppedAgentComesBackOnItsStream: it gets no processor time at all for 3 s.
func TestStoppedAgentComesBackOnItsStream(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout = 2 * time.Second }, "node01")
	process, _ := s.process()
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Until the thread that the kernel has chosen for the signal runs, all others go on.
	if _, err := syscall.Wait4(process.Pid, nil, syscall.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	stopped := time.After(3 * time.Second)
	if w, _ := s.pass(); len(w) != 1 || !unknown(s.sink.last("node01")) {
		t.Errorf("while the agent is stopped, warnings are %q, and it is shown as %+v", w, s.sink.last("node01").Status.Conditions)
	}
	<-stopped
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.sink.until(t, "node01", "available", available)
	s.onOneStream()
}
