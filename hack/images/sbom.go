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
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	packageurl "github.com/package-url/packageurl-go"
	"github.com/pelletier/go-toml/v2"
)

// billOfMaterials lists what an image is made of, as CycloneDX. It has no time: the same image has the same bill.
func billOfMaterials(k kind, p *program, tag string, parts []cyclonedx.Component) ([]byte, error) {
	subject := cyclonedx.Component{
		BOMRef:     k.name,
		Type:       cyclonedx.ComponentTypeContainer,
		Name:       k.name,
		Version:    tag,
		Properties: &[]cyclonedx.Property{{Name: "arch", Value: p.arch}},
		Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
	}
	components := append(goModules(p.info), parts...)
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	needed := make([]string, 0, len(components))
	for _, component := range components {
		needed = append(needed, component.BOMRef)
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &subject}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: subject.BOMRef, Dependencies: &needed}}
	// The number is made from what the bill says.
	unnumbered, err := encode(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, unnumbered).String()
	return encode(bom)
}

func encode(bom *cyclonedx.BOM) ([]byte, error) {
	var out bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

// goModules are those that the binary was linked from, and the standard library.
func goModules(info *buildinfo.BuildInfo) []cyclonedx.Component {
	components := []cyclonedx.Component{library(packageurl.TypeGolang, "", "std", strings.TrimPrefix(info.GoVersion, "go"), nil)}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		namespace, name := "", module.Path
		if i := strings.LastIndex(module.Path, "/"); i >= 0 {
			namespace, name = module.Path[:i], module.Path[i+1:]
		}
		components = append(components, library(packageurl.TypeGolang, namespace, name, module.Version, nil))
	}
	return components
}

// crates are those that Cargo locked for libnmstate. A lock says neither what a crate is needed for nor on which
// platform, so there may be more of them than the binary has.
func crates(lockFile string) ([]cyclonedx.Component, error) {
	content, err := os.ReadFile(lockFile)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Package []struct{ Name, Version, Source, Checksum string }
	}
	if err := toml.Unmarshal(content, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", lockFile, err)
	}
	var components []cyclonedx.Component
	for _, crate := range lock.Package {
		if crate.Source == "" { // our own wrapper, which is linked into nothing
			continue
		}
		component := library(packageurl.TypeCargo, "", crate.Name, crate.Version, nil)
		if crate.Checksum != "" {
			component.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: crate.Checksum}}
		}
		components = append(components, component)
	}
	if len(components) == 0 {
		return nil, fmt.Errorf("%s names no crates", lockFile)
	}
	return components, nil
}

// debianComponents are the packages that shared libraries were copied from.
func debianComponents(packages []debianPackage) []cyclonedx.Component {
	var components []cyclonedx.Component
	for _, p := range packages {
		components = append(components, library(packageurl.TypeDebian, "debian", p.name, p.version,
			map[string]string{"arch": p.arch, "upstream": p.source}))
	}
	return components
}

func library(ecosystem, namespace, name, version string, qualifiers map[string]string) cyclonedx.Component {
	purl := packageurl.NewPackageURL(ecosystem, namespace, name, version,
		packageurl.QualifiersFromMap(qualifiers), "").ToString()
	if namespace != "" && ecosystem == packageurl.TypeGolang {
		name = namespace + "/" + name
	}
	return cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl}
}
