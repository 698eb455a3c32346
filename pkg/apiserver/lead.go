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

package apiserver

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	// agentsGrace is how long a server that takes over waits for the nodes' agents.
	// Then it serves without those that are missing.
	agentsGrace = 3 * time.Second
	// farewell is how long a server that shuts down waits for the writes inside, and
	// lastWords how long it then waits for the reads inside. Until then it keeps its
	// agents, and no other server becomes the active one.
	farewell  = 2 * time.Second
	lastWords = time.Second / 2
	// cachePoll is the polling interval until the watch cache is filled.
	cachePoll = 10 * time.Millisecond
)

// lead serves as the active server until ctx ends. The revisions of this term
// begin after term. A server leads once.
func (s *Server) lead(ctx context.Context, term uint64) error {
	klog.FromContext(ctx).Info("Serving agents", "address", s.listener.Addr(), "term", term)
	s.log.Begin(term)
	s.gate.takeOver()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	group.Go(func() error { return ignoreEnd(serving, s.fleet.Run(serving)) })
	group.Go(func() error { return s.fleet.Serve(serving, s.listener, s.tls) })
	group.Go(func() error { return ignoreEnd(serving, s.takeOver(serving)) })
	group.Go(func() error { return ignoreEnd(ctx, s.elector.Announce(ctx)) })
	group.Go(func() error {
		defer stop()
		select {
		case <-ctx.Done():
			s.leave(ctx)
		case <-serving.Done():
			s.gate.leave(serving)
		}
		return nil
	})
	return group.Wait()
}

// leave ends a term after its ctx has ended. As long as this server is the active
// one, writes inside may end and reads pass.
func (s *Server) leave(term context.Context) {
	term = context.WithoutCancel(term)
	if s.elector.IsActive() {
		ctx, cancel := context.WithTimeout(term, farewell)
		s.gate.drain(ctx)
		cancel()
	}
	ctx, cancel := context.WithTimeout(term, lastWords)
	defer cancel()
	s.gate.leave(ctx)
}

// takeOver opens the gate as soon as the first answers are as complete as those of
// the server before: all nodes are there, and the states of the nodes whose agents
// came back in time.
func (s *Server) takeOver(ctx context.Context) error {
	grace, cancel := context.WithTimeout(ctx, agentsGrace)
	defer cancel()
	select {
	case <-s.nodesKnown:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.log.Complete()
	s.fleet.AwaitAgents(grace)
	err := wait.PollUntilContextCancel(ctx, cachePoll, true, func(context.Context) (bool, error) {
		return s.watchCache.Load().Ready(), nil
	})
	if err != nil {
		return err
	}
	s.gate.open()
	klog.FromContext(ctx).Info("Serving clients")
	return nil
}
