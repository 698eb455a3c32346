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
	"bytes"
	"crypto/tls"
	"errors"
	"sync"
)

// ServerTLS returns the configuration of a listener that shows, at each handshake,
// the certificate of the moment: current returns it and its key, PEM, or nothing
// while there is none.
func ServerTLS(current func() (cert, key []byte)) *tls.Config {
	var mu sync.Mutex
	var shown []byte
	var pair *tls.Certificate
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, key := current()
			if len(cert) == 0 {
				return nil, errors.New("there is no serving certificate yet")
			}
			mu.Lock()
			defer mu.Unlock()
			if pair == nil || !bytes.Equal(shown, cert) {
				parsed, err := tls.X509KeyPair(cert, key)
				if err != nil {
					return nil, err
				}
				shown, pair = cert, &parsed
			}
			return pair, nil
		},
	}
}
