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
)

// doorListener knows the connections that it has accepted. It closes them when
// ctx ends: gRPC's Stop alone would wait for those that are still shaking hands,
// which somebody who says nothing can make last. And it tells of those that came
// to their end without a greeting, of which gRPC tells nobody.
type doorListener struct {
	net.Listener
	ctx      context.Context
	greeters *greeters
	stranger func()
}

// greeters tell of each open connection whether an agent has made a greeting on
// it. gRPC gives a stream no more of its connection than the peer's address.
type greeters struct{ connections sync.Map }

func (g *greeters) open(peer net.Addr) { g.connections.Store(peer.String(), new(atomic.Bool)) }

// greeted notes a greeting, unless the connection is closed already.
func (g *greeters) greeted(peer net.Addr) {
	if has, ok := g.connections.Load(peer.String()); ok {
		has.(*atomic.Bool).Store(true)
	}
}

// closed returns whether there was a greeting.
func (g *greeters) closed(peer net.Addr) bool {
	had, ok := g.connections.LoadAndDelete(peer.String())
	return ok && had.(*atomic.Bool).Load()
}

// Accept implements net.Listener.
func (l doorListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.greeters.open(conn.RemoteAddr())
	forget := context.AfterFunc(l.ctx, func() { conn.Close() })
	return doorConn{conn, sync.OnceFunc(func() {
		forget()
		if !l.greeters.closed(conn.RemoteAddr()) && l.ctx.Err() == nil {
			l.stranger()
		}
	})}, nil
}

// doorConn is a connection that the listener forgets once it is closed.
type doorConn struct {
	net.Conn
	forget func()
}

// Close implements net.Conn.
func (c doorConn) Close() error {
	c.forget()
	return c.Conn.Close()
}
