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
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strings"
)

// program is a Go binary and what it says of itself.
type program struct {
	path    string
	content []byte
	// arch as Go and OCI name it.
	arch string
	// loader is the path of the dynamic loader that it asks for; empty if it is linked statically.
	loader string
	info   *buildinfo.BuildInfo
}

func readProgram(path string) (*program, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: build it first", err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is no Go binary: %w", path, err)
	}
	p := &program{path: path, content: content, info: info}
	for _, setting := range info.Settings {
		if setting.Key == "GOARCH" {
			p.arch = setting.Value
		}
	}
	if p.arch == "" {
		return nil, fmt.Errorf("%s does not say which architecture it was built for", path)
	}
	p.loader, err = loader(path)
	return p, err
}

func loader(path string) (string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			name, err := io.ReadAll(segment.Open())
			if err != nil {
				return "", fmt.Errorf("%s: reading its loader's name: %w", path, err)
			}
			return strings.TrimRight(string(name), "\x00"), nil
		}
	}
	return "", nil
}
