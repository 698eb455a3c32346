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

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// demoPrefix begins the names of what the specs' demo makes.
const demoPrefix = "e2d-"

// demoSpecs have a demo of their own, beside that which other specs may use.
func (s *suite) demoSpecs() {
	d := &demo{newDemo(s.root, filepath.Join(s.root, "_output/e2e-demo"), "18443", demoPrefix)}
	BeforeEach(func(ctx SpecContext) {
		if *form != "standalone" {
			Skip("the demo is of the other form")
		}
		Expect(d.stop(ctx)).To(Succeed())
		machine := d.machine(ctx)
		DeferCleanup(func(ctx SpecContext) {
			Expect(d.stop(ctx)).To(Succeed())
			Expect(d.traces()).To(BeEmpty())
			Expect(d.machine(ctx)).To(Equal(machine))
		}, NodeTimeout(2*time.Minute))
	}, NodeTimeout(2*time.Minute))

	It("can be run twice", NodeTimeout(3*time.Minute), func(ctx SpecContext) {
		machine := d.machine(ctx)
		Expect(d.start(ctx)).To(Succeed())
		d.works(ctx)
		Expect(d.machine(ctx)).To(Equal(machine), "the machine's own network, while it runs")
		before := d.processes()
		Expect(d.start(ctx)).To(Succeed())
		d.works(ctx)
		Expect(d.processes()).To(Equal(before), "what runs is left running")
	})

	It("says which port is taken", NodeTimeout(3*time.Minute), func(ctx SpecContext) {
		for _, port := range []string{"18443", "18444"} {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:"+port)
			Expect(err).NotTo(HaveOccurred())
			err = d.start(ctx)
			Expect(listener.Close()).To(Succeed())
			Expect(err).To(MatchError(And(ContainSubstring("port "+port), ContainSubstring("DEMO_PORT"))))
			Expect(d.traces()).To(ConsistOf(d.dir), "nothing but the folder was made")
		}
	})

	It("recovers from being killed half-way", NodeTimeout(5*time.Minute), func(ctx SpecContext) {
		// Each run gets further than the one before; at the last points only up.sh is killed, and what it has started goes on.
		for i, point := range []string{"/run/netns/e2d-hub", "server.pid", "/run/netns/e2d-node01", "nodes/node01/pid", "agent-node01.pid",
			"/run/netns/e2d-node02", "nodes/node03/pid", "agent-node03.pid"} {
			d.killedAt(ctx, point, i < 6)
		}
		Expect(d.start(ctx)).To(Succeed())
		d.works(ctx)
	})

	It("can be taken away half made", NodeTimeout(5*time.Minute), func(ctx SpecContext) {
		for i, point := range []string{"/run/netns/e2d-hub", "/run/netns/e2d-node02", "agent-node02.pid"} {
			d.killedAt(ctx, point, i%2 == 0)
			Expect(d.stop(ctx)).To(Succeed())
			Expect(d.traces()).To(BeEmpty(), "killed at %s", point)
		}
	})
}

// demo is a demo that nobody else uses.
type demo struct{ *standalone }

// killedAt runs up.sh until a path is there, and kills it, or all that was
// started by it but has not become a process of its own.
func (d *demo) killedAt(ctx context.Context, path string, group bool) {
	GinkgoHelper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	log, err := os.CreateTemp("", "e2e-demo-")
	Expect(err).NotTo(HaveOccurred())
	defer os.Remove(log.Name())
	defer log.Close()
	cmd := d.command(ctx, "hack/demo/up.sh")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	Expect(cmd.Start()).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	Eventually(func() error {
		_, err := os.Stat(path)
		if err != nil && len(ended) > 0 {
			text, _ := os.ReadFile(log.Name())
			return StopTrying(fmt.Sprintf("up.sh has ended: %s", text))
		}
		return err
	}).WithContext(ctx).WithTimeout(long).WithPolling(time.Millisecond).Should(Succeed())
	pid := cmd.Process.Pid
	if group {
		pid = -pid
	}
	Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed(), "it had ended before %s was there", path)
	Expect(<-ended).To(MatchError(ContainSubstring("killed")))
}

// works tells whether the demo is what it promises: three nodes, one agent each.
func (d *demo) works(ctx context.Context) {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, d.root+"/_output/bin/kubectl", "--kubeconfig", d.kubeconfig(), "get", "nns", "--no-headers").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	Expect(string(out)).To(MatchRegexp(`^node01 +True .*\nnode02 +True .*\nnode03 +True .*\n$`))
	count := map[string]int{}
	for _, name := range d.processes() {
		count[name]++
	}
	Expect(count).To(HaveKeyWithValue("node-agent", 3))
	Expect(count).To(HaveKeyWithValue("apiserver", 1))
	Expect(count).To(HaveKeyWithValue("NetworkManager", 2))
	// Each node is plugged into each of the hub's bridges.
	for _, bridge := range []string{"mgmt", "data1", "data2", "data3"} {
		ports, err := exec.CommandContext(ctx, "ip", "-n", demoPrefix+"hub", "-o", "link", "show", "up", "master", bridge).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(ports))
		Expect(strings.Count(string(ports), "\n")).To(Equal(3), "%s of the hub has\n%s", bridge, ports)
	}
}

// processes returns the names, by number, of all that the demo has started,
// known by the variables that it started them with.
func (d *demo) processes() map[string]string {
	result := map[string]string{}
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environ, []byte("DEMO_DIR="+d.dir+"\x00")) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		if err == nil {
			result[filepath.Base(filepath.Dir(path))] = strings.TrimSpace(string(name))
		}
	}
	return result
}

// traces returns what there is of the demo: namespaces, processes, mounts, files.
func (d *demo) traces() []string {
	GinkgoHelper()
	var traces []string
	namespaces, err := filepath.Glob("/run/netns/" + demoPrefix + "*")
	Expect(err).NotTo(HaveOccurred())
	traces = append(traces, namespaces...)
	for pid, name := range d.processes() {
		traces = append(traces, fmt.Sprintf("process %s, %s", pid, name))
	}
	mounts, err := os.ReadFile("/proc/mounts")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, d.dir) || strings.Contains(line, "/run/netns/"+demoPrefix) {
			traces = append(traces, "mount "+line)
		}
	}
	if _, err := os.Stat(d.dir); err == nil {
		traces = append(traces, d.dir)
	}
	return traces
}

// machine returns what of the machine itself a demo must never change.
func (d *demo) machine(ctx context.Context) string {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, "sh", "-c", `ip -o link; ip -o addr | sed 's/ valid_lft.*//'
		ip route show table all | grep -v expires; ip rule; cat /etc/resolv.conf /etc/hostname /etc/hosts; hostname`).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}
