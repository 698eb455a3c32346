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
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/warning"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// ErrStopped is what a barrier ends with that the end of the server has overtaken.
var ErrStopped = errors.New("this API server is ending: try again")

// maxNamed is how many nodes a warning names.
const maxNamed = 10

// Barrier returns once the sink has all that had changed before the call on the
// nodes that are selected. An agent that does not answer in time never fails it:
// its object says so by then, and the response gets a warning. The only errors
// are ctx's and ErrStopped.
func (f *Fleet) Barrier(ctx context.Context, selected func(Node) bool) error {
	return f.pass(ctx, f.selected(selected))
}

// BarrierNode is Barrier for one node, if there is such a node.
func (f *Fleet) BarrierNode(ctx context.Context, name string) error {
	n := f.node(name)
	if n == nil {
		return nil
	}
	return f.pass(ctx, []*node{n})
}

// pass waits for all nodes, which are asked at once.
func (f *Fleet) pass(ctx context.Context, nodes []*node) error {
	begin := time.Now()
	passages := make([]*passage, len(nodes))
	for i, n := range nodes {
		passages[i] = &passage{node: n, begin: begin}
		passages[i].look()
	}
	var missed []string
	for _, p := range passages {
		passed, err := p.wait(ctx)
		if err != nil {
			return err
		}
		if !passed {
			missed = append(missed, p.node.name)
		}
	}
	if f.stopped.Load() {
		// What the nodes are is no longer recorded.
		return ErrStopped
	}
	if missed != nil {
		warning.AddWarning(ctx, "", missedWarning(missed))
	}
	return nil
}

func missedWarning(names []string) string {
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return "no answer in time from the agent of " + strings.Join(names, ", ") + more +
		": what is shown of it is not live, see its condition Available"
}

// passage is one caller's barrier on one node.
type passage struct {
	node  *node
	begin time.Time
	// session and round are what is waited for; no round means none to wait for.
	session *session
	round   *agent.Round
}

// look joins the barriers of the session that speaks for the node, unless that
// was done. It returns until when to wait, and what is closed when to look
// again. An agent has its time from when it was asked, whoever came meanwhile.
func (p *passage) look() (limit time.Time, moved <-chan struct{}, removed bool) {
	n := p.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != p.session {
		p.session, p.round = n.session, nil
		if p.session != nil {
			p.round = p.session.rounds.Join()
		}
	}
	limit = p.begin.Add(n.fleet.config.BarrierGrace)
	if n.reachable && n.session != nil {
		limit = n.session.due()
	}
	return limit, n.moved, n.removed
}

// wait returns whether the barrier was passed, or ctx's error.
func (p *passage) wait(ctx context.Context) (bool, error) {
	for {
		limit, moved, removed := p.look()
		var done <-chan struct{}
		if p.round != nil {
			done = p.round.Done()
			select {
			case <-done:
				if passed, again := p.ended(); !again {
					return passed, nil
				}
				continue
			default:
			}
		}
		if removed {
			return true, nil
		}
		timer := time.NewTimer(time.Until(limit))
		select {
		case <-done:
		case <-moved:
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-timer.C:
			if !p.node.overdue(p.session) {
				return false, nil
			}
		}
		timer.Stop()
	}
}

// ended tells of a round that has ended whether the barrier was passed, or
// whether to wait again, for what comes after a session that has ended.
func (p *passage) ended() (passed, again bool) {
	err := p.round.Err()
	switch {
	case err == nil:
		return true, false
	case errors.Is(err, errEnded):
		p.round = nil
		return false, true
	default:
		p.node.failed(p.session)
		return false, false
	}
}
