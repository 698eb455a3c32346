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
	"regexp"
	"strings"
)

// debianPackage is an installed package that a file of an image is from.
type debianPackage struct {
	name, version, arch, source string
}

// packageOf returns the package that a shared library is from.
func packageOf(path string) (debianPackage, error) {
	owner, err := ownerOf(path)
	if err != nil {
		return debianPackage{}, err
	}
	out, err := exec.Command("dpkg-query", "--show",
		"--showformat=${Package}\t${Version}\t${Architecture}\t${source:Package}", owner).Output()
	if err != nil {
		return debianPackage{}, fmt.Errorf("asking dpkg for package %s: %w", owner, withStderr(err))
	}
	fields := strings.Split(string(out), "\t")
	if len(fields) != 4 {
		return debianPackage{}, fmt.Errorf("dpkg says %q of package %s, which is not understood", out, owner)
	}
	return debianPackage{name: fields[0], version: fields[1], arch: fields[2], source: fields[3]}, nil
}

// ownerOf returns the package as dpkg wants it named. /lib is a link into /usr, and dpkg knows a file by the one name
// that its package has for it.
func ownerOf(path string) (string, error) {
	inUsr := strings.TrimPrefix(path, "/usr")
	for _, name := range []string{path, inUsr, "/usr" + inUsr} {
		command := exec.Command("dpkg-query", "--search", name)
		command.Env = append(os.Environ(), "LC_ALL=C")
		out, err := command.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
			continue // no package has it
		}
		if err != nil {
			return "", fmt.Errorf("asking dpkg whose %s is: %w", path, withStderr(err))
		}
		owner, _, _ := strings.Cut(string(out), ": ")
		return owner, nil
	}
	return "", fmt.Errorf("%s is from no Debian package, so its licence is not known", path)
}

func withStderr(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// licences finds the full texts that a copyright file refers to.
var licences = regexp.MustCompile(`/usr/share/common-licenses/[A-Za-z0-9.+-]*[A-Za-z0-9+]`)

// licenceFiles returns the package's copyright file and the licences that it refers to.
func licenceFiles(p debianPackage) ([]file, error) {
	path := "/usr/share/doc/" + p.name + "/copyright"
	copyright, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("package %s may not be copied without its copyright file: %w", p.name, err)
	}
	files := []file{{path: path, mode: 0o644, content: copyright}}
	for _, name := range licences.FindAll(copyright, -1) {
		text, err := os.ReadFile(string(name))
		if err != nil {
			return nil, fmt.Errorf("the copyright of package %s refers to it: %w", p.name, err)
		}
		files = append(files, file{path: string(name), mode: 0o644, content: text})
	}
	return files, nil
}
