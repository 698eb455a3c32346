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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const cargoLock = "../libnmstate/Cargo.lock"

// build builds a program into a folder of the test's and returns its path.
func build(t *testing.T, source string, environment ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	command := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, source)
	command.Env = append(os.Environ(), environment...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", source, err, out)
	}
	return path
}

func static(t *testing.T, arch string) string {
	return build(t, "./testdata/program", "CGO_ENABLED=0", "GOARCH="+arch)
}

func dynamic(t *testing.T) string { return build(t, "./testdata/agent", "CGO_ENABLED=1") }

// TestImages makes images of programs that are linked as the real ones are.
func TestImages(t *testing.T) {
	given := []string{"--registry=registry.example", "--repo=some/where", "--tag=v1.2.3", "--created=1700000000",
		"--server=" + static(t, "amd64"), "--server=" + static(t, "arm64"), "--agent=" + dynamic(t), "--crates=" + cargoLock}
	out := t.TempDir()
	if err := run(slices.Concat(given, []string{"--out=" + out}), io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Run("server", func(t *testing.T) { testServer(t, out) })
	t.Run("agent", func(t *testing.T) { testAgent(t, out) })
	t.Run("same bytes", func(t *testing.T) { testSameBytes(t, given, out) })
	t.Run("containerd", func(t *testing.T) { testContainerdImports(t, out) })
}

// only reads the single entry of an OCI layout.
func only(t *testing.T, folder string) (v1.ImageIndex, v1.Descriptor) {
	t.Helper()
	i, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := i.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %d entries, want 1", len(manifest.Manifests))
	}
	return i, manifest.Manifests[0]
}

func config(t *testing.T, i v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// contents are the headers and contents of an image's entries by name.
func contents(t *testing.T, i v1.Image) map[string]tar.Header {
	t.Helper()
	found := map[string]tar.Header{}
	extracted := mutate.Extract(i)
	defer extracted.Close()
	r := tar.NewReader(extracted)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(header.Name, "/")] = *header
	}
}

func testServer(t *testing.T, out string) {
	entry, descriptor := only(t, filepath.Join(out, "nmstate-apiserver"))
	index, err := entry.ImageIndex(descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		i, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		c := config(t, i)
		if c.OS+"/"+c.Architecture != m.Platform.String() {
			t.Errorf("the image for %s says it is for %s/%s", m.Platform, c.OS, c.Architecture)
		}
		if c.Config.User != "65532:65532" || !slices.Equal(c.Config.Entrypoint, []string{"/apiserver"}) {
			t.Errorf("user %s runs %v", c.Config.User, c.Config.Entrypoint)
		}
		if c.Created.Unix() != 1700000000 {
			t.Errorf("created %v", c.Created)
		}
		files := contents(t, i)
		for name, header := range files {
			if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
				t.Errorf("%s: %+v", name, header)
			}
		}
		if files["apiserver"].Mode != 0o755 || files["etc/passwd"].Size == 0 || len(files) != 4 {
			t.Errorf("the image for %s has the files %v", m.Platform, files)
		}
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
}

// testAgent: the image has what the agent needs to run, each with its licence, and nothing else.
func testAgent(t *testing.T, out string) {
	entry, descriptor := only(t, filepath.Join(out, "nmstate-node-agent"))
	i, err := entry.Image(descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if c := config(t, i); c.Config.User != "0:0" || !slices.Equal(c.Config.Entrypoint, []string{"/node-agent"}) {
		t.Errorf("user %s runs %v", c.Config.User, c.Config.Entrypoint)
	}
	libraries := 0
	for name, header := range contents(t, i) {
		switch base := filepath.Base(name); {
		case header.Typeflag == tar.TypeDir, name == "node-agent", name == "etc/passwd", name == "etc/group":
		case strings.HasPrefix(name, "usr/share/doc/"), strings.HasPrefix(name, "usr/share/common-licenses/"):
		case strings.Contains(base, ".so"):
			libraries++
		default:
			t.Errorf("there is %s in the image", name)
		}
	}
	if libraries != 4 { // loader, libc, libm, libgcc_s
		t.Errorf("%d libraries, want 4", libraries)
	}
	root := t.TempDir()
	unpack(t, i, root)
	for _, licence := range []string{"libc6/copyright", "libgcc-s1/copyright", "../common-licenses/LGPL-2.1"} {
		if _, err := os.Stat(filepath.Join(root, "usr/share/doc", licence)); err != nil {
			t.Error(err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root to run it")
	}
	command := exec.Command("/node-agent")
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	command.Dir = "/"
	if said, err := command.CombinedOutput(); err != nil || string(said) != "it runs 2\n" {
		t.Errorf("in its image the agent says %q: %v", said, err)
	}
}

func unpack(t *testing.T, i v1.Image, root string) {
	t.Helper()
	extracted := mutate.Extract(i)
	defer extracted.Close()
	command := exec.Command("tar", "-x", "-C", root)
	command.Stdin = extracted
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("unpacking: %v\n%s", err, out)
	}
}

// testSameBytes: what is written depends on the input alone, and replaces what was there.
func testSameBytes(t *testing.T, given []string, first string) {
	second := t.TempDir()
	stale := filepath.Join(second, "nmstate-apiserver-linux-riscv64.cdx.json")
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// a second run in the same folder leaves nothing of the first behind
	for _, more := range [][]string{{"--out=" + second, "--tag=v0.0.1"}, {"--out=" + second}} {
		if err := run(slices.Concat(given, more), io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("diff", "-r", first, second).CombinedOutput(); err != nil {
		t.Errorf("two runs differ: %s", out)
	}
}

// testContainerdImports the archives as "ctr images import" does.
func testContainerdImports(t *testing.T, out string) {
	for _, name := range []string{"nmstate-apiserver", "nmstate-node-agent"} {
		store, err := local.NewStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(out, name+".tar"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		imported, err := archive.ImportIndex(t.Context(), store, file)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := content.ReadBlob(t.Context(), store, imported)
		if err != nil {
			t.Fatal(err)
		}
		var index ocispec.Index
		if err := json.Unmarshal(blob, &index); err != nil || len(index.Manifests) != 1 {
			t.Fatalf("%s: imported %s: %v", name, blob, err)
		}
		want := "registry.example/some/where/" + name + ":v1.2.3"
		if got := index.Manifests[0].Annotations[images.AnnotationImageName]; got != want {
			t.Errorf("imported as %q, want %q", got, want)
		}
		// all that the image refers to is there
		err = images.Walk(t.Context(), images.ChildrenHandler(store), index.Manifests[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	server, agent := static(t, "amd64"), dynamic(t)
	for _, c := range []struct {
		name, want string
		arguments  []string
	}{
		{"nothing given", "are needed", nil},
		{"dynamic server", "CGO_ENABLED=0", []string{"--server=" + agent, "--agent=" + agent}},
		{"two of one architecture", "second server for amd64", []string{"--server=" + server, "--server=" + server, "--agent=" + agent}},
		{"not built", "build it first", []string{"--server=" + server, "--agent=/nowhere"}},
		{"no program", "no Go binary", []string{"--server=main.go", "--agent=" + agent}},
		{"empty lock", "names no crates", []string{"--server=" + server, "--agent=" + agent, "--crates=/dev/null"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			arguments := c.arguments
			if len(arguments) > 0 {
				arguments = append([]string{"--out=" + out, "--tag=v1", "--crates=" + cargoLock}, arguments...)
			}
			if err := run(arguments, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if entries, _ := os.ReadDir(out); len(entries) > 0 {
				t.Errorf("it wrote %v", entries)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	p, err := readProgram(static(t, "amd64"))
	if err != nil {
		t.Fatal(err)
	}
	small := apiserver
	small.limit = int64(len(p.content))
	_, err = image(small, p, nil, "v1", options{}.created)
	if want := fmt.Sprintf("it may have %.1f", mib(small.limit)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}
