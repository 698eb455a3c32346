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
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func testFormat(t testing.TB) format {
	f, err := newFormat()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func desiring(state string) *v1alpha1.NodeNetworkState {
	now := node()
	now.Spec.DesiredState = v1alpha1.NewState([]byte(state))
	return now
}

func validating(t *testing.T, how string) context.Context {
	return WithBody(t.Context(), Body{FieldValidation: how})
}

const typo = `{"interfaces":[{"name":"eth1","type":"ethernet","mtuu":1500}]}`

// TestUnknownFields: they are refused, warned of or passed, as the client asks; what was there before is not judged.
func TestUnknownFields(t *testing.T) {
	s := newStrategy(nil, testFormat(t))
	const says = `unknown field "spec.desiredState.interfaces[name=eth1].mtuu", did you mean "mtu"?`
	for _, test := range []struct {
		how               string
		warned, isRefused bool
	}{{"", true, false}, {"Warn", true, false}, {"Ignore", false, false}, {"Strict", true, true}} {
		now, before := desiring(typo), node()
		ctx := validating(t, test.how)
		if errs := s.ValidateUpdate(ctx, now, before); len(errs) > 0 {
			t.Errorf("%q: %v", test.how, errs)
		}
		if got := s.WarningsOnUpdate(ctx, now, before); fmt.Sprint(got) != map[bool]string{true: "[" + says + "]", false: "[]"}[test.warned] {
			t.Errorf("%q warns %q", test.how, got)
		}
		_, err := s.format.refuseUnknown(ctx, now, before)
		if refused := err != nil; refused != test.isRefused {
			t.Errorf("%q refuses: %v", test.how, err)
		}
		if err != nil && (!apierrors.IsBadRequest(err) || err.Error() != "strict decoding error: "+says) {
			t.Errorf("%q refuses with %v", test.how, err)
		}
		ctx = validating(t, test.how)
		if _, err := s.format.refuseUnknown(ctx, now, now); err != nil || len(s.WarningsOnUpdate(ctx, now, now)) > 0 {
			t.Errorf("%q: what the client did not write is judged: %v", test.how, err)
		}
	}
}

// TestStrictTellsAllAtOnce: also what is wrong beside what is not known.
func TestStrictTellsAllAtOnce(t *testing.T) {
	now := desiring(`{"interfacez":[],"interfaces":[{"name":"eth1","type":"ethernet","mtu":"big"}]}`)
	_, err := testFormat(t).refuseUnknown(validating(t, metav1.FieldValidationStrict), now, node())
	const want = `strict decoding error: unknown field "spec.desiredState.interfacez", did you mean "interfaces"?, ` +
		`spec.desiredState.interfaces[name=eth1].mtu: Invalid value: "big": must be a number of bytes`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	var causes []string
	if status, ok := err.(apierrors.APIStatus); ok {
		for _, cause := range status.Status().Details.Causes {
			causes = append(causes, cause.Field)
		}
	}
	if strings.Join(causes, " ") != "spec.desiredState.interfacez spec.desiredState.interfaces[name=eth1].mtu" {
		t.Errorf("causes are %v", causes)
	}
}

// TestANewerNmstateMayHaveMoreValues: whoever knows that can say so. What no nmstate takes is refused all the same.
func TestANewerNmstateMayHaveMoreValues(t *testing.T) {
	s := newStrategy(nil, testFormat(t))
	now := desiring(`{"interfaces":[{"name":"b","type":"bond","mtu":"big","link-aggregation":{"mode":"newest"}}]}`)
	for how, want := range map[string]int{"": 2, "Warn": 2, "Strict": 2, "Ignore": 1} {
		errs := s.ValidateUpdate(validating(t, how), now, node())
		if len(errs) != want || errs[len(errs)-1].Field != "spec.desiredState.interfaces[name=b].mtu" {
			t.Errorf("%q: %v", how, errs)
		}
	}
}

// BenchmarkJudge judges a desired state of 20 kB for one update, which asks for the judgement three times.
func BenchmarkJudge(b *testing.B) {
	var interfaces []string
	for i := range 80 {
		interfaces = append(interfaces, fmt.Sprintf(`{"name":"eth1.%d","type":"vlan","state":"up","mtu":1500,"description":"storage of rack %d",`+
			`"vlan":{"base-iface":"eth1","id":%d},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.%d","prefix-length":24}]},"ipv6":{"enabled":false}}`, i, i, i+1, i))
	}
	state := `{"interfaces":[` + strings.Join(interfaces, ",") + `]}`
	f, now, before := testFormat(b), desiring(state), node()
	b.SetBytes(int64(len(state)))
	b.ReportAllocs()
	for b.Loop() {
		ctx := WithBody(b.Context(), Body{})
		for range 3 {
			if found := f.judge(ctx, now, before); len(found.Wrong)+len(found.Unknown) > 0 {
				b.Fatalf("%+v", found)
			}
		}
	}
}
