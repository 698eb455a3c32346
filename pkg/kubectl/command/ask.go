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
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
)

// asking asks the user at the terminal. board may be nil.
type asking struct {
	*plugin
	board *board
}

// person is who sits at the terminal, and is asked one question at a time. One reader reads all answers: a terminal cannot be read with a limit
// of time, so a reader that waits takes the next line, whoever has asked meanwhile.
type person struct {
	mu    sync.Mutex
	lines <-chan string
}

// terminal returns where the user can be asked: standard input if it is a terminal, else the terminal that the command was started
// from, since standard input may be the manifest. It is nil if there is none.
func (p *plugin) terminal() io.Reader {
	if printers.IsTerminal(p.streams.In) {
		return p.streams.In
	}
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONIN$"
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return file
}

// ask prints a question and returns the line that the user answers, in lower case. ok is false if nobody can be asked, or ctx ends.
func (a *asking) ask(ctx context.Context, question string) (answer string, ok bool) {
	a.person.mu.Lock()
	defer a.person.mu.Unlock()
	if a.person.lines == nil {
		terminal := a.terminal()
		if terminal == nil {
			return "", false
		}
		a.person.lines = linesOf(terminal)
	}
	if a.board != nil {
		a.board.pause()
		defer a.board.resume()
	}
	fmt.Fprint(a.streams.ErrOut, question)
	select {
	case line, open := <-a.person.lines:
		return strings.ToLower(strings.TrimSpace(line)), open
	case <-ctx.Done():
		fmt.Fprintln(a.streams.ErrOut)
		return "", false
	}
}

// linesOf returns the lines of a reader as they come.
func linesOf(from io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(from); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// decide asks what becomes of a change that waits for a confirmation. ctx ends when it waits no more.
func (a *asking) decide(ctx context.Context, node string, waits *v1alpha1.LastApply) change.Decision {
	for {
		left := time.Until(waits.ConfirmBefore.Time).Round(time.Second)
		answer, ok := a.ask(ctx, fmt.Sprintf("%s: the change is in effect, and is rolled back in %v. Keep it? [y/n] ", node, left))
		switch {
		case !ok:
			return change.Leave
		case answer == "y" || answer == "yes":
			return change.Confirm
		case answer == "n" || answer == "no":
			return change.RollBack
		}
	}
}
