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

package impact

import (
	"net"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

func TestFindWay(t *testing.T) {
	for _, args := range [][]string{
		{"link", "add", "up0", "up", "type", "veth", "peer", "name", "peer0"}, {"link", "set", "peer0", "up"},
		{"address", "add", "192.0.2.2/24", "dev", "up0"}, {"address", "add", "2001:db8::2/64", "dev", "up0", "nodad"},
	} {
		netns.Run(t, "ip", args...)
	}
	for host, iface := range map[string]string{"192.0.2.9": "up0", "2001:db8::9": "up0", "192.0.2.2": "", "127.0.0.1": "", "::1": ""} {
		way, err := FindWay(t.Context(), net.JoinHostPort(host, "6444"))
		if err != nil || way.Interface != iface || way.IP.String() != host {
			t.Errorf("%s: got %+v, %v", host, way, err)
		}
	}
	for _, server := range []string{"203.0.113.1:6444", "no-such-name.:6444", "no port"} {
		if way, err := FindWay(t.Context(), server); err == nil {
			t.Errorf("%s: got %+v", server, way)
		}
	}
}
