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

package secretfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEnsure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := Ensure(path); err != nil {
		t.Fatal(err)
	}
	first, err := Read(path)
	if err != nil || len(first) != 64 {
		t.Errorf("the secret is %q, %v", first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if err := Ensure(path); err != nil {
		t.Fatal(err)
	}
	if again, _ := Read(path); again != first {
		t.Error("a secret that was there was replaced")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
	// An empty file is for somebody to look at, not to be overwritten.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(path); err == nil {
		t.Error("an empty file is taken for a secret, or was replaced")
	}
	if err := Ensure(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("a secret was made where none can be")
	}
}
