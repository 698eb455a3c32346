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

package fleet

// wireBase returns the base of a change as the agent of the session knows it: the agent's
// own token. An agent of protocol 0 has none; it expects the fingerprint, which it computes
// from the same object. This goes with the support of protocol 0.
func (s *session) wireBase(token, fingerprint string) string {
	if s.speaker.protocol == 0 {
		return fingerprint
	}
	return token
}
