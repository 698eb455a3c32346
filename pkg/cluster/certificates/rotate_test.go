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
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

// trusts tells whether a client with the bundle accepts the certificate.
func trusts(bundle []byte, cert *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: service + "." + namespace + ".svc", CurrentTime: now})
	return err
}

// TestClockThatWasAhead: what was made in what is the future now is of no use to anybody.
func TestClockThatWasAhead(t *testing.T) {
	r, s := testRules(), &state{}
	ahead := start.Add(48 * time.Hour)
	renew(t, r, s, ahead)
	serving := s.serving
	renew(t, r, s, start)
	if s.serving == serving || !holds(s.ca.Certificate(), start) || !holds(s.serving.parsed.Leaf, start) {
		t.Errorf("the CA holds from %s on, the certificate from %s on", s.ca.Certificate().NotBefore, s.serving.parsed.Leaf.NotBefore)
	}
	ca := s.ca
	s.request = rotateServing
	renew(t, r, s, ahead)
	renew(t, r, s, start)
	if s.ca != ca || !holds(s.serving.parsed.Leaf, start) {
		t.Errorf("the certificate holds from %s on, and another CA: %v", s.serving.parsed.Leaf.NotBefore, s.ca != ca)
	}
}

// TestYears: without anybody's doing, over ten lives of a CA, a client that is
// behind by the overlap, and a server that is behind by the other, still get on.
func TestYears(t *testing.T) {
	r, s := testRules(), &state{}
	type moment struct {
		at      time.Time
		bundle  []byte
		serving *x509.Certificate
	}
	var history []moment
	cas, servings := map[string]bool{}, map[string]bool{}
	for now := start; now.Before(start.Add(10 * r.CAValidity)); now = r.due(s, now) {
		renew(t, r, s, now)
		if s.next != nil && s.since.IsZero() {
			s.since = now
		}
		if _, err := r.promote(s, now); err != nil {
			t.Fatal(err)
		}
		bundle, err := s.bundle(now)
		if err != nil {
			t.Fatal(err)
		}
		if due := r.due(s, now); !due.After(now) {
			t.Fatalf("at %s there is something to do at %s", now, due)
		}
		cas[string(s.ca.PEM())], servings[string(s.serving.cert)] = true, true
		if n := len(history); n > 0 && bytes.Equal(history[n-1].bundle, bundle) && history[n-1].serving == s.serving.parsed.Leaf {
			continue
		}
		history = append(history, moment{now, bundle, s.serving.parsed.Leaf})
		until := now
		for _, m := range slices.Backward(history) {
			behind := now.Sub(until)
			if behind < r.PublishOverlap {
				if err := trusts(m.bundle, s.serving.parsed.Leaf, now); err != nil {
					t.Fatalf("%s: a client that is %s behind: %v", now, behind, err)
				}
			}
			if behind < r.RetireOverlap {
				if err := trusts(bundle, m.serving, now); err != nil {
					t.Fatalf("%s: a server that is %s behind: %v", now, behind, err)
				}
			}
			if behind > r.RetireOverlap {
				break
			}
			until = m.at
		}
	}
	// 4/5 of a CA's life, 2/3 of a certificate's.
	if len(cas) < 12 || len(cas) > 13 || len(servings) < 150 || len(servings) > 170 {
		t.Errorf("%d CAs and %d serving certificates", len(cas), len(servings))
	}
}

func TestWhatHasExpiredIsReplacedAtOnce(t *testing.T) {
	r := testRules()
	for _, phase := range []string{stable, publishing, retiring} {
		s := newState(t, phase)
		next := s.next
		now := s.ca.Certificate().NotAfter
		if next != nil {
			next, _ = r.newCA(now.Add(-time.Hour))
			s.next = next
		}
		renew(t, r, s, now)
		bundle, err := s.bundle(now)
		if err != nil {
			t.Fatal(err)
		}
		if err := trusts(bundle, s.serving.parsed.Leaf, now); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		if s.phase() != stable {
			t.Errorf("%s: then %s", phase, s.phase())
		}
		if next != nil && s.ca != next {
			t.Error("the next CA, which some know already, is not taken")
		}
	}
	s := newState(t, stable)
	ca, expired := s.ca, s.serving.parsed.Leaf.NotAfter
	if renew(t, r, s, expired); s.ca != ca || !s.serving.parsed.Leaf.NotAfter.After(expired) {
		t.Error("a serving certificate that has expired is not replaced, or the CA is")
	}
}

func TestOverlapsAreNotCutShort(t *testing.T) {
	r := testRules()
	now := start.Add(24 * time.Hour)
	for name, since := range map[string]time.Time{"unknown": {}, "in the future": now.Add(time.Hour)} {
		s := newState(t, publishing)
		s.since = since
		if done, err := r.promote(s, now); done || err != nil {
			t.Errorf("published since %s: %t, %v", name, done, err)
		}
		s = newState(t, retiring)
		s.since = since
		if renew(t, r, s, now); s.previous == nil || !s.since.Equal(now) {
			t.Errorf("retiring since %s: since %s", name, s.since)
		}
	}
	s := newState(t, publishing)
	if done, _ := r.promote(s, s.since.Add(r.PublishOverlap-1)); done {
		t.Error("it signs early")
	}
	s = newState(t, retiring)
	if renew(t, r, s, s.since.Add(r.RetireOverlap-1)); s.previous == nil {
		t.Error("it retires early")
	}
}

func TestRequests(t *testing.T) {
	r := testRules()
	for _, phase := range []string{publishing, retiring} {
		s := newState(t, phase)
		s.request = rotateCA
		if did := renew(t, r, s, s.since); len(did) != 0 || s.request != rotateCA {
			t.Errorf("%s: a second rotation begins in the first: %v", phase, did)
		}
	}
	s := newState(t, retiring)
	s.request = rotateCA
	if renew(t, r, s, s.since.Add(r.RetireOverlap)); s.phase() != publishing || s.request != "" {
		t.Errorf("the second does not begin after the first: %s", s.phase())
	}
	serving, ca := s.serving, s.ca
	s.request = rotateServing
	if renew(t, r, s, start); s.serving == serving || s.ca != ca || s.request != "" {
		t.Error("the serving certificate is not rotated")
	}
	s.request = "x"
	if did := renew(t, r, s, start); len(did) != 0 || s.request != "x" {
		t.Error(did)
	}
	r.hosts = []string{"another"}
	if renew(t, r, s, start); s.serving.parsed.Leaf.DNSNames[0] != "another" {
		t.Error("the certificate keeps the old name")
	}
}
