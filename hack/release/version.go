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
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// version of a source tree: what its folder "version" says.
type version struct{ name, description string }

func readVersion(root string) (version, error) {
	path := filepath.Join(root, "version", "version.go")
	name, err := constant(path, "Version")
	if err != nil {
		return version{}, err
	}
	// An image's tag has no room for the "+" of build metadata.
	if semver.Canonical(name) != name || semver.Build(name) != "" {
		return version{}, fmt.Errorf("%s: Version is %q, it must be like v1.2.3 or v1.2.3-rc.1", path, name)
	}
	description, err := os.ReadFile(filepath.Join(root, "version", "description"))
	if err != nil {
		return version{}, err
	}
	if len(strings.TrimSpace(string(description))) == 0 {
		return version{}, errors.New("version/description is empty: say what the release brings")
	}
	return version{name: name, description: string(description)}, nil
}

// constant returns the string constant of that name in a Go file.
func constant(path, name string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var found string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || spec.Names[0].Name != name {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			found, err = strconv.Unquote(literal.Value)
		}
		return false
	})
	if err == nil && found == "" {
		err = fmt.Errorf("%s has no constant %s", path, name)
	}
	return found, err
}
