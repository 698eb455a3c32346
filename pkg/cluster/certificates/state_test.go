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
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func testRules() rules {
	return rules{Times: times(), hosts: Config{Namespace: namespace, Service: service}.Hosts()}
}

// newState returns a state in the given phase.
func newState(t *testing.T, phase string) *state {
	t.Helper()
	r, s := testRules(), &state{}
	renew(t, r, s, start)
	if phase != stable {
		s.request = rotateCA
		renew(t, r, s, start)
		s.since = start
	}
	if phase == retiring {
		if done, err := r.promote(s, start.Add(r.PublishOverlap)); !done || err != nil {
			t.Fatal(done, err)
		}
	}
	if s.phase() != phase {
		t.Fatal(s.phase())
	}
	return s
}

func renew(t *testing.T, r rules, s *state, now time.Time) []string {
	t.Helper()
	did, err := r.renew(s, now)
	if err != nil {
		t.Fatal(err)
	}
	return did
}

func encoded(t *testing.T, s *state) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"mine": "x"}},
		Data:       map[string][]byte{"mine": []byte("x"), nextCert: []byte("old"), previousCert: []byte("old")},
	}
	if err := s.encode(secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTheSecretHoldsAll(t *testing.T) {
	for _, phase := range []string{stable, publishing, retiring} {
		s := newState(t, phase)
		s.request = rotateServing
		secret := encoded(t, s)
		if secret.Annotations["mine"] != "x" || string(secret.Data["mine"]) != "x" {
			t.Error("what others keep there is gone")
		}
		if secret.Annotations[PhaseAnnotation] != phase {
			t.Error(secret.Annotations)
		}
		got, err := decode(secret)
		if err != nil {
			t.Fatal(err)
		}
		if got.phase() != phase || !got.since.Equal(s.since) || got.request != s.request || !reflect.DeepEqual(encoded(t, got), secret) {
			t.Errorf("in phase %s it is read as another", phase)
		}
	}
}

func TestDamagedSecrets(t *testing.T) {
	other := newState(t, publishing)
	for name, test := range map[string]struct {
		phase  string
		damage func(map[string][]byte)
		says   string
	}{
		"CA's key lost":         {stable, func(d map[string][]byte) { delete(d, caKey) }, "ca.key"},
		"CA's certificate lost": {stable, func(d map[string][]byte) { d[caCert] = []byte(" \n") }, "ca.crt"},
		"CA's key mismatched":   {stable, func(d map[string][]byte) { d[caKey] = other.ca.Key() }, "not that of its certificate"},
		"half a pair":           {stable, func(d map[string][]byte) { delete(d, servingKey) }, "tls.key"},
		"pair mismatched":       {stable, func(d map[string][]byte) { d[servingKey] = other.serving.key }, "tls.key"},
		"pair is garbage":       {stable, func(d map[string][]byte) { d[servingCert] = []byte("x") }, "tls.crt"},
		"another CA":            {stable, func(d map[string][]byte) { d[caCert], d[caKey] = other.ca.PEM(), other.ca.Key() }, "not signed by"},
		"next is half":          {publishing, func(d map[string][]byte) { delete(d, nextKey) }, "next-ca.key"},
		"previous is garbage":   {retiring, func(d map[string][]byte) { d[previousCert] = []byte("x") }, "previous-ca.crt"},
		"previous and next": {publishing, func(d map[string][]byte) { d[previousCert] = other.ca.PEM() },
			"not there together"},
	} {
		secret := encoded(t, newState(t, test.phase))
		test.damage(secret.Data)
		if _, err := decode(secret); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAdministratorsOwnCA(t *testing.T) {
	ca, err := pki.NewCA("mine", pki.From(start, time.Hour*500))
	if err != nil {
		t.Fatal(err)
	}
	s, err := decode(&corev1.Secret{Data: map[string][]byte{caCert: ca.PEM(), caKey: ca.Key()}})
	if err != nil {
		t.Fatal(err)
	}
	if did := renew(t, testRules(), s, start); len(did) != 1 || !bytes.Equal(s.ca.PEM(), ca.PEM()) {
		t.Error(did)
	}
	if err := s.serving.parsed.Leaf.CheckSignatureFrom(ca.Certificate()); err != nil {
		t.Error(err)
	}
}

func TestTimes(t *testing.T) {
	if err := DefaultTimes().Validate(); err != nil {
		t.Error(err)
	}
	got := DefaultTimes()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	got.AddFlags(flags)
	if got != DefaultTimes() {
		t.Error("adding flags changes the times")
	}
	if err := flags.Parse([]string{"--ca-validity=4h", "--serving-cert-validity=1h", "--ca-publish-overlap=3s", "--ca-retire-overlap=2s"}); err != nil {
		t.Fatal(err)
	}
	if got != (Times{4 * time.Hour, time.Hour, 3 * time.Second, 2 * time.Second}) || got.Validate() != nil {
		t.Errorf("%+v: %v", got, got.Validate())
	}
	for says, bad := range map[string]Times{
		"at least a minute":               {CAValidity: time.Hour, ServingValidity: time.Second},
		"at least --serving":              {CAValidity: time.Hour, ServingValidity: 2 * time.Hour},
		"negative":                        {time.Hour, time.Hour, -1, 0},
		"more than a tenth of --ca-valid": {time.Hour, time.Hour, 5 * time.Minute, 2 * time.Minute},
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
