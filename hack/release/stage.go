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
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// stage puts all that is published into one folder, _output/release/VERSION, and returns the images and the files.
func (r *release) stage(ctx context.Context) ([]built, []string, error) {
	folder := filepath.Join(r.root, "_output", "release", r.version.name)
	if err := os.RemoveAll(folder); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, nil, err
	}
	var images []built
	for _, name := range imageNames() {
		image, err := r.readImage(name)
		if err != nil {
			return nil, nil, err
		}
		if err := image.programs(folder); err != nil {
			return nil, nil, err
		}
		if err := r.copyBills(name, folder); err != nil {
			return nil, nil, err
		}
		images = append(images, image)
	}
	if err := r.plugins(folder); err != nil {
		return nil, nil, err
	}
	if err := writeDigests(images, filepath.Join(folder, "images.txt")); err != nil {
		return nil, nil, err
	}
	if err := r.render(ctx, images, filepath.Join(folder, "install.yaml")); err != nil {
		return nil, nil, err
	}
	if err := r.copyChart(images, folder); err != nil {
		return nil, nil, err
	}
	assets, err := writeChecksums(folder)
	return images, assets, err
}

// copyBills copies the bills of material that are beside the image.
func (r *release) copyBills(name, folder string) error {
	bills, err := filepath.Glob(filepath.Join(r.root, "_output", "images", name+"-*.cdx.json"))
	if err != nil {
		return err
	}
	if len(bills) == 0 {
		return fmt.Errorf("make images has written no bill of materials for %s", name)
	}
	for _, bill := range bills {
		content, err := os.ReadFile(bill)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(bill)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeDigests writes what each image's tag stands for, so that it can be pulled by what it is.
func writeDigests(images []built, path string) error {
	var lines strings.Builder
	for _, image := range images {
		digest, err := image.content.Digest()
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s@%s\n", image.reference, digest)
	}
	return os.WriteFile(path, []byte(lines.String()), 0o644)
}

// render writes the manifest that people install from.
func (r *release) render(ctx context.Context, images []built, path string) error {
	command := exec.CommandContext(ctx, filepath.Join("hack", "artifacts", "render.sh"))
	command.Dir = r.root
	command.Env = r.imageEnvironment()
	command.Stderr = r.output
	manifest, err := command.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", command.Path, err)
	}
	for _, image := range images {
		if !bytes.Contains(manifest, []byte(image.reference.String())) {
			return fmt.Errorf("install.yaml, as %s renders it, does not use %s", command.Path, image.reference)
		}
	}
	return os.WriteFile(path, manifest, 0o644)
}

// writeChecksums writes SHA256SUMS for the folder, as sha256sum has it. It returns all files, SHA256SUMS the last.
func writeChecksums(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var assets []string
	var sums strings.Builder
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), entry.Name())
		assets = append(assets, path)
	}
	path := filepath.Join(folder, "SHA256SUMS")
	return append(assets, path), os.WriteFile(path, []byte(sums.String()), 0o644)
}
