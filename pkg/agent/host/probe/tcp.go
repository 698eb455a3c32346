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

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// maxHeader is how many bytes of an answer's header are read.
const maxHeader = 64 << 10

// connect opens a TCP connection and closes it.
func connect(ctx context.Context, address string) error {
	start := time.Now()
	conn, err := dial(ctx, newDialer(), "tcp", address)
	if err != nil {
		return explain(err, address, start)
	}
	conn.Close() // the answer has come
	return nil
}

// newDialer returns a dialer that asks the DNS servers which the node has now: Go's
// own resolver reads /etc/resolv.conf only every five seconds.
func newDialer() *net.Dialer {
	var calls atomic.Int64
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if servers, err := nodeServers(); err == nil && len(servers) > 0 {
			// Go asks for IPv4 and IPv6 addresses at the same time, then again.
			turn := (calls.Add(1) - 1) / 2
			address = servers[turn%int64(len(servers))]
		}
		return dial(ctx, new(net.Dialer), network, address)
	}}
	return &net.Dialer{KeepAlive: -1, Resolver: resolver}
}

// get makes an HTTP request over a new connection. The messages have the server's
// address only: the user, the path and the query of a URL may be secret.
func get(ctx context.Context, probe *v1alpha1.HTTPProbe) error {
	target, err := url.Parse(probe.URL)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return errors.New("the URL is not one of http or https")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe.URL, nil)
	if err != nil {
		return errors.New("the URL is not one of http or https")
	}
	start := time.Now()
	client := newClient(probe.InsecureSkipTLSVerify == nil || *probe.InsecureSkipTLSVerify)
	answer, err := client.Do(request)
	if err != nil {
		return explain(err, target.Host, start)
	}
	defer answer.Body.Close() // nothing of the body is read
	switch {
	case probe.Status != nil && answer.StatusCode != int(*probe.Status):
		return fmt.Errorf("status %d instead of %d from %s", answer.StatusCode, *probe.Status, target.Host)
	case probe.Status == nil && (answer.StatusCode < 200 || answer.StatusCode > 399):
		return fmt.Errorf("status %d instead of 200 to 399 from %s", answer.StatusCode, target.Host)
	}
	return nil
}

// newClient returns a client for one request. It uses no proxy: the question is
// whether this node reaches the server.
func newClient(insecure bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(ctx, newDialer(), network, address)
			},
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: insecure},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
