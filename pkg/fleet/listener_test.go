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
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// TestALongHelloIsNotReadToItsEnd: 96 of them at once had taken 1.7 GB.
func TestALongHelloIsNotReadToItsEnd(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	s.join("node01")
	connection := s.connection(token)
	visitor := s.rawOn(connection)
	visitor.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: "node02", AgentVersion: strings.Repeat("x", 15<<20)}}})
	if err := visitor.end(); status.Code(err) != codes.Unavailable {
		t.Errorf("the connection did not end: %v", err)
	}
	// An object of that size is read: its agent is admitted.
	agent := s.admitted("node02")
	state := `{"hostname":"` + strings.Repeat("x", 4*maxVisit) + `"}`
	agent.object(objectText(t, state))
	s.sink.until(t, "node02", "a large object", shows(state))
	if !available(s.sink.last("node01")) {
		t.Error("the other node has lost its agent")
	}
}

// TestVisitorsAreBounded: connections without an admitted agent, such as those of
// somebody who has no token, take one another's places only.
func TestVisitorsAreBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	strangers := make(chan struct{}, 10)
	door := doorListener{listener, t.Context(), func() { strangers <- struct{}{} }, newCrowd(2)}
	accept := func() (far net.Conn, near *doorConn) {
		t.Helper()
		far, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close() })
		accepted, err := door.Accept()
		if err != nil {
			t.Fatal(err)
		}
		near = accepted.(*doorConn)
		t.Cleanup(func() { near.Close() })
		return far, near
	}
	// present makes sure that a connection is there: what one end says comes to the other.
	present := func(what string, far net.Conn, near *doorConn) {
		t.Helper()
		if _, err := near.Write([]byte("x")); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_ = far.SetReadDeadline(time.Now().Add(timeout))
		if _, err := far.Read(make([]byte, 1)); err != nil {
			t.Errorf("%s was pushed out: %v", what, err)
		}
	}
	admittedFar, admitted := accept()
	admitted.admitted()
	oldestFar, _ := accept()
	secondFar, second := accept()
	thirdFar, third := accept()
	_ = oldestFar.SetReadDeadline(time.Now().Add(timeout))
	if _, err := oldestFar.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the oldest was not pushed out: %v", err)
	}
	present("the admitted one", admittedFar, admitted)
	present("the second", secondFar, second)
	present("the third", thirdFar, third)

	// One whose agent's stream has ended is a visitor again.
	admitted.ended()
	_ = secondFar.SetReadDeadline(time.Now().Add(timeout))
	if _, err := secondFar.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the second was not pushed out: %v", err)
	}
	present("the one that was admitted", admittedFar, admitted)
	for _, conn := range []*doorConn{admitted, third} {
		conn.Close()
	}
	if left := len(door.visitors.waiting); left != 0 || door.visitors.present != 0 {
		t.Errorf("%d visitors of %d owners are left", door.visitors.present, left)
	}
	if len(strangers) != 2 {
		t.Errorf("%d connections that ended without a greeting were told of", len(strangers))
	}
}
