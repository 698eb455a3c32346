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
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// The values of RotateAnnotation.
const (
	rotateCA      = "ca"
	rotateServing = "serving"
)

// recheck is the longest time between two passes: somebody may set the clock.
const recheck = time.Hour

// rules decide when certificates are rotated, and make the new ones.
type rules struct {
	Times
	hosts []string
}

// renew takes the steps that need not wait for a publication: it makes the first
// certificates, replaces expired ones, ends a retirement, makes the next CA and
// signs the next serving certificate. It returns the steps that it took.
func (r rules) renew(s *state, now time.Time) (did []string, err error) {
	did, err = r.renewCA(s, now)
	if err != nil {
		return nil, err
	}
	if s.serving != nil && s.request != rotateServing && slices.Equal(s.serving.parsed.Leaf.DNSNames, r.hosts) &&
		holds(s.serving.parsed.Leaf, now) && now.Before(r.servingDue(s)) {
		return did, nil
	}
	if s.request == rotateServing {
		s.request = ""
	}
	return append(did, "signed a serving certificate"), r.sign(s, now)
}

func (r rules) renewCA(s *state, now time.Time) (did []string, err error) {
	switch {
	case s.ca == nil:
		s.since = time.Time{}
		did = append(did, "made the first CA")
		s.ca, err = r.newCA(now)
		return did, err
	case !holds(s.ca.Certificate(), now):
		did = append(did, "replaced the CA, which had expired or is not valid yet")
		next := s.next
		if next == nil || !holds(next.Certificate(), now) {
			if next, err = r.newCA(now); err != nil {
				return nil, err
			}
		}
		s.ca, s.next, s.previous, s.serving, s.since = next, nil, nil, nil, time.Time{}
	case s.previous != nil && unknown(s.since, now):
		s.since = now
		did = append(did, "began the retirement of the CA before anew")
	case s.previous != nil && !now.Before(s.since.Add(r.RetireOverlap)):
		s.previous, s.since = nil, time.Time{}
		did = append(did, "retired the CA before")
	}
	if s.phase() == stable && (s.request == rotateCA || !now.Before(fraction(s.ca.Certificate(), 4, 5))) {
		if s.request == rotateCA {
			s.request = ""
		}
		s.since = time.Time{}
		did = append(did, "made the next CA")
		s.next, err = r.newCA(now)
	}
	return did, err
}

// promote makes the next CA the signing one, if it has been published for
// PublishOverlap. It returns whether it did.
func (r rules) promote(s *state, now time.Time) (bool, error) {
	if s.next == nil || unknown(s.since, now) || now.Before(s.since.Add(r.PublishOverlap)) {
		return false, nil
	}
	s.previous, s.ca, s.next, s.since = s.ca.Certificate(), s.next, nil, now
	return true, r.sign(s, now)
}

// due returns when the next step is due.
func (r rules) due(s *state, now time.Time) time.Time {
	due := now.Add(recheck)
	at := func(t time.Time) {
		if t.Before(due) {
			due = t
		}
	}
	at(s.ca.Certificate().NotAfter)
	at(r.servingDue(s))
	switch s.phase() {
	case stable:
		at(fraction(s.ca.Certificate(), 4, 5))
	case publishing:
		at(s.since.Add(r.PublishOverlap))
	case retiring:
		at(s.since.Add(r.RetireOverlap))
	}
	return due
}

// servingDue returns when the serving certificate is signed again. A certificate
// that lasts as long as its CA is not signed again before it ends, because the
// next one would not last longer.
func (r rules) servingDue(s *state) time.Time {
	cert := s.serving.parsed.Leaf
	if !cert.NotAfter.Before(s.ca.Certificate().NotAfter) {
		return cert.NotAfter
	}
	return fraction(cert, 2, 3)
}

func (r rules) sign(s *state, now time.Time) error {
	cert, key, err := s.ca.Server(r.hosts, pki.From(now, r.ServingValidity))
	if err != nil {
		return err
	}
	s.serving, err = newPair(cert, key)
	return err
}

// newCA makes a CA with a unique name, because a bundle may have several CAs.
func (r rules) newCA(now time.Time) (*pki.CA, error) {
	return pki.NewCA(fmt.Sprintf("nmstate-apiserver-ca@%d", now.UnixMicro()), pki.From(now, r.CAValidity))
}

// holds tells whether a certificate is valid now. A certificate that was made while
// the clock was ahead is not valid yet.
func holds(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

// unknown tells whether a time cannot be the start of anything: it is not set, or
// is in the future.
func unknown(since, now time.Time) bool { return since.IsZero() || since.After(now) }

// fraction returns when a/b of a certificate's life are over.
func fraction(cert *x509.Certificate, a, b int64) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return cert.NotBefore.Add(life / time.Duration(b) * time.Duration(a))
}
