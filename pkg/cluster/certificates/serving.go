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

package certificates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// serving holds the certificate that the server shows. The Keeper writes it.
type serving struct {
	// ready is closed with the first certificate.
	ready chan struct{}

	mu        sync.Mutex
	current   *pair
	problem   error // why the last pass failed
	listeners []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = (*serving)(nil)

func newServing() *serving { return &serving{ready: make(chan struct{})} }

// Name implements dynamiccertificates.CertKeyContentProvider.
func (s *serving) Name() string { return "secret::" + SecretName }

// CurrentCertKeyContent implements dynamiccertificates.CertKeyContentProvider.
func (s *serving) CurrentCertKeyContent() (cert, key []byte) {
	if current := s.get(); current != nil {
		return current.cert, current.key
	}
	return nil, nil
}

// AddListener implements dynamiccertificates.Notifier.
func (s *serving) AddListener(listener dynamiccertificates.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, listener)
}

func (s *serving) get() *pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// set shows the certificate and tells the listeners, unless it is the current one.
func (s *serving) set(next *pair) (changed bool) {
	s.mu.Lock()
	if s.current != nil && bytes.Equal(s.current.cert, next.cert) {
		s.mu.Unlock()
		return false
	}
	first := s.current == nil
	s.current = next
	listeners := s.listeners
	s.mu.Unlock()
	if first {
		close(s.ready)
	}
	for _, listener := range listeners {
		listener.Enqueue()
	}
	return true
}

func (s *serving) report(problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = problem
}

// wait returns when there is a certificate.
func (s *serving) wait(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("waiting for the serving certificate: %w", errors.Join(context.Cause(ctx), s.problem))
}
