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

package preparation

import "github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"

// SetsDNS tells whether a desired state has DNS be another one than it is. libnmstate writes it into a file then.
func SetsDNS(desired, current []byte) (bool, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return false, err
	}
	there, err := tree.Decode(current)
	if err != nil {
		return false, err
	}
	config, given := tree.Object(wanted["dns-resolver"])["config"].(map[string]any)
	is := tree.Object(there["dns-resolver"])["config"]
	if !given {
		return false, nil
	}
	if isOff(config) { // it clears what there is
		return is != nil && !isOff(is), nil
	}
	return !holds(config, is), nil
}
