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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// libraries returns the paths of the loader and of all shared libraries, direct or not, that the program needs.
// The loader itself is asked: it alone knows where it looks. Therefore the program must be of this machine's architecture.
func libraries(p *program) ([]string, error) {
	if p.loader == "" {
		return nil, nil
	}
	command := exec.Command(p.loader, "--list", p.path)
	// A library path from the environment would not be there in a container.
	command.Env = []string{"LC_ALL=C"}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the libraries of %s: %w: %s", p.path, err, strings.TrimSpace(stderr.String()))
	}
	found, err := parseList(string(out))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return append([]string{p.loader}, found...), nil
}

// parseList reads the loader's lines: "NAME => PATH (ADDRESS)", and for the loader and the kernel's own "NAME (ADDRESS)".
func parseList(list string) ([]string, error) {
	var found []string
	var missing []error
	for line := range strings.Lines(list) {
		name, where, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok {
			continue
		}
		path, _, _ := strings.Cut(where, " (")
		switch {
		case path == "not found":
			missing = append(missing, fmt.Errorf("its library %s is not on this machine", name))
		case path != name: // the loader again, if the C library names it as needed
			found = append(found, path)
		}
	}
	return found, errors.Join(missing...)
}

// libraryFiles returns the shared libraries and their licences as files of an image, and the packages that they are from.
func libraryFiles(paths []string) ([]file, []debianPackage, error) {
	var files []file
	var packages []debianPackage
	known := map[string]bool{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, file{path: path, mode: 0o755, content: content})
		owner, err := packageOf(path)
		if err != nil {
			return nil, nil, err
		}
		if known[owner.name] {
			continue
		}
		known[owner.name] = true
		packages = append(packages, owner)
		licences, err := licenceFiles(owner)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, licences...)
	}
	return files, packages, nil
}
