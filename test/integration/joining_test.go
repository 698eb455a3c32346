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

package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestBoundsOfJoining: the flags bound who may join, not who has joined.
func TestBoundsOfJoining(t *testing.T) {
	s := newServer(t, "--max-nodes=2", "--max-nodes-per-source=1")
	s.join("node1")
	s.awaitNodes(1)
	stranger := s.join("node2")
	s.awaitLog("raise the server's --max-nodes-per-source")
	stranger.disconnect()
	vouched := s.joinWith(s.createToken("node2"), "node2")
	s.awaitNodes(2)
	s.joinWith(s.createToken("node3"), "node3")
	s.awaitLog("raise the server's --max-nodes\"")

	s.kill()
	vouched.disconnect()
	s.flags = []string{"--max-nodes=1", "--shared-join-token=false"}
	s.start()
	s.awaitNodes(1)
	vouched.connect()
	s.awaitNodes(2)
	if list, err := s.nns().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	s.join("node4")
	s.awaitLog("the join token is not one of this server's")
}

// createToken makes a token for one node and returns its file.
func (s *server) createToken(node string) string {
	s.t.Helper()
	token, err := exec.Command(apiserver, "join-token", "create", "--node", node, "--state-dir", s.dir).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.dir, node+".token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

func (s *server) awaitNodes(count int) {
	s.t.Helper()
	s.await("nodes to connect", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == count })
}

// awaitLog waits until the server has logged a text.
func (s *server) awaitLog(wanted string) {
	s.t.Helper()
	var text []byte
	err := wait.PollUntilContextTimeout(s.t.Context(), 20*time.Millisecond, long, true, func(context.Context) (done bool, err error) {
		text, err = os.ReadFile(filepath.Join(s.dir, "log"))
		return strings.Contains(string(text), wanted), err
	})
	if err != nil {
		s.t.Fatalf("no %q in the log: %v\n%s", wanted, err, text)
	}
}
