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
	"context"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// guard is what a worker has to do when the agent has died: to undo the change in the journal.
type guard struct {
	dir    string
	limits Limits
}

func (g guard) on() bool { return g.dir != "" }

// agentEnded undoes the change in the journal unless it has ended, or is confirmed. It is called when the
// agent has died. The next agent waits for the lock, which this process has, and tells the outcome.
func (g guard) agentEnded() error {
	if !g.on() {
		return nil
	}
	j, err := readJournal(g.dir)
	if err != nil || j.at.State != Prepared && j.at.State != Applied || j.at.Plan.Worker != os.Getpid() {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.limits.Undo)
	defer cancel()
	p := j.at.Plan
	klog.Background().Info("The agent has died: undoing its change", "change", p.Story.ID)
	cause := failure(v1alpha1.ReasonAgentDied, "the agent ended before the change was confirmed, at %s", time.Now().UTC().Format(time.RFC3339))
	how := backends(g.limits, g.dir, nil)[p.Backend].undo(ctx, p, j.at.Checkpoint)
	how.leftover = p.scrub(how.leftover)
	story := withLeftover(p.uncovered(failed(*j.at.story(), cause)), how.leftover)
	return j.append(entry{State: RolledBack, Story: &story, Leftover: clip(how.leftover), Unsettled: how.unsettled})
}
