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
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host"
)

// Options are what the command line says.
type Options struct {
	NodeName              string
	NodeLabels            map[string]string
	Server                string
	ServerName            string
	CAFile                string
	TokenFile             string
	JoinTokenFile         string
	StateDir              string
	Backend               string
	IncludeUnmanagedVeths bool
	ApplyTimeout          time.Duration
	LLDP                  bool
	Logs                  *logs.Options
}

// NewOptions returns the defaults; the node's name is the host's.
func NewOptions() *Options {
	name, _ := os.Hostname()
	return &Options{
		NodeName:     name,
		StateDir:     "/var/lib/nmstate-agent",
		Backend:      string(host.BackendAuto),
		ApplyTimeout: host.DefaultApplyTimeout(),
		Logs:         logs.NewOptions(),
	}
}

var backends = []string{string(host.BackendAuto), string(host.BackendNetworkManager), string(host.BackendKernel)}

// AddFlags adds the flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.NodeName, "node-name", o.NodeName, "Name of this node (default: the hostname).")
	flags.StringToStringVar(&o.NodeLabels, "node-labels", o.NodeLabels, "Labels of this node, KEY=VALUE,…; a standalone server takes them from here.")
	flags.StringVar(&o.Server, "server", o.Server, "Address of the API server for agents, HOST:PORT.")
	flags.StringVar(&o.ServerName, "server-name", o.ServerName, "Name that the API server's certificate must have (default: the host of --server).")
	flags.StringVar(&o.CAFile, "ca-file", o.CAFile, "File with the certificate, PEM, that the API server's must be signed by.")
	flags.StringVar(&o.TokenFile, "token-file", o.TokenFile, "File with the agent's service account token, in a cluster.")
	flags.StringVar(&o.JoinTokenFile, "join-token-file", o.JoinTokenFile, "File with the join token of a standalone API server.")
	flags.StringVar(&o.StateDir, "state-dir", o.StateDir, "Folder of the agent's record and its own key.")
	flags.StringVar(&o.Backend, "backend", o.Backend, fmt.Sprintf("What carries out changes, one of %q; auto is NetworkManager when it answers on D-Bus, else the kernel alone.", backends))
	flags.BoolVar(&o.IncludeUnmanagedVeths, "include-unmanaged-veths", o.IncludeUnmanagedVeths, "Show the veths that NetworkManager leaves alone, such as pods', too.")
	flags.DurationVar(&o.ApplyTimeout, "apply-timeout", o.ApplyTimeout, "How long nmstate may take to apply and verify a change, at least 1s. A change that takes longer is rolled back.")
	flags.BoolVar(&o.LLDP, "lldp", o.LLDP, "Hear what switches and other neighbours say of themselves by LLDP, for the subresource ports. The agent listens, and sends nothing.")
	logsapi.AddFlags(o.Logs, flags)
	// The host's name is no default that a reader of the help can rely on.
	flags.Lookup("node-name").DefValue = ""
}

// Validate tells what is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	for _, problem := range validation.IsDNS1123Subdomain(o.NodeName) {
		errs = append(errs, fmt.Errorf("--node-name %q: %s", o.NodeName, problem))
	}
	if _, _, err := net.SplitHostPort(o.Server); err != nil {
		errs = append(errs, fmt.Errorf("--server %q must be HOST:PORT", o.Server))
	}
	for flag, value := range map[string]string{"--ca-file": o.CAFile, "--state-dir": o.StateDir} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is needed", flag))
		}
	}
	if (o.TokenFile == "") == (o.JoinTokenFile == "") {
		errs = append(errs, errors.New("one of --token-file, in a cluster, and --join-token-file, with a standalone API server, is needed"))
	}
	if o.ApplyTimeout < time.Second {
		errs = append(errs, fmt.Errorf("--apply-timeout %s must be at least 1s", o.ApplyTimeout))
	}
	if !slices.Contains(backends, o.Backend) {
		errs = append(errs, fmt.Errorf("--backend %q must be one of %q", o.Backend, backends))
	}
	return errs
}
