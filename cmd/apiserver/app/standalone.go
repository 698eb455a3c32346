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
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc/credentials"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apiserver"
	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
	"github.com/nmstate/kubernetes-nmstate/pkg/standalone"
)

// standaloneConfig turns the options into the configuration of a standalone server.
func (o *Options) standaloneConfig(ctx context.Context) (*apiserver.Config, error) {
	state, err := standalone.Open(o.StateDir)
	if err != nil {
		return nil, err
	}
	if err := state.Sweep(); err != nil {
		return nil, err
	}
	ca, err := state.CA()
	if err != nil {
		return nil, err
	}
	serving, err := ca.NewServing(o.hosts(), clock.RealClock{}, func() error { return o.writeKubeconfig(ctx, ca) })
	if err != nil {
		return nil, err
	}
	config := &apiserver.Config{}
	if config.Scheme, err = apiserver.NewScheme(); err != nil {
		return nil, err
	}
	config.Codecs = serializer.NewCodecFactory(config.Scheme)
	if config.Generic, err = o.generic(config.Codecs, ca, serving); err != nil {
		return nil, err
	}
	tokens := state.JoinTokens(clock.RealClock{})
	if err := o.joinable(ctx, config, state, tokens, serving); err != nil {
		return nil, err
	}
	// The term begins last: from here on the server comes up.
	term, err := state.BeginTerm(time.Now())
	if err != nil {
		return nil, err
	}
	config.Elector = standalone.Sole(term)
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	config.Self = self(ctx, name, "")
	go serving.Run(ctx)
	go tokens.Run(ctx)
	return config, o.writeKubeconfig(ctx, ca)
}

// hosts are the names and addresses by which the server is reached.
func (o *Options) hosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, ip := range []net.IP{o.SecureServing.BindAddress, o.AgentBindAddress} {
		if !ip.IsUnspecified() && !ip.IsLoopback() {
			hosts = append(hosts, ip.String())
		}
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return append(hosts, o.AgentSANs...)
}

// generic makes the configuration of upstream's server. It authenticates callers by
// certificates of the CA, and lets the administrator do everything.
func (o *Options) generic(codecs serializer.CodecFactory, ca *standalone.CA, serving *standalone.Serving) (*genericapiserver.RecommendedConfig, error) {
	config := genericapiserver.NewRecommendedConfig(codecs)
	if !o.givenCertificate() {
		o.SecureServing.ServerCert.GeneratedCert = serving
	}
	for _, apply := range []func() error{
		func() error { return o.ServerRun.ApplyTo(&config.Config) },
		func() error { return o.SecureServing.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig) },
		func() error { return o.Audit.ApplyTo(&config.Config) },
		func() error { return o.Features.ApplyTo(&config.Config, nil, nil) },
		func() error { return o.Tracing.ApplyTo(nil, &config.Config) },
		func() error { return authenticate(config, ca) },
		func() error { return authorize(config) },
	} {
		if err := apply(); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func authenticate(config *genericapiserver.RecommendedConfig, ca *standalone.CA) error {
	clientCA, err := dynamiccertificates.NewStaticCAContent("standalone", ca.PEM())
	if err != nil {
		return err
	}
	config.SecureServing.ClientCA = clientCA
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	certificate := x509request.New(
		x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		x509request.CommonNameUserConversion)
	config.Authentication.Authenticator = group.NewAuthenticatedGroupAdder(
		union.NewFailOnError(&verified{Request: certificate, known: cache.NewLRUExpireCache(knownCallers)}, anonymous.NewAuthenticator(nil)))
	return nil
}

const (
	// knownFor is how long a verified certificate is remembered, knownCallers how
	// many certificates are.
	knownFor     = 10 * time.Second
	knownCallers = 1000
)

// verified remembers the certificates that were good: to verify a signature with
// each request takes a fifth of the time of a GET. The connection has already
// proved that the caller has the certificate's key.
type verified struct {
	authenticator.Request
	known *cache.LRUExpireCache
}

// AuthenticateRequest implements authenticator.Request.
func (v *verified) AuthenticateRequest(request *http.Request) (*authenticator.Response, bool, error) {
	if request.TLS == nil || len(request.TLS.PeerCertificates) == 0 {
		return v.Request.AuthenticateRequest(request)
	}
	key := string(request.TLS.PeerCertificates[0].Raw)
	if known, ok := v.known.Get(key); ok {
		return known.(*authenticator.Response), true, nil
	}
	response, ok, err := v.Request.AuthenticateRequest(request)
	if err == nil && ok {
		v.known.Add(key, response, knownFor)
	}
	return response, ok, err
}

func authorize(config *genericapiserver.RecommendedConfig) error {
	health, err := path.NewAuthorizer([]string{"/healthz", "/livez", "/readyz", "/livez/*", "/readyz/*"})
	if err != nil {
		return err
	}
	config.Authorization.Authorizer, err = authorizerunion.New(
		authorizerunion.NamedAuthorizer{AuthorizerName: "privileged", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "health", Authorizer: health})
	return err
}

// joinable sets what says who is a node and who is an agent, and where agents connect.
func (o *Options) joinable(ctx context.Context, config *apiserver.Config, state *standalone.State, tokens *standalone.JoinTokens, serving *standalone.Serving) error {
	shared, err := o.sharedJoinToken(ctx, state)
	if err != nil {
		return err
	}
	nodes, err := state.Nodes(standalone.Limits{Nodes: o.MaxNodes, NodesPerSource: o.MaxNodesPerSource})
	if err != nil {
		return err
	}
	config.Directory = nodes
	config.Authenticator = standalone.NewAuthenticator(shared, tokens, nodes)
	config.AgentTLS = credentials.NewTLS(pki.ServerTLS(serving.CurrentCertKeyContent))
	config.AgentListener, err = o.listenForAgents()
	return err
}

// sharedJoinToken returns the shared join token, or nothing if it is turned off.
func (o *Options) sharedJoinToken(ctx context.Context, state *standalone.State) (string, error) {
	if !o.SharedJoinToken {
		return "", nil
	}
	token, file, err := state.SharedJoinToken()
	if err != nil {
		return "", err
	}
	klog.FromContext(ctx).Info("Warning: whoever has the shared join token can join as any node that has not joined yet; "+
		"make a token for each node with \"apiserver join-token create --node\", and turn the shared one off with --shared-join-token=false", "file", file)
	return token, nil
}

// givenCertificate tells whether clients get the certificate of --tls-cert-file.
func (o *Options) givenCertificate() bool { return o.SecureServing.ServerCert.CertKey.CertFile != "" }

// writeKubeconfig writes the administrator's kubeconfig.
func (o *Options) writeKubeconfig(ctx context.Context, ca *standalone.CA) error {
	file := o.KubeconfigOut
	if file == "" {
		file = filepath.Join(o.StateDir, "admin.kubeconfig")
	}
	host := o.SecureServing.BindAddress.String()
	if o.SecureServing.BindAddress.IsUnspecified() {
		host = "127.0.0.1"
	}
	url := "https://" + net.JoinHostPort(host, strconv.Itoa(o.SecureServing.BindPort))
	trusted := ca.PEM()
	if o.givenCertificate() {
		trusted = nil
		klog.FromContext(ctx).Info("The administrator's kubeconfig trusts the CAs of the system, since the certificate is given; set certificate-authority in it if another has signed it")
	}
	if err := ca.WriteKubeconfig(file, url, trusted); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Wrote the administrator's kubeconfig", "file", file)
	return nil
}
