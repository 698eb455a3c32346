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
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// board shows how far the changes of several nodes are: on a terminal a line for each node, which is printed over; else a line for
// each step.
type board struct {
	out     io.Writer
	rewrite bool
	// columns is how wide the terminal is.
	columns func() int
	// width is how wide the column of names is.
	width int
	now   func() time.Time

	mu sync.Mutex
	// lines are those of the changes that are under way, and of those that have ended since lines were printed.
	lines []*boardLine
	// printed is how many lines are printed over next.
	printed int
	// paused tells whether the user is asked something: nothing may be printed over that.
	paused bool
}

// boardLine is a node whose change is under way.
type boardLine struct {
	change.Progress
	begun, stageBegun time.Time
	// result is set once the change has ended.
	result string
}

func newBoard(out io.Writer, rewrite bool, nodes []string) *board {
	b := &board{out: out, rewrite: rewrite, now: time.Now, columns: func() int {
		columns, _ := sizeOf(out)
		return columns
	}}
	for _, node := range nodes {
		b.width = max(b.width, len(node))
	}
	return b
}

// line returns the line of a node. The caller holds the lock.
func (b *board) line(node string) *boardLine {
	for _, line := range b.lines {
		if line.Node == node {
			return line
		}
	}
	line := &boardLine{begun: b.now()}
	line.Node = node
	b.lines = append(b.lines, line)
	return line
}

// report shows a step of a change.
func (b *board) report(progress change.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := b.line(progress.Node)
	if line.Stage == progress.Stage && line.Change == progress.Change {
		line.Progress = progress
		return
	}
	line.Progress, line.stageBegun = progress, b.now()
	if !b.rewrite {
		fmt.Fprintln(b.out, b.text(line))
		return
	}
	b.draw()
}

// end shows how a change has ended.
func (b *board) end(node, result string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := b.line(node)
	line.result = result
	if !b.rewrite {
		fmt.Fprintln(b.out, b.text(line))
		return
	}
	b.draw()
}

// draw prints all lines over those that were printed. A line that is printed over again is cut where the terminal ends, as the terminal
// would make two of it; one of a change that has ended is printed whole, and for the last time. The caller holds the lock.
func (b *board) draw() {
	if b.paused {
		return
	}
	var ended, going strings.Builder
	if b.printed > 0 {
		fmt.Fprintf(&ended, "\x1b[%dA", b.printed)
	}
	columns := b.columns()
	b.lines = slices.DeleteFunc(b.lines, func(line *boardLine) bool {
		if line.result != "" {
			ended.WriteString("\r" + b.text(line) + "\x1b[K\n")
			return true
		}
		going.WriteString("\r" + cut(b.text(line), columns) + "\x1b[K\n")
		return false
	})
	b.printed = len(b.lines)
	_, _ = io.WriteString(b.out, ended.String()+going.String())
}

// cut returns so much of a text as there are columns for.
func cut(text string, columns int) string {
	if runes := []rune(text); len(runes) > columns {
		return string(runes[:max(columns-1, 0)]) + "…"
	}
	return text
}

// pause leaves the lines as they are until resume, which begins below what was printed meanwhile.
func (b *board) pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = true
}

func (b *board) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused, b.printed = false, 0
}

// tick draws the lines anew each second, for the seconds in them, until done is closed.
func (b *board) tick(done <-chan struct{}) {
	if !b.rewrite {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.mu.Lock()
			if b.printed > 0 {
				b.draw()
			}
			b.mu.Unlock()
		case <-done:
			return
		}
	}
}

// text returns the line of a node: its name, the stage, the seconds of it, and more.
func (b *board) text(line *boardLine) string {
	if line.result != "" {
		return safe(fmt.Sprintf("%-*s  %s", b.width, line.Node, line.result))
	}
	parts := []string{fmt.Sprintf("%-*s  %s", b.width, line.Node, line.Stage)}
	if seconds := int(b.now().Sub(line.stageBegun).Seconds()); b.rewrite && seconds > 0 {
		parts = append(parts, fmt.Sprintf("%ds", seconds))
	}
	if probes := probesText(line.Probes); probes != "" {
		parts = append(parts, probes)
	}
	if line.Message != "" {
		parts = append(parts, firstLine(line.Message))
	}
	return safe(strings.Join(parts, "  "))
}

// probesText says how many of the probes that must pass have passed, and which have not.
func probesText(probes []v1alpha1.ProbeResult) string {
	required, passed := 0, 0
	var failed []string
	for _, probe := range probes {
		if !probe.Required {
			continue
		}
		required++
		switch probe.After {
		case v1alpha1.ProbePassed:
			passed++
		case v1alpha1.ProbeFailed:
			failed = append(failed, probe.Name)
		}
	}
	if required == 0 {
		return ""
	}
	text := fmt.Sprintf("probes %d/%d", passed, required)
	if len(failed) > 0 {
		text += " (" + strings.Join(failed, ", ") + " failed)"
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// outcome returns the line of a change that has ended, or was left.
func outcome(result change.Result, took time.Duration) string {
	last := result.LastApply
	switch {
	case result.Unchanged:
		return "nothing to change"
	case last == nil && !result.NotSent && result.Error != nil && (result.Error.Code == fault.Interrupted || result.Error.Code == fault.Undecided):
		return "not known"
	case last == nil:
		return "not changed"
	}
	parts := []string{string(last.Outcome)}
	if last.Outcome == v1alpha1.ApplyInProgress {
		parts[0] = string(last.Stage)
		if last.ConfirmBefore != nil {
			parts = append(parts, "until "+last.ConfirmBefore.UTC().Format(time.RFC3339))
		}
	} else {
		parts = append(parts, "in "+took.Round(time.Second/10).String())
	}
	if last.ConfirmedBy != "" && last.Outcome == v1alpha1.ApplyCommitted {
		parts = append(parts, "confirmed by "+string(last.ConfirmedBy))
	}
	if probes := probesText(last.Probes); probes != "" {
		parts = append(parts, probes)
	}
	return strings.Join(append(parts, "change "+last.ID), "  ")
}
