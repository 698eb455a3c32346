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
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// imageNames are those that hack/images writes and artifacts/ refers to.
func imageNames() []string { return []string{"nmstate-apiserver", "nmstate-node-agent"} }

func (r *release) reference(image string) (name.Tag, error) {
	tag, err := name.NewTag(r.registry+"/"+r.path+"/"+image+":"+r.version.name, name.StrictValidation)
	if err != nil {
		return tag, fmt.Errorf("IMAGE_REGISTRY or IMAGE_REPO: %w", err)
	}
	return tag, nil
}

// built is an image as hack/images wrote it.
type built struct {
	name      string
	reference name.Tag
	// content is a v1.ImageIndex or a v1.Image.
	content mutate.Appendable
	// images are the ones for each architecture.
	images []v1.Image
}

// readImage reads the only entry of the layout that is named after the image.
func (r *release) readImage(name string) (built, error) {
	b := built{name: name}
	var err error
	if b.reference, err = r.reference(name); err != nil {
		return b, err
	}
	root, err := layout.ImageIndexFromPath(filepath.Join(r.root, "_output", "images", name))
	if err != nil {
		return b, fmt.Errorf("make images has not written %s: %w", name, err)
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return b, err
	}
	if len(manifest.Manifests) != 1 {
		return b, fmt.Errorf("the layout of %s has %d images, not one", name, len(manifest.Manifests))
	}
	only := manifest.Manifests[0]
	if got, want := only.Annotations["io.containerd.image.name"], b.reference.String(); got != want {
		return b, fmt.Errorf("make images has written %s, not %s", got, want)
	}
	if only.MediaType.IsIndex() {
		index, err := root.ImageIndex(only.Digest)
		if err != nil {
			return b, err
		}
		b.content = index
		b.images, err = partial.FindImages(index, func(v1.Descriptor) bool { return true })
		return b, err
	}
	image, err := root.Image(only.Digest)
	b.content, b.images = image, []v1.Image{image}
	return b, err
}

func (b built) push(ctx context.Context) error {
	pushed, ok := b.content.(remote.Taggable)
	if !ok {
		return fmt.Errorf("%s cannot be pushed", b.name)
	}
	return remote.Push(b.reference, pushed, remote.WithAuthFromKeychain(keychain()), remote.WithContext(ctx))
}

// programs writes the program of each architecture into the folder, out of the image itself: what is released as a
// binary is what runs in a cluster.
func (b built) programs(folder string) error {
	for _, image := range b.images {
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		if len(config.Config.Entrypoint) != 1 {
			return fmt.Errorf("%s has the entrypoint %q, not a program", b.name, config.Config.Entrypoint)
		}
		target := filepath.Join(folder, b.name+"-"+config.OS+"-"+config.Architecture)
		if err := extract(image, config.Config.Entrypoint[0], target); err != nil {
			return fmt.Errorf("taking the program out of %s: %w", b.name, err)
		}
	}
	return nil
}

// extract writes one file of an image.
func extract(image v1.Image, path, target string) error {
	files := mutate.Extract(image)
	defer files.Close()
	r := tar.NewReader(files)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s is not in it", path)
		}
		if err != nil {
			return err
		}
		if header.Name != strings.TrimPrefix(path, "/") {
			continue
		}
		file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, r)
		return errors.Join(err, file.Close())
	}
}
