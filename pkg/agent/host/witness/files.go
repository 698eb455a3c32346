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

package witness

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

// scripts are the dispatch scripts that libnmstate shows.
const scripts = "/etc/NetworkManager/dispatcher.d/nmstate-*"

// files compares what is in files, and the hostname: nothing reports a change of them in time.
type files struct{}

func (files) observe(context.Context) ([]byte, error) {
	facts := sha256.New()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	facts.Write(name.Nodename[:])
	paths, _ := filepath.Glob(scripts) // the pattern is good
	if err := contents(facts, append(paths, undo.ResolvConf, undo.HostnameFile)); err != nil {
		return nil, err
	}
	return facts.Sum(nil), nil
}

func (files) close() {}

// contents writes what is in files, and which of them are not there.
func contents(facts io.Writer, paths []string) error {
	for _, path := range paths {
		content, err := slurp(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		fmt.Fprintf(facts, "%s %t %d\n%s", path, err == nil, len(content), content)
	}
	return nil
}

// slurp is os.ReadFile for small files, without the system calls by which that
// prepares to wait for what never makes it wait.
func slurp(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var content []byte
	for buffer := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return content, err
		}
		content = append(content, buffer[:n]...)
	}
}
