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

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// read decodes a YAML file strictly.
func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func alerts(t *testing.T) []monitoringv1.Rule {
	t.Helper()
	var all monitoringv1.PrometheusRuleSpec
	read(t, filepath.Join(artifacts, "mixin/rendered/alerts.yaml"), &all)
	var rules []monitoringv1.Rule
	for _, group := range all.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// TestAlertsNameTheRemedy: who is woken finds what to do in the runbook.
func TestAlertsNameTheRemedy(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, rule := range alerts(t) {
		names = append(names, rule.Alert)
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			if rule.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", rule.Alert, annotation)
			}
		}
		if !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
			t.Errorf("%s has the severity %q", rule.Alert, rule.Labels["severity"])
		}
		if _, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "docs/runbook.md#"); anchor != strings.ToLower(rule.Alert) {
			t.Errorf("the runbook of %s is %s", rule.Alert, rule.Annotations["runbook_url"])
		}
		if !strings.Contains(string(runbook), "\n## "+rule.Alert+"\n") {
			t.Errorf("docs/runbook.md has no section %s", rule.Alert)
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		if !slices.Contains(names, heading[1]) {
			t.Errorf("docs/runbook.md has a section %s, and there is no such alert", heading[1])
		}
	}
}

// TestAlertsFire: promtool proves of each alert that it fires when it should, and not when it should not.
func TestAlertsFire(t *testing.T) {
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	text, err := os.ReadFile(filepath.Join(artifacts, "mixin/alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		whole := map[string]bool{}
		for _, one := range test.AlertRuleTest {
			whole[one.Alertname] = whole[one.Alertname] || len(one.ExpAlerts) > 0
		}
		for name, hasFired := range whole {
			fires[name] = fires[name] || hasFired
			silent[name] = silent[name] || !hasFired
		}
	}
	for _, rule := range alerts(t) {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: a test has it fire: %v, one has it not: %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
	}
	if out, err := exec.Command("../prometheus/packages.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	promtool, err := filepath.Abs("../../_output/prometheus/root/usr/bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"check", "rules", "rendered/alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.Command(promtool, arguments...)
		command.Dir = filepath.Join(artifacts, "mixin")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", arguments, err, out)
		}
	}
}

// TestDashboard: Grafana's own types take all of it, and its panels have a title, a description, a unit and room.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(artifacts, "mixin/rendered/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins()
	var strict, d dashboard.Dashboard
	// Of what is right it returns an error that says nothing, and leaves out the panels.
	if err := strict.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	seen := map[[2]uint32]string{}
	for _, panel := range d.Panels {
		p := panel.Panel
		if p == nil || p.Title == nil || p.Description == nil || *p.Title == "" || *p.Description == "" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == nil {
			t.Errorf("a panel lacks something: %+v", p)
			continue
		}
		if p.Datasource == nil || p.Datasource.Uid == nil || *p.Datasource.Uid != "${datasource}" {
			t.Errorf("panel %q is bound to one data source", *p.Title)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is too wide", *p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := seen[[2]uint32{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", other, *p.Title)
				}
				seen[[2]uint32{x, y}] = *p.Title
			}
		}
	}
	if len(d.Panels) < 15 {
		t.Errorf("there are %d panels", len(d.Panels))
	}
}
