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
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestRelease(t *testing.T) {
	p := buildPrograms(t)
	t.Run("publishes", func(t *testing.T) { testPublishes(t, p) })
	t.Run("is installed by krew", func(t *testing.T) { testKrew(t, p) })
	t.Run("refuses", func(t *testing.T) { testRefuses(t, p) })
	t.Run("publishes a prerelease", func(t *testing.T) { testPublishesPrerelease(t, p) })
	t.Run("notices another commit", func(t *testing.T) { testNoticesChange(t, p, "git commit --quiet --allow-empty --message=meanwhile") })
	t.Run("notices another file", func(t *testing.T) { testNoticesChange(t, p, "touch meanwhile") })
	t.Run("is overtaken", func(t *testing.T) { testIsOvertaken(t, p) })
	t.Run("loses an answer", func(t *testing.T) { testLosesAnAnswer(t, p) })
	t.Run("fails", func(t *testing.T) { testFails(t, p) })
	t.Run("fails late", func(t *testing.T) { testFailsLate(t, p) })
}

func testPublishes(t *testing.T, programs programs) {
	p := newProject(t, programs)
	commit := p.git("rev-parse", "HEAD")
	tagAtPublish := ""
	p.hub.published = func() { tagAtPublish = p.git("ls-remote", p.bare, "refs/tags/v1.2.3") }
	if output, err := p.release(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}

	if got := run(t, p.bare, "git", "rev-parse", "v1.2.3^{commit}"); got != commit {
		t.Errorf("the remote's tag is at %s, want %s", got, commit)
	}
	if got, want := run(t, p.bare, "git", "for-each-ref", "--format=%(objecttype) %(contents)", "refs/tags/v1.2.3"),
		"tag v1.2.3\n\n"+strings.TrimSpace(description); got != want {
		t.Errorf("the tag is %q, want %q", got, want)
	}
	if tagAtPublish == "" {
		t.Error("the release was published before the tag was pushed")
	}
	if len(p.hub.releases) != 1 {
		t.Fatalf("%d releases", len(p.hub.releases))
	}
	r := p.hub.releases[0]
	if r.TagName != "v1.2.3" || r.Name != "v1.2.3" || r.Body != description || r.Target != commit || r.Draft || r.Prerelease {
		t.Errorf("the release is %+v", r)
	}
	digests := p.pushedDigests()
	if got := string(r.assets["images.txt"]); got != digests {
		t.Errorf("images.txt has\n%swant\n%s", got, digests)
	}
	testAssets(t, r.assets, programs, p.options.registry)
	testPlugin(t, r.assets, programs, p.hub.URL)

	witness, err := os.ReadFile(p.witness)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(witness), secret) {
		t.Error("programs that the release runs know the token")
	}
	if !strings.Contains(string(witness), "-trimpath") {
		t.Error("the programs are built with this machine's paths in them")
	}

	// what is out is not made again
	before := p.state()
	if _, err := p.release(); err == nil || !strings.Contains(err.Error(), "version v1.2.3 exists") {
		t.Errorf("a second release: %v", err)
	}
	if after := p.state(); after != before {
		t.Errorf("a second release changed\n%s\nto\n%s", before, after)
	}
}

func testPublishesPrerelease(t *testing.T, programs programs) {
	p := newProject(t, programs)
	p.setVersion("v1.3.0-rc.1")
	p.commit()
	p.git("push", "--quiet", "origin", "main")
	if _, err := p.release(); err != nil {
		t.Fatal(err)
	}
	if !p.hub.releases[0].Prerelease {
		t.Error("it is not marked as one")
	}
}

// whileBuilding has a command run in the tree while the images are made.
func (p *project) whileBuilding(images, command string) {
	meanwhile := filepath.Join(p.t.TempDir(), "images")
	write(p.t, meanwhile, "#!/bin/sh -e\n"+command+"\nexec "+images+" \"$@\"\n", 0o755)
	p.t.Setenv("IMAGES", meanwhile)
}

// testNoticesChange: what is built while somebody works in the tree is not what is tagged.
func testNoticesChange(t *testing.T, programs programs, command string) {
	p := newProject(t, programs)
	p.whileBuilding(programs.images, command)
	if _, err := p.release(); err == nil || !strings.Contains(err.Error(), "the tree was changed") {
		t.Errorf("the release ended with %v", err)
	}
	if tags := p.git("tag") + p.git("ls-remote", "--tags", p.bare); tags != "" || p.catalog() != "" || len(p.hub.releases) > 0 {
		t.Errorf("there are tags %q, images %q, %d releases", tags, p.catalog(), len(p.hub.releases))
	}
}

// testIsOvertaken: a tag that somebody else has pushed meanwhile is not ours.
func testIsOvertaken(t *testing.T, programs programs) {
	p := newProject(t, programs)
	p.whileBuilding(programs.images, "git --git-dir="+p.bare+" tag --annotate --message=theirs v1.2.3 main")
	_, err := p.release()
	if err == nil || !strings.Contains(err.Error(), "tagging") {
		t.Errorf("the release ended with %v", err)
	}
	if got := run(t, p.bare, "git", "tag", "--list", "--format=%(contents:subject)"); got != "theirs" {
		t.Errorf("the remote's tag says %q", got)
	}
	if tags := p.git("tag"); tags != "" || len(p.hub.releases) > 0 {
		t.Errorf("there are tags %q and %d releases", tags, len(p.hub.releases))
	}
}

// testLosesAnAnswer: a tag that has been pushed cannot be taken back, whatever git thinks of the push.
func testLosesAnAnswer(t *testing.T, programs programs) {
	p := newProject(t, programs)
	receive := filepath.Join(t.TempDir(), "receive")
	write(t, receive, "#!/bin/sh\ngit-receive-pack \"$@\"\nexit 1\n", 0o755)
	p.git("config", "remote.origin.receivepack", receive)
	if output, err := p.release(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if len(p.hub.releases) != 1 || p.hub.releases[0].Draft {
		t.Errorf("releases %+v", p.hub.releases)
	}
}

// pushedDigests compares what the registry has with what was built, and returns a line for each image.
func (p *project) pushedDigests() string {
	p.t.Helper()
	var lines strings.Builder
	for _, image := range []string{"nmstate-apiserver", "nmstate-node-agent"} {
		reference, err := name.ParseReference(p.registry + "/nmstate/" + image + ":v1.2.3")
		if err != nil {
			p.t.Fatal(err)
		}
		pushed, err := remote.Get(reference)
		if err != nil {
			p.t.Fatal(err)
		}
		built, err := layout.ImageIndexFromPath(filepath.Join(p.root, "_output", "images", image))
		if err != nil {
			p.t.Fatal(err)
		}
		manifest, err := built.IndexManifest()
		if err != nil {
			p.t.Fatal(err)
		}
		if want := manifest.Manifests[0].Digest; pushed.Digest != want {
			p.t.Errorf("the registry has %s of %s, want %s", pushed.Digest, image, want)
		}
		fmt.Fprintf(&lines, "%s@%s\n", reference, pushed.Digest)
	}
	index, err := name.ParseReference(p.options.registry + "/nmstate/nmstate-apiserver:v1.2.3")
	if err != nil {
		p.t.Fatal(err)
	}
	pulled, err := remote.Index(index)
	if err != nil {
		p.t.Fatal(err)
	}
	manifest, err := pulled.IndexManifest()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		image, err := pulled.Image(m.Digest)
		if err != nil {
			p.t.Fatal(err)
		}
		if layers, err := image.Layers(); err != nil || len(layers) != 2 {
			p.t.Errorf("the image for %s has layers %v, %v", m.Platform, layers, err)
		}
	}
	return lines.String()
}

func testAssets(t *testing.T, assets map[string][]byte, programs programs, registry string) {
	t.Helper()
	host := run(t, ".", "go", "env", "GOHOSTARCH")
	want := []string{"SHA256SUMS", "images.txt", "install.yaml",
		"kubectl-nmstate-darwin-amd64.tar.gz", "kubectl-nmstate-darwin-arm64.tar.gz",
		"kubectl-nmstate-linux-amd64.tar.gz", "kubectl-nmstate-linux-arm64.tar.gz",
		"kubectl-nmstate-windows-amd64.zip", "kubectl-nmstate-windows-arm64.zip", "nmstate-1.2.3.tgz",
		"nmstate-apiserver-linux-amd64", "nmstate-apiserver-linux-amd64.cdx.json",
		"nmstate-apiserver-linux-arm64", "nmstate-apiserver-linux-arm64.cdx.json",
		"nmstate-node-agent-linux-" + host, "nmstate-node-agent-linux-" + host + ".cdx.json", "nmstate.yaml"}
	if got := slices.Sorted(maps.Keys(assets)); !slices.Equal(got, want) {
		t.Errorf("assets %v, want %v", got, want)
	}
	for asset, program := range map[string]string{"nmstate-apiserver-linux-amd64": programs.amd64,
		"nmstate-apiserver-linux-arm64": programs.arm64, "nmstate-node-agent-linux-" + host: programs.agent} {
		content, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(content) != sha256.Sum256(assets[asset]) {
			t.Errorf("%s is not the program that was built", asset)
		}
	}
	if want := "image: " + registry + "/nmstate/nmstate-apiserver:v1.2.3\n"; !strings.Contains(string(assets["install.yaml"]), want) {
		t.Errorf("install.yaml is %s", assets["install.yaml"])
	}
	values, err := readPackaged(assets["nmstate-1.2.3.tgz"], "nmstate/values.yaml")
	if want := "repository: " + registry + "/nmstate/nmstate-node-agent\n"; err != nil || !strings.Contains(string(values), want) {
		t.Errorf("the chart's values are %s, %v", values, err)
	}
	// as a user checks them
	folder := t.TempDir()
	for name, content := range assets {
		write(t, filepath.Join(folder, name), string(content), 0o644)
	}
	checked := run(t, folder, "sha256sum", "--check", "--strict", "SHA256SUMS")
	if n := strings.Count(checked, ": OK"); n != len(assets)-1 {
		t.Errorf("%d of %d assets have a checksum", n, len(assets)-1)
	}
}

// state is all that a release changes.
func (p *project) state() string {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	_, built := os.Stat(filepath.Join(p.root, "_output", "release"))
	return fmt.Sprintf("tags %q\nremote %q\nwrites %q\nbuilt %v\nregistry %s", p.git("tag"), p.git("ls-remote", p.bare),
		p.hub.writes, built == nil, p.catalog())
}

// catalog is the sorted list of what the registry has.
func (p *project) catalog() string {
	p.t.Helper()
	target, err := name.NewRegistry(p.registry)
	if err != nil {
		p.t.Fatal(err)
	}
	repositories, err := remote.Catalog(p.t.Context(), target)
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(repositories)
	return strings.Join(repositories, " ")
}
