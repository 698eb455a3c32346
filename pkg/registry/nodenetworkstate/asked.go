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

package nodenetworkstate

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

var _ rest.Getter = &AskedREST{}

// AskedREST serves a subresource of which the server keeps nothing: each reader has the node's agent asked.
type AskedREST struct {
	writer *Writer
	empty  func() runtime.Object
	ask    func(ctx context.Context, name string) (object, error)
}

// object is what is served, with metadata.
type object interface {
	runtime.Object
	metav1.Object
}

// New implements rest.Storage.
func (a *AskedREST) New() runtime.Object { return a.empty() }

// Destroy implements rest.Storage.
func (a *AskedREST) Destroy() {}

// Get implements rest.Getter. The agent is asked, whatever the resourceVersion.
func (a *AskedREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	node, err := a.writer.known(name)
	if err != nil {
		return nil, err
	}
	answer, err := a.ask(ctx, name)
	if err != nil {
		return nil, statusError(name, err)
	}
	answer.SetName(name)
	answer.SetCreationTimestamp(node.CreationTimestamp)
	return answer, nil
}
