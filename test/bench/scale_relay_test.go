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
	"io"
	"net"
	"sync"
	"testing"
)

// relay passes connections on to an address. While it is frozen, what is on them stands still: so does an agent that hangs.
type relay struct {
	net.Listener
	to string
	// gate is held for writing while the relay is frozen.
	gate sync.RWMutex
}

// newRelay returns a relay that ends with the benchmark.
func newRelay(b *testing.B, to string) *relay {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	r := &relay{Listener: listener, to: to}
	go r.serve()
	return r
}

func (r *relay) freeze() { r.gate.Lock() }
func (r *relay) thaw()   { r.gate.Unlock() }

// serve takes connections until the listener is closed.
func (r *relay) serve() {
	for {
		near, err := r.Accept()
		if err != nil {
			return
		}
		go func() {
			far, err := net.Dial("tcp", r.to)
			if err != nil {
				near.Close()
				return
			}
			go r.pass(near, far)
			r.pass(far, near)
		}()
	}
}

// pass copies what comes from one end to the other until one of them is closed.
func (r *relay) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	_, _ = io.Copy(gated{to, r}, from)
}

// gated writes only while the relay is not frozen.
type gated struct {
	io.Writer
	*relay
}

// Write implements io.Writer.
func (g gated) Write(text []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Writer.Write(text)
}
