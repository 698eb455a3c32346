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

// greeters are the addresses of those who have made a greeting and are still connected.
type greeters struct{ addresses sync.Map }

func (g *greeters) add(address net.Addr) { g.addresses.Store(address.String(), nil) }

// remove tells whether the address was there.
func (g *greeters) remove(address net.Addr) bool {
	_, was := g.addresses.LoadAndDelete(address.String())
	return was
}

// Accept implements net.Listener.
func (l doorListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	forget := context.AfterFunc(l.ctx, func() { conn.Close() })
	return doorConn{conn, sync.OnceFunc(func() {
		forget()
		if !l.greeters.remove(conn.RemoteAddr()) && l.ctx.Err() == nil {
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
