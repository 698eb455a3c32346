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

package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile is how large a file may be; the server takes no more than 3 MiB in one request.
const maxFile = 64 << 20

// extensions are those of the files of a folder that are read, as by kubectl.
var extensions = []string{".json", ".yaml", ".yml"}

// Read returns the documents of files, of the YAML and JSON files of folders, and of stdin for "-". Folders within folders are
// read if recursive. Each error names the file.
func Read(paths []string, recursive bool, stdin io.Reader) ([]Document, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file is given: name one with -f, or \"-f -\" for standard input")
	}
	var documents []Document
	for i, path := range paths {
		var found []Document
		var err error
		switch {
		case path == "-":
			if slices.Contains(paths[:i], "-") {
				return nil, errors.New("standard input is read once: \"-f -\" is given twice")
			}
			found, err = readAll("standard input", stdin)
		default:
			found, err = readPath(path, recursive)
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

func readAll(source string, from io.Reader) ([]Document, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", source, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d MiB", source, maxFile>>20)
	}
	return parse(source, text)
}

func readPath(path string, recursive bool) ([]Document, error) {
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return nil, fmt.Errorf("%s is no file: fetch it, as in \"curl -fsSL %s | kubectl nmstate … -f -\"", path, path)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return readPattern(path, recursive)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path)
	}
	var documents []Document
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != path && !recursive:
			return fs.SkipDir
		case entry.IsDir() || !slices.Contains(extensions, filepath.Ext(name)):
			return nil
		}
		found, err := readFile(name)
		documents = append(documents, found...)
		return err
	})
	if err == nil && len(documents) == 0 {
		err = fmt.Errorf("folder %s has no file that ends with .yaml, .yml or .json", path)
	}
	return documents, err
}

// readPattern reads the files that match a pattern which the shell was kept from expanding, as kubectl does.
func readPattern(pattern string, recursive bool) ([]Document, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("there is no file %s", pattern)
	}
	var documents []Document
	for _, path := range paths {
		found, err := readPath(path, recursive)
		if err != nil {
			return nil, err
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

func readFile(path string) ([]Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(path, file)
}
