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

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// store keeps the same objects as a CRD in the cluster, as a controller would, and returns them as another subject.
func (c *controlPlane) store(b *testing.B, live *subject, agents *simulated, nodes int) *subject {
	b.Helper()
	type object = map[string]any
	const version, plural, kind = "v1alpha1", "nodenetworkstates", "NodeNetworkState"
	anything := object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	c.create(b, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", object{
		"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": object{"name": plural + "." + storedGroup},
		"spec": object{"group": storedGroup, "scope": "Cluster", "names": object{"plural": plural, "kind": kind}, "versions": []object{{
			"name": version, "served": true, "storage": true,
			"schema": object{"openAPIV3Schema": object{"type": "object", "properties": object{"spec": anything, "status": anything}}},
		}}}})
	own := &subject{
		form: stored, config: c.config, path: "/apis/" + storedGroup + "/" + version + "/" + plural, kubeconfig: c.kubeconfig,
		processes: map[string]*os.Process{etcd: c.etcd, kubeAPIServer: c.apiserver}, state: agents.state, etcdBytes: c.written,
	}
	client := c.client.Discovery().RESTClient()
	pollLong(b, "the CRD is not served", func(ctx context.Context) bool { return client.Get().AbsPath(own.path).Do(ctx).Error() == nil })
	m := own.meter(b, nodes, "all objects are written for the first time")
	parallel(b, nodes, func(ctx context.Context, i int) error {
		text, err := client.Get().AbsPath(live.path + "/" + nodeName(i)).DoRaw(ctx)
		if err != nil {
			return err
		}
		var read v1alpha1.NodeNetworkState
		if err := json.Unmarshal(text, &read); err != nil {
			return err
		}
		copied, err := json.Marshal(object{"kind": kind, "apiVersion": storedGroup + "/" + version,
			"metadata": object{"name": read.Name, "labels": read.Labels}, "spec": read.Spec, "status": read.Status})
		if err != nil {
			return err
		}
		return client.Post().AbsPath(own.path).SetHeader("Content-Type", asJSON).Body(copied).Do(ctx).Error()
	})
	m.stop()
	m.keep(1, nil, "")
	own.change = func(ctx context.Context, node int, state string) error {
		patch := fmt.Sprintf(`{"status":{"currentState":%s}}`, state)
		return client.Patch(types.MergePatchType).AbsPath(own.path + "/" + nodeName(node)).Body([]byte(patch)).Do(ctx).Error()
	}
	return own
}

// parallel does something for each of n, some at the same time.
func parallel(b *testing.B, n int, do func(ctx context.Context, i int) error) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(changers)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// httpGet reads what is at a URL, without authentication.
func httpGet(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
