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
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFlushTree: what is no file of anybody's, such as a named pipe that nobody reads, is left alone.
func TestFlushTree(t *testing.T) {
	root := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(root, "pre-up.d"), 0o755),
		os.WriteFile(filepath.Join(root, "pre-up.d", "script"), []byte("true"), 0o500),
		os.Symlink("nowhere", filepath.Join(root, "link")),
		unix.Mkfifo(filepath.Join(root, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{root, filepath.Join(root, "pre-up.d", "script"), filepath.Join(root, "missing"), filepath.Join(root, "missing", "too")} {
		if err := flushTree(path); err != nil {
			t.Errorf("flushing %s: %v", path, err)
		}
	}
}
