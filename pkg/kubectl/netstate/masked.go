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

package netstate

import (
	"reflect"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Masked returns the names of the interfaces that have a secret now and then, and of which the way from one desired state to the other, or the
// revert that is a part of it, alters something. The secret of each stays the one of now, whatever it was before: a mask stands for it.
func Masked(now, then, revert map[string]any) []string {
	var names []string
	for _, entry := range tree.List(then, "interfaces") {
		has := sameEntry(entry, tree.List(now, "interfaces"))
		altered := !reflect.DeepEqual(entry, has) || secret.HasMask(sameEntry(entry, tree.List(revert, "interfaces")))
		if altered && secret.HasMask(entry) && secret.HasMask(has) {
			names = append(names, tree.Text(tree.Object(entry)["name"]))
		}
	}
	return names
}
