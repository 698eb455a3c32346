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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// The certificates of the server and of the administrator last a year. They are
// renewed at each start, and before they expire. The CA's lasts ten years.
const (
	leafValidity = 365 * 24 * time.Hour
	caValidity   = 10 * leafValidity
)

// CA signs the certificates of the server and of the administrator.
type CA struct{ ca *pki.CA }

// CA returns the CA of this state folder. The first call makes it.
func (s *State) CA() (*CA, error) {
	ca, err := s.readCA()
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = s.makeCA()
	}
	if err != nil {
		return nil, fmt.Errorf("CA in the state folder: %w", err)
	}
	return &CA{ca: ca}, nil
}

func (s *State) readCA() (*pki.CA, error) {
	cert, err := os.ReadFile(s.path(caCertFile))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(s.path(caKeyFile))
	if err != nil {
		return nil, err
	}
	return pki.ParseCA(cert, key)
}

// makeCA writes the certificate after the key: a folder that has the certificate
// also has the key.
func (s *State) makeCA() (*pki.CA, error) {
	ca, err := pki.NewCA("nmstate-apiserver-ca", pki.From(time.Now(), caValidity))
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Write(s.path(caKeyFile), ca.Key(), 0o600); err != nil {
		return nil, err
	}
	return ca, atomicfile.Write(s.path(caCertFile), ca.PEM(), 0o644)
}

// PEM returns the CA's certificate.
func (c *CA) PEM() []byte { return c.ca.PEM() }

// Client returns a client certificate and its key, both PEM, for a user in a group.
func (c *CA) Client(user, group string) (cert, key []byte, err error) {
	return c.ca.Client(user, group, pki.From(time.Now(), leafValidity))
}
