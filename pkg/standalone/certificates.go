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
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

// Certificates of the server and the administrator are made anew at each start
// and last a year; that of the CA lasts ten.
const leafValidity = 365 * 24 * time.Hour

// CA signs the certificates of the server and of the administrator.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// CA returns the CA of this state folder, made on first use.
func (s *State) CA() (*CA, error) {
	key, cert, err := s.readCA()
	if errors.Is(err, fs.ErrNotExist) {
		key, cert, err = s.makeCA()
	}
	if err != nil {
		return nil, fmt.Errorf("CA in the state folder: %w", err)
	}
	pem, err := certutil.EncodeCertificates(cert)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key, pem: pem}, nil
}

func (s *State) readCA() (crypto.Signer, *x509.Certificate, error) {
	certs, err := certutil.CertsFromFile(s.path(caCertFile))
	if err != nil {
		return nil, nil, err
	}
	parsed, err := keyutil.PrivateKeyFromFile(s.path(caKeyFile))
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds no key that can sign", s.path(caKeyFile))
	}
	return key, certs[0], nil
}

// makeCA writes the certificate last: with it there, the key is there too.
func (s *State) makeCA() (crypto.Signer, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "nmstate-apiserver-ca"}, key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err := certutil.EncodeCertificates(cert)
	if err != nil {
		return nil, nil, err
	}
	if err := atomicfile.Write(s.path(caKeyFile), keyPEM, 0o600); err != nil {
		return nil, nil, err
	}
	return key, cert, atomicfile.Write(s.path(caCertFile), certPEM, 0o644)
}

// PEM returns the CA's certificate.
func (c *CA) PEM() []byte { return c.pem }

// Server returns certificate and key, PEM, for a server that is reached at the
// given DNS names and IP addresses.
func (c *CA) Server(hosts []string) (cert, key []byte, err error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "nmstate-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return c.sign(template)
}

// Client returns certificate and key, PEM, for a user of a group.
func (c *CA) Client(user, group string) (cert, key []byte, err error) {
	return c.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: []string{group}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (c *CA) sign(template *x509.Certificate) (cert, key []byte, err error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	// An hour's grace for clocks that are behind.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(leafValidity)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, signer.Public(), c.key)
	if err != nil {
		return nil, nil, err
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	if cert, err = certutil.EncodeCertificates(signed); err != nil {
		return nil, nil, err
	}
	key, err = keyutil.MarshalPrivateKeyToPEM(signer)
	return cert, key, err
}

// TLS returns the configuration of a server with certificate and key from Server.
func TLS(cert, key []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}, nil
}
