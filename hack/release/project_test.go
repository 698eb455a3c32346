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
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

const description = "What is new:\n\n# a heading, which is no comment\n- and \"quotes\", `code` and $dollars\n"

// programs are what the tests' releases are made with: hack/images and hack/chart themselves, and small programs instead of the real ones; and
// krew, which installs the plugin.
type programs struct {
	images, chart, amd64, arm64, agent, krew string
	// plugin is the plugin of each platform.
	plugin map[platform]string
}

func buildPrograms(t *testing.T) programs {
	folder := t.TempDir()
	build := func(name, source string, environment ...string) string {
		path := filepath.Join(folder, name)
		module := filepath.Join("..", "images")
		switch name {
		case "chart":
			module = filepath.Join("..", "chart")
		case "krew":
			module = "."
		}
		command := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, source)
		command.Dir = module
		command.Env = append(os.Environ(), environment...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", source, err, out)
		}
		return path
	}
	plugin := map[platform]string{}
	for _, p := range platforms() {
		plugin[p] = filepath.Join(folder, "plugin-"+p.OS+"-"+p.Arch)
		if p == (platform{runtime.GOOS, runtime.GOARCH}) {
			build(filepath.Base(plugin[p]), "./testdata/program", "CGO_ENABLED=0")
		} else {
			// To compile for other systems would take a minute, and nothing here runs it.
			write(t, plugin[p], "the plugin for "+p.OS+" on "+p.Arch, 0o755)
		}
	}
	return programs{
		plugin: plugin,
		images: build("images", "."),
		chart:  build("chart", ".", "CGO_ENABLED=0"),
		amd64:  build("amd64", "./testdata/program", "CGO_ENABLED=0", "GOARCH=amd64"),
		arm64:  build("arm64", "./testdata/program", "CGO_ENABLED=0", "GOARCH=arm64"),
		agent:  build("agent", "./testdata/agent", "CGO_ENABLED=1"),
		krew:   build("krew", "sigs.k8s.io/krew/cmd/krew"),
	}
}

const makefile = `
demo-kubectl:
	@mkdir -p _output/bin && touch _output/bin/kubectl

chart:
	@$$CHART --source=$$CHART_SOURCE --out=_output/chart --version="$$IMAGE_TAG" --registry="$$IMAGE_REGISTRY" --repo="$$IMAGE_REPO" --tag="$$IMAGE_TAG" --arch=amd64

images:
	@env >$$WITNESS
	@echo building
	@$$IMAGES --out=_output/images --registry="$$IMAGE_REGISTRY" --repo="$$IMAGE_REPO" --tag="$$IMAGE_TAG" \
		--server="$$SERVER_AMD64" --server="$$SERVER_ARM64" --agent="$$AGENT" --crates="$$CRATES"

plugins:
	@env >>$$WITNESS
	@for built in $$PLUGINS/plugin-*; do \
		[ -e $$built ] || continue; target=_output/plugins/$${built#$$PLUGINS/plugin-}; mkdir -p $$target; \
		case $$target in *windows*) cp $$built $$target/kubectl-nmstate.exe ;; *) cp $$built $$target/kubectl-nmstate ;; esac; \
	done
`

const render = `#!/bin/sh -e
[ -f _output/bin/kubectl ]
for name in nmstate-apiserver nmstate-node-agent; do
	echo "image: $IMAGE_REGISTRY/$IMAGE_REPO/$name:$IMAGE_TAG"
done
env >>$WITNESS
`

// project is a work tree on main, its remote, a registry and GitHub.
type project struct {
	t    *testing.T
	root string
	bare string
	// witness is written by all programs that the release runs: their environment.
	witness string
	hub     *fakeHub
	// registry is its address.
	registry string
	// refuse answers 401 to a request to the registry that it returns true for.
	refuse  func(r *http.Request) bool
	options options
}

func refuseNothing(*http.Request) bool { return false }

// newRegistry returns the URL of a registry.
func (p *project) newRegistry() string {
	backend := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return newServer(p.t, func(w http.ResponseWriter, r *http.Request) {
		if p.refuse(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="tests"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
}

// newServer returns the URL of a server on loopback.
func newServer(t *testing.T, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func newProject(t *testing.T, p programs) *project {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	write(t, path("gitconfig"), "[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n", 0o644)
	cratesLock, err := filepath.Abs("../libnmstate/Cargo.lock")
	if err != nil {
		t.Fatal(err)
	}
	chartSource, err := filepath.Abs("../../artifacts/chart")
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": path("gitconfig"), "GIT_CONFIG_SYSTEM": os.DevNull,
		"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": folder, "HOME": folder,
		"GITHUB_TOKEN": secret, "WITNESS": path("witness"),
		"IMAGES": p.images, "SERVER_AMD64": p.amd64, "SERVER_ARM64": p.arm64, "AGENT": p.agent, "CRATES": cratesLock,
		"CHART": p.chart, "CHART_SOURCE": chartSource,
		"PLUGINS": filepath.Dir(p.agent),
	} {
		t.Setenv(variable, value)
	}
	hub := newFakeHub(t)
	project := &project{t: t, root: path("tree"), bare: path("remote.git"), witness: path("witness"), hub: hub, refuse: refuseNothing}
	project.registry = strings.TrimPrefix(project.newRegistry(), "http://")
	project.options = options{
		root: project.root, remote: "origin", branch: "main",
		registry: project.registry, path: "nmstate",
		repository: "nmstate/some", apiURL: hub.URL, token: secret,
	}
	project.populate(folder)
	return project
}

func (p *project) populate(folder string) {
	run(p.t, folder, "git", "init", "--quiet", "--bare", p.bare)
	run(p.t, folder, "git", "clone", "--quiet", p.bare, p.root)
	p.write("Makefile", makefile)
	p.write(".gitignore", "/_output/\n")
	p.write("LICENSE", "the licence\n")
	p.write("hack/artifacts/render.sh", render)
	p.setVersion("v1.2.3")
	p.write("version/description", description)
	p.commit()
	p.git("push", "--quiet", "origin", "main")
}

func (p *project) setVersion(version string) {
	p.write("version/version.go", "// Package version is that of the project.\npackage version\n\nconst Version = \""+version+"\"\n")
}

func (p *project) write(name, content string) {
	write(p.t, filepath.Join(p.root, name), content, 0o755)
}

func (p *project) commit() {
	p.git("add", ".")
	p.git("commit", "--quiet", "--message=changed")
}

func (p *project) git(arguments ...string) string {
	return run(p.t, p.root, "git", arguments...)
}

// release runs the command and returns what it says. Nothing of it may have the token in it.
func (p *project) release() (string, error) {
	p.t.Helper()
	var output bytes.Buffer
	err := publish(p.t.Context(), p.options, &output)
	if strings.Contains(output.String(), secret) {
		p.t.Errorf("the token is in the output: %s", output.String())
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		p.t.Errorf("the token is in the error: %v", err)
	}
	return output.String(), err
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, folder, program string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir = folder
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}
