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
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// pluginName is that of the kubectl plugin's program; kubectl finds it by this name.
const pluginName = "kubectl-nmstate"

// platform is a system that the plugin is released for.
type platform struct{ OS, Arch string }

// platforms returns those that the plugin is released for.
func platforms() []platform {
	var all []platform
	for _, os := range []string{"linux", "darwin", "windows"} {
		for _, arch := range []string{"amd64", "arm64"} {
			all = append(all, platform{os, arch})
		}
	}
	return all
}

// program is the name of the plugin's program on the platform.
func (p platform) program() string {
	if p.OS == "windows" {
		return pluginName + ".exe"
	}
	return pluginName
}

// archived is the plugin of a platform, as krew has it in its manifest.
type archived struct {
	platform
	Program, File, URL, SHA256 string
}

// plugins puts an archive of the plugin for each platform into the folder, and krew's manifest, which refers to them.
func (r *release) plugins(folder string) error {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	base, err := downloads(r.apiURL, r.repository, r.version.name)
	if err != nil {
		return err
	}
	var all []archived
	for _, p := range platforms() {
		built := filepath.Join(r.root, "_output", "plugins", p.OS+"-"+p.Arch, p.program())
		program, err := os.ReadFile(built)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("make plugins has not written %s", built)
		}
		if err != nil {
			return err
		}
		one := archived{platform: p, Program: p.program(), File: pluginName + "-" + p.OS + "-" + p.Arch + ".tar.gz"}
		pack := tarball
		if p.OS == "windows" {
			one.File, pack = strings.TrimSuffix(one.File, ".tar.gz")+".zip", zipped
		}
		text, err := pack(file{one.Program, 0o755, program}, file{"LICENSE", 0o644, license})
		if err != nil {
			return fmt.Errorf("packing %s: %w", one.File, err)
		}
		if err := os.WriteFile(filepath.Join(folder, one.File), text, 0o644); err != nil {
			return err
		}
		one.URL, one.SHA256 = base+"/"+one.File, fmt.Sprintf("%x", sha256.Sum256(text))
		all = append(all, one)
	}
	return r.krewManifest(filepath.Join(folder, "nmstate.yaml"), all)
}

// downloads returns the URL of the folder from which GitHub serves the files of a release.
func downloads(apiURL, repository, version string) (string, error) {
	u, err := url.Parse(apiURL)
	if err != nil {
		return "", fmt.Errorf("GITHUB_API_URL: %w", err)
	}
	// GitHub itself has a host for its API, a server of one's own a path.
	u.Host = strings.TrimPrefix(u.Host, "api.")
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/api/v3")
	return u.JoinPath(repository, "releases", "download", version).String(), nil
}

// file is a file of an archive.
type file struct {
	name    string
	mode    int64
	content []byte
}

// tarball returns a compressed archive. The same files give the same bytes.
func tarball(files ...file) ([]byte, error) {
	var text bytes.Buffer
	compressed := gzip.NewWriter(&text)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := errors.Join(archive.Close(), compressed.Close())
	return text.Bytes(), err
}

// zipped is tarball for Windows.
func zipped(files ...file) ([]byte, error) {
	var text bytes.Buffer
	archive := zip.NewWriter(&text)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: epoch}
		header.SetMode(os.FileMode(f.mode))
		w, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(f.content)); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return text.Bytes(), err
}

// epoch is the time of the files in archives.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

var krewTemplate = template.Must(template.New("krew").Parse(`apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: nmstate
spec:
  version: {{.Version}}
  homepage: {{.Homepage}}
  shortDescription: Show and change the networks of nodes
  description: |
    Shows the interfaces, routes and DNS of nodes as they are now, and changes
    them through the API nodenetworkstates.nmstate.io/v1alpha1: with a diff
    before a change, a line of progress during it, and its undoing afterwards.
  caveats: |
    The cluster needs the API server and the agents of kubernetes-nmstate.
    To have kubectl complete the plugin's command lines, link the plugin as
    kubectl_complete-nmstate into a folder of your PATH.
  platforms:
{{- range .Plugins}}
  - selector:
      matchLabels:
        os: {{.OS}}
        arch: {{.Arch}}
    uri: {{.URL}}
    sha256: {{.SHA256}}
    bin: {{.Program}}
    files:
    - from: {{.Program}}
      to: .
    - from: LICENSE
      to: .
{{- end}}
`))

// krewManifest writes what krew installs the plugin from.
func (r *release) krewManifest(path string, plugins []archived) error {
	home, err := downloads(r.apiURL, r.repository, "")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := krewTemplate.Execute(&text, map[string]any{
		"Version": r.version.name, "Homepage": strings.TrimSuffix(strings.TrimSuffix(home, "/"), "/releases/download"), "Plugins": plugins,
	}); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
