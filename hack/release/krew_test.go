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

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// krew is krew itself, with a folder of its own for what it installs.
type krew struct {
	// root is where it installs plugins.
	root        string
	environment []string
}

// newKrew makes krew a plugin of kubectl, which may be "". They find nothing else that is installed.
func newKrew(t *testing.T, program, kubectl string) krew {
	t.Helper()
	bin := t.TempDir()
	for name, target := range map[string]string{"kubectl-krew": program, "kubectl": kubectl} {
		if err := os.Symlink(target, filepath.Join(bin, name)); target != "" && err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	// It lists and removes plugins only if it has an index of them, which is a git repository.
	run(t, ".", "git", "init", "--quiet", filepath.Join(root, "index", "default"))
	return krew{root, []string{"HOME=" + t.TempDir(), "KREW_ROOT=" + root, "KREW_NO_UPGRADE_CHECK=1",
		"PATH=" + filepath.Join(root, "bin") + string(os.PathListSeparator) + bin}}
}

// run runs a command of krew's PATH and returns what it prints. The command can have variables before it.
func (k krew) run(command ...string) (string, error) {
	out, err := exec.Command("env", append(append([]string{"-i"}, k.environment...), command...)...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return string(out), nil
}

// install installs the plugin of a system, and returns its program.
func (k krew) install(p platform, manifest, archive string) ([]byte, error) {
	if _, err := k.run("KREW_OS="+p.OS, "KREW_ARCH="+p.Arch, "kubectl-krew", "install", "--manifest="+manifest, "--archive="+archive); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(k.root, "store", "nmstate", "*", p.program()))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("krew has installed %v (%w)", found, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(found[0]), "LICENSE")); err != nil {
		return nil, err
	}
	if info, err := os.Stat(found[0]); err != nil || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("%s cannot be executed (%w)", found[0], err)
	}
	return os.ReadFile(found[0])
}

// realPlugin makes the archives and the manifest of a release in a folder, with the plugin that was built for this system, and returns the
// folder and the paths of plugin and kubectl.
func realPlugin(t *testing.T) (folder, plugin, kubectl string) {
	t.Helper()
	built := func(name string) string {
		path, err := filepath.Abs(filepath.Join("..", "..", "_output", "bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("make plugin kubectl builds it: %v", err)
		}
		return path
	}
	plugin, kubectl = built(pluginName), built("kubectl")
	program, err := os.ReadFile(plugin)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "LICENSE"), "the licence\n", 0o644)
	for _, p := range platforms() {
		content := "the plugin for " + p.OS + " on " + p.Arch
		if p == (platform{runtime.GOOS, runtime.GOARCH}) {
			content = string(program)
		}
		write(t, filepath.Join(root, "_output", "plugins", p.OS+"-"+p.Arch, p.program()), content, 0o755)
	}
	folder = t.TempDir()
	r := &release{options: options{root: root, repository: "nmstate/some", apiURL: "https://api.github.com"}, version: version{name: "v1.2.3"}}
	if err := r.plugins(folder); err != nil {
		t.Fatal(err)
	}
	return folder, plugin, kubectl
}

// testKrew: krew installs the real plugin from an archive and the manifest of a release; kubectl then has it as a command, until krew
// removes it. An archive that is not the one of the manifest is refused.
func testKrew(t *testing.T, programs programs) {
	folder, plugin, kubectl := realPlugin(t)
	k := newKrew(t, programs.krew, kubectl)
	manifest := "--manifest=" + filepath.Join(folder, "nmstate.yaml")
	archive := "--archive=" + filepath.Join(folder, pluginName+"-"+runtime.GOOS+"-"+runtime.GOARCH+".tar.gz")
	unknown := func(when string) {
		if out, err := k.run("kubectl", "nmstate", "--help"); err == nil || !strings.Contains(out, `unknown command "nmstate"`) {
			t.Errorf("%s: %v\n%s", when, err, out)
		}
	}
	unknown("before it is installed")
	other := "--archive=" + filepath.Join(folder, pluginName+"-darwin-"+runtime.GOARCH+".tar.gz")
	if out, err := k.run("kubectl", "krew", "install", manifest, other); err == nil || !strings.Contains(out, "checksum") {
		t.Errorf("another system's archive: %v\n%s", err, out)
	}
	if _, err := k.run("kubectl", "krew", "install", manifest, archive); err != nil {
		t.Fatal(err)
	}
	want := run(t, ".", plugin, "--help")
	if out, err := k.run("kubectl", "nmstate", "--help"); err != nil || strings.TrimSpace(out) != want || !strings.Contains(out, "kubectl nmstate [command]") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := k.run("kubectl", "krew", "list"); err != nil || !strings.Contains(out, "nmstate") {
		t.Errorf("kubectl krew list: %v\n%s", err, out)
	}
	if _, err := k.run("kubectl", "krew", "uninstall", "nmstate"); err != nil {
		t.Error(err)
	}
	unknown("after it was removed")
	if left, err := filepath.Glob(filepath.Join(k.root, "*", "*nmstate*")); err != nil || len(left) > 0 {
		t.Errorf("krew has left %v (%v)", left, err)
	}
}
