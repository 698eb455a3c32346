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
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// What the processes are called whose use of the machine is measured.
const (
	server        = "server"
	kubeAPIServer = "kube-apiserver"
	etcd          = "etcd"
)

// stored is the form in which the objects are a CRD.
const stored = "CRD"

// resourcePath is the path of the nodes' objects.
var resourcePath = "/apis/" + v1alpha1.SchemeGroupVersion.String() + "/nodenetworkstates"

// subject is an API that serves the objects of all nodes, and the processes that this takes.
type subject struct {
	// form is what it is called in the results.
	form   string
	config *rest.Config
	path   string
	// processes are measured, by name.
	processes map[string]*os.Process
	// change gives a node a new state.
	change func(ctx context.Context, node int, state string) error
	// state returns the state of a node that has a text in it.
	state func(node int, text string) string
	// etcdBytes returns how many bytes were written to etcd so far; nil where there is none.
	etcdBytes func(b *testing.B) float64
}

// measure measures what readers see.
func (s *subject) measure(b *testing.B, nodes int) {
	s.measureReads(b, nodes)
	for _, informers := range s.storms(nodes) {
		s.measureStorm(b, nodes, informers)
	}
	for _, share := range []float64{.01, .1, .5} {
		s.measureWatch(b, nodes, share)
	}
}

// client returns a client with connections of its own, as another program has.
func (s *subject) client(b *testing.B) *http.Client {
	b.Helper()
	config := rest.CopyConfig(s.config)
	config.DisableCompression = true
	config.Dial = (&net.Dialer{}).DialContext
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.CloseIdleConnections)
	return client
}

// open sends a GET of a path below the resource and returns the body of the answer.
func (s *subject) open(ctx context.Context, client *http.Client, path, accept string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.Host+s.path+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("GET %s%s: %s: %s", s.path, path, response.Status, text)
	}
	return response.Body, nil
}

// end is how many bytes of the beginning and of the end of an answer are kept: the metadata of a list are there.
const end = 4 << 10

// read reads an answer whole; it returns its size, and its beginning and end.
func (s *subject) read(ctx context.Context, client *http.Client, path, accept string) (int64, []byte, error) {
	body, err := s.open(ctx, client, path, accept)
	if err != nil {
		return 0, nil, err
	}
	defer body.Close()
	var size int64
	var begin, last []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		size += int64(n)
		begin = append(begin, buffer[:min(n, end-len(begin))]...)
		last = append(last, buffer[max(0, n-end):n]...)
		last = last[max(0, len(last)-end):]
		if err == io.EOF {
			return size, append(begin, last...), nil
		}
		if err != nil {
			return size, nil, err
		}
	}
}

// meter measures what is used between two moments.
type meter struct {
	b      *testing.B
	s      *subject
	cpu    map[string]int
	etcd   float64
	begin  time.Time
	nodes  int
	bytes  atomic.Int64
	shared measurement
}

// meter returns a meter that begins now.
func (s *subject) meter(b *testing.B, nodes int, what string) *meter {
	b.Helper()
	m := &meter{b: b, s: s, cpu: map[string]int{}, nodes: nodes}
	m.shared = measurement{Suite: "scale", Nodes: nodes, Form: s.form, What: what, CPU: map[string]float64{}, RSS: map[string]int{}}
	for name, process := range s.processes {
		m.cpu[name] = processorTicks(b, process)
	}
	if s.etcdBytes != nil {
		m.etcd = s.etcdBytes(b)
	}
	m.begin = time.Now()
	return m
}

// keep records what was used since the meter began, for each of so many operations, which took so long.
func (m *meter) keep(operations int, times samples, note string) {
	m.b.Helper()
	kept := m.shared
	for name, process := range m.s.processes {
		kept.CPU[name] = (time.Duration(processorTicks(m.b, process)-m.cpu[name]) * tick).Seconds() / float64(operations)
		kept.RSS[name] = residentMB(m.b, process)
	}
	if m.s.etcdBytes != nil {
		kept.EtcdBytes = int64(m.s.etcdBytes(m.b)-m.etcd) / int64(operations)
	}
	kept.Bytes, kept.Note = m.bytes.Load()/int64(operations), note
	keep(m.b, kept.of(times))
}

// measurement is one line of the results.
type measurement struct {
	// Suite tells make bench from make bench-scale.
	Suite string `json:"suite"`
	// What was done, by which Form of those that are compared, with how many Nodes.
	What  string `json:"what"`
	Form  string `json:"form"`
	Nodes int    `json:"nodes,omitempty"`
	// Samples is how many times there are; P50 and P99 are seconds.
	Samples int     `json:"samples,omitempty"`
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
	// CPU are seconds of processor time and Bytes those that clients were sent and EtcdBytes those that were written to etcd, for each
	// operation; RSS are MB at the end. CPU and RSS are by process.
	CPU       map[string]float64 `json:"cpu,omitempty"`
	RSS       map[string]int     `json:"rss,omitempty"`
	Bytes     int64              `json:"bytes,omitempty"`
	EtcdBytes int64              `json:"etcdBytes,omitempty"`
	Note      string             `json:"note,omitempty"`
}

// of returns the measurement with these times.
func (m measurement) of(times samples) measurement {
	if len(times) > 0 {
		m.Samples, m.P50, m.P99 = len(times), times.at(.5).Seconds(), times.at(.99).Seconds()
	}
	return m
}

// output is the variable of the environment that names the file to which results are added, one JSON object a line.
const output = "BENCH_OUTPUT"

// keep prints a measurement and adds it to the results.
func keep(b *testing.B, m measurement) {
	b.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Println(string(text))
	name := os.Getenv(output)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(slices.Concat(text, []byte("\n"))); err != nil {
		b.Fatal(err)
	}
}
