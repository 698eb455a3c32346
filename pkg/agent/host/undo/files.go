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

package undo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

const (
	// ResolvConf is where nmstate, without NetworkManager, keeps DNS.
	ResolvConf = "/etc/resolv.conf"
	// HostnameFile has the hostname that a reboot brings.
	HostnameFile = "/etc/hostname"
	// linkFiles is where nmstate keeps alternative names, in files with linkFilePrefix.
	linkFiles      = "/etc/systemd/network"
	linkFilePrefix = "98-nmstate-"
	// scriptFiles is where nmstate, with NetworkManager, keeps the dispatch scripts, in
	// files with scriptPrefix. No checkpoint covers them.
	scriptFiles  = "/etc/NetworkManager/dispatcher.d"
	scriptPrefix = "nmstate-"
)

// file is a file as it was.
type file struct {
	Content []byte      `json:"content"`
	Mode    fs.FileMode `json:"mode"`
}

// noteFiles notes the sections that are kept in files, and which.
func (s *scope) noteFiles(wanted map[string]any) {
	if _, s.dns = wanted["dns-resolver"]; s.dns {
		s.files = append(s.files, ResolvConf)
	}
	if _, s.hostname = wanted["hostname"]; s.hostname {
		s.files = append(s.files, HostnameFile)
	}
	aliases, scripts := false, false
	for _, item := range tree.List(wanted, "interfaces") {
		iface, _ := item.(map[string]any)
		// nmstate takes away the files of what it takes away.
		absent := iface["state"] == "absent"
		aliases = aliases || absent || iface["alt-names"] != nil
		scripts = scripts || absent || iface["dispatch"] != nil
	}
	for _, link := range slices.Sorted(maps.Keys(s.links)) {
		if strings.ContainsRune(link, filepath.Separator) {
			continue
		}
		if aliases {
			s.files = append(s.files, filepath.Join(linkFiles, linkFilePrefix+link+".link"))
		}
		// NetworkManager also sets those of the ports that a change takes from a bridge without naming them.
		if s.managed {
			s.files = append(s.files, sysctlsOf(link)...)
		}
		if scripts && s.managed {
			for _, action := range []string{upSuffix, downSuffix} {
				s.files = append(s.files, filepath.Join(scriptFiles, scriptPrefix+link+action))
			}
		}
	}
}

// noteFiles notes the files that are there.
func (s *snapshot) noteFiles() error {
	for _, name := range s.scope.files {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		s.files[name] = file{content, info.Mode().Perm()}
	}
	return nil
}

// isManaged tells whether NetworkManager writes a file. It is left to it.
func (s *snapshot) isManaged(name string) bool {
	return s.scope.managed && (name == ResolvConf || name == HostnameFile)
}

// mendFiles puts the files that nmstate writes, and the hostname, back. What
// NetworkManager writes is left to it.
func (s *snapshot) mendFiles(_ context.Context, now *snapshot, _ Apply) error {
	errs := []error{s.putBack(now, s.scope.files)}
	if s.hostname != now.hostname {
		errs = append(errs, unix.Sethostname([]byte(s.hostname)))
	}
	return errors.Join(errs...)
}

func (f file) same(other file) bool {
	return f.Mode == other.Mode && bytes.Equal(f.Content, other.Content)
}

// write writes the file where it was. It writes into a file that is there: resolv.conf may
// be a link, or mounted.
func (f file) write(name string) error {
	err := os.WriteFile(name, f.Content, f.Mode)
	if errors.Is(err, fs.ErrNotExist) { // so is its folder
		if err = os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			err = os.WriteFile(name, f.Content, f.Mode)
		}
	}
	if info, gone := os.Stat(name); err == nil && gone == nil && info.Mode().Perm() != f.Mode {
		err = os.Chmod(name, f.Mode)
	}
	if err != nil {
		return fmt.Errorf("putting a file back: %w", err)
	}
	return nil
}

// differingFiles names the files that one snapshot has and the other has not, or has otherwise.
func (s *snapshot) differingFiles(now *snapshot) []string {
	var found []string
	for _, name := range slices.Sorted(slices.Values(s.scope.files)) {
		was, wasThere := s.meaning(name)
		is, isThere := now.meaning(name)
		switch {
		case isThere != wasThere && isSysctl(name):
			// The link is not there, which is told of the link.
		case wasThere && !isThere:
			found = append(found, "file "+name+" is missing")
		case !wasThere && isThere:
			found = append(found, "file "+name+" is left")
		case !is.same(was):
			found = append(found, "file "+name+" is different")
		}
	}
	return found
}

// meaning returns a file as it counts. Of what NetworkManager writes, its own comments, ends of
// lines and modes do not count, and no file means no more than an empty one.
func (s *snapshot) meaning(name string) (file, bool) {
	is, there := s.files[name]
	if !s.isManaged(name) {
		return is, there
	}
	var lines []string
	for line := range strings.Lines(string(is.Content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return file{Content: []byte(strings.Join(lines, "\n"))}, len(lines) > 0
}

// putBack puts some files back, but for those that NetworkManager writes.
func (s *snapshot) putBack(now *snapshot, names []string) error {
	var errs []error
	for _, name := range names {
		was, wasThere := s.files[name]
		is, isThere := now.files[name]
		switch {
		case s.isManaged(name), isThere != wasThere && isSysctl(name):
		case wasThere && (!isThere || !is.same(was)):
			errs = append(errs, was.write(name))
		case isThere && !wasThere:
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}
