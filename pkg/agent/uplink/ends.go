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
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// errStale is why a stream ends that did not outlive a change of the network.
var errStale = errors.New("the stream is stale")

// ends are this node's end of the connections that a ClientConn has made. It has one at a
// time as a rule.
type ends struct {
	mu     sync.Mutex
	latest net.Addr
}

// dial makes a TCP connection.
func (e *ends) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.latest = conn.LocalAddr()
	return conn, nil
}

// present tells whether the latest connection's own address is still one of this node's. If
// that cannot be found out it is.
func (e *ends) present() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	own, isTCP := e.latest.(*net.TCPAddr)
	all, err := net.InterfaceAddrs()
	if !isTCP || err != nil {
		return true
	}
	return slices.ContainsFunc(all, func(have net.Addr) bool {
		network, isNetwork := have.(*net.IPNet)
		// All of 127.0.0.0/8 is this node's own.
		return isNetwork && (network.IP.Equal(own.IP) || own.IP.IsLoopback() && network.IP.IsLoopback())
	})
}

// aliveMethod is a method that no server has. That it does not is an answer, which comes
// without authentication, from servers of every version, over the connection as it is.
const aliveMethod = "/nmstate.agent.v1alpha1.Alive/Ask"

// check ends the stream if it did not outlive a change of the network: if the address is
// gone that it comes from, or if the server does not answer in time over its connection. TCP and
// keepalive would find that out later, and TCP's pauses would have grown meanwhile.
func (l *link) check(ctx context.Context) {
	if !l.checking.TryLock() {
		return
	}
	defer l.checking.Unlock()
	if !l.ends.present() {
		l.end(fmt.Errorf("%w: the node does not have its address any more", errStale))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	err := l.conn.Invoke(ctx, aliveMethod, &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		l.end(fmt.Errorf("%w: the API server does not answer over it: %w", errStale, err))
	}
}
