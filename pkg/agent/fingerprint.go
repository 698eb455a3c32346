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

package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Fingerprint identifies the durable part of an object, which only writes
// change: annotations, managedFields, generation and spec. The live status has
// no part in it, so that a change of the node's network by others is no
// conflict for a writer. It escapes for HTML, as it always has: whether the spec came
// escaped or not makes no difference, and neither does the version of the other end.
func Fingerprint(obj *v1alpha1.NodeNetworkState) (string, error) {
	text, err := json.Marshal(struct {
		Annotations   map[string]string             `json:"annotations,omitempty"`
		ManagedFields []metav1.ManagedFieldsEntry   `json:"managedFields,omitempty"`
		Generation    int64                         `json:"generation,omitempty"`
		Spec          v1alpha1.NodeNetworkStateSpec `json:"spec"`
	}{obj.Annotations, obj.ManagedFields, obj.Generation, obj.Spec})
	if err != nil {
		return "", fmt.Errorf("fingerprint of %q: %w", obj.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
