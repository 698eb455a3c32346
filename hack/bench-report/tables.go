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
	"maps"
	"slices"
	"strings"
)

// The forms that are compared, in the order of the columns.
const (
	standalone = "standalone"
	aggregated = "aggregated"
	stored     = "CRD"
)

// forms returns all of them.
func forms() []string { return []string{standalone, aggregated, stored} }

// writeScale writes what was measured with so many nodes.
func writeScale(out *strings.Builder, r results, nodes int, folder string, plots []plotFile) {
	fmt.Fprintf(out, "### %d nodes\n\n", nodes)
	for _, one := range plots {
		fmt.Fprintf(out, "![%s](%s/%s)\n\n", one.title, folder, one.name)
	}
	fmt.Fprintf(out, "Time, p50 and p99. The ratio is that of the p50 to the CRD's.\n\n")
	writeTable(out, r, func(m *measurement) string {
		if m.Samples == 0 {
			return ""
		}
		if m.Samples == 1 {
			return duration(m.P50)
		}
		return duration(m.P50) + " / " + duration(m.P99)
	}, func(m *measurement) float64 { return m.P50 })
	fmt.Fprintf(out, "Processor time of all processes of the form together: of one answer, of one change for all watchers, or of the whole event.\n\n")
	writeTable(out, r, func(m *measurement) string { return duration(m.seconds()) + parts(m) }, (*measurement).seconds)
	fmt.Fprintf(out, "Bytes that clients were sent (as they ask for them: compressed where the server does that) for one answer or one change (all watchers together), those that were sent to etcd, and the memory (RSS) in MB afterwards.\n\n")
	writeTable(out, r, func(m *measurement) string {
		text := bytesOf(m.Bytes)
		if m.EtcdBytes > 0 {
			text += ", " + bytesOf(m.EtcdBytes) + " to etcd"
		}
		for _, name := range slices.Sorted(maps.Keys(m.RSS)) {
			text += fmt.Sprintf(", %s %d MB", name, m.RSS[name])
		}
		return strings.TrimPrefix(text, ", ")
	}, nil)
	for _, m := range r {
		if strings.Contains(m.Note, "changes in") || strings.Contains(m.Note, "failed") {
			fmt.Fprintf(out, "- %s, %s: %s.\n", m.What, m.Form, m.Note)
		}
	}
	out.WriteString("\n")
}

// writeTable writes a table with a row for each thing and a column for each form, and one for the ratio.
func writeTable(out *strings.Builder, r results, cell func(*measurement) string, compared func(*measurement) float64) {
	out.WriteString("| | standalone | through kube-apiserver | the same as a CRD |")
	if compared != nil {
		out.WriteString(" ratio |")
	}
	out.WriteString("\n| --- | --- | --- | --- |")
	if compared != nil {
		out.WriteString(" --- |")
	}
	out.WriteString("\n")
	for _, what := range r.whats() {
		fmt.Fprintf(out, "| %s |", what)
		for _, form := range forms() {
			text := ""
			if m := r.find(what, form); m != nil {
				text = cell(m)
			}
			fmt.Fprintf(out, " %s |", text)
		}
		if compared != nil {
			a, b := r.find(what, aggregated), r.find(what, stored)
			if a != nil && b != nil && compared(b) > 0 {
				fmt.Fprintf(out, " %.2f |", compared(a)/compared(b))
			} else {
				out.WriteString(" |")
			}
		}
		out.WriteString("\n")
	}
	out.WriteString("\n")
}

// writeBench writes what make bench has measured: each thing, and what it is compared with.
func writeBench(out *strings.Builder, r results) {
	if len(r) == 0 {
		return
	}
	out.WriteString("### One node\n\n| | by | p50 | p99 | ratio |\n| --- | --- | --- | --- | --- |\n")
	for _, what := range r.whats() {
		var first *measurement
		for i := range r {
			m := &r[i]
			if m.What != what {
				continue
			}
			ratio := ""
			if first == nil {
				first = m
			} else if m.P50 > 0 {
				ratio = fmt.Sprintf("%.3f of this", first.P50/m.P50)
			}
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", what, m.Form, duration(m.P50), duration(m.P99), ratio)
		}
	}
	out.WriteString("\n")
}

// parts says what each process has of the processor time, if there are several.
func parts(m *measurement) string {
	if len(m.CPU) < 2 {
		return ""
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(m.CPU)) {
		texts = append(texts, name+" "+duration(m.CPU[name]))
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// duration writes seconds.
func duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "0"
	case seconds < .01:
		return fmt.Sprintf("%.1f ms", seconds*1000)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// bytesOf writes a number of bytes, nothing for none.
func bytesOf(n int64) string {
	switch {
	case n == 0:
		return ""
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
