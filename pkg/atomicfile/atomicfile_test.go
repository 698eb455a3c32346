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

package atomicfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"first, and longer", "second"} {
		if err := Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(blocked, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if err := Write(filepath.Join(dir, "none", "file"), nil, 0o600); err == nil {
		t.Error("written into a folder that is not there")
	}
}

// TestSweep: what a crash has left goes, and nothing else does.
func TestSweep(t *testing.T) {
	for pattern, gone := range map[string][]string{
		"record.json": {".record.json-123", ".record.json-4294967295"},
		"*.json":      {".record.json-123", ".record.json-4294967295", ".other.json-7"},
		"a-1":         {".a-1-7"},
		"none":        nil,
	} {
		t.Run(pattern, func(t *testing.T) {
			dir := t.TempDir()
			var left []string
			for _, name := range []string{".record.json-123", ".record.json-4294967295", ".other.json-7", ".a-1-7", ".record.json-x",
				".record.json-", ".record.json", "record.json", "record.json-123", "record.json.damaged-20260101T000000.0", ".folder.json-1/"} {
				path := filepath.Join(dir, name)
				if strings.HasSuffix(name, "/") {
					if err := os.Mkdir(path, 0o700); err != nil {
						t.Fatal(err)
					}
				} else if err := os.WriteFile(path, []byte("s3cret"), 0o600); err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(gone, name) {
					left = append(left, filepath.Base(path))
				}
			}
			if err := Sweep(filepath.Join(dir, pattern)); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, entry := range entries {
				names = append(names, entry.Name())
			}
			slices.Sort(left)
			if !slices.Equal(names, left) {
				t.Errorf("left are %q, not %q", names, left)
			}
		})
	}
	if err := Sweep(filepath.Join(t.TempDir(), "none", "file")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestSweepKnowsTheNamesThatWriteGives, whatever the target's own name.
func TestSweepKnowsTheNamesThatWriteGives(t *testing.T) {
	for _, base := range []string{"record.json", "ca.key", "a-1", "-", ".hidden"} {
		dir := t.TempDir()
		left, err := os.CreateTemp(dir, temporaryName(base))
		if err != nil {
			t.Fatal(err)
		}
		left.Close()
		if err := Sweep(filepath.Join(dir, base)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(left.Name()); err == nil {
			t.Errorf("%s is left", left.Name())
		}
	}
}
