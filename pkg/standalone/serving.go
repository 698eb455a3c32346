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

// lookInterval is how often it is looked whether the certificate is to be made anew.
const lookInterval = time.Hour

// Serving is the server's certificate. When four fifths of its time are over it
// is made anew, and the administrator's with it.
type Serving struct {
	ca    *CA
	hosts []string
	// renewed makes what is to last as long.
	renewed func() error
	clock   clock.WithTicker

	// due is when it is to be made anew; Run's alone once that runs.
	due time.Time

	mu        sync.Mutex
	cert, key []byte
}

var _ dynamiccertificates.CertKeyContentProvider = &Serving{}

// NewServing returns the certificate of a server that is reached at the given DNS
// names and IP addresses. renewed is called with each that Run makes after it; it
// is tried again if it fails.
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

// AddListener implements dynamiccertificates.Notifier: nobody is told, since
// upstream's server looks each minute, and days are left.
func (s *Serving) AddListener(dynamiccertificates.Listener) {}

// Run keeps the certificate good until ctx ends.
func (s *Serving) Run(ctx context.Context) {
	ticker := s.clock.NewTicker(lookInterval)
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
