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
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// timeout is how long anything may take on a machine that is busy with other things.
const timeout = time.Minute

// directory is a Directory that tests fill.
type directory struct {
	mu    sync.Mutex
	nodes map[string]Node
	moved chan struct{}
}

func newDirectory(names ...string) *directory {
	d := &directory{nodes: map[string]Node{}, moved: make(chan struct{})}
	for _, name := range names {
		d.set(nodeNamed(name))
	}
	return d
}

// nodeNamed returns a node whose uid comes from its name.
func nodeNamed(name string) Node {
	return Node{
		Name:              name,
		UID:               types.UID("uid-of-" + name),
		Labels:            map[string]string{"kubernetes.io/hostname": name},
		CreationTimestamp: metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Owner:             &metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: name, UID: types.UID("uid-of-" + name)},
	}
}

func (d *directory) set(n Node) { d.edit(func() { d.nodes[n.Name] = n }) }

func (d *directory) remove(name string) { d.edit(func() { delete(d.nodes, name) }) }

func (d *directory) edit(edit func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	edit()
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *directory) Watch(ctx context.Context, deliver func([]Node)) error {
	for {
		d.mu.Lock()
		var nodes []Node
		for _, n := range d.nodes {
			nodes = append(nodes, n)
		}
		moved := d.moved
		d.mu.Unlock()
		deliver(nodes)
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// authenticator admits whoever has the token, or one that begins so, which tells
// the agents apart; as any node but "forbidden".
type authenticator struct{}

const token = "a-token-that-is-secret"

func (authenticator) Authenticate(ctx context.Context) (*Identity, error) {
	got := metadata.ValueFromIncomingContext(ctx, agent.TokenKey)
	if len(got) != 1 || !strings.HasPrefix(got[0], "Bearer "+token) {
		return nil, errors.New("the token is wrong")
	}
	speaks := func(node string) error {
		if node == "forbidden" {
			return errors.New("this agent may not speak for node forbidden")
		}
		return nil
	}
	return &Identity{Name: got[0], Speaks: speaks, Claim: func(_ context.Context, hello *agentpb.Hello) error {
		return speaks(hello.Node)
	}}, nil
}

// sink remembers all that it was given. It stamps what it is given, as the live store does.
type sink struct {
	mu      sync.Mutex
	history map[string][]*v1alpha1.NodeNetworkState
	feeds   map[string]*agent.Feed
	moved   chan struct{}
}

func newSink() *sink {
	return &sink{history: map[string][]*v1alpha1.NodeNetworkState{}, feeds: map[string]*agent.Feed{}, moved: make(chan struct{})}
}

func (s *sink) Set(obj *v1alpha1.NodeNetworkState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	obj.ResourceVersion = "1"
	s.history[obj.Name] = append(s.history[obj.Name], obj)
	s.feed(obj.Name).Publish(obj)
	s.wake()
}

func (s *sink) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history[name] = append(s.history[name], nil)
	s.wake()
}

func (s *sink) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *sink) feed(name string) *agent.Feed {
	if s.feeds[name] == nil {
		s.feeds[name] = agent.NewFeed()
	}
	return s.feeds[name]
}

// all returns all objects of a node, nil where it was deleted.
func (s *sink) all(name string) []*v1alpha1.NodeNetworkState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*v1alpha1.NodeNetworkState(nil), s.history[name]...)
}

// last returns the object of a node, nil if there is none.
func (s *sink) last(name string) *v1alpha1.NodeNetworkState {
	all := s.all(name)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// until waits until the object of a node is as wanted, and returns it.
func (s *sink) until(t *testing.T, name, what string, wanted func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	t.Helper()
	deadline := time.After(timeout)
	for {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		if last := s.last(name); wanted(last) {
			return last
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("waited in vain for %s to be %s, it is %+v", name, what, s.last(name))
		}
	}
}

func available(obj *v1alpha1.NodeNetworkState) bool {
	return obj != nil && apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionAvailable)
}

func unknown(obj *v1alpha1.NodeNetworkState) bool {
	return obj != nil && apimeta.IsStatusConditionPresentAndEqual(
		obj.Status.Conditions, v1alpha1.ConditionAvailable, metav1.ConditionUnknown)
}

// server is a Fleet that serves on a port of the loopback.
type server struct {
	*Fleet
	t         *testing.T
	sink      *sink
	directory *directory
	address   string
	folder    string
	registry  metrics.KubeRegistry
	stop      func()
}

// startServer starts a server with the given nodes; edit may change its Config.
func startServer(t *testing.T, edit func(*Config), names ...string) *server {
	t.Helper()
	folder := t.TempDir()
	writeSecrets(t, folder)
	return startServerAt(t, "127.0.0.1:0", folder, edit, names...)
}

func startServerAt(t *testing.T, address, folder string, edit func(*Config), names ...string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, sink: newSink(), directory: newDirectory(names...), address: listener.Addr().String(),
		folder: folder, registry: metrics.NewKubeRegistry()}
	config := Config{Directory: s.directory, Authenticator: authenticator{}, Sink: s.sink,
		BarrierTimeout: timeout, HelloTimeout: timeout}
	if edit != nil {
		edit(&config)
	}
	s.Fleet = New(config)
	if err := s.RegisterMetrics(s.registry.Register); err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = s.Run(ctx) })
	tasks.Go(func() {
		if err := s.Serve(ctx, listener, credentials.NewServerTLSFromCert(&certificate)); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

// join starts an agent for a node and waits until its object is there.
func (s *server) join(name string) *fake.Agent {
	s.t.Helper()
	node := fake.New()
	s.dial(name, node, s.address)
	s.sink.until(s.t, name, "available", available)
	return node
}

// dial starts an uplink for a node; the function stops it.
func (s *server) dial(name string, a agent.Agent, address string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	up := uplink.New(uplink.Config{
		Server: address, ServerName: "localhost", CAFile: filepath.Join(s.folder, "cert.pem"),
		Credentials: uplink.Files{Token: filepath.Join(s.folder, "token")},
		Node:        name, Version: "v0.0.0", Agent: a,
		BackoffMin: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond, BackoffRefused: 100 * time.Millisecond,
	})
	go func() {
		defer close(ended)
		_ = up.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	s.t.Cleanup(stop)
	return stop
}

// count returns how often an event was counted.
func (s *server) count(event string) float64 { return counted(s.t, s.metrics, event) }

// counted returns how often an event was counted.
func counted(t *testing.T, m *fleetMetrics, event string) float64 {
	t.Helper()
	value, err := testutil.GetCounterMetricValue(m.events.WithLabelValues(event))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// writeSecrets makes a certificate for localhost that is its own CA, and a token.
func writeSecrets(t *testing.T, folder string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	write(t, filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write(t, filepath.Join(folder, "token"), []byte(token+"\n"))
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
