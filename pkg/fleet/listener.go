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
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

const (
	// maxVisitors is how many connections may be there without an admitted agent. One
	// takes about 50 KiB.
	maxVisitors = 4096
	// maxVisit is how many bytes may come over a connection without an admitted agent:
	// the TLS handshake, and the headers and the Hello of each of maxStreams streams.
	// gRPC would take a whole message from each, of MaxMessageSize, before it is known
	// to be no Hello.
	maxVisit = maxStreams * (maxHeaders + maxHello)
)

// errNoVisit is what a connection ends with that sends too much before an agent on it
// is admitted.
var errNoVisit = fmt.Errorf("more than %d bytes came before an agent was admitted", maxVisit)

// doorListener makes its connections end when ctx ends. gRPC's Stop waits for TLS
// handshakes, and a silent client can keep a handshake open. It also tells of
// connections that end without a greeting of an agent, of which gRPC tells nobody.
// Connections without an admitted agent are bounded, by the address they come from.
type doorListener struct {
	net.Listener
	ctx      context.Context
	stranger func()
	visitors *crowd
}

// Accept implements net.Listener.
func (l doorListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &doorConn{Conn: raw, door: l}
	conn.visit()
	forget := context.AfterFunc(l.ctx, func() { raw.Close() })
	conn.closed = sync.OnceFunc(func() {
		forget()
		conn.admitted()
		if !conn.greeted.Load() && l.ctx.Err() == nil {
			l.stranger()
		}
	})
	return conn, nil
}

// doorConn is a connection that knows whether an agent has made a greeting on it, and
// whether one is admitted.
type doorConn struct {
	net.Conn
	door    doorListener
	greeted atomic.Bool
	// closed is called when the connection is closed.
	closed func()

	mu sync.Mutex
	// streams counts the admitted agents on the connection. While there is none, leave
	// gives up its place among the visitors, and received counts the bytes that came.
	streams  int
	leave    func()
	received int
}

// visit takes a place among the connections without an admitted agent. The caller holds
// the lock, unless nobody else has the connection yet.
func (c *doorConn) visit() {
	inside, leave := c.door.visitors.enter(c.door.ctx, addressOf(c.RemoteAddr()))
	pushedOut := context.AfterFunc(inside, func() { c.Conn.Close() })
	c.leave = func() {
		pushedOut()
		leave()
	}
	c.received = 0
}

// admitted counts an agent that is admitted, or the end of the connection.
func (c *doorConn) admitted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams++; c.streams == 1 {
		c.leave()
	}
}

// ended counts an agent whose stream has ended.
func (c *doorConn) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams--; c.streams == 0 {
		c.visit()
	}
}

// Read implements net.Conn.
func (c *doorConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams > 0 {
		return n, err
	}
	if c.received += n; c.received > maxVisit {
		return 0, errNoVisit
	}
	return n, err
}

// Close implements net.Conn.
func (c *doorConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// doorCredentials give the streams of a doorConn the way to it, as their peer's AuthInfo.
type doorCredentials struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (c doorCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ServerHandshake(raw)
	if door, ok := raw.(*doorConn); ok && err == nil {
		info = doorInfo{info, door}
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (c doorCredentials) Clone() credentials.TransportCredentials {
	return doorCredentials{c.TransportCredentials.Clone()}
}

// doorInfo is the AuthInfo of the credentials within, and the connection.
type doorInfo struct {
	credentials.AuthInfo
	conn *doorConn
}

// greet records that an agent has made a greeting on the connection of that AuthInfo.
func greet(info credentials.AuthInfo) {
	if door, ok := info.(doorInfo); ok {
		door.conn.greeted.Store(true)
	}
}

// admitOn records that an agent is admitted on the connection of that AuthInfo, until
// ended is called.
func admitOn(info credentials.AuthInfo) (ended func()) {
	door, ok := info.(doorInfo)
	if !ok {
		return func() {}
	}
	door.conn.admitted()
	return door.conn.ended
}
