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
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

const (
	upSuffix, downSuffix = "-up.sh", "-down.sh"
	// scriptTimeout is how long one dispatch script may take.
	scriptTimeout = 10 * time.Second
)

// uncoveredScripts names the dispatch scripts of a desired state that run when a link is activated:
// nobody knows what they do.
func uncoveredScripts(desired []byte) []string {
	root, err := tree.Decode(desired)
	if err != nil {
		return nil
	}
	var names []string
	for _, item := range tree.List(root, "interfaces") {
		iface, _ := item.(map[string]any)
		scripts, _ := iface["dispatch"].(map[string]any)
		if tree.StringAt(scripts, "post-activation") != "" {
			names = append(names, "what the post-activation script of "+tree.StringAt(iface, "name")+
				" has done and its post-deactivation script does not undo")
		}
	}
	return names
}

// TakeScriptsBack undoes what the change's dispatch scripts have done, as far as they can: it runs
// the post-deactivation script of each link whose post-activation script is the change's. Then it puts
// the scripts back. It must be called before NetworkManager rolls back: the rollback activates links,
// which would run the change's scripts again, and may deactivate none.
func (b *Before) TakeScriptsBack(ctx context.Context) error {
	var errs []error
	for _, down := range b.was.scope.files {
		link, is := scriptOf(down)
		if !is || !b.was.isOurs(strings.TrimSuffix(down, downSuffix)+upSuffix) || !b.was.isOurs(down) {
			continue
		}
		if err := runScript(ctx, down, link); err != nil {
			errs = append(errs, fmt.Errorf("running the post-deactivation script of %s: %w", link, err))
		}
	}
	now := newSnapshot(b.was.scope, nil)
	err := now.noteFiles()
	if err == nil {
		err = b.was.putBack(now, slices.DeleteFunc(slices.Clone(b.was.scope.files), func(name string) bool {
			return filepath.Dir(name) != scriptFiles
		}))
	}
	return errors.Join(append(errs, err)...)
}

// scriptOf returns the link of a post-deactivation script.
func scriptOf(name string) (link string, is bool) {
	folder, base := filepath.Split(name)
	link, starts := strings.CutPrefix(base, scriptPrefix)
	link, ends := strings.CutSuffix(link, downSuffix)
	return link, starts && ends && folder == scriptFiles+"/"
}

// isOurs tells whether a file is there now that was not there before, or was another.
func (s *snapshot) isOurs(name string) bool {
	now, err := os.ReadFile(name)
	was, wasThere := s.files[name]
	return err == nil && (!wasThere || string(was.Content) != string(now))
}

// runScript runs a script as NetworkManager's dispatcher does. What the script says is not read: it may
// have secrets.
func runScript(ctx context.Context, name, link string) error {
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	script := exec.CommandContext(ctx, name, link, "down")
	script.Env = []string{"PATH=" + os.Getenv("PATH"), "DEVICE_IFACE=" + link, "DEVICE_IP_IFACE=" + link, "NM_DISPATCHER_ACTION=down"}
	script.Dir = "/"
	script.WaitDelay = time.Second
	return script.Run()
}
