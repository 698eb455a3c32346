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

package nodenetworkstate

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestWhatAPutNeedNotMention: the node's parts, which a client may not know of;
// what it does mention counts. A patch mentions what its result is.
func TestWhatAPutNeedNotMention(t *testing.T) {
	for name, test := range map[string]struct {
		verb   string
		change func(*v1alpha1.NodeNetworkState)
		field  string
	}{
		"spec alone": {"update", func(n *v1alpha1.NodeNetworkState) {
			*n = v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: n.Name}, Spec: n.Spec}
		}, ""},
		"spec and revision": {"update", func(n *v1alpha1.NodeNetworkState) {
			*n = v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: n.Name, ResourceVersion: n.ResourceVersion}, Spec: n.Spec}
		}, ""},
		"an old status without a revision": {"update", func(n *v1alpha1.NodeNetworkState) {
			n.ResourceVersion, n.Status.Backend = "", "other"
		}, ""},
		"another status":          {"update", func(n *v1alpha1.NodeNetworkState) { n.Status.Backend = "other" }, "status"},
		"other labels":            {"update", func(n *v1alpha1.NodeNetworkState) { n.Labels = map[string]string{"a": "b"} }, "metadata.labels"},
		"no labels left":          {"update", func(n *v1alpha1.NodeNetworkState) { n.Labels = map[string]string{} }, "metadata.labels"},
		"labels patched away":     {"patch", func(n *v1alpha1.NodeNetworkState) { n.Labels = nil }, "metadata.labels"},
		"status patched away":     {"patch", func(n *v1alpha1.NodeNetworkState) { n.Status = v1alpha1.NodeNetworkStateStatus{} }, "status"},
		"nothing, but by a patch": {"patch", func(*v1alpha1.NodeNetworkState) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := genericapirequest.WithRequestInfo(context.Background(), &genericapirequest.RequestInfo{Verb: test.verb})
			before, now := node(), node()
			test.change(now)
			updated, err := keepUnmentioned(ctx, now, before)
			if err != nil {
				t.Fatal(err)
			}
			s := newStrategy(nil, testFormat(t))
			s.PrepareForUpdate(ctx, updated, before)
			errs := s.ValidateUpdate(ctx, updated, before)
			if test.field == "" && len(errs) > 0 || test.field != "" && (len(errs) != 1 || errs[0].Field != test.field) {
				t.Errorf("%v, want %q", errs, test.field)
			}
		})
	}
}
