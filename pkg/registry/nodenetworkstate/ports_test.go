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
	"errors"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func TestPorts(t *testing.T) {
	r := newOneNode(t)
	get := func(node string) (*v1alpha1.NodeNetworkPorts, error) {
		obj, err := NewPortsREST(r.writer).Get(t.Context(), node, &metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			return nil, err
		}
		return obj.(*v1alpha1.NodeNetworkPorts), nil
	}
	first, err := get("node1")
	if err != nil || first.Name != "node1" || len(first.Ports) != 1 || first.Ports[0].Name != "lo" || first.ReadTime.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := get("node1")
	if err != nil || second.Ports[0].Counters.RxBytes <= first.Ports[0].Counters.RxBytes || !second.ReadTime.After(first.ReadTime.Time) {
		t.Errorf("the second read is no other: %+v, %v", second, err)
	}
	_, err = get("node2")
	answer(t, err, http.StatusNotFound, "node2")
}

// failing is a fleet of a node that tells of no ports.
type failing struct {
	*fleetOfOne
	err error
}

func (f failing) Ports(context.Context, string) (*v1alpha1.NodeNetworkPorts, error) {
	return nil, f.err
}

// TestPortsThatCannotBeRead: the errors say why, and whether to try again.
func TestPortsThatCannotBeRead(t *testing.T) {
	for _, test := range []struct {
		err  agent.Error
		code int32
	}{
		{agent.Error{Kind: agent.Unreachable, Message: "the agent does not answer"}, http.StatusServiceUnavailable},
		{agent.Error{Kind: agent.Lost, Message: "the agent was lost"}, http.StatusGatewayTimeout},
		{agent.Error{Kind: agent.Failed, Reason: agent.ReasonTooManyPorts, Message: "there are too many"}, http.StatusInternalServerError},
		{agent.Error{Kind: agent.Invalid, Reason: agent.ReasonNotSupported, Message: "the agent is older: update it"}, http.StatusUnprocessableEntity},
	} {
		f, _ := newFleetOfOne()
		_, err := NewPortsREST(NewWriter(failing{f, &test.err}, f.log)).Get(t.Context(), "node1", &metav1.GetOptions{})
		answer(t, err, test.code, test.err.Message)
		if status := apierrors.APIStatus(nil); !errors.As(err, &status) || status.Status().Details.Name != "node1" {
			t.Errorf("the error does not name the node: %v", err)
		}
	}
	f, _ := newFleetOfOne()
	obj, err := NewPortsREST(NewWriter(f, f.log)).Get(t.Context(), "node1", &metav1.GetOptions{})
	if err != nil || obj.(*v1alpha1.NodeNetworkPorts).Ports == nil {
		t.Errorf("a node without ports is %+v, %v", obj, err)
	}
}
