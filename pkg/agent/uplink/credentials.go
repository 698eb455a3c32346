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

package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

// clientTLS returns what authenticates the server: its certificate must come
// from the CA of the config, no other is trusted.
func clientTLS(config Config) (credentials.TransportCredentials, error) {
	pem, err := os.ReadFile(config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in the API server's CA file %s", config.CAFile)
	}
	return records{credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    roots,
		ServerName: config.ServerName,
	})}, nil
}

// Files are credentials that are kept in files and read for each stream.
type Files struct {
	// Token is the path of a bearer token.
	Token string
	// NodeKey is the path of the agent's own secret; empty means it has none.
	NodeKey string
}

var _ credentials.PerRPCCredentials = Files{}

// GetRequestMetadata implements credentials.PerRPCCredentials. Its errors have a
// code, or gRPC would make of them that the server refuses the agent.
func (f Files) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := secretfile.Read(f.Token)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "reading the agent's token: %v", err)
	}
	metadata := map[string]string{agent.TokenKey: "Bearer " + token}
	if f.NodeKey == "" {
		return metadata, nil
	}
	if metadata[agent.NodeKey], err = secretfile.Read(f.NodeKey); err != nil {
		return nil, status.Errorf(codes.Unavailable, "reading the agent's own key: %v", err)
	}
	return metadata, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: a secret never travels in the clear.
func (Files) RequireTransportSecurity() bool { return true }
