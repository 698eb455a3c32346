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
	"time"

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
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// Config says what a Server is made of. Who is a node, who is an agent and who
// may call are the form's to say: standalone or in a cluster.
type Config struct {
	// Generic is upstream's, with serving, authentication and authorization set.
	Generic *genericapiserver.RecommendedConfig
	// Scheme and Codecs are those that Generic was made with.
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// Term is the revision after which this term's resourceVersions begin.
	Term uint64
	// Directory says who is a node, Authenticator who is an agent.
	Directory     fleet.Directory
	Authenticator fleet.Authenticator
	// AgentListener is where agents connect, AgentTLS what they are served with.
	AgentListener net.Listener
	AgentTLS      credentials.TransportCredentials
}

// Server is the API server.
type Server struct {
	generic  *genericapiserver.GenericAPIServer
	fleet    *fleet.Fleet
	listener net.Listener
	tls      credentials.TransportCredentials
	// nodesKnown is closed once the nodes are known: before, a list would lack
	// them, and a client would take that for their deletion.
	nodesKnown <-chan struct{}
}

// New assembles a Server.
func New(config Config) (*Server, error) {
	livestore.AnnounceWatchProgress()
	setOpenAPI(&config.Generic.Config, config.Scheme)
	config.Generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(refuseStrategic(handler, config.Codecs), c)
	}
	server, err := config.Generic.Complete().New("nmstate-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("making the generic server: %w", err)
	}
	log := livestore.NewLog(config.Term, clock.RealClock{})
	directory := &announcing{Directory: config.Directory, delivered: make(chan struct{})}
	agents := fleet.New(fleet.Config{
		Directory:     directory,
		Authenticator: config.Authenticator,
		Sink:          nodenetworkstate.NewSink(log),
	})
	if err := agents.RegisterMetrics(legacyregistry.Register); err != nil {
		return nil, fmt.Errorf("registering the fleet's metrics: %w", err)
	}
	if err := installResource(server, config, log, agents); err != nil {
		return nil, err
	}
	if err := server.AddReadyzChecks(agentsBack(agents)); err != nil {
		return nil, err
	}
	return &Server{
		generic: server, fleet: agents, listener: config.AgentListener, tls: config.AgentTLS, nodesKnown: directory.delivered,
	}, nil
}

// announcing is a Directory that tells when it has first delivered the nodes.
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

// installResource adds the resource to the server.
func installResource(server *genericapiserver.GenericAPIServer, config Config, log *livestore.Log, agents *fleet.Fleet) error {
	writer := nodenetworkstate.NewWriter(agents, log)
	var watchCache atomic.Pointer[cacher.Cacher]
	codec := config.Codecs.LegacyCodec(v1alpha1.SchemeGroupVersion)
	options := generic.RESTOptions{
		StorageConfig:  storagebackend.NewDefaultConfig("/", codec).ForResource(v1alpha1.Resource("nodenetworkstates")),
		Decorator:      livestore.NewDecorator(log, writer, watchCache.Store),
		ResourcePrefix: nodenetworkstate.ResourcePrefix,
	}
	resource, err := nodenetworkstate.NewREST(config.Scheme, options, writer, log)
	if err != nil {
		return fmt.Errorf("making the resource: %w", err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(nmstate.GroupName, config.Scheme, runtime.NewParameterCodec(config.Scheme), config.Codecs)
	group.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version] = map[string]rest.Storage{"nodenetworkstates": resource}
	if err := server.InstallAPIGroup(&group); err != nil {
		return fmt.Errorf("installing the API group: %w", err)
	}
	return server.AddReadyzChecks(healthz.NamedCheck("watch-cache", func(*http.Request) error {
		if !watchCache.Load().Ready() {
			return fmt.Errorf("the watch cache is not filled yet")
		}
		return nil
	}))
}

// agentsGrace is how long a server that was started waits for agents that were
// there before to come back, before it is ready without them.
const agentsGrace = 5 * time.Second

// agentsBack is ready once all nodes' agents have come back, or had time to.
func agentsBack(agents *fleet.Fleet) healthz.HealthChecker {
	begin := time.Now()
	return healthz.NamedCheck("agents", func(*http.Request) error {
		if missing := agents.Unreachable(); missing > 0 && time.Since(begin) < agentsGrace {
			return fmt.Errorf("%d agents are not back yet", missing)
		}
		return nil
	})
}

// Run serves clients and agents until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	klog.FromContext(ctx).Info("Serving agents", "address", s.listener.Addr())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ignoreEnd(ctx, s.fleet.Run(ctx)) })
	group.Go(func() error { return s.fleet.Serve(ctx, s.listener, s.tls) })
	group.Go(func() error {
		select {
		case <-s.nodesKnown:
			return s.generic.PrepareRun().RunWithContext(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

// ignoreEnd returns err, unless it only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
