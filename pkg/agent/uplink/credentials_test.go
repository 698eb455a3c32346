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

package uplink

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

func TestFiles(t *testing.T) {
	folder := t.TempDir()
	files := Files{Token: filepath.Join(folder, "token"), NodeKey: filepath.Join(folder, "key")}
	if _, err := files.GetRequestMetadata(t.Context()); err == nil || !strings.Contains(err.Error(), "token") || refused(err) {
		t.Errorf("without a token: %v, which is the server's refusal: %t", err, refused(err))
	}
	write(t, files.Token, []byte("first\n"))
	if _, err := files.GetRequestMetadata(t.Context()); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("without a key: %v", err)
	}
	write(t, files.NodeKey, []byte("own"))
	for _, token := range []string{"first", "second"} {
		write(t, files.Token, []byte(token))
		got, err := files.GetRequestMetadata(t.Context())
		if err != nil || got[agent.TokenKey] != "Bearer "+token || got[agent.NodeKey] != "own" {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if !files.RequireTransportSecurity() {
		t.Error("secrets may travel in the clear")
	}
}
