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
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// doorListener makes its connections end when ctx ends. gRPC's Stop waits for TLS
// handshakes, and a silent client can keep a handshake open. It also tells of
// connections that end without a greeting of an agent, of which gRPC tells nobody.
type doorListener struct {
	net.Listener
	ctx      context.Context
	stranger func()
}

// Accept implements net.Listener.
func (l doorListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &doorConn{Conn: raw}
	forget := context.AfterFunc(l.ctx, func() { raw.Close() })
	conn.closed = sync.OnceFunc(func() {
		forget()
		if !conn.greeted.Load() && l.ctx.Err() == nil {
			l.stranger()
		}
	})
	return conn, nil
}

// doorConn is a connection that knows whether an agent has made a greeting on it.
type doorConn struct {
	net.Conn
	greeted atomic.Bool
	// closed is called when the connection is closed.
	closed func()
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
