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
	"errors"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/certificates"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

// How the server comes by its certificate in a cluster.
const (
	certModeSelfSigned = "self-signed"
	certModeFiles      = "files"
)

// defaultStateDir is where a standalone server keeps its state.
const defaultStateDir = "/var/lib/nmstate-apiserver"

// minHistoryBytes is the least that --history-bytes may be: some of the largest objects.
const minHistoryBytes = 4 * agent.MaxMessageSize

// Options are what the command line says.
type Options struct {
	// Standalone runs without a cluster, with what StateDir holds.
	Standalone bool
	StateDir   string
	// KubeconfigOut is where the administrator's kubeconfig is written.
	KubeconfigOut string
	// AgentSANs are the further names and addresses by which agents reach a standalone server.
	AgentSANs []string
	// SharedJoinToken lets agents join with the token that is for all nodes.
	SharedJoinToken bool
	// MaxNodes and MaxNodesPerSource bound how many nodes may join.
	MaxNodes, MaxNodesPerSource int

	// AgentBindAddress and AgentPort are where agents connect.
	AgentBindAddress net.IP
	AgentPort        int
	// Reads say how long readers wait for agents, and how often agents read for them.
	Reads fleet.Reads

	// HistoryBytes is how many bytes of past states the server holds for watches.
	HistoryBytes resource.QuantityValue

	// Namespace, PodName, NodeName and ServiceName are the server's own in a cluster.
	Namespace, PodName, NodeName, ServiceName string
	// AgentServiceAccount is that of the agents, in the same namespace.
	AgentServiceAccount string
	// CertMode is one of the modes above, CertTimes are those of the first.
	CertMode  string
	CertTimes certificates.Times

	ServerRun      *genericoptions.ServerRunOptions
	SecureServing  *genericoptions.SecureServingOptionsWithLoopback
	Authentication *genericoptions.DelegatingAuthenticationOptions
	Authorization  *genericoptions.DelegatingAuthorizationOptions
	CoreAPI        *genericoptions.CoreAPIOptions
	Admission      *genericoptions.AdmissionOptions
	Audit          *genericoptions.AuditOptions
	Features       *genericoptions.FeatureOptions
	Tracing        *genericoptions.TracingOptions
	Logs           *logs.Options

	// forms are the flags that only one of the two forms of running has.
	forms struct{ standalone, cluster []*pflag.FlagSet }
	// fairness is the flag of priority and fairness.
	fairness *pflag.Flag
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		StateDir:            defaultStateDir,
		SharedJoinToken:     true,
		MaxNodes:            5000,
		MaxNodesPerSource:   64,
		AgentBindAddress:    net.IPv4zero,
		AgentPort:           6444,
		Reads:               fleet.DefaultReads(),
		HistoryBytes:        resource.QuantityValue{Quantity: resource.MustParse("256Mi")},
		ServiceName:         "nmstate-apiserver",
		AgentServiceAccount: "nmstate-node-agent",
		CertMode:            certModeSelfSigned,
		CertTimes:           certificates.DefaultTimes(),
		ServerRun:           genericoptions.NewServerRunOptions(),
		SecureServing:       genericoptions.NewSecureServingOptions().WithLoopback(),
		Authentication:      genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:       genericoptions.NewDelegatingAuthorizationOptions(),
		CoreAPI:             genericoptions.NewCoreAPIOptions(),
		Admission:           genericoptions.NewAdmissionOptions(),
		Audit:               genericoptions.NewAuditOptions(),
		Features:            genericoptions.NewFeatureOptions(),
		Tracing:             genericoptions.NewTracingOptions(),
		Logs:                logs.NewOptions(),
	}
	o.SecureServing.BindPort = 6443
	// kube-apiserver sends the requests of many clients over one connection.
	o.SecureServing.HTTP2MaxStreamsPerConnection = 1000
	o.SecureServing.ServerCert.CertDirectory = ""
	o.SecureServing.ServerCert.PairName = ""
	return o
}

// Flags returns the flags, in sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sections cliflag.NamedFlagSets
	own := sections.FlagSet("nmstate")
	own.BoolVar(&o.Standalone, "standalone", o.Standalone, "Run without a Kubernetes cluster: the nodes are the agents that join.")
	own.IPVar(&o.AgentBindAddress, "agent-bind-address", o.AgentBindAddress, "IP address on which to listen for agents.")
	own.IntVar(&o.AgentPort, "agent-port", o.AgentPort, "Port on which to listen for agents.")
	o.Reads.AddFlags(own)
	own.Var(&o.HistoryBytes, "history-bytes", "How much memory past states may take, which the server holds for clients that watch. Beyond it they are dropped, and clients list again.")
	o.addStandaloneFlags(sections.FlagSet("standalone"))
	o.addClusterFlags(sections.FlagSet("cluster"))
	o.Authentication.AddFlags(sections.FlagSet("authentication"))
	o.Authorization.AddFlags(sections.FlagSet("authorization"))
	o.Admission.AddFlags(sections.FlagSet("admission"))
	o.ServerRun.AddUniversalFlags(sections.FlagSet("generic"))
	o.SecureServing.AddFlags(sections.FlagSet("secure serving"))
	o.Audit.AddFlags(sections.FlagSet("auditing"))
	o.Features.AddFlags(sections.FlagSet("features"))
	o.Tracing.AddFlags(sections.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, sections.FlagSet("logs"))
	o.fairness = sections.FlagSet("features").Lookup("enable-priority-and-fairness")
	o.forms.standalone = []*pflag.FlagSet{sections.FlagSet("standalone")}
	for _, name := range []string{"cluster", "authentication", "authorization", "admission"} {
		o.forms.cluster = append(o.forms.cluster, sections.FlagSet(name))
	}
	return sections
}

func (o *Options) addStandaloneFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.StateDir, "state-dir", o.StateDir, "Folder of the standalone server's certificates, join tokens and nodes.")
	flags.StringVar(&o.KubeconfigOut, "kubeconfig-out", o.KubeconfigOut, "File to write the administrator's kubeconfig to, mode 0600 (default \"STATE-DIR/admin.kubeconfig\").")
	flags.StringSliceVar(&o.AgentSANs, "agent-san", o.AgentSANs, "Further DNS name or IP address by which agents reach this server; may be given several times.")
	flags.BoolVar(&o.SharedJoinToken, "shared-join-token", o.SharedJoinToken, "Let agents join with the token in STATE-DIR/join-token, which is for all nodes and never expires. Nodes that have joined need no token.")
	flags.IntVar(&o.MaxNodes, "max-nodes", o.MaxNodes, "How many nodes may join.")
	flags.IntVar(&o.MaxNodesPerSource, "max-nodes-per-source", o.MaxNodesPerSource, "How many nodes may join from one IPv4 address or one IPv6 /64 network; 0 means no bound. Nodes that join with a token for one node do not count.")
}

func (o *Options) addClusterFlags(flags *pflag.FlagSet) {
	o.CoreAPI.AddFlags(flags)
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of this server, where its Lease, its certificates and its agents' service account are.")
	flags.StringVar(&o.PodName, "pod-name", o.PodName, "Name of this server's pod, which is labelled while it is the active one; empty if it runs in none.")
	flags.StringVar(&o.NodeName, "node-name", o.NodeName, "Name of the Node that this server's pod runs on; empty if it runs on none. A change of that node's network is confirmed only by what lies outside of the node.")
	flags.StringVar(&o.ServiceName, "service-name", o.ServiceName, "Name of the Service by which kube-apiserver and agents reach this server.")
	flags.StringVar(&o.AgentServiceAccount, "agent-service-account", o.AgentServiceAccount, "Name of the service account that agents run as.")
	flags.StringVar(&o.CertMode, "cert-mode", o.CertMode, fmt.Sprintf("Where the server's certificate comes from: %q, made, published and rotated by the server itself, or %q, those of --tls-cert-file and --tls-private-key-file, read again when they change.", certModeSelfSigned, certModeFiles))
	o.CertTimes.AddFlags(flags)
}

// complete sets what follows from what was given.
func (o *Options) complete() error {
	if o.Standalone {
		// It takes a kube-apiserver for its configuration.
		o.Features.EnablePriorityAndFairness = false
	}
	return o.ServerRun.Complete()
}

// Validate tells what is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	if o.AgentPort < 0 || o.AgentPort > 65535 {
		errs = append(errs, fmt.Errorf("--agent-port %d is no port: it must be between 0 and 65535", o.AgentPort))
	}
	if err := o.Reads.Validate(); err != nil {
		errs = append(errs, err)
	}
	if o.HistoryBytes.Value() < minHistoryBytes {
		errs = append(errs, fmt.Errorf("--history-bytes %s is too little: it must be %d or more, or one large node would use it up", &o.HistoryBytes, minHistoryBytes))
	}
	if o.Standalone {
		errs = append(errs, o.validateStandalone()...)
	} else {
		errs = append(errs, o.validateCluster()...)
	}
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	return errs
}

func (o *Options) validateStandalone() []error {
	errs := foreign(o.forms.cluster, "has no meaning with --standalone")
	if o.fairness.Changed && o.Features.EnablePriorityAndFairness {
		errs = append(errs, errors.New("--enable-priority-and-fairness needs a kube-apiserver and must be off with --standalone"))
	}
	if o.StateDir == "" {
		errs = append(errs, errors.New("--state-dir must not be empty"))
	}
	if o.MaxNodes < 1 {
		errs = append(errs, fmt.Errorf("--max-nodes %d must be 1 or more", o.MaxNodes))
	}
	if o.MaxNodesPerSource < 0 {
		errs = append(errs, fmt.Errorf("--max-nodes-per-source %d must be 0, which means no bound, or more", o.MaxNodesPerSource))
	}
	return errs
}

func (o *Options) validateCluster() []error {
	errs := foreign(o.forms.standalone, "has a meaning only with --standalone")
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace is needed, that of this server in the cluster; or --standalone to run without one"))
	}
	cert := o.SecureServing.ServerCert.CertKey
	switch o.CertMode {
	case certModeSelfSigned:
		if cert.CertFile != "" || cert.KeyFile != "" {
			errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file need --cert-mode=files"))
		}
		if err := o.CertTimes.Validate(); err != nil {
			errs = append(errs, err)
		}
	case certModeFiles:
		if cert.CertFile == "" || cert.KeyFile == "" {
			errs = append(errs, errors.New("--cert-mode=files needs --tls-cert-file and --tls-private-key-file"))
		}
	default:
		errs = append(errs, fmt.Errorf("--cert-mode %q must be %q or %q", o.CertMode, certModeSelfSigned, certModeFiles))
	}
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, o.CoreAPI.Validate()...)
	return append(errs, o.Admission.Validate()...)
}

// foreign tells of each flag that was given though it belongs to the other form.
func foreign(sets []*pflag.FlagSet, why string) []error {
	var errs []error
	for _, set := range sets {
		set.VisitAll(func(flag *pflag.Flag) {
			if flag.Changed {
				errs = append(errs, fmt.Errorf("--%s %s", flag.Name, why))
			}
		})
	}
	return errs
}
