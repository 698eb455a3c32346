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
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// reserved are the ports that connections do not begin from, of this network.
const reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports"

// port returns a port that is free, and stays free until a server listens on it again: the connections of thousands of agents begin
// from ports of the same range.
func port(b *testing.B) int {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	free := listener.Addr().(*net.TCPAddr).Port
	before, err := os.ReadFile(reserved)
	if err == nil {
		err = os.WriteFile(reserved, []byte(strings.TrimPrefix(fmt.Sprintf("%s,%d", bytes.TrimSpace(before), free), ",")), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	return free
}
