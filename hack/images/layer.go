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
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file of an image. It belongs to root.
type file struct {
	path    string
	mode    fs.FileMode
	content []byte
}

// layer packs files; of two with one path the last is taken. It returns the layer and its size unpacked, in bytes.
func layer(files []file) (v1.Layer, int64, error) {
	packed, err := pack(files)
	if err != nil {
		return nil, 0, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	l, err := tarball.LayerFromOpener(open, tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer))
	return l, int64(len(packed)), err
}

// pack makes a tar of the files and the folders above them: sorted, and of no time, so that equal files give equal bytes.
func pack(files []file) ([]byte, error) {
	entries := map[string]*file{}
	for _, f := range files {
		f.path = strings.TrimPrefix(f.path, "/")
		entries[f.path] = &f
		for parent := path.Dir(f.path); parent != "."; parent = path.Dir(parent) {
			entries[parent+"/"] = &file{path: parent + "/", mode: 0o755}
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := writeEntry(w, entries[name]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeEntry(w *tar.Writer, f *file) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     f.path,
		Mode:     int64(f.mode.Perm()),
		Size:     int64(len(f.content)),
		ModTime:  time.Unix(0, 0),
		Format:   tar.FormatUSTAR,
	}
	if strings.HasSuffix(f.path, "/") {
		header.Typeflag = tar.TypeDir
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(f.content)
	return err
}
