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
	"bytes"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"testing"

	"go.yaml.in/yaml/v3"
)

// krewPlugin is what a release's manifest for krew says beside what krew checks.
type krewPlugin struct {
	Spec struct {
		Version, Homepage string
		Platforms         []struct {
			Selector struct {
				MatchLabels platform `yaml:"matchLabels"`
			}
			URI string
		}
	}
}

// testPlugin has krew install the plugin for each platform, and runs that of this one.
func testPlugin(t *testing.T, assets map[string][]byte, programs programs, hub string) {
	t.Helper()
	var plugin krewPlugin
	if err := yaml.Unmarshal(assets["nmstate.yaml"], &plugin); err != nil {
		t.Fatal(err)
	}
	spec := plugin.Spec
	if spec.Version != "v1.2.3" || spec.Homepage != hub+"/nmstate/some" {
		t.Errorf("krew's manifest is %+v", plugin)
	}
	if len(spec.Platforms) != len(platforms()) {
		t.Errorf("krew's manifest has %d platforms", len(spec.Platforms))
	}
	downloaded := t.TempDir()
	manifest := filepath.Join(downloaded, "nmstate.yaml")
	write(t, manifest, string(assets["nmstate.yaml"]), 0o644)
	for _, p := range spec.Platforms {
		system := p.Selector.MatchLabels
		folder, name := path.Split(p.URI)
		if folder != hub+"/nmstate/some/releases/download/v1.2.3/" {
			t.Errorf("%v is at %s", system, folder)
		}
		archive := filepath.Join(downloaded, name)
		write(t, archive, string(assets[name]), 0o644)
		program, err := newKrew(t, programs.krew, "").install(system, manifest, archive)
		if err != nil {
			t.Errorf("%v: %v", system, err)
			continue
		}
		want, err := os.ReadFile(programs.plugin[system])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(program, want) {
			t.Errorf("what %s has for %v is not the program that was built", name, system)
		}
		if system == (platform{runtime.GOOS, runtime.GOARCH}) {
			installed := filepath.Join(t.TempDir(), system.program())
			write(t, installed, string(program), 0o755)
			run(t, ".", installed)
		}
	}
}

// TestDownloads: where GitHub, and a server of one's own, have a release's files.
func TestDownloads(t *testing.T) {
	for api, want := range map[string]string{
		"https://api.github.com":          "https://github.com/a/b/releases/download/v1.0.0",
		"https://git.example.com/api/v3/": "https://git.example.com/a/b/releases/download/v1.0.0",
	} {
		if got, err := downloads(api, "a/b", "v1.0.0"); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", api, got, err, want)
		}
	}
}
