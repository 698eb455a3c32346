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

// Package fleet is the agents of all nodes as the API server sees them. It
// admits their streams, makes of what they send the objects that are served, and
// passes requests to them. While an agent cannot be asked its object says so.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Config says what a Fleet works with. A duration or number of 0 means the default.
type Config struct {
	Directory     Directory
	Authenticator Authenticator
	Sink          Sink

	// Self is who this server is.
	Self Self
	// Anew authenticates agents that ask whether their node can be reached. It must reuse
	// nothing of an earlier authentication. Default: Authenticator.
	Anew Authenticator
	// Outside is asked when the server itself runs on the node of such an agent. Default: there is
	// nothing outside.
	Outside Outside

	// BarrierTimeout is how long an agent may be silent that is asked for a barrier;
	// after that it is unreachable. Default 2 s. Where others answer late it has up to
	// three times as long.
	BarrierTimeout time.Duration
	// BarrierGrace is how long a barrier waits for an agent that is known to be
	// unreachable or late. Default 20 ms.
	BarrierGrace time.Duration
	// Reads say how long readers wait, and how often agents read for them.
	Reads Reads
	// ApplyTimeout is how long Apply and Validate wait for an answer. Default 30 s.
	ApplyTimeout time.Duration
	// HelloTimeout is how long an agent may take to introduce itself, and how
	// long a node that the directory does not know (yet) is waited for. Default 10 s.
	HelloTimeout time.Duration
	// MaxGreetings is how many streams may wait to be authenticated, and how many to
	// be admitted after that. Beyond, the oldest of whoever has most ends. Default 256.
	MaxGreetings int
	// KeepaliveTime is how long a connection may be silent before the agent is
	// asked whether it is there, KeepaliveTimeout how long it has to answer. Default
	// 5 s and 7 s: an agent that gets no processor time for some seconds keeps its
	// stream. gRPC takes a time below 1 s for 1 s.
	KeepaliveTime, KeepaliveTimeout time.Duration
}

// Fleet is the agents of all nodes; see the package's documentation.
type Fleet struct {
	agentpb.UnimplementedFleetServer

	config  Config
	metrics *fleetMetrics
	// strangers are the streams whose agent is not authenticated yet, by address;
	// greeters those that are not admitted yet, by who the agent is.
	strangers, greeters *crowd
	attempts            *attempts
	// stopped is set once the server shuts down: that streams end then is no news of the
	// nodes. stopping is closed with it.
	stopped  atomic.Bool
	stopping chan struct{}
	strain   strain

	mu      sync.RWMutex
	members map[string]*member
	// moved is closed, and replaced, whenever members changes.
	moved chan struct{}
}

// New returns a Fleet that knows no node until Run follows the directory.
func New(config Config) *Fleet {
	defaults := DefaultReads()
	config.Reads.Timeout = cmp.Or(config.Reads.Timeout, defaults.Timeout)
	config.Reads.ListTimeout = cmp.Or(config.Reads.ListTimeout, defaults.ListTimeout)
	if config.Anew == nil {
		config.Anew = config.Authenticator
	}
	config.BarrierTimeout = cmp.Or(config.BarrierTimeout, 2*time.Second)
	config.BarrierGrace = cmp.Or(config.BarrierGrace, 20*time.Millisecond)
	config.ApplyTimeout = cmp.Or(config.ApplyTimeout, 30*time.Second)
	config.HelloTimeout = cmp.Or(config.HelloTimeout, 10*time.Second)
	config.MaxGreetings = cmp.Or(config.MaxGreetings, 256)
	config.KeepaliveTime = cmp.Or(config.KeepaliveTime, 5*time.Second)
	config.KeepaliveTimeout = cmp.Or(config.KeepaliveTimeout, 7*time.Second)
	return &Fleet{
		config:    config,
		metrics:   newMetrics(),
		strangers: newCrowd(config.MaxGreetings),
		greeters:  newCrowd(config.MaxGreetings),
		attempts:  newAttempts(config.MaxGreetings),
		stopping:  make(chan struct{}),
		members:   map[string]*member{},
		moved:     make(chan struct{}),
	}
}

// Run follows the directory until ctx ends.
func (f *Fleet) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	var next time.Time
	return f.config.Directory.Watch(ctx, func(nodes []Node) {
		pause(ctx, time.Until(next))
		begin := time.Now()
		f.update(logger, nodes)
		next = time.Now().Add(min(calm*time.Since(begin), mostCalm))
	})
}

// calm is how many times as long as an update of all nodes took the next one is put off, at most mostCalm. Where thousands join at the
// same time, each would have all others looked at.
const (
	calm     = 9
	mostCalm = 100 * time.Millisecond
)

// pause returns after so long, or when ctx ends.
func pause(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

const (
	// maxStreams is how many streams one connection may have. An agent needs one.
	maxStreams = 4
	// maxHeaders is the size in bytes of a stream's headers. They are read before it is
	// known who sends them; a token has a thousand bytes or two.
	maxHeaders = 64 << 10
	// writeBuffer is how many bytes are written to a connection at once. What agents are told is short, except for changes. gRPC would take
	// 32 KiB, from a pool that each garbage collection empties.
	writeBuffer = 4 << 10
)

// Serve serves agents on the listener until ctx ends, then returns nil. All
// streams have ended when it returns, and the sink is told nothing of that.
func (f *Fleet) Serve(ctx context.Context, listener net.Listener, tls credentials.TransportCredentials) error {
	server := grpc.NewServer(
		grpc.Creds(doorCredentials{tls}),
		grpc.ConnectionTimeout(f.config.HelloTimeout),
		grpc.MaxRecvMsgSize(agent.MaxMessageSize),
		grpc.MaxSendMsgSize(agent.MaxMessageSize),
		grpc.StaticStreamWindowSize(agent.StreamWindow),
		grpc.StaticConnWindowSize(agent.StreamWindow),
		grpc.ReadBufferSize(agent.ReadBuffer),
		grpc.WriteBufferSize(writeBuffer),
		grpc.HeaderTableSize(0), // There is one stream on a connection: no header comes twice.
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 2 * f.config.HelloTimeout,
			Time:              f.config.KeepaliveTime,
			Timeout:           f.config.KeepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: f.config.KeepaliveTime / 2, PermitWithoutStream: true,
		}),
		grpc.StreamInterceptor(withLogger(klog.FromContext(ctx))),
	)
	server.RegisterService(description(), f)
	// No connection may be closed before it is known that the server ends.
	open, closeAll := context.WithCancel(context.WithoutCancel(ctx))
	stop := func() {
		if !f.stopped.Swap(true) {
			close(f.stopping)
		}
		closeAll()
		server.Stop()
	}
	defer closeAll()
	defer context.AfterFunc(ctx, stop)()
	if err := server.Serve(doorListener{listener, open, func() { f.metrics.event(eventNoGreeting) }, newCrowd(maxVisitors)}); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving agents on %s: %w", listener.Addr(), err)
	}
	// Serve returns when the listener is closed, Stop when all streams have ended.
	stop()
	return nil
}

// update makes the nodes those that the directory has.
func (f *Fleet) update(logger klog.Logger, infos []Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := maps.Clone(f.members)
	for _, info := range infos {
		known := f.members[info.Name]
		if known != nil && known.is(info.UID) {
			delete(gone, info.Name)
			known.setInfo(info)
			continue
		}
		if known != nil {
			delete(gone, info.Name)
			known.remove()
		}
		logger.Info("Node added", "node", info.Name)
		f.members[info.Name] = newMember(f, info)
	}
	for name, m := range gone {
		logger.Info("Node removed", "node", name)
		m.remove()
		delete(f.members, name)
	}
	close(f.moved)
	f.moved = make(chan struct{})
}

// member returns the node of that name, nil if there is none.
func (f *Fleet) member(name string) *member {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.members[name]
}

// await is member, but waits for the directory to have it; nil when ctx ended.
func (f *Fleet) await(ctx context.Context, name string) *member {
	for {
		f.mu.RLock()
		m, moved := f.members[name], f.moved
		f.mu.RUnlock()
		if m != nil {
			return m
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// AwaitAgents returns once the agents of all nodes that are ready can be asked, or
// ctx has ended.
func (f *Fleet) AwaitAgents(ctx context.Context) {
	for _, m := range f.selected(func(n Node) bool { return n.NotReady == "" }) {
		m.awaitReachable(ctx)
	}
}

// selected returns the nodes that are selected, sorted by name.
func (f *Fleet) selected(selected func(Node) bool) []*member {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var result []*member
	for _, m := range f.members {
		if selected(m.node()) {
			result = append(result, m)
		}
	}
	slices.SortFunc(result, func(a, b *member) int { return strings.Compare(a.name, b.name) })
	return result
}
