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

package removal

import (
	"context"
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const namespace = "network"

func apiService(service map[string]any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"group": "nmstate.io"}}}
	if service != nil {
		obj.Object["spec"].(map[string]any)["service"] = service
	}
	obj.SetAPIVersion("apiregistration.k8s.io/v1")
	obj.SetKind("APIService")
	obj.SetName("v1alpha1.nmstate.io")
	obj.SetUID("u")
	return obj
}

func TestTheAPIServiceGoesIfItIsOurs(t *testing.T) {
	ours := types.NamespacedName{Namespace: namespace, Name: "nmstate-apiserver"}
	for name, test := range map[string]struct {
		there *unstructured.Unstructured
		stays bool
	}{
		"ours":                  {apiService(map[string]any{"namespace": namespace, "name": "nmstate-apiserver"}), false},
		"of another Service":    {apiService(map[string]any{"namespace": namespace, "name": "other"}), true},
		"of another namespace":  {apiService(map[string]any{"namespace": "other", "name": "nmstate-apiserver"}), true},
		"of the cluster's CRDs": {apiService(nil), true},
		"there is none":         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
				map[schema.GroupVersionResource]string{apiServices: "APIServiceList"})
			if test.there != nil {
				if _, err := client.Resource(apiServices).Create(t.Context(), test.there, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := DeleteAPIService(t.Context(), client, ours); err != nil {
				t.Fatal(err)
			}
			_, err := client.Resource(apiServices).Get(t.Context(), "v1alpha1.nmstate.io", metav1.GetOptions{})
			if stays := err == nil; stays != test.stays || err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("it stays: %v, %v", stays, err)
			}
		})
	}
}

// made returns what servers have made, things that others have made, and the pods of two servers and of an agent.
func made() []runtime.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: namespace} }
	objects := []runtime.Object{
		&coordinationv1.Lease{ObjectMeta: meta("nmstate-apiserver")},
		&corev1.Secret{ObjectMeta: meta("nmstate-apiserver-certificates")},
		&corev1.ConfigMap{ObjectMeta: meta("nmstate-apiserver-ca")},
		&corev1.Secret{ObjectMeta: meta("somebodys")},
		&corev1.ConfigMap{ObjectMeta: meta("kube-root-ca.crt")},
	}
	for pod, app := range map[string]string{"a": "nmstate-apiserver", "b": "nmstate-apiserver", "c": "nmstate-node-agent"} {
		object := &corev1.Pod{ObjectMeta: meta(pod)}
		object.Labels = map[string]string{"app.kubernetes.io/name": app}
		objects = append(objects, object)
	}
	return objects
}

func TestWhatServersHaveMadeGoesAfterThem(t *testing.T) {
	client := fake.NewClientset(made()...)
	done := make(chan error, 1)
	go func() { done <- DeleteMade(t.Context(), client, namespace) }()
	for _, pod := range []string{"a", "b"} {
		awaitWatch(t, client)
		if _, err := client.CoreV1().Secrets(namespace).Get(t.Context(), "nmstate-apiserver-certificates", metav1.GetOptions{}); err != nil {
			t.Errorf("while server %s runs: %v", pod, err)
		}
		client.ClearActions()
		if err := client.CoreV1().Pods(namespace).Delete(t.Context(), pod, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	secrets, _ := client.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	configMaps, _ := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	leases, _ := client.CoordinationV1().Leases(namespace).List(t.Context(), metav1.ListOptions{})
	if len(secrets.Items) != 1 || len(configMaps.Items) != 1 || len(leases.Items) != 0 {
		t.Errorf("there are still %v, %v, %v", secrets.Items, configMaps.Items, leases.Items)
	}
	if err := DeleteMade(t.Context(), client, namespace); err != nil {
		t.Errorf("again: %v", err)
	}
}

// awaitWatch returns once somebody watches pods.
func awaitWatch(t *testing.T, client *fake.Clientset) {
	t.Helper()
	for {
		for _, action := range client.Actions() {
			if action.Matches("watch", "pods") {
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func TestServersThatDoNotEndAreNamed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	client := fake.NewClientset(made()...)
	if err := DeleteMade(ctx, client, namespace); err == nil {
		t.Error("what servers that run have made is deleted")
	}
}

func TestAllIsTried(t *testing.T) {
	client := fake.NewClientset(made()[:5]...)
	refused := errors.New("refused")
	client.PrependReactor("delete", "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refused })
	if err := DeleteMade(t.Context(), client, namespace); !errors.Is(err, refused) {
		t.Errorf("the error is %v", err)
	}
	if _, err := client.CoreV1().Secrets(namespace).Get(t.Context(), "nmstate-apiserver-certificates", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the certificates stay: %v", err)
	}
}
