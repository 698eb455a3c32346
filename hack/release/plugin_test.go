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
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// krewPlugin is what krew reads of a manifest.
type krewPlugin struct {
	Metadata struct{ Name string }
	Spec     struct {
		Version, Homepage string
		ShortDescription  string `yaml:"shortDescription"`
		Platforms         []struct {
			Selector struct {
				MatchLabels platform `yaml:"matchLabels"`
			}
			URI, SHA256, Bin string
			Files            []struct{ From, To string }
		}
	}
}

// testPlugin installs the plugin for each platform as krew does, and runs it.
func testPlugin(t *testing.T, assets map[string][]byte, programs programs, hub string) {
	t.Helper()
	var plugin krewPlugin
	if err := yaml.Unmarshal(assets["nmstate.yaml"], &plugin); err != nil {
		t.Fatal(err)
	}
	spec := plugin.Spec
	if plugin.Metadata.Name != "nmstate" || spec.Version != "v1.2.3" || spec.Homepage != hub+"/nmstate/some" || spec.ShortDescription == "" {
		t.Errorf("krew's manifest is %+v", plugin)
	}
	if len(spec.Platforms) != len(platforms()) {
		t.Errorf("krew's manifest has %d platforms", len(spec.Platforms))
	}
	for _, p := range spec.Platforms {
		system := p.Selector.MatchLabels
		folder, name := path.Split(p.URI)
		if folder != hub+"/nmstate/some/releases/download/v1.2.3/" {
			t.Errorf("%v is at %s", system, folder)
		}
		archive := assets[name]
		if got := fmt.Sprintf("%x", sha256.Sum256(archive)); got != p.SHA256 {
			t.Errorf("%s has the checksum %s, and the manifest says %s", name, got, p.SHA256)
		}
		files := unpack(t, name, archive)
		for _, f := range p.Files {
			if files[f.From] == nil {
				t.Errorf("%s lacks %s", name, f.From)
			}
		}
		want, err := os.ReadFile(programs.plugin[system])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(files[p.Bin], want) {
			t.Errorf("%s of %s is not the program that was built", p.Bin, name)
		}
		if system == (platform{runtime.GOOS, runtime.GOARCH}) {
			installed := path.Join(t.TempDir(), p.Bin)
			write(t, installed, string(files[p.Bin]), 0o755)
			run(t, ".", installed)
		}
	}
}

// unpack returns the files of an archive by their names. The programs among them can be executed.
func unpack(t *testing.T, name string, text []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	take := func(name string, mode int64, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, pluginName) && mode&0o111 == 0 {
			t.Errorf("%s cannot be executed", name)
		}
		files[name] = content
	}
	if strings.HasSuffix(name, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			take(f.Name, int64(f.Mode()), r)
		}
		return files
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		take(header.Name, header.Mode, archive)
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
