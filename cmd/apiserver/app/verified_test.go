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

package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// TestVerifiedRemembersWhoIsGood, and nobody else.
func TestVerifiedRemembersWhoIsGood(t *testing.T) {
	asked := 0
	v := &verified{known: cache.NewLRUExpireCache(knownCallers), Request: authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		asked++
		name := string(r.TLS.PeerCertificates[0].Raw)
		if name == "bad" {
			return nil, false, errors.New("signed by nobody")
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
	})}
	for i, test := range []struct {
		certificate string
		good        bool
		asked       int
	}{{"anna", true, 1}, {"anna", true, 1}, {"bert", true, 2}, {"bad", false, 3}, {"bad", false, 4}, {"anna", true, 4}} {
		request := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(test.certificate)}}}}
		response, ok, err := v.AuthenticateRequest(request)
		if ok != test.good || (err == nil) != test.good || asked != test.asked || ok && response.User.GetName() != test.certificate {
			t.Errorf("%d, %s: %v, %v, %v, asked %d times", i, test.certificate, response, ok, err, asked)
		}
	}
}
