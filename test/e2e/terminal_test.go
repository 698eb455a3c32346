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
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// terminal is one that a program believes a person to sit at.
type terminal struct{ person, program *os.File }

func newTerminal() *terminal {
	GinkgoHelper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	Expect(err).NotTo(HaveOccurred())
	fd := int(person.Fd())
	Expect(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)).To(Succeed())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	Expect(err).NotTo(HaveOccurred())
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	Expect(err).NotTo(HaveOccurred())
	return &terminal{person, program}
}

// start starts a program at the terminal. What it returns returns what has been shown, line by line.
func (t *terminal) start(cmd *exec.Cmd) func() []string {
	GinkgoHelper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.program, t.program, t.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	shown := newLines()
	Expect(cmd.Start()).To(Succeed())
	_ = t.program.Close()
	go func() {
		defer t.person.Close()
		buffer := make([]byte, 4096)
		for {
			n, err := t.person.Read(buffer)
			_, _ = shown.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	return shown.all
}

// write types at the terminal.
func (t *terminal) write(text string) {
	GinkgoHelper()
	_, err := t.person.WriteString(text)
	Expect(err).NotTo(HaveOccurred())
}

// lines gathers what is written to it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLines() *lines { return &lines{} }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// all returns the lines so far.
func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.text.String(), func(r rune) bool { return r == '\n' || r == '\r' })
}

// fileOf returns a file with the text, from which it can be read once.
func fileOf(text string) *os.File {
	GinkgoHelper()
	read, write, err := os.Pipe()
	Expect(err).NotTo(HaveOccurred())
	_, err = write.WriteString(text)
	Expect(err).NotTo(HaveOccurred())
	Expect(write.Close()).To(Succeed())
	return read
}
