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
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// Sink records the nodes' objects in the live log, and what is kept of them in encodings.
type Sink struct {
	log       *livestore.Log
	encodings *Encodings
}

var _ fleet.Sink = Sink{}

// NewSink returns a Sink that records in log and encodings.
func NewSink(log *livestore.Log, encodings *Encodings) Sink {
	return Sink{log: log, encodings: encodings}
}

// Set implements fleet.Sink.
func (s Sink) Set(obj *v1alpha1.NodeNetworkState) {
	recorded, err := s.log.Set(Key(obj.Name), obj)
	if err != nil {
		klog.Background().Error(err, "Recording an observed state", "node", obj.Name)
		return
	}
	// The fleet tells of one node in order.
	s.encodings.set(recorded.(*v1alpha1.NodeNetworkState))
}

// Delete implements fleet.Sink.
func (s Sink) Delete(name string) {
	s.encodings.delete(name)
	if _, err := s.log.Delete(Key(name)); err != nil {
		klog.Background().Error(err, "Recording that a node is gone", "node", name)
	}
}
