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

package change

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/informers/externalversions"
)

// Event is what a node's object was and is now. Old is nil for the first one, New once the node has gone.
type Event struct{ Old, New *v1alpha1.NodeNetworkState }

// Observation is a watch of nodes.
type Observation struct {
	// Events has what is there at first, and then what happens. It is not closed.
	Events <-chan Event
	// Begun is closed once all that was there at first was taken from Events.
	Begun <-chan struct{}
}

// Observe watches the selected nodes until ctx ends. An error of the watch goes to failed; the watch is tried again all the same. The
// first objects may be a moment old; no node is asked.
func Observe(ctx context.Context, clients versioned.Interface, options metav1.ListOptions, failed func(error)) (Observation, error) {
	factory := externalversions.NewSharedInformerFactoryWithOptions(clients, 0, externalversions.WithTweakListOptions(
		func(o *metav1.ListOptions) {
			o.LabelSelector, o.FieldSelector = options.LabelSelector, options.FieldSelector
		}))
	informer := factory.Nmstate().V1alpha1().NodeNetworkStates().Informer()
	events, begun := make(chan Event), make(chan struct{})
	send := func(event Event) {
		select {
		case events <- event:
		case <-ctx.Done():
		}
	}
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { failed(err) }); err != nil {
		return Observation{}, err
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { send(Event{New: object(obj)}) },
		UpdateFunc: func(old, obj any) { send(Event{object(old), object(obj)}) },
		DeleteFunc: func(old any) { send(Event{Old: object(old)}) },
	})
	if err != nil {
		return Observation{}, err
	}
	factory.StartWithContext(ctx)
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
			close(begun)
		}
	}()
	return Observation{events, begun}, nil
}

// object returns the object that an informer tells of.
func object(obj any) *v1alpha1.NodeNetworkState {
	if gone, isGone := obj.(cache.DeletedFinalStateUnknown); isGone {
		obj = gone.Obj
	}
	state, _ := obj.(*v1alpha1.NodeNetworkState)
	return state
}

// One returns the options that select one node.
func One(node string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: "metadata.name=" + node}
}

// firstWait is how long the first object of a node is waited for, before a change is made without knowing it.
const firstWait = 10 * time.Second

// observed is a node's object as it was seen last, and what comes.
type observed struct {
	events <-chan Event
	last   *v1alpha1.NodeNetworkState
}

// take makes an object the one that was seen last; nil is that of a node that has gone. An older object changes nothing: what the watch and the server's
// copy tell can be older than what a request has answered.
func (o *observed) take(object *v1alpha1.NodeNetworkState) {
	if o.last != nil && object != nil {
		if order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, o.last.ResourceVersion); err == nil && order < 0 {
			return
		}
	}
	o.last = object
}

// observe watches a node and returns once it was seen, or cannot be. Then last is nil, and nothing may ever come.
func observe(ctx context.Context, clients versioned.Interface, node string) *observed {
	failures := make(chan error, 1)
	observation, err := Observe(ctx, clients, One(node), func(err error) {
		select {
		case failures <- err:
		default:
		}
	})
	o := &observed{events: observation.Events}
	if err != nil {
		return o
	}
	select {
	case event := <-o.events:
		o.last = event.New
	case <-observation.Begun:
	case <-failures:
	case <-time.After(firstWait):
	case <-ctx.Done():
	}
	return o
}
