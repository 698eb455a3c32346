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

package probe

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func TestMerge(t *testing.T) {
	yes, no := true, false
	probes := []v1alpha1.Probe{{Name: "default"}, {Name: "required", Required: &yes}, {Name: "optional", Required: &no}, {Name: "failed"}}
	before := []Attempt{
		{Name: "default", Passed: true, Took: 2 * time.Millisecond},
		{Name: "required", Passed: true, Took: 3 * time.Millisecond},
		{Name: "optional", Passed: true},
		{Name: "failed", Took: 5 * time.Second, Message: "no echo reply"},
	}
	got := Merge(before, nil, probes)
	want := []v1alpha1.ProbeResult{
		{Name: "default", Required: true, Before: v1alpha1.ProbePassed, Milliseconds: 2},
		{Name: "required", Required: true, Before: v1alpha1.ProbePassed, Milliseconds: 3},
		{Name: "optional", Before: v1alpha1.ProbePassed},
		{Name: "failed", Before: v1alpha1.ProbeFailed, Milliseconds: 5000, Message: "no echo reply"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("before the change: got %+v", got)
	}
	if failed := Failed(got); !reflect.DeepEqual(failed, []string{"default", "required"}) {
		t.Errorf("nothing was tried after the change, but failed are %q", failed)
	}
	after := []Attempt{
		{Name: "default", Passed: true, Took: 4 * time.Millisecond},
		{Name: "required", Took: 6 * time.Millisecond, Message: "connection refused"},
		{Name: "optional", Message: "connection refused"},
		{Name: "failed", Passed: true, Took: time.Millisecond},
	}
	got = Merge(before, after, probes)
	want = []v1alpha1.ProbeResult{
		{Name: "default", Required: true, Before: v1alpha1.ProbePassed, After: v1alpha1.ProbePassed, Milliseconds: 4},
		{Name: "required", Required: true, Before: v1alpha1.ProbePassed, After: v1alpha1.ProbeFailed, Milliseconds: 6, Message: "connection refused"},
		{Name: "optional", Before: v1alpha1.ProbePassed, After: v1alpha1.ProbeFailed, Message: "connection refused"},
		{Name: "failed", Before: v1alpha1.ProbeFailed, After: v1alpha1.ProbePassed, Milliseconds: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after the change: got %+v", got)
	}
	if failed := Failed(got); !reflect.DeepEqual(failed, []string{"required"}) {
		t.Errorf("failed are %q", failed)
	}
}

func TestOrDefault(t *testing.T) {
	if got := OrDefault(nil); len(got) != 1 || got[0].Ping == nil || got[0].Ping.Address != "" {
		t.Errorf("got %+v", got)
	}
	if got := OrDefault([]v1alpha1.Probe{{Name: "mine"}}); len(got) != 1 || got[0].Name != "mine" {
		t.Errorf("got %+v", got)
	}
}

func TestTimeout(t *testing.T) {
	for _, test := range []struct{ given, want time.Duration }{
		{given: -1, want: 5 * time.Second}, {given: 0, want: 5 * time.Second},
		{given: time.Second, want: time.Second}, {given: time.Hour, want: time.Minute},
	} {
		if got := timeoutOf(&v1alpha1.Probe{Timeout: &metav1.Duration{Duration: test.given}}); got != test.want {
			t.Errorf("%s: got %s", test.given, got)
		}
	}
	if got := timeoutOf(&v1alpha1.Probe{}); got != 5*time.Second {
		t.Errorf("none: got %s", got)
	}
}

// A target has a part in some messages, and lastApply has them all.
func TestMessagesAreShort(t *testing.T) {
	for _, message := range []string{strings.Repeat("ä", 1000), "x" + strings.Repeat("ä", 1000), "\xff" + strings.Repeat("x", 1000)} {
		if got := shortened(message); len(got) > maxMessage+len("…") || !utf8.ValidString(got) {
			t.Errorf("got %d bytes: %q", len(got), got)
		}
	}
	if got := joined([]error{errors.New("a"), errors.New("b"), errors.New("a")}).Error(); got != "a; b" {
		t.Errorf("got %q", got)
	}
}
