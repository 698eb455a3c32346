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

import "github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"

// LegacyFingerprint returns the Fingerprint of an object as programs of protocol 0 compute
// it: they know no field of the spec but desiredState. It goes with the support of protocol 0.
func LegacyFingerprint(obj *v1alpha1.NodeNetworkState) (string, error) {
	known := *obj
	known.Spec = v1alpha1.NodeNetworkStateSpec{DesiredState: obj.Spec.DesiredState}
	return Fingerprint(&known)
}
