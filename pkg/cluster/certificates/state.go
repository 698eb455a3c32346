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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"

	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// Keys of the Secret.
const (
	caCert       = "ca.crt"
	caKey        = "ca.key"
	servingCert  = "tls.crt"
	servingKey   = "tls.key"
	nextCert     = "next-ca.crt"
	nextKey      = "next-ca.key"
	previousCert = "previous-ca.crt"
)

var keys = [...]string{caCert, caKey, servingCert, servingKey, nextCert, nextKey, previousCert}

// Phases of a CA's rotation.
const (
	stable     = "Stable"
	publishing = "Publishing"
	retiring   = "Retiring"
)

// pair is a certificate with its key, PEM and parsed.
type pair struct {
	cert, key []byte
	parsed    *tls.Certificate
}

func newPair(cert, key []byte) (*pair, error) {
	parsed, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair{cert: cert, key: key, parsed: &parsed}, nil
}

// state is what the Secret says.
type state struct {
	// ca signs the serving certificate; nil if there is none.
	ca *pki.CA
	// serving is signed by ca; nil if there is none.
	serving *pair
	// next will sign once it has been published for PublishOverlap.
	next *pki.CA
	// previous was the signing CA before ca.
	previous *x509.Certificate
	// since is when next was published, or when ca replaced previous. Zero means that
	// next is not published, or that the time is not known.
	since time.Time
	// request is the rotation that the administrator asks for.
	request string
}

func (s *state) phase() string {
	switch {
	case s.next != nil:
		return publishing
	case s.previous != nil:
		return retiring
	}
	return stable
}

// bundle returns the CAs that have not expired, the oldest first, as PEM.
func (s *state) bundle(now time.Time) ([]byte, error) {
	var certs []*x509.Certificate
	if s.previous != nil {
		certs = append(certs, s.previous)
	}
	certs = append(certs, s.ca.Certificate())
	if s.next != nil {
		certs = append(certs, s.next.Certificate())
	}
	var good []*x509.Certificate
	for _, cert := range certs {
		if now.Before(cert.NotAfter) {
			good = append(good, cert)
		}
	}
	return certutil.EncodeCertificates(good...)
}

// decode reads the Secret. A Secret without content is a state without a CA.
func decode(secret *corev1.Secret) (*state, error) {
	s := &state{request: secret.Annotations[RotateAnnotation]}
	// A damaged time counts as not known: the overlap begins again.
	s.since, _ = time.Parse(time.RFC3339Nano, secret.Annotations[SinceAnnotation])
	data := map[string][]byte{}
	for _, key := range keys {
		if value := bytes.TrimSpace(secret.Data[key]); len(value) > 0 {
			data[key] = secret.Data[key]
		}
	}
	if len(data) == 0 {
		return s, nil
	}
	if err := s.decode(data); err != nil {
		return nil, fmt.Errorf("the Secret %s/%s is damaged and left as it is: %w; restore it, or have a new CA made with 'kubectl -n %[1]s delete secret %[2]s', "+
			"after which agents can't connect until they have read that CA (some two minutes)", secret.Namespace, secret.Name, err)
	}
	return s, nil
}

func (s *state) decode(data map[string][]byte) (err error) {
	if s.ca, err = pki.ParseCA(data[caCert], data[caKey]); err != nil {
		return fmt.Errorf("%s and %s: %w", caCert, caKey, err)
	}
	if data[servingCert] != nil || data[servingKey] != nil {
		if s.serving, err = newPair(data[servingCert], data[servingKey]); err != nil {
			return fmt.Errorf("%s and %s: %w", servingCert, servingKey, err)
		}
		if err := s.serving.parsed.Leaf.CheckSignatureFrom(s.ca.Certificate()); err != nil {
			return fmt.Errorf("%s is not signed by %s: %w", servingCert, caCert, err)
		}
	}
	if data[nextCert] != nil || data[nextKey] != nil {
		if s.next, err = pki.ParseCA(data[nextCert], data[nextKey]); err != nil {
			return fmt.Errorf("%s and %s: %w", nextCert, nextKey, err)
		}
	}
	if data[previousCert] == nil {
		return nil
	}
	certs, err := certutil.ParseCertsPEM(data[previousCert])
	if err != nil {
		return fmt.Errorf("%s: %w", previousCert, err)
	}
	if len(certs) != 1 || s.next != nil {
		return errors.New(previousCert + " must be one certificate, and not there together with " + nextCert)
	}
	s.previous = certs[0]
	return nil
}

// encode writes the state into the Secret. It keeps other keys and annotations.
func (s *state) encode(secret *corev1.Secret) error {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for _, key := range keys {
		delete(secret.Data, key)
	}
	secret.Data[caCert], secret.Data[caKey] = s.ca.PEM(), s.ca.Key()
	secret.Data[servingCert], secret.Data[servingKey] = s.serving.cert, s.serving.key
	if s.next != nil {
		secret.Data[nextCert], secret.Data[nextKey] = s.next.PEM(), s.next.Key()
	}
	if s.previous != nil {
		encoded, err := certutil.EncodeCertificates(s.previous)
		if err != nil {
			return err
		}
		secret.Data[previousCert] = encoded
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[PhaseAnnotation] = s.phase()
	delete(secret.Annotations, SinceAnnotation)
	if !s.since.IsZero() {
		secret.Annotations[SinceAnnotation] = s.since.UTC().Format(time.RFC3339Nano)
	}
	delete(secret.Annotations, RotateAnnotation)
	if s.request != "" {
		secret.Annotations[RotateAnnotation] = s.request
	}
	return nil
}
