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

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
)

// anewTimeout bounds a request over a connection of its own.
const anewTimeout = 3 * time.Second

// ReviewsAnew are token reviews, each of which is asked for over a connection of its own.
type ReviewsAnew struct{ config *rest.Config }

var _ authenticationclient.TokenReviewInterface = ReviewsAnew{}

// NewReviewsAnew returns ReviewsAnew of the cluster of that config.
func NewReviewsAnew(config *rest.Config) ReviewsAnew { return ReviewsAnew{config} }

// Create implements authenticationclient.TokenReviewInterface.
func (r ReviewsAnew) Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	config, client, err := anew(r.config, "")
	if err != nil {
		return nil, err
	}
	defer utilnet.CloseIdleConnectionsFor(client.Transport)
	reviews, err := authenticationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return reviews.TokenReviews().Create(ctx, review, options)
}

// anew returns a client of the cluster that shares no connection with any other client. It
// dials the given address instead of the config's host, unless that is empty; the server's
// certificate must be good for the host of the config all the same.
func anew(shared *rest.Config, address string) (*rest.Config, *http.Client, error) {
	config := rest.CopyConfig(shared)
	config.Timeout = anewTimeout
	// Files are read now: to watch them would leave a goroutine behind with each client.
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, nil, fmt.Errorf("reading the credentials of the cluster: %w", err)
	}
	config.CAFile, config.CertFile, config.KeyFile = "", "", ""
	// client-go keeps the transport of a config and shares it, but not one with a function for
	// the proxy. This one is the default.
	if config.Proxy == nil {
		config.Proxy = http.ProxyFromEnvironment
	}
	if address != "" {
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: anewTimeout}).DialContext(ctx, network, address)
		}
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client of the cluster: %w", err)
	}
	return config, client, nil
}
