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
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

func TestParseList(t *testing.T) {
	found, err := parseList("\tlinux-vdso.so.1 (0x00007f01)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f01)\n" +
		"\t/lib64/ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 (0x0000f)\n\t/lib64/ld-linux-x86-64.so.2 (0x0000f)\n")
	if want := []string{"/lib/x86_64-linux-gnu/libm.so.6"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("found %v, %v, want %v", found, err, want)
	}
	_, err = parseList("\tliba.so => not found\n\tlibb.so => not found\n")
	if err == nil || !strings.Contains(err.Error(), "liba.so is not on") || !strings.Contains(err.Error(), "libb.so is not on") {
		t.Errorf("error %v, want one that names both libraries", err)
	}
}

// TestForeignLibrary: what no package owns has no licence that could be copied along.
func TestForeignLibrary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libforeign.so")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := libraryFiles([]string{path}); err == nil || !strings.Contains(err.Error(), "no Debian package") {
		t.Errorf("error %v", err)
	}
}

func bill(t *testing.T, path string) map[string]cyclonedx.Component {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(file, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(bom.SerialNumber, "urn:uuid:") || bom.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("%s: serial number %q, version %q", path, bom.SerialNumber, bom.Metadata.Component.Version)
	}
	components := map[string]cyclonedx.Component{}
	for _, c := range *bom.Components {
		if _, twice := components[c.BOMRef]; twice {
			t.Errorf("%s has %s twice", path, c.BOMRef)
		}
		components[c.BOMRef] = c
	}
	if needed := *(*bom.Dependencies)[0].Dependencies; len(needed) != len(components) {
		t.Errorf("%s: the image depends on %d of %d components", path, len(needed), len(components))
	}
	return components
}

// TestBills: each image's bill has all that went into it. The server is this module's own program, which has modules.
func TestBills(t *testing.T) {
	out := t.TempDir()
	server := build(t, ".", "CGO_ENABLED=0")
	err := run([]string{"--out=" + out, "--tag=v1.2.3", "--server=" + server, "--agent=" + dynamic(t), "--crates=" + cargoLock}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p, err := readProgram(server)
	if err != nil {
		t.Fatal(err)
	}
	components := bill(t, filepath.Join(out, "nmstate-apiserver-linux-"+p.arch+".cdx.json"))
	if len(components) != len(p.info.Deps)+1 || len(p.info.Deps) == 0 {
		t.Errorf("%d components for %d modules and the standard library", len(components), len(p.info.Deps))
	}
	listed := map[string]bool{}
	for ref, c := range components {
		listed[c.Name+" "+c.Version] = strings.HasPrefix(ref, "pkg:golang/")
	}
	for _, module := range p.info.Deps {
		if !listed[module.Path+" "+module.Version] {
			t.Errorf("module %s %s is not in the server's bill", module.Path, module.Version)
		}
	}

	components = bill(t, filepath.Join(out, "nmstate-node-agent-linux-"+p.arch+".cdx.json"))
	version, err := exec.Command("dpkg-query", "--show", "--showformat=${Version}", "libc6").Output()
	if err != nil {
		t.Fatal(err)
	}
	for ref, c := range components {
		if strings.HasPrefix(ref, "pkg:deb/debian/libc6@") && c.Version != string(version) {
			t.Errorf("libc6 has version %s, the machine has %s", c.Version, version)
		}
	}
	count := func(prefix string) (n int) {
		for ref := range components {
			if strings.HasPrefix(ref, prefix) {
				n++
			}
		}
		return n
	}
	if n := count("pkg:deb/debian/"); n != 2 {
		t.Errorf("%d Debian packages, want libc6 and libgcc-s1", n)
	}
	lock, err := os.ReadFile(cargoLock)
	if err != nil {
		t.Fatal(err)
	}
	if n, want := count("pkg:cargo/"), strings.Count(string(lock), "\nchecksum = "); n != want {
		t.Errorf("%d crates, want %d", n, want)
	}
	if c, ok := components["pkg:cargo/nmstate@2.2.62"]; !ok || c.Hashes == nil {
		t.Errorf("nmstate is %+v", c)
	}
}
