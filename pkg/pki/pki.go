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

// Package pki makes certificate authorities and the certificates that they sign,
// for servers that have no other PKI. Keys are ECDSA P-256. Certificates and keys
// go in and out as PEM.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Validity is the time in which a certificate is valid.
type Validity struct{ NotBefore, NotAfter time.Time }

// From returns a validity that ends at now + d. It begins before now, for clients
// whose clocks are behind: by an hour, or by d/10 if that is shorter.
func From(now time.Time, d time.Duration) Validity {
	return Validity{NotBefore: now.Add(-min(time.Hour, d/10)), NotAfter: now.Add(d)}
}

// CA signs certificates.
type CA struct {
	cert   *x509.Certificate
	signer crypto.Signer
	// certificate and key, PEM
	pem, key []byte
}

// NewCA makes a CA with a new key. If a client may trust two CAs at the same time,
// their names must differ: some clients look a CA up by its name alone.
func NewCA(name string, validity Validity) (*CA, error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, key, err := issue(template, validity, signer, template, signer)
	if err != nil {
		return nil, fmt.Errorf("making a CA: %w", err)
	}
	return ParseCA(cert, key)
}

// ParseCA returns the CA of a certificate and a key, which are PEM. It is an error
// if they do not belong together.
func ParseCA(cert, key []byte) (*CA, error) {
	certs, err := certutil.ParseCertsPEM(cert)
	if err != nil {
		return nil, fmt.Errorf("the CA's certificate: %w", err)
	}
	if len(certs) != 1 || !certs[0].IsCA {
		return nil, errors.New("the CA's certificate is not one certificate of a CA")
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(key)
	if err != nil {
		return nil, fmt.Errorf("the CA's key: %w", err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("the CA's key cannot sign")
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(certs[0].PublicKey) {
		return nil, errors.New("the CA's key is not that of its certificate")
	}
	return &CA{cert: certs[0], signer: signer, pem: cert, key: key}, nil
}

// PEM returns the CA's certificate.
func (c *CA) PEM() []byte { return c.pem }

// Key returns the CA's private key, PEM.
func (c *CA) Key() []byte { return c.key }

// Certificate returns the CA's certificate, parsed.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// Server returns a certificate and its key, PEM, for a server with the given DNS
// names and IP addresses.
func (c *CA) Server(hosts []string, validity Validity) (cert, key []byte, err error) {
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
	return c.sign(template, validity)
}

// Client returns a client certificate and its key, PEM, for a user of a group.
func (c *CA) Client(user, group string, validity Validity) (cert, key []byte, err error) {
	return c.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: []string{group}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, validity)
}

func (c *CA) sign(template *x509.Certificate, validity Validity) (cert, key []byte, err error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// No client accepts a certificate after its CA has expired.
	if validity.NotAfter.After(c.cert.NotAfter) {
		validity.NotAfter = c.cert.NotAfter
	}
	cert, key, err = issue(template, validity, signer, c.cert, c.signer)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return cert, key, nil
}

// issue signs a certificate made from the template. holder is the key of the
// certificate, signer that of its parent.
func issue(template *x509.Certificate, validity Validity, holder crypto.Signer, parent *x509.Certificate, signer crypto.Signer) (cert, key []byte, err error) {
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = validity.NotBefore.UTC(), validity.NotAfter.UTC()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, holder.Public(), signer)
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
	key, err = keyutil.MarshalPrivateKeyToPEM(holder)
	return cert, key, err
}
