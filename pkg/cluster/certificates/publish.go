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
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// repair publishes the bundle in one object.
type repair struct {
	object string
	do     func(context.Context) error
}

// compare returns the repairs after which both objects have the bundle.
func (k *Keeper) compare(ctx context.Context, bundle []byte) ([]repair, error) {
	var repairs []repair
	configMap, err1 := k.compareConfigMap(ctx, bundle)
	if configMap != nil {
		repairs = append(repairs, repair{"ConfigMap " + ConfigMapName, configMap})
	}
	apiService, err2 := k.compareAPIService(ctx, bundle)
	if apiService != nil {
		repairs = append(repairs, repair{"APIService " + APIServiceName, apiService})
	}
	return repairs, errors.Join(err1, err2)
}

// compareConfigMap returns nil if the bundle is in the ConfigMap.
func (k *Keeper) compareConfigMap(ctx context.Context, bundle []byte) (func(context.Context) error, error) {
	client := k.config.Client.CoreV1().ConfigMaps(k.config.Namespace)
	configMap, err := client.Get(ctx, ConfigMapName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		configMap = &corev1.ConfigMap{ObjectMeta: k.objectMeta(ConfigMapName), Data: map[string]string{ConfigMapKey: string(bundle)}}
		return func(ctx context.Context) error {
			_, err := client.Create(ctx, configMap, metav1.CreateOptions{})
			return err
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ConfigMap %s: %w", ConfigMapName, err)
	}
	if configMap.Data[ConfigMapKey] == string(bundle) {
		return nil, nil
	}
	if configMap.Data == nil {
		configMap.Data = map[string]string{}
	}
	configMap.Data[ConfigMapKey] = string(bundle)
	// The API refuses a key that is in both data and binaryData.
	delete(configMap.BinaryData, ConfigMapKey)
	return func(ctx context.Context) error {
		_, err := client.Update(ctx, configMap, metav1.UpdateOptions{})
		return err
	}, nil
}

// compareAPIService returns nil if the APIService has the bundle. It also returns
// nil if no APIService names this server's Service: then no client depends on it,
// and creating one is the administrator's decision.
func (k *Keeper) compareAPIService(ctx context.Context, bundle []byte) (func(context.Context) error, error) {
	client := k.config.Dynamic.Resource(apiServices)
	object, err := client.Get(ctx, APIServiceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		klog.FromContext(ctx).V(2).Info("No APIService to publish the CA in", "apiService", APIServiceName)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the APIService %s: %w", APIServiceName, err)
	}
	namespace, _, _ := unstructured.NestedString(object.Object, "spec", "service", "namespace")
	name, _, _ := unstructured.NestedString(object.Object, "spec", "service", "name")
	if namespace != k.config.Namespace || name != k.config.Service {
		klog.FromContext(ctx).Info("APIService is another's and left alone: point it to our Service to have our CA in it",
			"apiService", APIServiceName, "service", klog.KRef(namespace, name), "ours", klog.KRef(k.config.Namespace, k.config.Service))
		return nil, nil
	}
	encoded, _, _ := unstructured.NestedString(object.Object, "spec", "caBundle")
	insecure, _, _ := unstructured.NestedBool(object.Object, "spec", "insecureSkipTLSVerify")
	if is, err := base64.StdEncoding.DecodeString(encoded); err == nil && bytes.Equal(is, bundle) && !insecure {
		return nil, nil
	}
	if err := unstructured.SetNestedField(object.Object, base64.StdEncoding.EncodeToString(bundle), "spec", "caBundle"); err != nil {
		return nil, fmt.Errorf("the APIService %s: %w", APIServiceName, err)
	}
	// The API refuses a bundle beside it.
	unstructured.RemoveNestedField(object.Object, "spec", "insecureSkipTLSVerify")
	return func(ctx context.Context) error {
		_, err := client.Update(ctx, object, metav1.UpdateOptions{})
		return err
	}, nil
}
