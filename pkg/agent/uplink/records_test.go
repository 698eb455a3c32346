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

package uplink

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// sizes is a connection that notes what is written to it.
type sizes struct {
	net.Conn
	text   bytes.Buffer
	writes []int
}

func (s *sizes) Write(p []byte) (int, error) {
	s.writes = append(s.writes, len(p))
	return s.text.Write(p)
}

// TestRecordsFitTheMessages: they are small until one message was large, and nothing is lost.
func TestRecordsFitTheMessages(t *testing.T) {
	under := &sizes{}
	conn := &recordConn{Conn: under}
	var sent []byte
	write := func(size, times int) {
		for i := range times {
			p := bytes.Repeat([]byte{byte(i)}, size)
			if n, err := conn.Write(p); n != size || err != nil {
				t.Fatalf("%d of %d bytes: %v", n, size, err)
			}
			sent = append(sent, p...)
		}
	}
	for range 2 * longWrites { // messages of 17 kB
		write(agent.WriteBuffer, 1)
		write(1000, 1)
	}
	if largest := slices.Max(under.writes); largest != agent.SmallRecord {
		t.Errorf("small messages had records of %d bytes", largest)
	}
	write(agent.WriteBuffer, longWrites)
	under.writes = nil
	write(agent.WriteBuffer, 2)
	write(10, 1)
	if want := []int{agent.WriteBuffer, agent.WriteBuffer, 10}; !slices.Equal(under.writes, want) {
		t.Errorf("a large message had records of %v, not %v", under.writes, want)
	}
	if !bytes.Equal(under.text.Bytes(), sent) {
		t.Error("something else was written")
	}
}
