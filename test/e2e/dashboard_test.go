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

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// drawing is what the dashboard asks Prometheus for: a target of a panel, or the values of a variable.
type drawing struct {
	title, expression string
	// labels are those that each series must have: the legend shows them, or the variable has their values.
	labels []string
}

var (
	legendLabels = regexp.MustCompile(`{{\s*(\w+)\s*}}`)
	labelValues  = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
)

// dashboard returns what the dashboard asks for, with all that its variables offer, as Grafana asks for it then.
func (s *suite) dashboard() []drawing {
	GinkgoHelper()
	var dashboard struct {
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	text, err := os.ReadFile(filepath.Join(s.root, "artifacts/mixin/rendered/dashboard.json"))
	Expect(err).NotTo(HaveOccurred())
	Expect(json.Unmarshal(text, &dashboard)).To(Succeed())
	variables := strings.NewReplacer("$job", ".+", "$node", ".+", "$__rate_interval", "1m")
	var all []drawing
	for _, variable := range dashboard.Templating.List {
		if variable.Type == "query" {
			parts := labelValues.FindStringSubmatch(variable.Definition)
			Expect(parts).NotTo(BeNil(), variable.Definition)
			all = append(all, drawing{"$" + variable.Name, variables.Replace(parts[1]), parts[2:]})
		}
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			one := drawing{title: panel.Title, expression: variables.Replace(target.Expr)}
			for _, label := range legendLabels.FindAllStringSubmatch(target.LegendFormat, -1) {
				one.labels = append(one.labels, label[1])
			}
			Expect(one.expression).NotTo(ContainSubstring("$"), "a variable that is not known")
			all = append(all, one)
		}
	}
	return all
}

// missing returns which of the drawings show nothing, and why.
func (p *prometheus) missing(ctx context.Context, drawings []drawing) ([]string, error) {
	var all []string
	for _, one := range drawings {
		var data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
		if err := p.ask(ctx, "query", url.Values{"query": {one.expression}}, &data); err != nil {
			return nil, err
		}
		numbers := 0
		for _, series := range data.Result {
			for _, label := range one.labels {
				if _, has := series.Metric[label]; !has {
					all = append(all, fmt.Sprintf("%s: a series of %s has no label %s", one.title, one.expression, label))
				}
			}
			if number, err := strconv.ParseFloat(fmt.Sprint(series.Value[1]), 64); err == nil && !math.IsNaN(number) {
				numbers++
			}
		}
		if numbers == 0 {
			all = append(all, fmt.Sprintf("%s: %s has no value", one.title, one.expression))
		}
	}
	return all, nil
}
