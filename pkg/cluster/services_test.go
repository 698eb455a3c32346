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

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func TestServiceResolver(t *testing.T) {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for name, spec := range map[string]corev1.ServiceSpec{
		"four":     {ClusterIP: "10.96.0.7"},
		"six":      {ClusterIP: "fd00::7", Type: corev1.ServiceTypeLoadBalancer},
		"headless": {ClusterIP: corev1.ClusterIPNone},
		"outside":  {Type: corev1.ServiceTypeExternalName, ExternalName: "hooks.example.org"},
	} {
		spec.Ports = []corev1.ServicePort{{Port: 443}}
		if err := indexer.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: spec}); err != nil {
			t.Fatal(err)
		}
	}
	resolver := NewServiceResolver(corelisters.NewServiceLister(indexer))
	for name, want := range map[string]string{
		"four": "https://10.96.0.7:443", "six": "https://[fd00::7]:443", "outside": "https://hooks.example.org:443",
		"headless": "", "missing": "",
	} {
		got, err := resolver.ResolveEndpoint("default", name, 443)
		if want == "" && err == nil || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%s is at %v, %v, not at %q", name, got, err, want)
		}
	}
	if _, err := resolver.ResolveEndpoint("default", "four", 8443); err == nil {
		t.Error("a port that it has not")
	}
}
