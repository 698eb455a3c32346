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

	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// Options are what the command line says.
type Options struct {
	// Standalone runs without a cluster, with what StateDir holds.
	Standalone bool
	StateDir   string
	// KubeconfigOut is where the administrator's kubeconfig is written.
	KubeconfigOut string
	// AgentBindAddress and AgentPort are where agents connect, AgentSANs the
	// further names and addresses by which they reach it.
	AgentBindAddress net.IP
	AgentPort        int
	AgentSANs        []string

	ServerRun     *genericoptions.ServerRunOptions
	SecureServing *genericoptions.SecureServingOptionsWithLoopback
	Audit         *genericoptions.AuditOptions
	Features      *genericoptions.FeatureOptions
	Tracing       *genericoptions.TracingOptions
	Logs          *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		StateDir:         "/var/lib/nmstate-apiserver",
		AgentBindAddress: net.IPv4zero,
		AgentPort:        6444,
		ServerRun:        genericoptions.NewServerRunOptions(),
		SecureServing:    genericoptions.NewSecureServingOptions().WithLoopback(),
		Audit:            genericoptions.NewAuditOptions(),
		Features:         genericoptions.NewFeatureOptions(),
		Tracing:          genericoptions.NewTracingOptions(),
		Logs:             logs.NewOptions(),
	}
	o.SecureServing.BindPort = 6443
	o.SecureServing.ServerCert.CertDirectory = ""
	o.SecureServing.ServerCert.PairName = ""
	// Needs a kube-apiserver.
	o.Features.EnablePriorityAndFairness = false
	return o
}

// Flags returns the flags, in sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sections cliflag.NamedFlagSets
	own := sections.FlagSet("nmstate")
	own.BoolVar(&o.Standalone, "standalone", o.Standalone, "Run without a Kubernetes cluster: the nodes are the agents that join.")
	own.StringVar(&o.StateDir, "state-dir", o.StateDir, "Folder of the standalone server's certificates, join token and nodes.")
	own.StringVar(&o.KubeconfigOut, "kubeconfig-out", o.KubeconfigOut, "File to write the administrator's kubeconfig to, mode 0600 (default \"STATE-DIR/admin.kubeconfig\").")
	own.IPVar(&o.AgentBindAddress, "agent-bind-address", o.AgentBindAddress, "IP address on which to listen for agents.")
	own.IntVar(&o.AgentPort, "agent-port", o.AgentPort, "Port on which to listen for agents.")
	own.StringSliceVar(&o.AgentSANs, "agent-san", o.AgentSANs, "Further DNS name or IP address by which agents reach this server; may be given several times.")
	o.ServerRun.AddUniversalFlags(sections.FlagSet("generic"))
	o.SecureServing.AddFlags(sections.FlagSet("secure serving"))
	o.Audit.AddFlags(sections.FlagSet("auditing"))
	o.Features.AddFlags(sections.FlagSet("features"))
	o.Tracing.AddFlags(sections.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, sections.FlagSet("logs"))
	return sections
}

// Validate tells what is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	if !o.Standalone {
		errs = append(errs, errors.New("--standalone is needed: running in a cluster is not there yet"))
	}
	if o.StateDir == "" {
		errs = append(errs, errors.New("--state-dir must not be empty"))
	}
	if o.AgentPort < 0 || o.AgentPort > 65535 {
		errs = append(errs, fmt.Errorf("--agent-port %d is no port: it must be between 0 and 65535", o.AgentPort))
	}
	if o.Features.EnablePriorityAndFairness {
		errs = append(errs, errors.New("--enable-priority-and-fairness needs a kube-apiserver and must be off with --standalone"))
	}
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	return errs
}
