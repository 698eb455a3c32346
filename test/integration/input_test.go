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
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

// TestBadInput: each has a clear error, and nothing is lost.
func TestBadInput(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	nns := s.nns()
	if _, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(`{"spec":{"desiredState":{"interfaces":[{"name":"eth0","type":"dummy","state":"up"}]}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, node, patch string
		wanted            func(error) bool
		says              string
	}{
		{"no object", "node1", `{"spec":{"desiredState":[1]}}`, apierrors.IsInvalid, "spec.desiredState"},
		{"a text", "node1", `{"spec":{"desiredState":"x"}}`, apierrors.IsInvalid, "spec.desiredState"},
		{"3 MB", "node1", `{"spec":{"desiredState":{"description":"` + strings.Repeat("x", 3<<20) + `"}}}`, apierrors.IsRequestEntityTooLargeError, "limit"},
		{"deep", "node1", `{"spec":{"desiredState":{"a":` + strings.Repeat("[", 105) + strings.Repeat("]", 105) + `}}}`, apierrors.IsInvalid, "nested deeper than"},
		{"5,000 deep", "node1", `{"spec":{"desiredState":{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}}`, apierrors.IsBadRequest, "nested deeper than"},
		{"10,000 deep", "node1", `{"spec":{"desiredState":{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}}}`, apierrors.IsBadRequest, "nested deeper than"},
		{"unknown node", "node2", `{"spec":{}}`, apierrors.IsNotFound, "node2"},
		{"labels", "node1", `{"metadata":{"labels":{"a":"b"}}}`, apierrors.IsInvalid, "metadata.labels"},
		{"finalizers", "node1", `{"metadata":{"finalizers":["a.b/c"]}}`, apierrors.IsInvalid, "metadata.finalizers"},
		{"status", "node1", `{"status":{"agentVersion":"x"}}`, apierrors.IsInvalid, "status"},
		{"resourceVersion", "node1", `{"metadata":{"resourceVersion":"1"},"spec":{}}`, apierrors.IsConflict, "node1"},
		{"no resourceVersion", "node1", `{"metadata":{"resourceVersion":"x"},"spec":{}}`, apierrors.IsBadRequest, "metadata.resourceVersion"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := nns.Patch(t.Context(), test.node, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{})
			if !test.wanted(err) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %.300v", err)
			}
		})
	}
	after, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("before %+v\nafter %+v, %v", before, after, err)
	}
	strict := metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict}
	if _, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(`{"spec":{"desired":{}}}`), strict); err == nil || !strings.Contains(err.Error(), "spec.desired") {
		t.Errorf("strict validation: %v", err)
	}
}

// TestRevisionsOfAnotherTerm: 410 on LIST and WATCH, from the past and the future.
func TestRevisionsOfAnotherTerm(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	page, err := s.nns().List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := page.Items[0].ResourceVersion
	s.kill()
	s.start()
	for _, version := range []string{"1", before, "9000000000000000000"} {
		opts := metav1.ListOptions{ResourceVersion: version}
		if _, err := s.nns().List(t.Context(), opts); !apierrors.IsResourceExpired(err) {
			t.Errorf("LIST at %s: %v", version, err)
		}
		if _, err := s.nns().Watch(t.Context(), opts); !apierrors.IsResourceExpired(err) {
			t.Errorf("WATCH at %s: %v", version, err)
		}
		stale := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1", ResourceVersion: version}}
		if _, err := s.nns().Update(t.Context(), stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("PUT at %s: %v", version, err)
		}
	}
	opts := metav1.ListOptions{ResourceVersion: "seven"}
	if _, err := s.nns().List(t.Context(), opts); !apierrors.IsBadRequest(err) {
		t.Errorf("LIST at no number: %v", err)
	}
	if _, err := s.nns().Watch(t.Context(), opts); !apierrors.IsBadRequest(err) {
		t.Errorf("WATCH at no number: %v", err)
	}
	if _, err := s.nns().Get(t.Context(), "node1", metav1.GetOptions{ResourceVersion: "seven"}); !apierrors.IsBadRequest(err) {
		t.Errorf("GET at no number: %v", err)
	}
}

// TestContinueTokenOfAnotherTerm: a list cannot go on in another term.
func TestContinueTokenOfAnotherTerm(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.join("node2")
	s.await("the nodes to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 2 })
	page, err := s.nns().List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil || page.Continue == "" {
		t.Fatalf("a first page: %+v, %v", page, err)
	}
	s.kill()
	s.start()
	if _, err := s.nns().List(t.Context(), metav1.ListOptions{Limit: 1, Continue: page.Continue}); !apierrors.IsResourceExpired(err) {
		t.Errorf("the second page: %v", err)
	}
}

// TestNothingIsMissingAfterARestart: the very first answers have what lasts.
func TestNothingIsMissingAfterARestart(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	patch := []byte(`{"metadata":{"annotations":{"keep":"this"}},"spec":{"desiredState":{"interfaces":[{"name":"eth0","type":"dummy","state":"up"}]}}}`)
	before, err := s.nns().Patch(t.Context(), "node1", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.kill()
		s.launch()
		var list *v1alpha1.NodeNetworkStateList
		for { // until it listens
			if list, err = s.nns().List(t.Context(), metav1.ListOptions{}); err == nil || t.Context().Err() != nil {
				break
			}
		}
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("the first list has %+v, %v", list, err)
		}
		after := list.Items[0]
		if after.Annotations["keep"] != "this" || after.Generation != before.Generation || after.UID != before.UID ||
			!v1alpha1.SameState(after.Spec.DesiredState, before.Spec.DesiredState) || !reflect.DeepEqual(after.ManagedFields, before.ManagedFields) ||
			available(list.Items) != 1 {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
	}
}

// TestAPutOfTheSpecAlone is taken as kubectl replace sends it.
func TestAPutOfTheSpecAlone(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	for name, versioned := range map[string]bool{"with its revision": true, "without": false} {
		put := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}
		if before, err := s.nns().Get(t.Context(), "node1", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		} else if versioned {
			put.ResourceVersion = before.ResourceVersion
		}
		put.Spec.DesiredState = v1alpha1.NewState(fmt.Appendf(nil, `{"interfaces":[{"name":"eth%d","type":"dummy","state":"up"}]}`, len(name)))
		after, err := s.nns().Update(t.Context(), put, metav1.UpdateOptions{})
		if err != nil || !v1alpha1.SameState(after.Spec.DesiredState, put.Spec.DesiredState) || after.Labels["kubernetes.io/hostname"] != "node1" ||
			after.Status.CurrentState == nil {
			t.Errorf("%s: %+v, %v", name, after, err)
		}
	}
}

// TestTheAgentsDoor: who has no business there does not get in.
func TestTheAgentsDoor(t *testing.T) {
	s := newServer(t)
	first := s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	for name, files := range map[string]uplink.Files{
		"wrong token":         {Token: s.secret("wrong"), NodeKey: s.secret("stranger")},
		"another node's name": {Token: filepath.Join(s.dir, "join-token"), NodeKey: s.secret("other")},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			link := uplink.New(uplink.Config{
				Server: fmt.Sprintf("127.0.0.1:%d", s.agentsPort), CAFile: s.ca(), Credentials: files, Node: "node1", Agent: fake.New(),
			})
			refused := s.metric(`nmstate_agent_events_total{event="refused"}`)
			_ = link.Run(ctx)
			if got := s.metric(`nmstate_agent_events_total{event="refused"}`); got <= refused {
				t.Errorf("%v refusals were counted after %v", got, refused)
			}
			if got := s.metric(`nmstate_agent_events_total{event="replaced"}`); got != 0 {
				t.Errorf("the node's own agent was replaced %v times", got)
			}
			if err := first.SetState(stateWith(len(name))); err != nil {
				t.Fatal(err)
			}
			one, err := s.nns().Get(t.Context(), "node1", metav1.GetOptions{})
			if err != nil || one.Status.CurrentState == nil || !bytes.Contains(one.Status.CurrentState.Raw, fmt.Appendf(nil, "c%d", len(name))) {
				t.Errorf("the node's own agent does not speak for it any more: %+v, %v", one, err)
			}
		})
	}
	s.garbage([]byte("GET / HTTP/1.1\r\n\r\n"), nil)
	s.garbage(bytes.Repeat([]byte{0, 0xff, 7}, 10000), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if list, err := s.nns().List(t.Context(), metav1.ListOptions{}); err != nil || available(list.Items) != 1 {
		t.Errorf("after garbage: %v", err)
	}
}

// metric returns the value of a line of /metrics, 0 if it is not there.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	text, err := s.clients().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return number
		}
	}
	return 0
}

// secret makes a random one and returns its file.
func (s *server) secret(name string) string {
	path := filepath.Join(s.dir, name)
	if err := secretfile.Ensure(path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// garbage sends bytes to the agents' port, in TLS if so configured.
func (s *server) garbage(data []byte, config *tls.Config) {
	s.t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.agentsPort))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if config != nil {
		conn = tls.Client(conn, config)
	}
	_, _ = conn.Write(data)
	_ = conn.SetReadDeadline(time.Now().Add(long))
	_, _ = conn.Read(make([]byte, 1024))
}
