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

// Package integration runs the real API server with agents of nodes that exist
// in memory only, over real streams, against client-go and controller-runtime.
package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

// apiserver is the program.
const apiserver = "../../_output/bin/apiserver"

// long is how long anything may take on a slow machine.
const long = 60 * time.Second

// server is an API server on loopback, in a process of its own.
type server struct {
	t                *testing.T
	dir              string
	port, agentsPort int
	// flags are given to the server beside those that it needs.
	flags   []string
	process *exec.Cmd
}

// newServer starts a server that ends with the test.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), port: freePort(t), agentsPort: freePort(t), flags: flags}
	s.start()
	t.Cleanup(func() { s.kill() })
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// start starts the server and returns when it is ready.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	err := wait.PollUntilContextTimeout(s.t.Context(), 20*time.Millisecond, long, true, func(ctx context.Context) (bool, error) {
		return s.ready(ctx), nil
	})
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("the server did not get ready: %v\n%s", err, text)
	}
}

// launch starts the server's process.
func (s *server) launch() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(apiserver, append([]string{"--standalone", "--state-dir", s.dir,
		"--kubeconfig-out", s.kubeconfig(), "--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(s.port),
		"--agent-bind-address", "127.0.0.1", "--agent-port", strconv.Itoa(s.agentsPort)}, s.flags...)...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) ready(ctx context.Context) bool {
	pem, err := os.ReadFile(s.ca())
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/readyz", s.port), nil)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

func (s *server) ca() string         { return filepath.Join(s.dir, "ca.crt") }
func (s *server) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

// config returns the administrator's way in, without a limit of its own.
func (s *server) config() *rest.Config {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig())
	if err != nil {
		s.t.Fatal(err)
	}
	config.QPS = -1
	return config
}

func (s *server) clients() versioned.Interface {
	s.t.Helper()
	clients, err := versioned.NewForConfig(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	return clients
}

func (s *server) nns() typed.NodeNetworkStateInterface {
	return s.clients().NmstateV1alpha1().NodeNetworkStates()
}

// agent is the agent of a node that exists in memory only, and its uplink.
type agent struct {
	*fake.Agent
	server *server
	name   string
	// token is the file of its join token.
	token  string
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// join connects a new node's agent to the server until the test ends.
func (s *server) join(name string) *agent {
	s.t.Helper()
	return s.joinWith(filepath.Join(s.dir, "join-token"), name)
}

// joinWith is join with the join token in a file.
func (s *server) joinWith(token, name string) *agent {
	s.t.Helper()
	a := &agent{Agent: fake.New(), server: s, name: name, token: token}
	if err := secretfile.Ensure(a.key()); err != nil {
		s.t.Fatal(err)
	}
	a.connect()
	s.t.Cleanup(a.disconnect)
	return a
}

func (a *agent) key() string { return filepath.Join(a.server.dir, a.name+".key") }

func (a *agent) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	link := uplink.New(uplink.Config{
		Server:      fmt.Sprintf("127.0.0.1:%d", a.server.agentsPort),
		CAFile:      a.server.ca(),
		Credentials: uplink.Files{Token: a.token, NodeKey: a.key()},
		Node:        a.name,
		Labels:      map[string]string{"kubernetes.io/hostname": a.name},
		Version:     "test",
		Agent:       a.Agent,
	})
	a.ended.Go(func() { _ = link.Run(ctx) })
}

func (a *agent) disconnect() {
	a.cancel()
	a.ended.Wait()
}
