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

package app

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	mutatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apiserver"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/certificates"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/election"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// certificatePatience is how long the server waits for its first certificate.
const certificatePatience = time.Minute

// task is something that goes on for as long as the server runs.
type task func(ctx context.Context) error

// clusterForm is a server in a cluster while it is put together.
type clusterForm struct {
	*Options
	config *apiserver.Config
	client kubernetes.Interface
	tasks  []task
}

// clusterConfig turns the options into the configuration of a server in a
// cluster, and what has to run beside it.
func (o *Options) clusterConfig(ctx context.Context) (*apiserver.Config, []task, error) {
	f := &clusterForm{Options: o, config: &apiserver.Config{}}
	var err error
	if f.config.Scheme, err = apiserver.NewScheme(); err != nil {
		return nil, nil, err
	}
	f.config.Codecs = serializer.NewCodecFactory(f.config.Scheme)
	f.config.Generic = genericapiserver.NewRecommendedConfig(f.config.Codecs)
	for _, step := range []func(context.Context) error{f.connect, f.elect, f.certify, f.serve, f.admit, f.follow} {
		if err := step(ctx); err != nil {
			return nil, nil, err
		}
	}
	return f.config, f.tasks, nil
}

// connect makes the clients of the cluster's API, and waits until it answers.
func (f *clusterForm) connect(ctx context.Context) error {
	if err := f.CoreAPI.ApplyTo(f.config.Generic); err != nil {
		return fmt.Errorf("connecting to the cluster: %w (give --kubeconfig outside of a pod)", err)
	}
	// kube-apiserver limits by priority and fairness; a limit of our own would
	// make agents that come back together wait for each other.
	f.config.Generic.ClientConfig.QPS = -1
	var err error
	if f.client, err = kubernetes.NewForConfig(f.config.Generic.ClientConfig); err != nil {
		return err
	}
	return awaitAPI(ctx, f.client.Discovery().RESTClient())
}

const (
	// apiPoll is how often it is looked whether kube-apiserver is there.
	apiPoll = time.Second
	// apiPatience is for one look.
	apiPatience = 5 * time.Second
)

// awaitAPI returns once kube-apiserver is ready, or when ctx ends. To end instead,
// and to be started again, would take longer each time.
func awaitAPI(ctx context.Context, client rest.Interface) error {
	told := false
	return wait.PollUntilContextCancel(ctx, apiPoll, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, apiPatience)
		defer cancel()
		err := client.Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error()
		// Who may not ask has been answered.
		if err == nil || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return true, nil
		}
		if !told {
			klog.FromContext(ctx).Error(err, "The cluster's API is not ready; waiting for it")
			told = true
		}
		return false, nil
	})
}

// elect sets who is the active server.
func (f *clusterForm) elect(ctx context.Context) error {
	elector := election.New(election.Config{Client: f.client, Namespace: f.Namespace, PodName: f.PodName})
	f.config.Elector = elector
	f.config.Self = self(ctx, elector.Identity(), f.NodeName)
	return nil
}

// certify sets the server's certificate, for clients and for agents.
func (f *clusterForm) certify(ctx context.Context) error {
	if f.CertMode == certModeFiles {
		return nil
	}
	resources, err := dynamic.NewForConfig(f.config.Generic.ClientConfig)
	if err != nil {
		return err
	}
	keeper, err := certificates.New(certificates.Config{
		Times: f.CertTimes, Namespace: f.Namespace, Service: f.ServiceName, Client: f.client, Dynamic: resources,
	})
	if err != nil {
		return err
	}
	leading := &leading{Elector: f.config.Elector, begun: make(chan struct{})}
	f.config.Elector = leading
	// It is kept from here on: there is no server without a certificate.
	keeping, stop := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		keeper.Run(keeping, leading.begun)
	}()
	f.tasks = append(f.tasks, func(ctx context.Context) error {
		<-ctx.Done()
		stop()
		<-kept
		return nil
	})
	first, cancel := context.WithTimeout(ctx, certificatePatience)
	defer cancel()
	if err := keeper.Wait(first); err != nil {
		stop()
		return err
	}
	f.SecureServing.ServerCert.GeneratedCert = keeper.Provider()
	return nil
}

// leading is an Elector that tells when this server has begun to lead.
type leading struct {
	apiserver.Elector
	begun chan struct{}
}

// Run implements apiserver.Elector.
func (l *leading) Run(ctx context.Context, lead func(ctx context.Context, term uint64) error) error {
	begun := sync.OnceFunc(func() { close(l.begun) })
	return l.Elector.Run(ctx, func(ctx context.Context, term uint64) error {
		begun()
		return lead(ctx, term)
	})
}

// serve applies what the generic server's options say.
func (f *clusterForm) serve(context.Context) error {
	config := &f.config.Generic.Config
	f.config.CallersKnown = func(ctx context.Context) error { return proxyKnown(ctx, config.Authentication.RequestHeaderConfig) }
	for _, apply := range []func() error{
		func() error { return f.ServerRun.ApplyTo(config) },
		func() error { return f.Tracing.ApplyTo(nil, config) },
		func() error { return f.SecureServing.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig) },
		func() error { return f.Authentication.ApplyTo(&config.Authentication, config.SecureServing, nil) },
		func() error { return f.Authorization.ApplyTo(&config.Authorization) },
		func() error { return f.Audit.ApplyTo(config) },
		func() error { return f.Features.ApplyTo(config, f.client, f.config.Generic.SharedInformerFactory) },
	} {
		if err := apply(); err != nil {
			return err
		}
	}
	return nil
}

// proxyPoll is how often it is looked whether kube-apiserver can prove who it is.
const proxyPoll = 10 * time.Millisecond

// proxyKnown returns once the CA is known by which kube-apiserver proves that it
// speaks for somebody. Upstream begins without, and would take everybody for
// anonymous.
func proxyKnown(ctx context.Context, headers *authenticatorfactory.RequestHeaderConfig) error {
	if headers == nil {
		return nil
	}
	return wait.PollUntilContextCancel(ctx, proxyPoll, true, func(context.Context) (bool, error) {
		_, known := headers.CAContentProvider.VerifyOptions()
		return known, nil
	})
}

// admit sets the admission chain: the cluster's webhooks and policies decide on our objects too.
func (f *clusterForm) admit(ctx context.Context) error {
	missing, err := f.missingPlugins()
	if err != nil {
		return err
	}
	for _, plugin := range missing {
		klog.FromContext(ctx).Info("The cluster is too old for an admission plugin, which is left off", "plugin", plugin)
		f.Admission.DefaultOffPlugins.Insert(plugin)
	}
	resources, err := dynamic.NewForConfig(f.config.Generic.ClientConfig)
	if err != nil {
		return err
	}
	config := &f.config.Generic.Config
	informers := f.config.Generic.SharedInformerFactory
	webhooks := initializer.NewPluginInitializer(nil, cluster.NewServiceResolver(informers.Core().V1().Services().Lister()))
	return f.Admission.ApplyTo(config, informers, f.client, resources, feature.DefaultFeatureGate, config.EffectiveVersion, webhooks)
}

// missingPlugins returns the admission plugins that would wait for ever for an API that the cluster lacks.
func (f *clusterForm) missingPlugins() ([]string, error) {
	const group = "admissionregistration.k8s.io/v1"
	list, err := f.client.Discovery().ServerResourcesForGroupVersion(group)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for what it has of %s: %w", group, err)
	}
	served := sets.New[string]()
	for _, resource := range list.APIResources {
		served.Insert(resource.Name)
	}
	if !served.HasAll("mutatingadmissionpolicies", "mutatingadmissionpolicybindings") {
		return []string{mutatingadmissionpolicy.PluginName}, nil
	}
	return nil, nil
}

// follow sets who is a node, who is an agent, where agents connect, and who is told of what happens to them.
func (f *clusterForm) follow(context.Context) error {
	live, err := metadata.NewForConfig(f.config.Generic.ClientConfig)
	if err != nil {
		return err
	}
	directory, err := cluster.NewDirectory(f.client, live)
	if err != nil {
		return err
	}
	f.config.Directory = directory
	f.config.Authenticator = cluster.NewAuthenticator(f.client.AuthenticationV1().TokenReviews(), f.Namespace, f.AgentServiceAccount)
	f.config.Anew = cluster.NewAuthenticator(cluster.NewReviewsAnew(f.config.Generic.ClientConfig), f.Namespace, f.AgentServiceAccount)
	f.config.Outside = cluster.NewOutside(f.config.Generic.ClientConfig, directory).Find
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: f.client.EventsV1()})
	recorder := broadcaster.NewRecorder(scheme.Scheme, "nmstate-apiserver")
	f.config.Observe = func(sink fleet.Sink) fleet.Sink { return cluster.NewEventSink(sink, recorder) }
	f.tasks = append(f.tasks,
		func(ctx context.Context) error {
			directory.Run(ctx)
			return nil
		},
		func(ctx context.Context) error {
			// What ends while the server takes leave is told, too: the process' end is the recording's.
			if err := broadcaster.StartRecordingToSinkWithContext(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("recording events: %w", err)
			}
			return nil
		})
	f.config.AgentTLS = credentials.NewTLS(pki.ServerTLS(f.config.Generic.SecureServing.Cert.CurrentCertKeyContent))
	f.config.AgentListener, err = f.listenForAgents()
	return err
}

// listenForAgents listens where agents connect.
func (o *Options) listenForAgents() (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(o.AgentBindAddress.String(), strconv.Itoa(o.AgentPort)))
	if err != nil {
		return nil, fmt.Errorf("listening for agents: %w", err)
	}
	return listener, nil
}
