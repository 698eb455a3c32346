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

package vm

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// lacks says what the case needs and the node has not, "" if it has all.
func (t *trial) lacks(ctx context.Context, c *table.Case) string {
	if c.Needs.Run == "" || c.RefusedBy(t.backend) != "" && c.Before == "" {
		return ""
	}
	if _, err := t.exec(ctx, c.Needs.Run); err != nil {
		GinkgoWriter.Printf("%s lacks %s: %v\n", t.name, c.Needs.What, err)
		return c.Needs.What
	}
	return ""
}

// prepareCase does what must be before the case; stop, which is never nil, undoes it.
func (t *trial) prepareCase(ctx context.Context, c *table.Case) (stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, one := range slices.Backward(undo) {
			one()
		}
	}
	if c.Hub != "" {
		end, err := t.neighbour(ctx, t.name, c.Hub)
		if err != nil {
			return stop, err
		}
		undo = append(undo, end)
	}
	if c.Before != "" {
		undo = append(undo, func() {
			if _, err := t.exec(ctx, c.After); err != nil {
				GinkgoWriter.Printf("after %s: %v\n", c.Title(), err)
			}
		})
		_, err = t.exec(ctx, c.Before)
	}
	return stop, err
}

// forgetRouters removes routes that the kernel makes after a router's advertisement. It listens to routers until NetworkManager takes a
// link over, and these routes stay until NetworkManager activates the link again.
const forgetRouters = "ip -6 route flush proto ra metric 1024; ip -6 route flush proto kernel metric 256 root 2000::/3"

// afterBoot makes again what was before the cases and is gone after a reboot.
func (t *trial) afterBoot(ctx context.Context) {
	for _, c := range t.batch {
		commands := c.AfterBoot
		if c.Hub != "" && t.backend == v1alpha1.BackendNetworkManager {
			commands += "\n" + forgetRouters
		}
		if commands == "" {
			continue
		}
		if _, err := t.exec(ctx, commands); err != nil {
			t.results[c].Fail(table.StepReboot, err.Error())
		}
	}
}
