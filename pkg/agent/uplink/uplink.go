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

// Package uplink is the agent's side of the stream to the API server: it dials
// out, says which node it speaks for, and serves an agent.Agent to whoever is
// at the other end, for as long as it runs. It is also the agent's Confirmer: it finds out
// whether the API server can be reached over a new connection.
package uplink

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Config says whom to dial and what to serve.
type Config struct {
	// Server is the API server's address for agents, host:port.
	Server string
	// CAFile has the certificates, PEM, one of which must have signed the
	// server's. It is read again whenever the server is dialled.
	CAFile string
	// ServerName is the name that the server's certificate must have; empty
	// means the host of Server.
	ServerName string
	// Credentials prove which node this is; they are asked for each stream.
	Credentials credentials.PerRPCCredentials
	// Node is the node's name.
	Node string
	// Labels are the node's, which only a standalone server takes from here.
	Labels map[string]string
	// Version is the agent's.
	Version string
	// Agent is what is served. If it needs the Uplink as its Confirmer, Serve sets it.
	Agent agent.Agent

	// KeepaliveTime is how long the connection may be silent before the server
	// is asked whether it is there, KeepaliveTimeout how long it has to answer.
	// 0 means 10 s and 4 s. gRPC takes a time below 10 s for 10 s.
	KeepaliveTime, KeepaliveTimeout time.Duration
	// BackoffMin and BackoffMax bound the time before the next attempt while no attempt
	// gets a Welcome; 0 means 200 ms and 2 s, so that a server that takes over after a
	// crash has its agents soon. BackoffRefused is the time after a refusal; 0 means 5 s.
	BackoffMin, BackoffMax, BackoffRefused time.Duration
	// BackoffShortLived bounds the time before the next attempt while one stream
	// after the other ends soon after it began; 0 means 1 min.
	BackoffShortLived time.Duration
}

const (
	// dialTimeout bounds each attempt to connect, up to the server's Welcome. It is longer
	// than the 10 s that the server waits for a node that it does not know yet, so that
	// the agent gets the server's error instead of its own timeout.
	dialTimeout = 15 * time.Second
	// connectTimeout bounds the TCP handshake, in which the kernel answers: while
	// one server takes over from another, packets may go to one that is off.
	connectTimeout = 3 * time.Second
)

// Uplink is the agent's side of the stream.
type Uplink struct {
	config Config
	// instance tells this agent from the one that runs after it.
	instance string

	mu sync.Mutex
	// link is the stream that is up, nil if there is none.
	link *link
	// welcome is the last Welcome of a server, nil if there was none.
	welcome *agentpb.Welcome
	// reconnect has something in it when the server is to be dialled at once.
	reconnect chan struct{}
}

// link is a stream and the connection that it is on.
type link struct {
	conn *grpc.ClientConn
	// ends are the connection's own addresses on this node.
	ends *ends
	// end ends the stream because of an error.
	end context.CancelCauseFunc
	// checking is held while it is found out whether the stream is alive.
	checking sync.Mutex
}

// New returns an Uplink that Run keeps up.
func New(config Config) *Uplink {
	config.KeepaliveTime = cmp.Or(config.KeepaliveTime, 10*time.Second)
	config.KeepaliveTimeout = cmp.Or(config.KeepaliveTimeout, 4*time.Second)
	config.BackoffMin = cmp.Or(config.BackoffMin, 200*time.Millisecond)
	config.BackoffMax = cmp.Or(config.BackoffMax, 2*time.Second)
	config.BackoffRefused = cmp.Or(config.BackoffRefused, 5*time.Second)
	config.BackoffShortLived = cmp.Or(config.BackoffShortLived, time.Minute)
	return &Uplink{config: config, instance: uuid.NewString(), reconnect: make(chan struct{}, 1)}
}

// Serve sets the agent that is served. It is called before Run.
func (u *Uplink) Serve(a agent.Agent) { u.config.Agent = a }

// Run keeps a stream to the API server up until ctx ends; it returns ctx's error.
func (u *Uplink) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx).WithValues("node", u.config.Node, "server", u.config.Server)
	ctx = klog.NewContext(ctx, logger)
	pauses := newPauses(u.config)
	for {
		served, err := u.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errStale) {
			logger.Info("The stream to the API server did not outlive a change of the network; connecting anew", "err", err)
			continue
		}
		if errors.Is(err, errReconnect) {
			pauses = newPauses(u.config)
			continue
		}
		pause := pauses.next(served, err)
		if refused(err) {
			logger.Error(err, "The API server refuses this agent: check its credentials and the node's name", "retryIn", pause)
		} else {
			logger.Info("No stream to the API server", "err", err, "retryIn", pause)
		}
		switch {
		case !u.sleep(ctx, pause):
			pauses = newPauses(u.config)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// errReconnect is why an attempt to connect ends that began before the network was another one.
var errReconnect = errors.New("the network is another one since")

// Reconnect is called when the network has changed, such as when a change was undone that cut the node off. If no stream
// is up, the server is dialled at once: the attempts before, and the streams that did not last, say nothing of the
// network as it is now. A stream that is up is replaced if it carries nothing any more.
func (u *Uplink) Reconnect(ctx context.Context) {
	u.mu.Lock()
	l := u.link
	if l == nil {
		select {
		case u.reconnect <- struct{}{}:
		default: // it is to be dialled already
		}
	}
	u.mu.Unlock()
	if l != nil {
		l.check(ctx)
	}
}

// sleep waits for that long, or until ctx ends; it returns false when Reconnect was called before.
func (u *Uplink) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-u.reconnect:
		return false
	}
	return true
}

// connect dials the API server and serves the agent until the stream ends; it
// returns for how long it did, and always an error.
func (u *Uplink) connect(ctx context.Context) (served time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(dialTimeout, func() {
		cancel(errors.New("no welcome from the API server within " + dialTimeout.String()))
	})
	defer timer.Stop()
	dialling, dialled := context.WithCancel(ctx)
	defer dialled()
	go func() {
		select {
		case <-u.reconnect:
			cancel(errReconnect)
		case <-dialling.Done():
		}
	}()
	ends := &ends{}
	conn, err := u.dial(ends)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stream, err := agentpb.NewFleetClient(conn).Connect(ctx)
	if err != nil {
		return 0, causeOf(ctx, err)
	}
	welcome, err := u.hello(stream)
	if err != nil {
		return 0, causeOf(ctx, err)
	}
	timer.Stop()
	dialled()
	klog.FromContext(ctx).Info("Connected to the API server", "protocol", welcome.GetProtocol())
	begin := time.Now()
	u.setLink(&link{conn: conn, ends: ends, end: cancel}, welcome)
	err = serve(ctx, cancel, stream, welcome, u.config)
	u.setLink(nil, welcome)
	return time.Since(begin), causeOf(ctx, err)
}

// setLink records the stream that is up, nil for none, and the last Welcome.
func (u *Uplink) setLink(l *link, welcome *agentpb.Welcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.link, u.welcome = l, welcome
	if l != nil {
		select {
		case <-u.reconnect: // that has happened
		default:
		}
	}
}

// causeOf returns why ctx was cancelled, if it was, rather than what came of that.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// dial returns a connection that is made when it is first used. Nothing of it is shared with
// another one: CA and credentials are read again, and no TLS session is resumed. ends
// gets to know the connection's addresses on this node.
func (u *Uplink) dial(ends *ends) (*grpc.ClientConn, error) {
	tls, err := clientTLS(u.config)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(u.config.Server,
		grpc.WithTransportCredentials(tls),
		grpc.WithPerRPCCredentials(u.config.Credentials),
		grpc.WithContextDialer(ends.dial),
		grpc.WithStaticStreamWindowSize(agent.StreamWindow),
		grpc.WithStaticConnWindowSize(agent.StreamWindow),
		grpc.WithReadBufferSize(agent.ReadBuffer),
		grpc.WithWriteBufferSize(agent.WriteBuffer),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: u.config.KeepaliveTime, Timeout: u.config.KeepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec()),
			grpc.MaxCallRecvMsgSize(agent.MaxMessageSize),
			grpc.MaxCallSendMsgSize(agent.MaxMessageSize),
		),
	)
}

// hello introduces the node and waits until it is admitted.
func (u *Uplink) hello(stream agentpb.Fleet_ConnectClient) (*agentpb.Welcome, error) {
	err := stream.Send(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{
		Node: u.config.Node, Labels: u.config.Labels, AgentVersion: u.config.Version,
		Protocol: agent.Protocol, Capabilities: agent.Capabilities(), Instance: u.instance,
	}}})
	// When Send fails, why is what Recv returns.
	first, recvErr := stream.Recv()
	if recvErr != nil {
		return nil, recvErr
	}
	if err != nil {
		return nil, err
	}
	if first.GetWelcome() == nil {
		return nil, errors.New("the API server's first message is no Welcome")
	}
	return first.GetWelcome(), nil
}
