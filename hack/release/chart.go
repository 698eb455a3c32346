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
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// copyChart copies the Helm chart that make chart has packaged, and checks that it installs the images.
func (r *release) copyChart(images []built, folder string) error {
	name := "nmstate-" + strings.TrimPrefix(r.version.name, "v") + ".tgz"
	content, err := os.ReadFile(filepath.Join(r.root, "_output", "chart", name))
	if err != nil {
		return fmt.Errorf("make chart has not written the chart of %s: %w", r.version.name, err)
	}
	values, err := readPackaged(content, "nmstate/values.yaml")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, image := range images {
		if repository := image.reference.Context().Name(); !bytes.Contains(values, []byte("repository: "+repository+"\n")) {
			return fmt.Errorf("%s does not use %s", name, repository)
		}
	}
	return os.WriteFile(filepath.Join(folder, name), content, 0o644)
}

// readPackaged returns a file of a packaged chart.
func readPackaged(chart []byte, name string) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(chart))
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no %s", name)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == name {
			return io.ReadAll(files)
		}
	}
}
