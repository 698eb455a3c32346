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
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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
	// kubeconfig is the file of config.
	kubeconfig string
	// processes are measured, by name. ended is the processor time, in ticks, of those that they have replaced.
	processes map[string]*os.Process
	ended     map[string]int
	// change gives a node a new state.
	change func(ctx context.Context, node int, state string) error
	// state returns the state of a node that has a text in it.
	state func(node int, text string) string
	// etcdBytes returns how many bytes were written to etcd so far; nil where there is none.
	etcdBytes func(b *testing.B) float64
}

// measure measures what those see who read many nodes again and again.
func (s *subject) measure(b *testing.B, nodes int) {
	for _, informers := range s.storms(nodes) {
		s.measureStorm(b, nodes, informers)
	}
	for _, share := range []float64{.01, .1, .5} {
		s.measureWatch(b, nodes, share)
	}
}

// client returns a client with connections of its own, as another program has. It does not decompress answers by itself.
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

// retries is how often a request is sent again that was refused for the moment; client-go does so ten times.
const retries = 30

// open sends a GET of a path below the resource and returns the answer. As client-go does, it asks for a compressed one, and again
// after a second if it is told to.
func (s *subject) open(ctx context.Context, client *http.Client, path, accept string) (*http.Response, error) {
	for tries := 0; ; tries++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.Host+s.path+path, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Accept", accept)
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := client.Do(request)
		if err != nil || response.StatusCode == http.StatusOK {
			return response, err
		}
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		response.Body.Close()
		if response.Header.Get("Retry-After") == "" || tries == retries {
			return nil, fmt.Errorf("GET %s%s: %s: %s", s.path, path, response.Status, text)
		}
		time.Sleep(time.Second)
	}
}

// end is how many bytes of the beginning and of the end of an answer are kept: the metadata of a list are there.
const end = 4 << 10

// counted counts the bytes that are read.
type counted struct {
	io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Reader.Read(into)
	c.n += int64(n)
	return n, err
}

// read reads an answer whole; it returns how many bytes came over the connection, and the beginning and end of the text.
func (s *subject) read(ctx context.Context, client *http.Client, path, accept string) (int64, []byte, error) {
	response, err := s.open(ctx, client, path, accept)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	came := &counted{Reader: response.Body}
	var text io.Reader = came
	if response.Header.Get("Content-Encoding") == "gzip" {
		if text, err = gzip.NewReader(came); err != nil {
			return 0, nil, err
		}
	}
	var begin, last []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := text.Read(buffer)
		begin = append(begin, buffer[:min(n, end-len(begin))]...)
		last = append(last, buffer[max(0, n-end):n]...)
		last = last[max(0, len(last)-end):]
		if err == io.EOF {
			return came.n, append(begin, last...), nil
		}
		if err != nil {
			return came.n, nil, err
		}
	}
}

// meter measures what is used while it runs.
type meter struct {
	b     *testing.B
	s     *subject
	what  string
	nodes int
	begin time.Time
	bytes atomic.Int64
	// used is what was used until the meter was stopped last, since what there was when it was started last: ticks of the
	// processor by process, and bytes that etcd was sent.
	used, since usage
}

type usage struct {
	ticks map[string]int
	etcd  float64
}

// awaitServed returns when all nodes can be listed, and the size of the list.
func (s *subject) awaitServed(b *testing.B, client *http.Client) int64 {
	b.Helper()
	var size int64
	pollLong(b, "the nodes cannot be listed", func(ctx context.Context) bool {
		var err error
		size, _, err = s.read(ctx, client, "", asJSON)
		return err == nil
	})
	return size
}

// ticks returns the processor time that each process has used so far.
func (s *subject) ticks(b *testing.B) map[string]int {
	b.Helper()
	now := map[string]int{}
	for name, process := range s.processes {
		now[name] = s.ended[name] + processorTicks(b, process)
	}
	return now
}

// replace measures a process in place of one that has ended and was not waited for.
func (s *subject) replace(b *testing.B, name string, process *os.Process) {
	b.Helper()
	if s.ended == nil {
		s.ended = map[string]int{}
	}
	s.ended[name] += processorTicks(b, s.processes[name])
	s.processes[name] = process
}

// etcdSent returns how many bytes etcd was sent so far.
func (s *subject) etcdSent(b *testing.B) float64 {
	b.Helper()
	if s.etcdBytes == nil {
		return 0
	}
	return s.etcdBytes(b)
}

// meter returns a meter that runs.
func (s *subject) meter(b *testing.B, nodes int, what string) *meter {
	b.Helper()
	m := &meter{b: b, s: s, what: what, nodes: nodes, begin: time.Now(), used: usage{ticks: map[string]int{}}}
	m.start()
	return m
}

// start and stop ask etcd while the processor time is not measured: its answer costs it more than a GET.
func (m *meter) start() {
	m.since.etcd = m.s.etcdSent(m.b)
	m.since.ticks = m.s.ticks(m.b)
}

func (m *meter) stop() {
	for name, ticks := range m.s.ticks(m.b) {
		m.used.ticks[name] += ticks - m.since.ticks[name]
	}
	m.used.etcd += m.s.etcdSent(m.b) - m.since.etcd
}

// keep records what was used until the meter was stopped, for each of so many operations, which took so long.
func (m *meter) keep(operations int, times samples, note string) {
	m.b.Helper()
	kept := measurement{Suite: "scale", Nodes: m.nodes, Form: m.s.form, What: m.what, Note: note,
		CPU: map[string]float64{}, RSS: map[string]int{},
		Bytes: m.bytes.Load() / int64(operations), EtcdBytes: int64(m.used.etcd) / int64(operations)}
	for name, process := range m.s.processes {
		kept.CPU[name] = (time.Duration(m.used.ticks[name]) * tick).Seconds() / float64(operations)
		kept.RSS[name] = residentMB(m.b, process)
	}
	keep(m.b, kept.of(times))
}
