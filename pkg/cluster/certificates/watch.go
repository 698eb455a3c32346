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
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// watch wakes the Keeper when one of the objects changes. An event is only a
// wake-up: a pass reads all objects. stop ends the watches and waits for their end.
func (k *Keeper) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	named := func(name string) func(*metav1.ListOptions) {
		return func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		}
	}
	namespace := k.config.Namespace
	var running sync.WaitGroup
	for _, informer := range []cache.SharedIndexInformer{
		coreinformers.NewFilteredSecretInformer(k.config.Client, namespace, 0, nil, named(SecretName)),
		coreinformers.NewFilteredConfigMapInformer(k.config.Client, namespace, 0, nil, named(ConfigMapName)),
		dynamicinformer.NewFilteredDynamicInformer(k.config.Dynamic, apiServices, metav1.NamespaceAll, 0, nil, named(APIServiceName)).Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { k.awake() },
			UpdateFunc: func(any, any) { k.awake() },
			DeleteFunc: func(any) { k.awake() },
		})
		if err != nil {
			klog.FromContext(ctx).Error(err, "Changes will be seen late")
		}
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func (k *Keeper) awake() {
	select {
	case k.wake <- struct{}{}:
	default: // a wake-up is pending
	}
}
