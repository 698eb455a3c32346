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
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	agentwire "github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

// hostile is an agent that says what a test makes it say.
type hostile struct {
	agentpb.Fleet_ConnectClient
	t     *testing.T
	close func()
}

// hostileAgent connects as a node with a key of its own, and returns once it is admitted.
func (s *server) hostileAgent(name string, labels map[string]string) *hostile {
	s.t.Helper()
	tls, err := credentials.NewClientTLSFromFile(s.ca(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	key := filepath.Join(s.dir, name+".key")
	if err := secretfile.Ensure(key); err != nil {
		s.t.Fatal(err)
	}
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", s.agentsPort), grpc.WithTransportCredentials(tls), grpc.WithNoProxy(),
		grpc.WithPerRPCCredentials(uplink.Files{Token: filepath.Join(s.dir, "join-token"), NodeKey: key}),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(agentwire.MaxMessageSize)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(s.t.Context(), long)
	s.t.Cleanup(cancel)
	stream, err := agentpb.NewFleetClient(conn).Connect(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	h := &hostile{stream, s.t, func() { conn.Close() }}
	h.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: name, Labels: labels}}})
	if first, err := h.Recv(); err != nil || first.GetWelcome() == nil {
		s.t.Fatalf("the first message is %v, %v, not a Welcome", first, err)
	}
	return h
}

// say sends a message; that the server hung up is for the next Recv to tell.
func (h *hostile) say(message *agentpb.AgentMessage) { _ = h.Send(message) }

// shown sends an object and returns once the server has shown it or ended the stream.
// The server asks for a barrier after that: it answers all that it is asked.
func (h *hostile) shown(s *server, text string) (ended error) {
	h.t.Helper()
	h.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: []byte(text)}})
	ctx, cancel := context.WithCancel(h.t.Context())
	var reader sync.WaitGroup
	// A GET that comes before the object asks the agent nothing.
	reader.Go(func() {
		for nns := s.nns(); ctx.Err() == nil; {
			_, _ = nns.Get(ctx, "evil", metav1.GetOptions{})
		}
	})
	defer reader.Wait()
	defer cancel()
	for {
		message, err := h.Recv()
		if err != nil {
			return err
		}
		h.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: message.GetRequest().GetId()}}})
		if message.GetRequest().GetBarrier() != nil {
			return nil
		}
	}
}

// hostileObjects are what a node's agent may send to have others fail who list all nodes.
func hostileObjects() map[string]string {
	const kind = `{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1alpha1",`
	nested := func(depth int) string { return strings.Repeat(`{"f:a":`, depth) + `{}` + strings.Repeat(`}`, depth) }
	objects := map[string]string{
		"a number without a float":         kind + `"status":{"currentState":{"a":1e999}}}`,
		"a large negative number":          kind + `"spec":{"desiredState":{"a":[-1e999]}}}`,
		"bytes that are no text":           kind + "\"status\":{\"currentState\":{\"a\":\"\xff\"}}}",
		"a key that is no text":            kind + "\"status\":{\"difference\":{\"\xc3\":1}}}",
		"fields that are no text":          kind + "\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"\xff\":{}}}]}}",
		"fields that are no object":        kind + `"metadata":{"managedFields":[{"fieldsV1":[1]}]}}`,
		"fields that are a number":         kind + `"metadata":{"managedFields":[{"fieldsV1":{"a":1e999}}]}}`,
		"fields that are nested deep":      kind + `"metadata":{"managedFields":[{"fieldsV1":` + nested(9995) + `}]}}`,
		"an annotation that is no text":    kind + "\"metadata\":{\"annotations\":{\"\xff\":\"\xff\"}}}",
		"two conditions of a type":         kind + `"status":{"conditions":[{"type":"Available","status":"True"},{"type":"Available","status":"False"}]}}`,
		"a condition of many bytes":        kind + `"status":{"conditions":[{"type":"` + strings.Repeat("x", 1<<20) + `"}]}}`,
		"an interface count beyond a line": kind + `"status":{"interfaces":{"up":-2147483648,"total":-2147483648}}}`,
		"an outcome with escape sequences": kind + `"status":{"lastApply":{"outcome":"\u001b[2J\u001b]0;x\u0007\n","startTime":null}}}`,
		"a version of many bytes":          kind + `"status":{"agentVersion":"` + strings.Repeat("x", 1<<20) + `"}}`,
	}
	for name, moment := range map[string]string{"before the first year": "0000-01-01T00:00:00+14:00", "after the last year": "9999-12-31T23:59:59-14:00"} {
		objects["a condition "+name] = kind + `"status":{"conditions":[{"type":"Available","status":"True","lastTransitionTime":"` + moment + `"}]}}`
		objects["an update "+name] = kind + `"status":{"lastSuccessfulUpdateTime":"` + moment + `"}}`
		objects["an apply "+name] = kind + `"status":{"lastApply":{"startTime":"` + moment + `","finishTime":"` + moment + `","outcome":"Committed"}}}`
		objects["a manager "+name] = kind + `"metadata":{"managedFields":[{"time":"` + moment + `"}]}}`
	}
	return objects
}

// TestAHostileObjectSpoilsNoList: whatever an agent sends, all clients can read the list
// of all nodes: typed, untyped, as a table, and those that take text for UTF-8.
func TestAHostileObjectSpoilsNoList(t *testing.T) {
	s := newServer(t)
	s.join("honest")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	untyped, err := dynamic.NewForConfig(s.config())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range hostileObjects() {
		t.Run(name, func(t *testing.T) {
			h := s.hostileAgent("evil", nil)
			defer h.close()
			t.Logf("the stream: %v", h.shown(s, text))
			if list, err := s.nns().List(t.Context(), metav1.ListOptions{ResourceVersion: "0"}); err != nil || len(list.Items) != 2 {
				t.Errorf("typed: %v", err)
			}
			resource := v1alpha1.SchemeGroupVersion.WithResource("nodenetworkstates")
			if list, err := untyped.Resource(resource).List(t.Context(), metav1.ListOptions{ResourceVersion: "0"}); err != nil || len(list.Items) != 2 {
				t.Errorf("untyped: %v", err)
			}
			for _, accept := range []string{"application/json", "application/json;as=Table;g=meta.k8s.io;v=v1"} {
				body, err := s.get(accept)
				if err != nil || !utf8.Valid(body) {
					t.Errorf("as %s: valid UTF-8: %v, %v", accept, utf8.Valid(body), err)
				}
				if strings.Contains(accept, "Table") && len(body) > 100<<10 {
					t.Errorf("the table has %d bytes", len(body))
				}
			}
		})
	}
}

// get returns the list as the server sends it.
func (s *server) get(accept string) ([]byte, error) {
	client, err := rest.HTTPClientFor(s.config())
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("https://127.0.0.1:%d/apis/nmstate.io/v1alpha1/nodenetworkstates?resourceVersion=0", s.port)
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", response.Status, body)
	}
	return body, err
}
