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
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clienttesting "k8s.io/client-go/testing"
)

const namespace = "nmstate-system"

var errDown = errors.New("connection refused")

var (
	leaseResource     = coordinationv1.SchemeGroupVersion.WithResource("leases")
	configMapResource = corev1.SchemeGroupVersion.WithResource("configmaps")
	podResource       = corev1.SchemeGroupVersion.WithResource("pods")
)

// api is what the servers' clients have in common. Unlike client-go's tracker
// it hands out resourceVersions and insists on them, as a real API server does.
type api struct {
	clienttesting.ObjectTracker
	mu       sync.Mutex
	versions map[schema.GroupVersionResource]int64
}

func newAPI() *api {
	return &api{
		ObjectTracker: clienttesting.NewObjectTracker(scheme.Scheme, scheme.Codecs.UniversalDecoder()),
		// The tracker counts from 1, too, and replays a watch by that.
		versions: map[schema.GroupVersionResource]int64{leaseResource: 1, configMapResource: 1, podResource: 1},
	}
}

func (a *api) stamp(gvr schema.GroupVersionResource, obj runtime.Object, ns string, put func(runtime.Object) error) error {
	obj = obj.DeepCopyObject()
	object, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	if stored, err := a.Get(gvr, ns, object.GetName()); err == nil {
		current, err := meta.Accessor(stored)
		if err != nil {
			return err
		}
		if version := object.GetResourceVersion(); version != "" && version != current.GetResourceVersion() {
			return apierrors.NewConflict(gvr.GroupResource(), object.GetName(), errors.New("it has been changed"))
		}
	}
	object.SetResourceVersion(strconv.FormatInt(a.versions[gvr]+1, 10))
	if err := put(obj); err != nil {
		return err
	}
	a.versions[gvr]++
	return nil
}

func (a *api) Create(gvr schema.GroupVersionResource, obj runtime.Object, ns string, options ...metav1.CreateOptions) error {
	return a.stamp(gvr, obj, ns, func(obj runtime.Object) error { return a.ObjectTracker.Create(gvr, obj, ns, options...) })
}

func (a *api) Update(gvr schema.GroupVersionResource, obj runtime.Object, ns string, options ...metav1.UpdateOptions) error {
	return a.stamp(gvr, obj, ns, func(obj runtime.Object) error { return a.ObjectTracker.Update(gvr, obj, ns, options...) })
}

func (a *api) Patch(gvr schema.GroupVersionResource, obj runtime.Object, ns string, options ...metav1.PatchOptions) error {
	return a.stamp(gvr, obj, ns, func(obj runtime.Object) error { return a.ObjectTracker.Patch(gvr, obj, ns, options...) })
}

// client is one server's connection to the api.
type client struct {
	*fake.Clientset
	// down fails all requests; deaf withholds what watches see.
	down, deaf atomic.Bool
	// hanging requests for the Lease are never answered; stuck ones do not even
	// end with their context until it is closed.
	hanging atomic.Bool
	stuck   atomic.Pointer[chan struct{}]
	// before is called with each request and may fail it.
	before atomic.Pointer[func(clienttesting.Action) error]
}

var _ kubernetes.Interface = &client{}

func (a *api) client() *client {
	c := &client{Clientset: &fake.Clientset{}}
	react := clienttesting.ObjectReaction(a)
	c.AddReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if c.down.Load() {
			return true, nil, errDown
		}
		if before := c.before.Load(); before != nil {
			if err := (*before)(action); err != nil {
				return true, nil, err
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return react(action)
	})
	c.AddWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		if c.down.Load() {
			return true, nil, errDown
		}
		options := action.(clienttesting.WatchActionImpl).ListOptions
		a.mu.Lock()
		defer a.mu.Unlock()
		watcher, err := a.Watch(action.GetResource(), action.GetNamespace(), options)
		if err != nil {
			return true, nil, err
		}
		return true, c.listen(watcher), nil
	})
	return c
}

// listen forwards a watch's events, but for those that the client can't hear.
func (c *client) listen(source watch.Interface) watch.Interface {
	events := make(chan watch.Event)
	result := watch.NewProxyWatcher(events)
	go func() {
		defer source.Stop()
		for {
			select {
			case <-result.StopChan():
				return
			case event := <-source.ResultChan():
				if c.down.Load() || c.deaf.Load() {
					continue
				}
				select {
				case <-result.StopChan():
					return
				case events <- event:
				}
			}
		}
	}()
	return result
}

// intercept has before called with each request from now on.
func (c *client) intercept(before func(clienttesting.Action) error) { c.before.Store(&before) }

// count returns how often the client did verb on the resource.
func (c *client) count(verb, resource string) int {
	count := 0
	for _, action := range c.Actions() {
		if action.Matches(verb, resource) {
			count++
		}
	}
	return count
}

func (c *client) CoordinationV1() coordinationclient.CoordinationV1Interface {
	return coordination{c.Clientset.CoordinationV1(), c}
}

type coordination struct {
	coordinationclient.CoordinationV1Interface
	client *client
}

func (c coordination) Leases(namespace string) coordinationclient.LeaseInterface {
	return leases{c.CoordinationV1Interface.Leases(namespace), c.client}
}

type leases struct {
	coordinationclient.LeaseInterface
	client *client
}

func (l leases) wait(ctx context.Context) error {
	if stuck := l.client.stuck.Load(); stuck != nil {
		<-*stuck
	}
	if l.client.hanging.Load() {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (l leases) Get(ctx context.Context, name string, options metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	return l.LeaseInterface.Get(ctx, name, options)
}

func (l leases) Update(ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	return l.LeaseInterface.Update(ctx, lease, options)
}

// admin is the tests' own hand in the cluster.
type admin struct {
	t *testing.T
	*client
}

func (a admin) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a admin) lease() *coordinationv1.Lease {
	a.t.Helper()
	lease, err := a.CoordinationV1().Leases(namespace).Get(a.t.Context(), DefaultName, metav1.GetOptions{})
	a.must(err)
	return lease
}

// setLease changes the Lease as somebody else would, or makes it.
func (a admin) setLease(change func(*coordinationv1.Lease)) {
	a.t.Helper()
	leases := a.CoordinationV1().Leases(namespace)
	lease, err := leases.Get(a.t.Context(), DefaultName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: DefaultName}}
		change(lease)
		_, err = leases.Create(a.t.Context(), lease, metav1.CreateOptions{})
		a.must(err)
		return
	}
	a.must(err)
	lease.ResourceVersion = ""
	change(lease)
	_, err = leases.Update(a.t.Context(), lease, metav1.UpdateOptions{})
	a.must(err)
}

func (a admin) deleteLease() {
	a.t.Helper()
	a.must(a.CoordinationV1().Leases(namespace).Delete(a.t.Context(), DefaultName, metav1.DeleteOptions{}))
}

// hold makes the Lease somebody's, as if just renewed.
func hold(identity string) func(*coordinationv1.Lease) {
	return func(lease *coordinationv1.Lease) {
		seconds := int32(leaseDuration / time.Second)
		now := metav1.NowMicro()
		lease.Spec.HolderIdentity = &identity
		lease.Spec.LeaseDurationSeconds = &seconds
		lease.Spec.RenewTime = &now
		if lease.Spec.AcquireTime == nil {
			lease.Spec.AcquireTime = &now
		}
	}
}

// setTerm writes the annotation, as it is.
func setTerm(object metav1.Object, term string) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[TermAnnotation] = term
	object.SetAnnotations(annotations)
}

func (a admin) configMap() *corev1.ConfigMap {
	a.t.Helper()
	configMap, err := a.CoreV1().ConfigMaps(namespace).Get(a.t.Context(), DefaultConfigMapName, metav1.GetOptions{})
	a.must(err)
	return configMap
}

func (a admin) createConfigMap(term string) {
	a.t.Helper()
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: DefaultConfigMapName},
		Data:       map[string]string{"ca.crt": "PEM"},
	}
	if term != "" {
		setTerm(configMap, term)
	}
	_, err := a.CoreV1().ConfigMaps(namespace).Create(a.t.Context(), configMap, metav1.CreateOptions{})
	a.must(err)
}

func (a admin) setConfigMapTerm(term string) {
	a.t.Helper()
	configMap := a.configMap()
	setTerm(configMap, term)
	configMap.ResourceVersion = ""
	_, err := a.CoreV1().ConfigMaps(namespace).Update(a.t.Context(), configMap, metav1.UpdateOptions{})
	a.must(err)
}
