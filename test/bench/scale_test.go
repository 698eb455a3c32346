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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// The parameters of BenchmarkScale.
const (
	// scale is the variable of the environment that says which numbers of nodes BenchmarkScale has, one after the other.
	scale = "BENCH_SCALE"
	// clientsAtOnce is how many clients watch, and how many list at the same time in a storm.
	clientsAtOnce = 100
	// rounds is how often each list is measured, and gets how often a GET is.
	rounds, gets = 5, 100
	// changing is for how long nodes change.
	changing = 10 * time.Second
)

// BenchmarkScale runs the server with very many simulated agents, alone and behind a kube-apiserver that also has the
// same objects as a CRD. It is skipped unless the environment says how many nodes there are.
func BenchmarkScale(b *testing.B) {
	sizes := strings.Fields(os.Getenv(scale))
	if len(sizes) == 0 {
		b.Skip(scale + " does not say how many nodes there are")
	}
	klog.LogToStderr(false) // Each agent that loses its server says so.
	klog.SetOutput(io.Discard)
	for _, text := range sizes {
		nodes, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("nodes=%d/standalone", nodes), func(b *testing.B) { scaleStandalone(b, nodes) })
		b.Run(fmt.Sprintf("nodes=%d/cluster", nodes), func(b *testing.B) { scaleCluster(b, nodes) })
	}
}

// scaleStandalone measures a standalone server.
func scaleStandalone(b *testing.B, nodes int) {
	site := newSite(b, "--max-nodes", fmt.Sprint(2*nodes))
	fleet := site.simulate(b, nodes)
	subject := &subject{
		form: "standalone", config: site.config, path: resourcePath, kubeconfig: filepath.Join(site.dir, "kubeconfig"),
		processes: map[string]*os.Process{server: site.server},
		change:    fleet.change, state: fleet.state,
	}
	fleet.join(b, subject, site)
	measureReads(b, nodes, subject)
	subject.measure(b, nodes)
	fleet.measure(b, subject, site)
}

// scaleCluster measures a server behind a kube-apiserver, and a CRD in the same one.
func scaleCluster(b *testing.B, nodes int) {
	c := newCluster(b)
	site, agents := c.serve(b, nodes)
	processes := map[string]*os.Process{server: site.server, kubeAPIServer: c.apiserver, etcd: c.etcd}
	aggregated := &subject{
		form: "aggregated", config: c.config, path: resourcePath, kubeconfig: c.kubeconfig, processes: processes,
		change: agents.change, state: agents.state, etcdBytes: c.written,
	}
	agents.join(b, aggregated, site)
	asCRD := c.store(b, aggregated, agents, nodes)
	measureReads(b, nodes, aggregated, asCRD)
	// Each is measured in full before the other: they share kube-apiserver, whose processor time is to be told apart.
	for _, one := range []*subject{aggregated, asCRD} {
		one.measure(b, nodes)
	}
	agents.measure(b, aggregated, site)
}
