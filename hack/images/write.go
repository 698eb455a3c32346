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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// output is one image, ready to be written.
type output struct {
	kind kind
	// image is a v1.ImageIndex or a v1.Image.
	image mutate.Appendable
	// bills of material by architecture.
	bills map[string][]byte
}

// write makes all images before it writes the first. It returns one line about each.
func write(o options) ([]string, error) {
	servers, err := makeServers(o)
	if err != nil {
		return nil, err
	}
	agents, err := makeAgent(o)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, out := range []output{servers, agents} {
		line, err := out.write(o)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", out.kind.name, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func makeServers(o options) (output, error) {
	out := output{kind: apiserver, bills: map[string][]byte{}}
	var images []v1.Image
	for _, path := range o.servers {
		p, err := readProgram(path)
		if err != nil {
			return out, err
		}
		if p.loader != "" {
			return out, fmt.Errorf("%s needs shared libraries: build it with CGO_ENABLED=0", path)
		}
		if out.bills[p.arch] != nil {
			return out, fmt.Errorf("%s is the second server for %s", path, p.arch)
		}
		i, err := image(apiserver, p, nil, o.tag, o.created)
		if err != nil {
			return out, err
		}
		images = append(images, i)
		if out.bills[p.arch], err = billOfMaterials(apiserver, p, o.tag, nil); err != nil {
			return out, err
		}
	}
	i, err := index(apiserver, images, o.tag)
	out.image = i
	return out, err
}

func makeAgent(o options) (output, error) {
	out := output{kind: nodeAgent, bills: map[string][]byte{}}
	p, err := readProgram(o.agent)
	if err != nil {
		return out, err
	}
	paths, err := libraries(p)
	if err != nil {
		return out, err
	}
	files, packages, err := libraryFiles(paths)
	if err != nil {
		return out, err
	}
	parts := debianComponents(packages)
	// With a shared libnmstate, its package stands for the crates.
	shared := func(path string) bool { return strings.HasPrefix(filepath.Base(path), "libnmstate.so") }
	if !slices.ContainsFunc(paths, shared) {
		locked, err := crates(o.crates)
		if err != nil {
			return out, err
		}
		parts = append(parts, locked...)
	}
	if out.bills[p.arch], err = billOfMaterials(nodeAgent, p, o.tag, parts); err != nil {
		return out, err
	}
	out.image, err = image(nodeAgent, p, files, o.tag, o.created)
	return out, err
}

// write replaces what an earlier run wrote of this image.
func (out output) write(o options) (string, error) {
	reference := o.repository + "/" + out.kind.name + ":" + o.tag
	folder := filepath.Join(o.out, out.kind.name)
	archive := folder + ".tar"
	bills, err := filepath.Glob(folder + "-linux-*.cdx.json")
	if err != nil {
		return "", err
	}
	for _, old := range append(bills, folder, archive) {
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	if err := out.writeLayout(folder, reference, o.tag); err != nil {
		return "", err
	}
	if err := archiveLayout(folder, archive); err != nil {
		return "", err
	}
	for arch, bill := range out.bills {
		if err := os.WriteFile(folder+"-linux-"+arch+".cdx.json", bill, 0o644); err != nil {
			return "", err
		}
	}
	digest, err := out.image.Digest()
	return reference + "@" + digest.String(), err
}

// writeLayout writes an OCI layout whose one entry is the image, named both as the specification and as containerd have it.
func (out output) writeLayout(folder, reference, tag string) error {
	named := layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          reference,
	})
	path, err := layout.Write(folder, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	switch i := out.image.(type) {
	case v1.ImageIndex:
		return path.AppendIndex(i, named)
	case v1.Image:
		return path.AppendImage(i, named)
	default:
		return errors.New("it is neither an image nor an index")
	}
}

// archiveLayout puts an OCI layout into one file.
func archiveLayout(folder, archive string) error {
	var files []file
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, file{path: name, mode: 0o644, content: content})
		return err
	})
	if err != nil {
		return err
	}
	packed, err := pack(files)
	if err != nil {
		return err
	}
	return os.WriteFile(archive, packed, 0o644)
}
