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
)

// ErrStopped is returned by a barrier when the server shuts down first.
var ErrStopped = errors.New("this API server is shutting down: try again")

// maxNamed is how many nodes a warning names.
const maxNamed = 10

// Barrier returns once the sink has all that had changed before the call on the
// nodes that are selected. An agent that does not answer in time never fails it:
// by then the node's object says so, and the response gets a warning. It waits up
// to Reads.ListTimeout for an agent that reads. The only errors are ctx's and
// ErrStopped.
func (f *Fleet) Barrier(ctx context.Context, selected func(Node) bool) error {
	return f.pass(ctx, f.config.Reads.ListTimeout, f.selected(selected))
}

// BarrierPage is Barrier for the first of the selected nodes, by name, and at most so many. It
// returns the name of the last one, or "" if these were all.
func (f *Fleet) BarrierPage(ctx context.Context, selected func(Node) bool, most int) (last string, err error) {
	members := f.selected(selected)
	if len(members) > most {
		members = members[:most]
		last = members[most-1].name
	}
	return last, f.pass(ctx, f.config.Reads.ListTimeout, members)
}

// BarrierNode is Barrier for one node, if there is such a node. It waits up to
// Reads.Timeout for an agent that reads.
func (f *Fleet) BarrierNode(ctx context.Context, name string) error {
	m := f.member(name)
	if m == nil {
		return nil
	}
	return f.pass(ctx, f.config.Reads.Timeout, []*member{m})
}

// pass waits for all nodes, which are asked at once.
func (f *Fleet) pass(ctx context.Context, patience time.Duration, members []*member) error {
	begin := time.Now()
	passages := make([]*passage, len(members))
	for i, m := range members {
		passages[i] = &passage{member: m, begin: begin, patience: patience}
		passages[i].join()
	}
	missed := map[standing][]string{}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, p := range passages {
		found, err := p.wait(ctx, timer)
		if err != nil {
			return err
		}
		missed[found] = append(missed[found], p.member.name)
	}
	if f.stopped.Load() {
		// The sink is not told any more what becomes of the nodes.
		return ErrStopped
	}
	for _, found := range []standing{unreachable, reading} {
		if names := missed[found]; names != nil {
			warning.AddWarning(ctx, "", missedWarning(found, names))
		}
	}
	return nil
}

// missedWarning says which nodes have missed a barrier, and how they stand.
func missedWarning(found standing, names []string) string {
	what := "no answer in time from the agent of "
	if found == reading {
		what = "the agent is still reading the network of "
	}
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return what + strings.Join(names, ", ") + more + ": the current state is not shown, see the condition Available"
}

// passage is one caller's barrier on one node.
type passage struct {
	member *member
	begin  time.Time
	// patience is how long the caller waits for a read, from when the read began.
	patience time.Duration
	// session and round are what is waited for; no round means none to wait for.
	session *session
	round   *round
}

// join joins the barriers of the session that speaks for the node, unless that
// was done. It returns until when to wait, and a channel that is closed when it
// is to be called again.
func (p *passage) join() (limit time.Time, moved <-chan struct{}, removed bool) {
	m := p.member
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != p.session {
		p.session, p.round = m.session, nil
		if p.session != nil {
			p.round = p.session.join()
		}
	}
	return m.limit(p), m.moved, m.removed
}

// wait returns how the node stands after the barrier: live if it was passed. It uses
// the timer. The error is ctx's.
func (p *passage) wait(ctx context.Context, timer *time.Timer) (standing, error) {
	for {
		limit, moved, removed := p.join()
		var done, ended <-chan struct{}
		if p.round != nil {
			done, ended = p.round.done, p.session.ended
			select {
			case <-done:
				return p.passed(), nil
			default:
			}
		}
		if removed {
			return live, nil
		}
		timer.Reset(time.Until(limit))
		select {
		case <-done:
		case <-moved:
		case <-ended:
			p.end()
		case <-ctx.Done():
			return unreachable, ctx.Err()
		case <-timer.C:
			if found, late := p.member.late(p); late {
				return found, nil
			}
		}
	}
}

// passed returns how the node stands after the agent has answered.
func (p *passage) passed() standing {
	if p.round.err == nil {
		return live
	}
	p.member.failed(p.session)
	return unreachable
}

// end forgets the round, whose session has ended, unless the agent has answered before: the
// passage has to wait for the next session.
func (p *passage) end() {
	select {
	case <-p.round.done:
	default:
		p.round = nil
	}
}
