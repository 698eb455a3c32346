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
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// scraped has a log, and what is scraped of its objects.
type scraped struct {
	t        *testing.T
	log      *livestore.Log
	sink     Sink
	registry metrics.KubeRegistry
}

func newScraped(t *testing.T) *scraped {
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	s := &scraped{t: t, log: log, sink: NewSink(log, NewEncodings()), registry: metrics.NewKubeRegistry()}
	if err := s.registry.CustomRegister(NewStateMetrics(log)); err != nil {
		t.Fatal(err)
	}
	return s
}

// text returns all that is scraped, lines the series of it, sorted.
func (s *scraped) text() string {
	recorder := httptest.NewRecorder()
	metrics.HandlerFor(s.registry, metrics.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	return recorder.Body.String()
}

func (s *scraped) lines() []string {
	lines := slices.DeleteFunc(strings.Split(s.text(), "\n"), func(line string) bool { return line == "" || strings.HasPrefix(line, "#") })
	slices.Sort(lines)
	return lines
}

func (s *scraped) is(when string, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	if got := s.lines(); !slices.Equal(got, want) {
		s.t.Errorf("%s the series are\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func measured(name string, conditions ...string) *v1alpha1.NodeNetworkState {
	n := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, text := range conditions {
		words := strings.Fields(text)
		n.Status.Conditions = append(n.Status.Conditions, metav1.Condition{Type: words[0], Status: metav1.ConditionStatus(words[1]), Reason: words[2]})
	}
	return n
}

func TestStateMetrics(t *testing.T) {
	s := newScraped(t)
	s.is("at first")

	healthy := measured("node01", "Available True StateRead", "InSync True StateMatches", "Progressing False Idle", "Failing False NoFailure")
	healthy.Status.Interfaces = &v1alpha1.InterfaceCount{Total: 7, Up: 5}
	finish := metav1.NewTime(time.Unix(1_800_000_060, 0))
	healthy.Status.LastApply = &v1alpha1.LastApply{StartTime: metav1.NewTime(time.Unix(1_800_000_000, 0)), FinishTime: &finish, Outcome: v1alpha1.ApplyCommitted}
	s.sink.Set(healthy)
	wantHealthy := []string{
		`nmstate_node_condition{condition="Available",node="node01",reason="StateRead",status="True"} 1`,
		`nmstate_node_condition{condition="InSync",node="node01",reason="StateMatches",status="True"} 1`,
		`nmstate_node_condition{condition="Progressing",node="node01",reason="Idle",status="False"} 1`,
		`nmstate_node_condition{condition="Failing",node="node01",reason="NoFailure",status="False"} 1`,
		`nmstate_node_interfaces{node="node01"} 7`,
		`nmstate_node_interfaces_up{node="node01"} 5`,
		`nmstate_node_last_apply{node="node01",outcome="Committed",reason=""} 1`,
		`nmstate_node_last_apply_timestamp_seconds{node="node01"} 1.80000006e+09`,
	}
	s.is("with a node that is well", wantHealthy...)
	problems, err := testutil.NewPromLinter(strings.NewReader(s.text())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("the metrics do not follow the conventions: %v, %v", problems, err)
	}

	waiting := measured("node02", "Progressing True AwaitingConfirmation", "Failing True RollbackIncomplete")
	before := metav1.NewTime(time.Unix(1_800_000_600, 0))
	waiting.Status.LastApply = &v1alpha1.LastApply{StartTime: metav1.NewTime(time.Unix(1_800_000_000, 0)), Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &before}
	s.sink.Set(waiting)
	wantWaiting := []string{
		`nmstate_node_condition{condition="Progressing",node="node02",reason="AwaitingConfirmation",status="True"} 1`,
		`nmstate_node_condition{condition="Failing",node="node02",reason="RollbackIncomplete",status="True"} 1`,
		`nmstate_node_last_apply{node="node02",outcome="InProgress",reason=""} 1`,
		`nmstate_node_last_apply_timestamp_seconds{node="node02"} 1.8e+09`,
		`nmstate_node_confirm_before_timestamp_seconds{node="node02"} 1.8000006e+09`,
	}
	s.is("with one that waits for a user", append(wantWaiting, wantHealthy...)...)

	lost := measured("node01", "Available Unknown AgentUnreachable", "InSync Unknown AgentUnreachable", "Progressing Unknown AgentUnreachable", "Failing False NoFailure")
	s.sink.Set(lost)
	s.is("with an agent that is lost", append(wantWaiting,
		`nmstate_node_condition{condition="Available",node="node01",reason="AgentUnreachable",status="Unknown"} 1`,
		`nmstate_node_condition{condition="InSync",node="node01",reason="AgentUnreachable",status="Unknown"} 1`,
		`nmstate_node_condition{condition="Progressing",node="node01",reason="AgentUnreachable",status="Unknown"} 1`,
		`nmstate_node_condition{condition="Failing",node="node01",reason="NoFailure",status="False"} 1`)...)

	s.sink.Delete("node01")
	s.is("when a node is gone", wantWaiting...)
	s.sink.Delete("node02")
	s.is("when all nodes are gone")
}

// TestStateMetricsAreBounded: an agent that somebody has taken over says what it likes, and changes it all the time.
func TestStateMetricsAreBounded(t *testing.T) {
	s := newScraped(t)
	const nodes, most = 20, 9
	names := map[string]bool{}
	for round := range 50 {
		for i := range nodes {
			n := measured(fmt.Sprintf("node%02d", i))
			for _, kind := range []string{"Available", "InSync", "Progressing", "Failing", "Available", fmt.Sprintf("Made%dUp", round)} {
				n.Status.Conditions = append(n.Status.Conditions, metav1.Condition{
					Type: kind, Status: metav1.ConditionStatus(fmt.Sprintf("S%d", round)), Reason: fmt.Sprintf("R%d", round)})
			}
			until := metav1.NewTime(time.Unix(int64(round), 0))
			n.Status.Interfaces = &v1alpha1.InterfaceCount{Total: int32(round)}
			n.Status.LastApply = &v1alpha1.LastApply{Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &until, Reason: fmt.Sprintf("R%d", round)}
			if round%2 == 0 {
				n.Status.LastApply.Outcome = v1alpha1.ApplyOutcome(fmt.Sprintf("O%d", round))
			}
			s.sink.Set(n)
		}
		lines := s.lines()
		if len(lines) > nodes*most {
			t.Fatalf("%d nodes have %d series", nodes, len(lines))
		}
		for _, line := range lines {
			name, _, _ := strings.Cut(line, "} ")
			names[name] = true
		}
	}
	// Of a change that is under way there is one more series than of another, and it has another outcome.
	if len(names) > nodes*(most+1) {
		t.Errorf("there have been %d series of %d nodes: agents can make up new ones", len(names), nodes)
	}
}

// TestReasonsAreShownAsTheyAre: each reason of the API, and each of nmstate's error kinds.
func TestReasonsAreShownAsTheyAre(t *testing.T) {
	found := 0
	for file, prefix := range map[string]string{
		"../../apis/nmstate/v1alpha1/types.go":        "Reason",
		"../../apis/nmstate/v1alpha1/types_change.go": "Stage",
		"../../nmstate/error.go":                      "",
	} {
		for _, value := range constants(t, file, prefix) {
			found++
			if got := boundReason(value); got != value {
				t.Errorf("%s: reason %s is shown as %q", file, value, got)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d reasons were found", found)
	}
	if got := boundReason("MadeUp"); got != otherValue {
		t.Errorf("a reason that does not exist is shown as %q", got)
	}
}

// constants returns the values of a file's constants that are texts, and whose names begin with prefix.
func constants(t *testing.T, path, prefix string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) == 0 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}
