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

package transaction

import (
	"regexp"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

// noCheckpoint is the name of the checkpoint where it is known that there is none of ours.
const noCheckpoint = "none"

// checkpointName finds the checkpoint in nmstate's log, the only place where nmstate
// names it. If the log does not name it, ours are all that were not there before the change:
// NetworkManager keeps one checkpoint at a time unless somebody forces a second.
var checkpointName = regexp.MustCompile(`/org/freedesktop/NetworkManager/Checkpoint/[0-9]+`)

// splitCheckpoint splits the name of a checkpoint, as the journal has it: NetworkManager's own name on the bus, then the path.
// A NetworkManager that was started again has another name, and counts from 1 anew: a checkpoint of the same path may
// be another program's. Agents of before wrote the path alone. The path is "" if the checkpoint is not known, or if there is none.
func splitCheckpoint(name string) (owner string, path dbus.ObjectPath) {
	at := strings.IndexByte(name, '/')
	if at < 0 {
		return "", ""
	}
	if at == 0 {
		return undo.NetworkManagerName, dbus.ObjectPath(name)
	}
	return name[:at], dbus.ObjectPath(name[at:])
}

// checkpointsOf returns those of the open checkpoints that are ours: the one with the name, or all but others if
// the name is not known.
func checkpointsOf(name string, now undo.Manager, others []dbus.ObjectPath) []dbus.ObjectPath {
	owner, path := splitCheckpoint(name)
	return slices.DeleteFunc(slices.Clone(now.Checkpoints), func(one dbus.ObjectPath) bool {
		if name == "" {
			return slices.Contains(others, one)
		}
		return one != path || owner != now.Owner && owner != undo.NetworkManagerName
	})
}
