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

package preparation

import (
	"os"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// hostnameFile has the hostname that a boot brings. It may be mounted, so it is written, not replaced.
const hostnameFile = "/etc/hostname"

// setHostname writes the configured hostname; libnmstate without NetworkManager sets only the running one.
func (p *planner) setHostname() {
	wanted, given := section(p.desired, "hostname")["config"].(string)
	if !given || wanted == "" || wanted == tree.StringAt(section(p.current, "hostname"), "config") {
		return
	}
	p.step("write the hostname "+wanted, func() error { return os.WriteFile(hostnameFile, []byte(wanted+"\n"), 0o644) })
}
