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
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestConvertersAgree: the field manager sees of an object what it sees by upstream's converter, and makes the same object of it.
func TestConvertersAgree(t *testing.T) {
	upstream, scheme := newUpstreamConverter(t)
	ours := NewTypeConverter(upstream)
	for _, state := range []*v1alpha1.State{
		nil, v1alpha1.NewState(nil), v1alpha1.NewState([]byte(`null`)), v1alpha1.NewState([]byte(`{}`)),
		v1alpha1.NewState([]byte(vlans("eth1", 2))),
		v1alpha1.NewState([]byte(`{"interfaces":[{"name":"<&>","type":null,"mtu":1e3,"x":1.5,"y":9223372036854775808,"z":[null,{},[]],"ipv4":{"address":[]}}],"dns-resolver":{"config":{}}}`)),
		v1alpha1.NewState([]byte(`{"interfaces":"none","routes":{"config":[{"destination":"0.0.0.0/0"}]},"a":true}`)),
	} {
		object := unmanaged()
		object.Annotations = map[string]string{"a": "<b>"}
		object.CreationTimestamp = metav1.Unix(1, 0)
		object.Spec.DesiredState = state
		object.Spec.Probes = []v1alpha1.Probe{{Name: "gateway"}}
		object.Status.CurrentState, object.Status.Difference = state, state
		want, wantErr := upstream.ObjectToTyped(object)
		got, err := ours.ObjectToTyped(object)
		if err != nil || wantErr != nil {
			t.Fatalf("%v, %v", err, wantErr)
		}
		if want, got := want.AsValue().Unstructured(), got.AsValue().Unstructured(); !reflect.DeepEqual(want, got) {
			t.Errorf("of\n%v it sees\n%v", want, got)
		}
		wantSet, _ := want.ToFieldSet()
		if set, err := got.ToFieldSet(); err != nil || !set.Equals(wantSet) {
			t.Errorf("the fields are %v, not %v: %v", set, wantSet, err)
		}
		made, err := upstream.TypedToObject(want)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := scheme.ConvertToVersion(made, v1alpha1.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ours.TypedToObject(got)
		if err != nil {
			t.Fatal(err)
		}
		is, should := back.(*v1alpha1.NodeNetworkState), wanted.(*v1alpha1.NodeNetworkState)
		if !v1alpha1.SameState(is.Spec.DesiredState, should.Spec.DesiredState) {
			t.Errorf("of %s comes %s", should.Spec.DesiredState.Raw, is.Spec.DesiredState.Raw)
		}
		is.Spec.DesiredState = should.Spec.DesiredState
		if !reflect.DeepEqual(is, should) {
			t.Errorf("of\n%+v comes\n%+v", should, is)
		}
	}
}

// TestConvertersRefuseAlike: what a client put in the place of a state is refused, and not shown.
func TestConvertersRefuseAlike(t *testing.T) {
	upstream, scheme := newUpstreamConverter(t)
	for _, state := range []any{"secret", int64(1), []any{"secret"}, true} {
		sent := &unstructured.Unstructured{Object: applied(t, nil)}
		sent.Object["spec"] = map[string]any{"desiredState": state}
		typed, err := upstream.ObjectToTyped(sent)
		if err != nil {
			continue // it is refused before it is merged
		}
		_, err = NewTypeConverter(upstream).TypedToObject(typed)
		_, want := scheme.ConvertToVersion(sent, v1alpha1.SchemeGroupVersion)
		if err == nil || want == nil {
			t.Errorf("%v: %v, %v", state, err, want)
		}
	}
}
