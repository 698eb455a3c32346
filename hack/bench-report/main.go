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

// Command bench-report makes tables and plots of what make bench and make bench-scale have measured: bench-report DOCUMENT FILE...
// puts tables of the results in the files into the document, between two comments, and plots into a folder beside it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// measurement is one line of the results; test/bench says what its fields are.
type measurement struct {
	Suite     string             `json:"suite"`
	What      string             `json:"what"`
	Form      string             `json:"form"`
	Nodes     int                `json:"nodes"`
	Samples   int                `json:"samples"`
	P50       float64            `json:"p50"`
	P99       float64            `json:"p99"`
	CPU       map[string]float64 `json:"cpu"`
	RSS       map[string]int     `json:"rss"`
	Bytes     int64              `json:"bytes"`
	EtcdBytes int64              `json:"etcdBytes"`
	Note      string             `json:"note"`
}

// The comments between which the tables are.
const (
	beginMark = "<!-- measured: make bench-report writes from here -->"
	endMark   = "<!-- to here -->"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: bench-report DOCUMENT FILE...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-report:", err)
		os.Exit(1)
	}
}

// run makes the report in a document.
func run(document string, files []string) error {
	var all results
	for _, name := range files {
		read, err := readResults(name)
		if err != nil {
			return err
		}
		all = append(all, read...)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s lacks %q or %q", document, beginMark, endMark)
	}
	folder := strings.TrimSuffix(document, filepath.Ext(document))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString("\n\n")
	for _, nodes := range all.sizes() {
		own := all.with("scale", nodes)
		plots, err := drawAll(own, folder, nodes)
		if err != nil {
			return err
		}
		writeScale(&out, own, nodes, filepath.Base(folder), plots)
	}
	writeBench(&out, all.with("bench", 0))
	return os.WriteFile(document, []byte(before+beginMark+out.String()+endMark+after), 0o644)
}

// results are the measurements of a run, in order.
type results []measurement

// readResults reads a file with one measurement a line. A file that is not there has none.
func readResults(name string) (results, error) {
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all results
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var m measurement
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// sizes returns the numbers of nodes that were measured.
func (r results) sizes() []int {
	var sizes []int
	for _, m := range r {
		if m.Suite == "scale" && !slices.Contains(sizes, m.Nodes) {
			sizes = append(sizes, m.Nodes)
		}
	}
	return sizes
}

// with returns the measurements of a suite with so many nodes.
func (r results) with(suite string, nodes int) results {
	var own results
	for _, m := range r {
		if m.Suite == suite && m.Nodes == nodes {
			own = append(own, m)
		}
	}
	return own
}

// whats returns what was measured, in order.
func (r results) whats() []string {
	var whats []string
	for _, m := range r {
		if !slices.Contains(whats, m.What) {
			whats = append(whats, m.What)
		}
	}
	return whats
}

// find returns what was measured of a form, nil if nothing was.
func (r results) find(what, form string) *measurement {
	for i := range r {
		if r[i].What == what && r[i].Form == form {
			return &r[i]
		}
	}
	return nil
}

// seconds returns the processor time of all processes together.
func (m *measurement) seconds() float64 {
	sum := 0.
	for _, one := range m.CPU {
		sum += one
	}
	return sum
}
