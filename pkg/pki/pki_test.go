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

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"
)

func newCA(t *testing.T, name string) *CA {
	t.Helper()
	ca, err := NewCA(name, From(time.Now(), time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func leaf(t *testing.T, cert, key []byte, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func verify(ca *CA, cert *x509.Certificate, use x509.ExtKeyUsage, host string) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

// TestServerTLS shows what is current, once there is something.
func TestServerTLS(t *testing.T) {
	var cert, key []byte
	config := ServerTLS(func() ([]byte, []byte) { return cert, key })
	if _, err := config.GetCertificate(nil); err == nil {
		t.Error("a certificate before there is one")
	}
	ca := newCA(t, "mine")
	for _, host := range []string{"a", "b"} {
		var err error
		if cert, key, err = ca.Server([]string{host}, From(time.Now(), time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			shown, err := config.GetCertificate(nil)
			if err != nil || shown.Leaf.DNSNames[0] != host {
				t.Errorf("shown is %v, %v", shown, err)
			}
		}
	}
}

func TestACASignsForServersAndClients(t *testing.T) {
	made := newCA(t, "mine")
	ca, err := ParseCA(made.PEM(), made.Key())
	if err != nil {
		t.Fatal(err)
	}
	validity := From(time.Now(), time.Minute)
	cert, key, err := ca.Server([]string{"localhost", "192.0.2.1"}, validity)
	server := leaf(t, cert, key, err)
	for _, host := range []string{"localhost", "192.0.2.1"} {
		if err := verify(made, server, x509.ExtKeyUsageServerAuth, host); err != nil {
			t.Error(err)
		}
	}
	if err := verify(made, server, x509.ExtKeyUsageServerAuth, "192.0.2.2"); err == nil {
		t.Error("it is good for an address that nobody gave")
	}
	if err := verify(made, server, x509.ExtKeyUsageClientAuth, ""); err == nil {
		t.Error("a server's certificate is good for a client")
	}
	if err := verify(newCA(t, "mine"), server, x509.ExtKeyUsageServerAuth, ""); err == nil {
		t.Error("it is good for another CA of the same name")
	}
	cert, key, err = ca.Client("me", "ours", validity)
	client := leaf(t, cert, key, err)
	if err := verify(made, client, x509.ExtKeyUsageClientAuth, ""); err != nil || client.Subject.String() != "CN=me,O=ours" {
		t.Errorf("%v, %s", err, client.Subject)
	}
}

func TestValidity(t *testing.T) {
	ca := newCA(t, "mine")
	now := time.Now()
	cert, key, err := ca.Server(nil, From(now, 2*time.Hour))
	if got := leaf(t, cert, key, err); !got.NotAfter.Equal(ca.Certificate().NotAfter) {
		t.Errorf("it lasts until %s, its CA until %s", got.NotAfter, ca.Certificate().NotAfter)
	}
	for _, test := range []struct{ d, grace time.Duration }{{time.Minute, 6 * time.Second}, {24 * time.Hour, time.Hour}} {
		if v := From(now, test.d); now.Sub(v.NotBefore) != test.grace || v.NotAfter.Sub(now) != test.d {
			t.Errorf("%s: %s before to %s after", test.d, now.Sub(v.NotBefore), v.NotAfter.Sub(now))
		}
	}
}

func TestDamagedCA(t *testing.T) {
	one, other := newCA(t, "one"), newCA(t, "other")
	cert, key, err := one.Server([]string{net.IPv6loopback.String()}, From(time.Now(), time.Minute))
	leaf(t, cert, key, err)
	for name, test := range map[string]struct {
		cert, key []byte
		says      string
	}{
		"no certificate":    {nil, one.Key(), "certificate"},
		"garbage":           {[]byte("x"), one.Key(), "certificate"},
		"two certificates":  {append(one.PEM(), other.PEM()...), one.Key(), "not one certificate"},
		"not a CA's":        {cert, key, "of a CA"},
		"no key":            {one.PEM(), nil, "key"},
		"another CA's key":  {one.PEM(), other.Key(), "not that of its certificate"},
		"no key that signs": {one.PEM(), one.PEM(), "key"},
	} {
		if _, err := ParseCA(test.cert, test.key); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
