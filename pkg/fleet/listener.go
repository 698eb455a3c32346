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
)

// endingListener closes the connections it has accepted when ctx ends. gRPC's
// Stop alone would wait for those that are still shaking hands, which somebody
// who says nothing can make last.
type endingListener struct {
	net.Listener
	ctx context.Context
}

// Accept implements net.Listener.
func (l endingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	forget := context.AfterFunc(l.ctx, func() { conn.Close() })
	return endingConn{conn, forget}, nil
}

// endingConn is a connection that ctx does not matter for once it is closed.
type endingConn struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (c endingConn) Close() error {
	c.forget()
	return c.Conn.Close()
}
