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

package host

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

const (
	// startDatabase starts the server of Open vSwitch's database, with the content that it had.
	startDatabase = `ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile=/run/openvswitch/ovsdb-server.pid --detach --no-chdir \
		--log-file=/dev/null /run/openvswitch/conf.db`
	stopDatabase = "read -r pid </run/openvswitch/ovsdb-server.pid; kill $pid; while kill -0 $pid 2>/dev/null; do :; done"
)

// databaseChanges are what others change in Open vSwitch's database; see others. No switch runs, for which ovs-vsctl would wait.
var databaseChanges = []string{
	"ovs-vsctl --no-wait set open . external_ids:n#=v#",
	"ovs-vsctl --no-wait remove open . external_ids n#",
	"ovs-vsctl --no-wait set open . other_config:n#=v#",
	"ovs-vsctl --no-wait clear open . other_config",
	"ovs-vsctl --no-wait --may-exist add-br ovs#",
	"ovs-vsctl --no-wait --if-exists del-br ovs#",
	"ovs-vsctl --no-wait set bridge ovs# stp_enable=true",
	"ovs-vsctl --no-wait set bridge ovs# external_ids:n#=v#",
	"ovs-vsctl --no-wait --may-exist add-port ovs# p# tag=#",
	"ovs-vsctl --no-wait set interface p# type=patch options:peer=q#",
	"ovs-vsctl --no-wait set port p# bond_updelay=#",
}

// TestManagedReadsOfOpenvSwitch: what others change in its database is shown by a barrier right after it, and watchers see
// it; what libnmstate does not ask for makes no agent read.
func TestManagedReadsOfOpenvSwitch(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	netns.Run(t, "sh", "-ec", "mkdir -p /run/openvswitch; ovsdb-tool create /run/openvswitch/conf.db; "+startDatabase+"; ovs-vsctl --no-wait init")
	t.Cleanup(func() { netns.Run(t, "sh", "-c", stopDatabase+"; rm -r /run/openvswitch") })
	untilAtRest(t, h)

	seed := rand.Uint64()
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	made := 0
	for n := range 200 {
		line := strings.ReplaceAll(databaseChanges[random.IntN(len(databaseChanges))], "#", strconv.Itoa(random.IntN(3)))
		if exec.Command("sh", "-c", line).Run() == nil {
			made++
		}
		seenAtOnce(t, h, fmt.Sprintf("change %d, %s", n, line))
	}
	if t.Logf("%d changes were made", made); made < 50 {
		t.Error("that is too little to tell anything")
	}
	netns.Run(t, "ovs-vsctl", "--no-wait", "--may-exist", "add-br", "ovs0")
	untilAtRest(t, h)
	netns.Run(t, "ovs-vsctl", "--no-wait", "set", "interface", "ovs0", "statistics:rx_bytes=5")
	if read, err := h.Barrier(t.Context()); read || err != nil {
		t.Errorf("after a change of statistics the network was read: %t, %v", read, err)
	}
	for _, line := range []string{stopDatabase, startDatabase} {
		netns.Run(t, "sh", "-c", line)
		seenAtOnce(t, h, line)
	}
	untilAtRest(t, h)
	netns.Run(t, "ovs-vsctl", "--no-wait", "set", "open", ".", "external_ids:watched=yes")
	awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return strings.Contains(string(obj.Status.CurrentState.Raw), `"watched"`)
	})
}
