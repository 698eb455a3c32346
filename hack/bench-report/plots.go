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
	"fmt"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// plotFile is a plot that was drawn.
type plotFile struct{ name, title string }

// kind is one plot: bars of the things whose name begins with one of the beginnings, for each form.
type kind struct {
	name, title, unit string
	beginnings        []string
	value             func(*measurement) float64
}

// kinds returns the plots that are drawn for each number of nodes.
func kinds() []kind {
	milliseconds := func(m *measurement) float64 { return 1000 * m.P50 }
	cpu := func(m *measurement) float64 { return 1000 * m.seconds() }
	memory := func(m *measurement) float64 {
		sum := 0
		for _, one := range m.RSS {
			sum += one
		}
		return float64(sum)
	}
	return []kind{
		{"reads-time", "Time of a read, p50", "ms", []string{"LIST live", "LIST from", "LIST as", "LIST in"}, milliseconds},
		{"reads-cpu", "Processor time of a read", "ms of CPU", []string{"LIST live", "LIST from", "LIST as", "LIST in"}, cpu},
		{"watch-cpu", "Processor time of one change, for 100 watchers", "ms of CPU", []string{"WATCH"}, cpu},
		{"watch-time", "From a change to the event, p50", "ms", []string{"WATCH"}, milliseconds},
		{"storm-memory", "Memory when many informers list at once, all processes", "MB", []string{"20 informers"}, memory},
	}
}

// drawAll draws all plots of the results with so many nodes.
func drawAll(r results, folder string, nodes int) ([]plotFile, error) {
	var drawn []plotFile
	for _, k := range kinds() {
		name := fmt.Sprintf("%s-%d.svg", k.name, nodes)
		title := fmt.Sprintf("%s, %d nodes", k.title, nodes)
		ok, err := k.draw(r, title, filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", name, err)
		}
		if ok {
			drawn = append(drawn, plotFile{name, title})
		}
	}
	return drawn, nil
}

// has tells whether a thing belongs into the plot.
func (k kind) has(what string) bool {
	if strings.Contains(what, "hangs") {
		return false
	}
	for _, begin := range k.beginnings {
		if strings.HasPrefix(what, begin) {
			return true
		}
	}
	return false
}

// draw draws the plot into a file; it returns false if there is nothing to draw.
func (k kind) draw(r results, title, path string) (bool, error) {
	var names []string
	for _, what := range r.whats() {
		if k.has(what) {
			names = append(names, what)
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	p := plot.New()
	p.Title.Text, p.Y.Label.Text, p.Y.Min = title, k.unit, 0
	p.Legend.Top = true
	const width = 18
	for i, form := range forms() {
		values := make(plotter.Values, len(names))
		for j, what := range names {
			if m := r.find(what, form); m != nil {
				values[j] = k.value(m)
			}
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return false, err
		}
		bars.LineStyle.Width = 0
		bars.Color = plotutil.Color(i)
		bars.Offset = vg.Points(float64(i-1) * width)
		p.Add(bars)
		p.Legend.Add(form, bars)
	}
	for i := range names {
		names[i] = short(names[i])
	}
	p.NominalX(names...)
	// Room for the outer bars, and for the legend above them.
	p.X.Min, p.X.Max, p.Y.Max = -.6, float64(len(names))-.4, 1.25*p.Y.Max
	return true, p.Save(vg.Length(max(4, 1.6*float64(len(names))))*vg.Inch, 3.5*vg.Inch, path)
}

// short is the name of a thing as it stands below its bars.
func short(what string) string {
	return strings.NewReplacer("WATCH by 100, ", "", " of the nodes change each second", " change a second", "LIST ", "", "as a table", "table").Replace(what)
}
