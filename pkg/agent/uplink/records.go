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
	"net"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// longWrites is how many full buffers in a row a message takes that is large: 128 kB.
const longWrites = 128 << 10 / agent.WriteBuffer

// records are credentials whose connections fit the TLS records to what is sent.
type records struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (r records) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := r.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return &recordConn{Conn: conn}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (r records) Clone() credentials.TransportCredentials {
	return records{r.TransportCredentials.Clone()}
}

// recordConn writes small TLS records until a large message has come: at 500 kB, small ones take as long as the rest of the way to the
// server, and the server's buffer does not count beside such an object. gRPC writes from one goroutine.
type recordConn struct {
	net.Conn
	// full counts the full buffers that were written in a row.
	full int
}

// Write implements net.Conn.
func (c *recordConn) Write(p []byte) (written int, err error) {
	if c.full >= longWrites {
		return c.Conn.Write(p)
	}
	if c.full++; len(p) < agent.WriteBuffer {
		c.full = 0
	}
	for record := range slices.Chunk(p, agent.SmallRecord) {
		n, err := c.Conn.Write(record)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
