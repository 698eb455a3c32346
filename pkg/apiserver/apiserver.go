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

// Package apiserver assembles the API server: upstream's generic server, the
// resource, the live store and the fleet of agents.
package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// Elector decides when this server is the active one of several.
type Elector interface {
	// Run calls lead when this server becomes the active one. The resourceVersions
	// of the term begin after the revision term. lead's ctx ends when the server
	// stops being the active one. Run returns when ctx ends, or when this server
	// must exit because it is no longer the active one.
	Run(ctx context.Context, lead func(ctx context.Context, term uint64) error) error
	// IsActive returns whether this server is the active one. It stays true while
	// lead shuts down, unless the server shuts down because it lost its lease.
	IsActive() bool
	// Announce directs clients' traffic to this server until ctx ends. Only the
	// active server calls it.
	Announce(ctx context.Context) error
}

// Config holds the parts of a Server. Those that differ between standalone and a
// cluster are interfaces: who is a node, who is an agent, who may call.
type Config struct {
	// Generic is upstream's, with serving, authentication and authorization set.
	Generic *genericapiserver.RecommendedConfig
	// Scheme and Codecs are those that Generic was made with.
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// CallersKnown, if set, returns once the server can authenticate callers, or
	// when ctx ends.
	CallersKnown func(ctx context.Context) error
	// Elector says when this server is the active one.
	Elector Elector
	// Directory says who is a node, Authenticator who is an agent.
	Directory     fleet.Directory
	Authenticator fleet.Authenticator
	// Self is who this server is. Anew, if set, is the Authenticator of agents that ask whether
	// their node can be reached, and Outside finds what lies outside of the server's own node.
	Self    fleet.Self
	Anew    fleet.Authenticator
	Outside fleet.Outside
	// Reads say how long readers wait for agents, and how often agents read for them.
	Reads fleet.Reads
	// Observe, if set, wraps the sink of the nodes' objects, to see each object.
	Observe func(fleet.Sink) fleet.Sink
	// HistoryBytes is how many bytes of past states the server holds for watches.
	HistoryBytes int64
	// AgentListener is where agents connect, AgentTLS what they are served with.
	AgentListener net.Listener
	AgentTLS      credentials.TransportCredentials
}

// Server is the API server.
type Server struct {
	generic *genericapiserver.GenericAPIServer
	gate    *gate
	elector Elector
	log     *livestore.Log
	// encodings are those of the current objects in log.
	encodings *nodenetworkstate.Encodings
	fleet     *fleet.Fleet
	listener  net.Listener
	tls       credentials.TransportCredentials
	// nodesKnown is closed once the nodes are known. A list before that would lack
	// nodes, and clients would think that these were deleted.
	nodesKnown <-chan struct{}
	// callersKnown is Config.CallersKnown.
	callersKnown func(ctx context.Context) error
	// watchCache is set when the resource is installed.
	watchCache atomic.Pointer[cacher.Cacher]
}

// New assembles a Server.
func New(config Config) (*Server, error) {
	livestore.AnnounceWatchProgress()
	if err := setOpenAPI(&config.Generic.Config, config.Scheme); err != nil {
		return nil, err
	}
	s := &Server{
		gate:      newGate(config.Codecs),
		elector:   config.Elector,
		log:       livestore.NewLog(clock.RealClock{}),
		encodings: nodenetworkstate.NewEncodings(),
		listener:  config.AgentListener,
		tls:       config.AgentTLS,

		callersKnown: config.CallersKnown,
	}
	s.log.Limit(config.HistoryBytes)
	config.Generic.BuildHandlerChainFunc = s.chain(config.Codecs)
	var err error
	if s.generic, err = config.Generic.Complete().New("nmstate-apiserver", genericapiserver.NewEmptyDelegate()); err != nil {
		return nil, fmt.Errorf("making the generic server: %w", err)
	}
	sink := fleet.Sink(nodenetworkstate.NewSink(s.log, s.encodings))
	if config.Observe != nil {
		sink = config.Observe(sink)
	}
	directory := &announcing{Directory: config.Directory, delivered: make(chan struct{})}
	s.nodesKnown = directory.delivered
	s.fleet = fleet.New(fleet.Config{
		Directory: directory, Authenticator: config.Authenticator, Sink: sink, Reads: config.Reads,
		Self: config.Self, Anew: config.Anew, Outside: config.Outside,
	})
	if err := s.registerMetrics(); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if err := s.installResource(config); err != nil {
		return nil, err
	}
	return s, s.generic.AddReadyzChecks(healthz.NamedCheck("take-over", s.gate.check))
}

// chain returns a function that builds the handlers of a request: the gate, then
// upstream's, then writes.
func (s *Server) chain(codecs serializer.CodecFactory) func(http.Handler, *genericapiserver.Config) http.Handler {
	return func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		handler = writes{next: handler, codecs: codecs, limit: c.MaxRequestBodyBytes, exists: s.exists}
		return inRecords(s.gate.guard(c.RequestInfoResolver, genericapiserver.DefaultBuildHandlerChain(refuseStrategic(handler, codecs), c)))
	}
}

// exists tells whether there is a node of that name.
func (s *Server) exists(name string) bool {
	return s.log.Get(nodenetworkstate.Key(name)) != nil
}

// announcing is a Directory that closes delivered after its first delivery.
type announcing struct {
	fleet.Directory
	once      sync.Once
	delivered chan struct{}
}

// Watch implements fleet.Directory.
func (a *announcing) Watch(ctx context.Context, deliver func([]fleet.Node)) error {
	return a.Directory.Watch(ctx, func(nodes []fleet.Node) {
		deliver(nodes)
		a.once.Do(func() { close(a.delivered) })
	})
}

// installResource adds the resource and its subresources to the server.
func (s *Server) installResource(config Config) error {
	writer := nodenetworkstate.NewWriter(s.fleet, s.log)
	codec := config.Codecs.LegacyCodec(v1alpha1.SchemeGroupVersion)
	options := generic.RESTOptions{
		StorageConfig:  storagebackend.NewDefaultConfig("/", codec).ForResource(v1alpha1.Resource("nodenetworkstates")),
		Decorator:      livestore.NewDecorator(s.log, writer, s.watchCache.Store),
		ResourcePrefix: nodenetworkstate.ResourcePrefix,
	}
	resource, err := nodenetworkstate.NewREST(config.Scheme, options, writer, s.log, s.encodings)
	if err != nil {
		return fmt.Errorf("making the resource: %w", err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(nmstate.GroupName, config.Scheme, runtime.NewParameterCodec(config.Scheme), config.Codecs)
	group.NegotiatedSerializer = nodenetworkstate.NewSerializer(group.NegotiatedSerializer, s.encodings)
	const name = "nodenetworkstates"
	group.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		name: resource,
		name + "/" + nodenetworkstate.ConfirmSubresource:  nodenetworkstate.NewConfirmREST(writer),
		name + "/" + nodenetworkstate.RollbackSubresource: nodenetworkstate.NewRollbackREST(writer),
		name + "/" + nodenetworkstate.HistorySubresource:  nodenetworkstate.NewHistoryREST(writer),
		name + "/" + nodenetworkstate.PortsSubresource:    nodenetworkstate.NewPortsREST(writer),
	}
	if err := s.installGroup(&config.Generic.Config, &group); err != nil {
		return fmt.Errorf("installing the API group: %w", err)
	}
	return nil
}

// Run serves clients until ctx ends, and agents while this server is the active one.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.generic.PrepareRun().RunWithContext(ctx) })
	group.Go(func() error { return ignoreEnd(ctx, s.learnCallers(ctx)) })
	group.Go(func() error {
		err := ignoreEnd(ctx, s.elector.Run(ctx, s.lead))
		if err != nil {
			// Restart at once: this server may be the next active one.
			s.generic.ShutdownDelayDuration = 0
		}
		return err
	})
	return group.Wait()
}

// learnCallers opens the gate to authenticated requests once the server can
// authenticate callers.
func (s *Server) learnCallers(ctx context.Context) error {
	if s.callersKnown != nil {
		if err := s.callersKnown(ctx); err != nil {
			return err
		}
	}
	klog.FromContext(ctx).Info("Callers can be told apart")
	s.gate.learn()
	return nil
}

// ignoreEnd returns err, unless it only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
