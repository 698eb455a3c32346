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

// Package pki makes the certificate authorities, and what they sign, of servers
// that have no other PKI. Keys are ECDSA P-256; all goes in and out as PEM.
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

// Validity is the time in which a certificate is good.
type Validity struct{ NotBefore, NotAfter time.Time }

// From returns the validity that lasts d from now on, and a little before it for
// clocks that are behind: an hour, or a tenth of d if that is shorter.
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

// NewCA makes a CA with a new key. No two CAs that one client may trust at the
// same time should have the same name: some look a CA up by its name alone.
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

// ParseCA returns the CA with this certificate and key, as PEM and Key gave them.
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
		return nil, errors.New("the CA's key is none that can sign")
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

// Server returns certificate and key, PEM, for a server that is reached at the
// given DNS names and IP addresses.
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

// Client returns certificate and key, PEM, for a user of a group.
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
	// What outlives its CA is not accepted anyway.
	if validity.NotAfter.After(c.cert.NotAfter) {
		validity.NotAfter = c.cert.NotAfter
	}
	cert, key, err = issue(template, validity, signer, c.cert, c.signer)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return cert, key, nil
}

// issue makes the certificate of the template for the holder of a key.
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
