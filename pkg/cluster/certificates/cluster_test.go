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

package certificates

import (
	"context"
	"encoding/base64"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2/ktesting"
	clocktesting "k8s.io/utils/clock/testing"
)

const (
	namespace = "nmstate-system"
	service   = "nmstate-apiserver"
)

// cluster is an API with optimistic concurrency, which client-go's fakes lack, a
// clock, and a record of what was published when.
type cluster struct {
	t       *testing.T
	client  *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	clock   *clocktesting.FakeClock

	mu        sync.Mutex
	changed   chan struct{} // closed when anything did
	version   int
	published map[string][]publication // by resource
}

type publication struct {
	at     time.Time
	bundle []byte
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{
		t:      t,
		client: fake.NewClientset(),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
			map[schema.GroupVersionResource]string{apiServices: "APIServiceList"}),
		clock:     clocktesting.NewFakeClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)),
		changed:   make(chan struct{}),
		published: map[string][]publication{},
	}
	c.optimistic(&c.client.Fake, c.client.Tracker())
	c.optimistic(&c.dynamic.Fake, c.dynamic.Tracker())
	c.createAPIService(service)
	return c
}

func (c *cluster) optimistic(f *clienttesting.Fake, tracker clienttesting.ObjectTracker) {
	f.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		object := c.versioned(a.(clienttesting.CreateAction).GetObject())
		err := tracker.Create(a.GetResource(), object, a.GetNamespace())
		c.note(a.GetResource().Resource, object, err)
		return true, object, err
	})
	f.PrependReactor("update", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		object := a.(clienttesting.UpdateAction).GetObject()
		now, err := tracker.Get(a.GetResource(), a.GetNamespace(), accessor(object).GetName())
		if err == nil && accessor(now).GetResourceVersion() != accessor(object).GetResourceVersion() {
			err = apierrors.NewConflict(a.GetResource().GroupResource(), accessor(object).GetName(), nil)
		}
		if err != nil {
			return true, nil, err
		}
		object = c.versioned(object)
		err = tracker.Update(a.GetResource(), object, a.GetNamespace())
		c.note(a.GetResource().Resource, object, err)
		return true, object, err
	})
}

func accessor(object runtime.Object) metav1.Object {
	a, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	return a
}

func (c *cluster) versioned(object runtime.Object) runtime.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	object = object.DeepCopyObject()
	accessor(object).SetResourceVersion(strconv.Itoa(c.version))
	return object
}

// note records what was published, and lets those that await something look.
func (c *cluster) note(resource string, object runtime.Object, err error) {
	var bundle []byte
	switch object := object.(type) {
	case *corev1.ConfigMap:
		bundle = []byte(object.Data[ConfigMapKey])
	case *unstructured.Unstructured:
		bundle = caBundle(object)
	}
	if err == nil && len(bundle) > 0 {
		c.mu.Lock()
		c.published[resource] = append(c.published[resource], publication{c.clock.Now(), bundle})
		c.mu.Unlock()
	}
	c.Enqueue()
}

// Enqueue implements dynamiccertificates.Listener: a server shows another certificate.
func (c *cluster) Enqueue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// await returns when the condition, looked at after each change, holds.
func (c *cluster) await(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("never came to be: %s", what)
		}
	}
}

func times() Times {
	return Times{CAValidity: 1000 * time.Hour, ServingValidity: 100 * time.Hour, PublishOverlap: 10 * time.Minute, RetireOverlap: 20 * time.Minute}
}

func (c *cluster) keeper() *Keeper {
	c.t.Helper()
	k, err := New(Config{Times: times(), Namespace: namespace, Service: service, Client: c.client, Dynamic: c.dynamic, Clock: c.clock})
	if err != nil {
		c.t.Fatal(err)
	}
	k.Provider().AddListener(c)
	return k
}

// server is a Keeper that runs.
type server struct {
	*Keeper
	activate, stop func()
}

func (c *cluster) start() *server {
	c.t.Helper()
	// Without this, goroutines of informers log after the test's end.
	_, ctx := ktesting.NewTestContext(c.t)
	ctx, cancel := context.WithCancel(ctx)
	active, ended := make(chan struct{}), make(chan struct{})
	s := &server{Keeper: c.keeper(), activate: sync.OnceFunc(func() { close(active) })}
	go func() {
		defer close(ended)
		s.Run(ctx, active)
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	c.t.Cleanup(s.stop)
	return s
}

func (c *cluster) startActive() *server {
	c.t.Helper()
	s := c.start()
	s.activate()
	return s
}

// secret returns the Secret, or an empty one.
func (c *cluster) secret() *corev1.Secret {
	object, err := c.client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), namespace, SecretName)
	if err != nil {
		return &corev1.Secret{}
	}
	return object.(*corev1.Secret).DeepCopy()
}

func (c *cluster) phase() string { return c.secret().Annotations[PhaseAnnotation] }

// awaitPhase awaits the phase, and in Publishing its publication.
func (c *cluster) awaitPhase(phase string) {
	c.t.Helper()
	c.await("phase "+phase, func() bool {
		secret := c.secret()
		return secret.Annotations[PhaseAnnotation] == phase && (phase != publishing || secret.Annotations[SinceAnnotation] != "")
	})
}

func (c *cluster) state() *state {
	c.t.Helper()
	s, err := decode(c.secret())
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *cluster) edit(change func(*corev1.Secret)) {
	c.t.Helper()
	client := c.client.CoreV1().Secrets(namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, err := client.Get(context.Background(), SecretName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(secret)
		_, err = client.Update(context.Background(), secret, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) ask(rotation string) {
	c.t.Helper()
	c.edit(func(secret *corev1.Secret) {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, RotateAnnotation, rotation)
	})
}

func (c *cluster) apiService() dynamic.ResourceInterface { return c.dynamic.Resource(apiServices) }

func (c *cluster) createAPIService(service string) {
	c.t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": APIServiceName},
		"spec": map[string]any{
			"group": "nmstate.io", "version": "v1alpha1",
			"service": map[string]any{"namespace": namespace, "name": service},
		},
	}}
	if _, err := c.apiService().Create(context.Background(), object, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func caBundle(object *unstructured.Unstructured) []byte {
	encoded, _, _ := unstructured.NestedString(object.Object, "spec", "caBundle")
	bundle, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	return bundle
}

// bundles returns what is published in the ConfigMap and in the APIService.
func (c *cluster) bundles() (configMap, apiService string) {
	if object, err := c.client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), namespace, ConfigMapName); err == nil {
		configMap = object.(*corev1.ConfigMap).Data[ConfigMapKey]
	}
	if object, err := c.dynamic.Tracker().Get(apiServices, "", APIServiceName); err == nil {
		apiService = string(caBundle(object.(*unstructured.Unstructured)))
	}
	return configMap, apiService
}

// awaitPublished awaits that all CAs of the Secret are published in both places.
func (c *cluster) awaitPublished() {
	c.t.Helper()
	c.await("publication", func() bool {
		s, err := decode(c.secret())
		if err != nil || s.ca == nil {
			return false
		}
		want, err := s.bundle(c.clock.Now())
		configMap, apiService := c.bundles()
		return err == nil && configMap == string(want) && apiService == string(want)
	})
}
