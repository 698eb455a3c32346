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

package transaction

import (
	"errors"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// TestNoSecretInAnError: nmstate verifies with the secrets of all that there is,
// and quotes desire and current.
func TestNoSecretInAnError(t *testing.T) {
	wifi := func(secret string) []byte {
		return []byte(`{"interfaces":[{"name":"eth1","802.1x":{"password":"` + secret + `"}}]}`)
	}
	p := &plan{Previous: wifi("old-s3cret"), Desired: wifi("new-s3cret"), Current: wifi("current-s3cret")}
	quoting := "Verification failure: eth1.802.1x desire '{\"password\":\"new-s3cret\"}', current '\"current-s3cret\"', was old-s3cret"
	for _, err := range []error{
		p.translate(&nmstate.Error{Op: "nmstate_net_state_apply", Kind: nmstate.VerificationError, Msg: quoting}),
		p.translate(errors.New(quoting)),
		errors.New(p.scrub(quoting)),
	} {
		if strings.Contains(err.Error(), "s3cret") || strings.Count(err.Error(), secret.Mask) != 3 {
			t.Errorf("the error is %v", err)
		}
	}
}
