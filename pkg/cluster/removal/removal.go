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

// Package removal takes away what a package manager does not: the APIService before all
// the rest, and after all the rest what the servers have made themselves.
package removal

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/certificates"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/election"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// DeleteAPIService deletes the APIService if it names the given Service. It leaves
// somebody else's alone, and it is no error if there is none. An APIService whose server is
// gone makes the deletion of every namespace hang: so it goes before its server.
func DeleteAPIService(ctx context.Context, client dynamic.Interface, service types.NamespacedName) error {
	const name = certificates.APIServiceName
	logger := klog.FromContext(ctx).WithValues("apiService", name)
	found, err := client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		logger.Info("There is no APIService")
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading APIService %s: %w", name, err)
	}
	if served := serviceOf(found); served != service {
		logger.Info("The APIService stays, because it belongs to another Service", "service", served)
		return nil
	}
	uid := found.GetUID()
	err = client.Resource(apiServices).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting APIService %s: %w", name, err)
	}
	logger.Info("Deleted the APIService")
	return nil
}

// serviceOf returns the Service that an APIService names, without a name if it names none.
func serviceOf(apiService *unstructured.Unstructured) types.NamespacedName {
	namespace, _, _ := unstructured.NestedString(apiService.Object, "spec", "service", "namespace")
	name, _, _ := unstructured.NestedString(apiService.Object, "spec", "service", "name")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// DeleteMade deletes what the servers of the namespace have made themselves: their Lease,
// their certificates, and the CA that they have published. It waits until no server is
// left, because a server makes these again.
func DeleteMade(ctx context.Context, client kubernetes.Interface, namespace string) error {
	if err := awaitNoServer(ctx, client, namespace); err != nil {
		return fmt.Errorf("waiting for the end of the servers in namespace %s: %w", namespace, err)
	}
	var errs []error
	for _, one := range []struct {
		kind, name string
		delete     func(context.Context, string, metav1.DeleteOptions) error
	}{
		{"Lease", election.DefaultName, client.CoordinationV1().Leases(namespace).Delete},
		{"Secret", certificates.SecretName, client.CoreV1().Secrets(namespace).Delete},
		{"ConfigMap", certificates.ConfigMapName, client.CoreV1().ConfigMaps(namespace).Delete},
	} {
		err := one.delete(ctx, one.name, metav1.DeleteOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			errs = append(errs, fmt.Errorf("deleting %s %s/%s: %w", one.kind, namespace, one.name, err))
		default:
			klog.FromContext(ctx).Info("Deleted what the servers have made", "kind", one.kind, "name", one.name)
		}
	}
	return errors.Join(errs...)
}

// awaitNoServer returns once there is no pod of a server.
func awaitNoServer(ctx context.Context, client kubernetes.Interface, namespace string) error {
	pods := client.CoreV1().Pods(namespace)
	servers := labels.Set{election.NameLabel: election.NameValue}.String()
	for {
		left, err := pods.List(ctx, metav1.ListOptions{LabelSelector: servers})
		if err != nil {
			return err
		}
		if len(left.Items) == 0 {
			return nil
		}
		klog.FromContext(ctx).Info("Waiting for the servers to end", "pods", len(left.Items))
		watcher := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = servers
			return pods.Watch(ctx, options)
		}, ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = servers
			return pods.List(ctx, options)
		}}
		_, err = watchtools.Until(ctx, left.ResourceVersion, watcher, func(event watch.Event) (bool, error) { return event.Type == watch.Deleted, nil })
		if err != nil && (ctx.Err() != nil || !errors.Is(err, watchtools.ErrWatchClosed)) {
			return err
		}
	}
}
