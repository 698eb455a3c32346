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

package command

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/traffic"
)

// The orders of the table.
const (
	sortByName    = "name"
	sortByTraffic = "traffic"
	sortByErrors  = "errors"
)

// topOrders are the values of --sort-by.
var topOrders = []string{sortByName, sortByTraffic, sortByErrors}

// topRow is an interface of a node.
type topRow struct {
	node string
	traffic.Port
}

// rows returns the interfaces of all nodes in the order that is wanted.
func (t *top) rows(round topRound) []topRow {
	var rows []topRow
	for _, node := range round.Nodes {
		for _, port := range node.Interfaces {
			rows = append(rows, topRow{node.Node, port})
		}
	}
	rate := func(row topRow) float64 {
		switch {
		case row.Rates == nil || t.sortBy == sortByName:
			return 0
		case t.sortBy == sortByTraffic:
			return row.Rates.Bytes()
		}
		return row.Rates.Errors() + row.Rates.Drops()
	}
	slices.SortStableFunc(rows, func(a, b topRow) int {
		return cmp.Or(cmp.Compare(rate(b), rate(a)), cmp.Compare(a.node, b.node), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// lines returns the table of a round, and below it a line for each node that has told nothing.
func (t *top) lines(round topRound) []string {
	rows := &table{alone: len(round.Nodes) == 1}
	rows.add("NODE", "INTERFACE", "CARRIER", "SPEED", "RX B/S", "TX B/S", "RX PKT/S", "TX PKT/S", "ERR/S", "DROP/S")
	for _, row := range t.rows(round) {
		cells := []string{row.Name, yesOrNo(row.Carrier), speed(row.Speed)}
		if r := row.Rates; r != nil {
			for _, rate := range []float64{r.RxBytes, r.TxBytes, r.RxPackets, r.TxPackets, r.Errors(), r.Drops()} {
				cells = append(cells, quantity(rate))
			}
		} else {
			cells = append(cells, make([]string, 6)...)
		}
		rows.add(row.node, cells...)
	}
	var text bytes.Buffer
	w := printers.GetNewTabWriter(&text)
	for _, row := range rows.rows {
		// A buffer takes all.
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	return append(strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n"), messages(round)...)
}

// messages says of which nodes nothing was told, and why.
func messages(round topRound) []string {
	var lines []string
	for _, node := range round.Nodes {
		if node.Message == "" {
			continue
		}
		line := node.Message
		if node.Node != "" {
			line = node.Node + ": " + line
		}
		lines = append(lines, safe(line))
	}
	return lines
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// speed returns Mbit/s as people say it; "" if they are not known.
func speed(megabits int64) string {
	switch {
	case megabits <= 0:
		return ""
	case megabits < 1000:
		return fmt.Sprintf("%dM", megabits)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(megabits)/1000), ".0") + "G"
}

// quantity returns a number with two or three digits, and a letter for what it is multiplied with. What is more than nothing is shown so.
func quantity(number float64) string {
	units := []string{"", "k", "M", "G", "T"}
	unit := 0
	for number >= 999.5 && unit < len(units)-1 {
		number /= 1000
		unit++
	}
	digits := 0
	if number > 0 && number < 9.95 {
		number, digits = max(number, 0.1), 1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.*f", digits, number), ".0") + units[unit]
}

// screen is the end of a terminal, which is printed over.
type screen struct {
	out io.Writer
	// size returns how wide and how high the terminal is now.
	size func() (width, height int)
	// printed is how many lines are printed over next.
	printed int
}

// draw prints lines over those that were printed last, as many as the terminal has room for.
func (s *screen) draw(lines []string) {
	width, height := s.size()
	if most := max(height-1, 2); len(lines) > most {
		left := len(lines) - most + 1
		lines = append(slices.Clone(lines[:most-1]), fmt.Sprintf("and %d more lines; -i and -l show less, --sort-by=traffic shows the busiest first", left))
	}
	var text strings.Builder
	if s.printed > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", s.printed)
	}
	for _, line := range lines {
		text.WriteString("\r" + cut(line, width) + "\x1b[K\n")
	}
	text.WriteString("\x1b[J")
	s.printed = len(lines)
	_, _ = io.WriteString(s.out, text.String())
}
