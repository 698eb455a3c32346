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

package election

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/runtime"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	"k8s.io/client-go/tools/cache"
)

// watch follows the Lease until ctx ends. It remembers the term that it sees; each
// other change is only a wake-up, because every action reads the Lease first.
func (c *candidate) watch(ctx context.Context) {
	config := c.election.config
	informer := coordinationinformers.NewFilteredLeaseInformer(config.Client, config.Namespace, 0, cache.Indexers{},
		func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, config.Name).String()
		})
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.changed(obj, false) },
		UpdateFunc: func(_, obj any) { c.changed(obj, false) },
		DeleteFunc: func(obj any) { c.changed(obj, true) },
	})
	if err != nil {
		// An informer refuses a handler only after it was stopped.
		runtime.HandleErrorWithContext(ctx, err, "Watching the lease")
	}
	informer.RunWithContext(ctx)
}

// changed handles a change of the Lease.
func (c *candidate) changed(obj any, deleted bool) {
	if unknown, isUnknown := obj.(cache.DeletedFinalStateUnknown); isUnknown {
		obj = unknown.Obj
	}
	lease, isLease := obj.(*coordinationv1.Lease)
	if !isLease || lease.Name != c.election.config.Name {
		return
	}
	// beginTerm reports a damaged term.
	term, _ := termOf(lease)
	c.election.remember(term)
	if o := c.election.active(); deleted || o == nil || term != o.term || holder(lease) != c.Identity() {
		notify(c.check)
	}
	c.wake()
}

// notify wakes the reader of a channel of capacity 1.
func notify(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
