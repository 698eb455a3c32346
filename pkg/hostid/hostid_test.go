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

package hostid

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCurrent(t *testing.T) {
	here := current(t)
	boot, err := os.ReadFile(bootID)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(here, strings.TrimSpace(string(boot))+"/") {
		t.Errorf("%q does not begin with the id of this boot %q", here, boot)
	}
	if again := current(t); again != here {
		t.Errorf("first it was %q, then %q", here, again)
	}
}

// TestOtherNetworks: a network namespace that was made again is another one, though the
// number of its inode may be the same.
func TestOtherNetworks(t *testing.T) {
	seen := map[string]bool{current(t): true}
	for range 3 {
		there := make(chan string)
		go func() {
			defer close(there)
			// The thread is of another network for good: it ends with the goroutine.
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Errorf("a network of its own, which takes root: %v", err)
				return
			}
			there <- current(t)
		}()
		id, ok := <-there
		if !ok {
			return
		}
		if seen[id] {
			t.Errorf("two networks are both %q", id)
		}
		seen[id] = true
	}
}

func current(t *testing.T) string {
	t.Helper()
	id, err := Current()
	if err != nil {
		t.Error(err)
	}
	return id
}
