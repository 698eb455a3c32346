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

// Keys of the metadata of a stream, with which an agent proves who it is.
const (
	// TokenKey has "Bearer " and a token.
	TokenKey = "authorization"
	// NodeKey has a secret that the agent made for itself. A standalone server remembers
	// which secret joined as a node, so that no other agent can take the node's name.
	NodeKey = "nmstate-node-key"
)
