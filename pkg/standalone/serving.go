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

package standalone

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// checkInterval is how often Run checks whether the certificate is due for renewal.
const checkInterval = time.Hour

// Serving is the server's certificate. Run renews it when four fifths of its
// validity are over, and the administrator's certificate with it.
type Serving struct {
	ca    *CA
	hosts []string
	// renewed renews the administrator's certificate.
	renewed func() error
	clock   clock.WithTicker

	// due is when the certificate must be renewed. Once Run runs, only Run uses it.
	due time.Time

	mu        sync.Mutex
	cert, key []byte
}

var _ dynamiccertificates.CertKeyContentProvider = &Serving{}

// NewServing returns the certificate of a server whose DNS names and IP addresses
// are hosts. Run calls renewed whenever it has made another certificate, and again
// if renewed fails.
func (c *CA) NewServing(hosts []string, clock clock.WithTicker, renewed func() error) (*Serving, error) {
	s := &Serving{ca: c, hosts: hosts, renewed: renewed, clock: clock}
	return s, s.make()
}

// Name implements dynamiccertificates.CertKeyContentProvider.
func (s *Serving) Name() string { return "standalone" }

// CurrentCertKeyContent implements dynamiccertificates.CertKeyContentProvider.
func (s *Serving) CurrentCertKeyContent() (cert, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert, s.key
}

// AddListener implements dynamiccertificates.Notifier. It does nothing: upstream's
// server reads the certificate each minute, and the old one is good for days.
func (s *Serving) AddListener(dynamiccertificates.Listener) {}

// Run renews the certificate in time, until ctx ends.
func (s *Serving) Run(ctx context.Context) {
	ticker := s.clock.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
		if s.clock.Now().Before(s.due) {
			continue
		}
		if err := errors.Join(s.make(), s.renewed()); err != nil {
			s.due = s.clock.Now()
			klog.FromContext(ctx).Error(err, "The certificates are old, and new ones could not be made; trying again")
		} else {
			klog.FromContext(ctx).Info("Made the certificates anew", "due", s.due)
		}
	}
}

func (s *Serving) make() error {
	now := s.clock.Now()
	cert, key, err := s.ca.ca.Server(s.hosts, pki.From(now, leafValidity))
	if err != nil {
		return fmt.Errorf("making the server's certificate: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cert, s.key, s.due = cert, key, now.Add(leafValidity*4/5)
	return nil
}
