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

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// ports returns the ports, which were read after the call.
func (s *subject) ports() []v1alpha1.NetworkPort {
	s.t.Helper()
	before := time.Now().Truncate(time.Microsecond)
	told, err := s.Ports(s.context())
	if err != nil {
		s.t.Fatalf("Ports: %v", err)
	}
	if told.ReadTime.Time.Before(before) || told.ReadTime.Time.After(time.Now()) {
		s.t.Errorf("the ports were read at %v, and asked for at %v", told.ReadTime, before)
	}
	return told.Ports
}

// names returns the names of the interfaces that the object shows.
func names(t *testing.T, obj *v1alpha1.NodeNetworkState) []string {
	t.Helper()
	var shown struct {
		Interfaces []struct{ Name string } `json:"interfaces"`
	}
	if err := json.Unmarshal(obj.Status.CurrentState.Raw, &shown); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range shown.Interfaces {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

// portsShown: the ports are the interfaces that the object shows, before and after a change.
func portsShown(t *testing.T, h Harness) {
	s := start(t, h)
	for n := range 2 {
		obj := s.barrier()
		if n > 0 {
			obj = s.apply(s.desire(h.DesiredState(0)))
		}
		var got []string
		indexes := map[int32]bool{}
		for _, port := range s.ports() {
			got = append(got, port.Name)
			if port.Index <= 0 || indexes[port.Index] || port.Type == "" || port.OperState == "" {
				t.Errorf("a port is %+v", port)
			}
			indexes[port.Index] = true
		}
		slices.Sort(got)
		if want := names(t, obj); !slices.Equal(got, want) {
			t.Errorf("after %d changes the ports are %v, and the interfaces are %v", n, got, want)
		}
	}
}

// portsTravel: what is told comes through the stream as it is.
func portsTravel(t *testing.T, h Harness) {
	s := start(t, h)
	told, err := s.Ports(s.context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := agent.EncodePorts(told)
	if err != nil {
		t.Fatal(err)
	}
	back, err := agent.DecodePorts(text)
	if err != nil || !equality.Semantic.DeepEqual(back.Ports, told.Ports) || !back.ReadTime.Time.Equal(told.ReadTime.Time.Truncate(time.Microsecond)) {
		t.Errorf("%+v became %+v, %v", told, back, err)
	}
}

// portsEnd: a call ends with its context.
func portsEnd(t *testing.T, h Harness) {
	s := start(t, h)
	ctx, cancel := context.WithCancel(s.context())
	cancel()
	if told, err := s.Ports(ctx); err == nil {
		t.Errorf("a call whose context has ended answered with %+v", told)
	} else if own := (*agent.Error)(nil); !errors.Is(err, context.Canceled) && !errors.As(err, &own) {
		t.Errorf("it ended with %v", err)
	}
}

// portsShared: many at once are all answered.
func portsShared(t *testing.T, h Harness) {
	s := start(t, h)
	errs := make(chan error)
	const callers = 50
	for range callers {
		go func() {
			told, err := s.Ports(s.context())
			if err == nil && len(told.Ports) == 0 {
				err = errors.New("there are no ports")
			}
			errs <- err
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
