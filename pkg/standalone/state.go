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

// Package standalone is what the API server needs when it runs without a
// cluster: a folder with its certificates, its join tokens, the terms of its
// resourceVersions and the nodes that have joined.
package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
)

// The files of the state folder.
const (
	caCertFile    = "ca.crt"
	caKeyFile     = "ca.key"
	joinTokenFile = "join-token"
	termFile      = "term"
	nodesFolder   = "nodes"
	// joinTokensFolder has the tokens that expire, joinTokenFile the shared one.
	joinTokensFolder = "join-tokens"
)

// termDistance is the least distance between the first resourceVersions of two
// terms. No term issues as many, so that no two terms issue the same.
const termDistance = 1 << 32

// State is the state folder.
type State struct{ dir string }

// Open returns the State in dir. It makes the folder if it is not there, for its
// owner alone.
func Open(dir string) (*State, error) {
	for _, folder := range []string{nodesFolder, joinTokensFolder} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("making the state folder: %w", err)
		}
	}
	return &State{dir: dir}, nil
}

// OpenExisting returns the State in dir, which a server must have made.
func OpenExisting(dir string) (*State, error) {
	if _, err := os.Stat(filepath.Join(dir, nodesFolder)); err != nil {
		return nil, fmt.Errorf("%q is not the state folder of a standalone server: %w; start the server first, or give its --state-dir", dir, err)
	}
	return Open(dir)
}

// Sweep removes the temporary files, some with secrets, that a crash in the midst
// of a write has left in the folder. The server calls it at its start, before it
// writes. It leaves the folder of the join tokens alone: another process may be
// writing there, and its files hold hashes only.
func (s *State) Sweep() error {
	var errs []error
	for _, name := range []string{caCertFile, caKeyFile, joinTokenFile, termFile, filepath.Join(nodesFolder, "*"+nodeFile)} {
		errs = append(errs, atomicfile.Sweep(s.path(name)))
	}
	return errors.Join(errs...)
}

func (s *State) path(name string) string { return filepath.Join(s.dir, name) }

// BeginTerm returns the revision after which this term's resourceVersions begin,
// and records it. It is the time in µs. If the clock is behind, it is 2^32 more
// than that of the last term: no resourceVersion is ever issued twice.
func (s *State) BeginTerm(now time.Time) (uint64, error) {
	last, err := s.lastTerm()
	if err != nil {
		return 0, err
	}
	term := max(uint64(now.UnixMicro()), last+termDistance)
	if err := atomicfile.Write(s.path(termFile), []byte(strconv.FormatUint(term, 10)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("recording the term: %w", err)
	}
	return term, nil
}

func (s *State) lastTerm() (uint64, error) {
	text, err := os.ReadFile(s.path(termFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the last term: %w", err)
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the last term in %s is damaged: %w; remove the file to begin with the clock's time", s.path(termFile), err)
	}
	return last, nil
}

// SharedJoinToken returns the token that lets any node join and never expires,
// made on first use, and the path of its file.
func (s *State) SharedJoinToken() (token, path string, err error) {
	path = s.path(joinTokenFile)
	if err := secretfile.Ensure(path); err != nil {
		return "", "", fmt.Errorf("making the shared join token: %w", err)
	}
	if token, err = secretfile.Read(path); err != nil {
		return "", "", fmt.Errorf("reading the shared join token: %w", err)
	}
	return token, path, nil
}
