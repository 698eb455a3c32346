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
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"
)

// kubernetesVersions are the oldest version that we support and the newest, as the Go module k8s.io/kubernetes has them: it
// comes with the OpenAPI document of its API server.
var kubernetesVersions = []string{"v1.30.14", "v1.37.2"}

// definitions are the schemas of an OpenAPI document by their names.
type definitions map[string]map[string]any

// openAPI returns the definitions of a version of Kubernetes.
func openAPI(t *testing.T, version string) definitions {
	t.Helper()
	var document struct{ Definitions definitions }
	if err := json.Unmarshal(readOf(t, "k8s.io/kubernetes@"+version, "api/openapi-spec/swagger.json"), &document); err != nil {
		t.Fatal(err)
	}
	return document.Definitions
}

// readOf returns a file of a Go module, which is fetched beside the requirements of this one.
func readOf(t *testing.T, module, file string) []byte {
	t.Helper()
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir = t.TempDir()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", module, err, out)
	}
	var fetched struct{ Dir string }
	if err := json.Unmarshal(out, &fetched); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(fetched.Dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// crds are the CustomResourceDefinitions of kinds that Kubernetes has not, by the Go modules that their projects release.
var crds = map[string][]string{
	"github.com/cert-manager/cert-manager@v1.21.1": {"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"},
	"github.com/prometheus-operator/prometheus-operator@v0.93.1": {
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"},
}

// writeCRDs writes a JSON schema for each version of each kind of crds, as writeSchemas does.
func writeCRDs(t *testing.T, folder string) {
	t.Helper()
	for module, files := range crds {
		for _, file := range files {
			var crd struct {
				Spec struct {
					Group    string
					Names    struct{ Kind string }
					Versions []struct {
						Name   string
						Schema struct{ OpenAPIV3Schema map[string]any }
					}
				}
			}
			if err := yaml.Unmarshal(readOf(t, module, file), &crd); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, version := range crd.Spec.Versions {
				makeStrict(version.Schema.OpenAPIV3Schema)
				text, err := json.Marshal(version.Schema.OpenAPIV3Schema)
				if err != nil {
					t.Fatal(err)
				}
				name := schemaName(crd.Spec.Group+"/"+version.Name, crd.Spec.Names.Kind)
				if err := os.WriteFile(filepath.Join(folder, name+".json"), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// writeSchemas writes a JSON schema for each kind, as kubeconform looks for it: GROUP-VERSION-KIND.json. Fields that a kind
// does not have are errors.
func (d definitions) writeSchemas(t *testing.T, folder string, wanted map[string]bool) {
	t.Helper()
	for _, schema := range d {
		makeStrict(schema)
	}
	for name, schema := range d {
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		for _, kind := range kinds {
			gvk := kind.(map[string]any)
			group, version := gvk["group"].(string), gvk["version"].(string)
			if group != "" {
				version = group + "/" + version
			}
			id := schemaName(version, gvk["kind"].(string))
			if !wanted[id] {
				continue
			}
			needed := definitions{}
			d.collect(name, needed)
			text, err := json.Marshal(map[string]any{"$ref": "#/definitions/" + name, "definitions": needed})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, id+".json"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// schemaName is what the schema of a kind is called, as kubeconform makes it of the template below: it takes the version for
// the group of kinds that have none.
func schemaName(apiVersion, kind string) string {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		version = apiVersion
	}
	return strings.ToLower(group + "-" + version + "-" + kind)
}

// collect adds the definition of that name, and all that it refers to.
func (d definitions) collect(name string, to definitions) {
	if to[name] != nil {
		return
	}
	to[name] = d[name]
	var visit func(value any)
	visit = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if reference, ok := value["$ref"].(string); ok {
				d.collect(strings.TrimPrefix(reference, "#/definitions/"), to)
			}
			for _, item := range value {
				visit(item)
			}
		case []any:
			for _, item := range value {
				visit(item)
			}
		}
	}
	visit(d[name])
}

// makeStrict refuses fields that are not known, and says of what is a number or a text what it is.
func makeStrict(schema map[string]any) {
	if properties, ok := schema["properties"].(map[string]any); ok {
		if schema["x-kubernetes-preserve-unknown-fields"] != true {
			schema["additionalProperties"] = false
		}
		for _, property := range properties {
			makeStrict(property.(map[string]any))
		}
	}
	if schema["format"] == "int-or-string" {
		delete(schema, "format")
		schema["type"] = []any{"integer", "string"}
	}
	// Quantities are texts in OpenAPI, and Kubernetes takes numbers, too.
	if description, _ := schema["description"].(string); schema["type"] == "string" && strings.HasPrefix(description, "Quantity is a fixed-point representation") {
		schema["type"] = []any{"string", "number"}
	}
	delete(schema, "format") // JSON schema has others
	delete(schema, "description")
	if items, ok := schema["items"].(map[string]any); ok {
		makeStrict(items)
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		makeStrict(values)
	}
}

// TestManifestsAreValid: kubeconform takes all manifests, in all their variants, by the schemas of the oldest and the newest
// Kubernetes, and of cert-manager and the Prometheus operator.
func TestManifestsAreValid(t *testing.T) {
	c := loadChart(t)
	all := map[string]map[string]object{"artifacts/ with all components": kustomize(t, "service-monitor", "cert-manager", "prometheus-rule")}
	for name, values := range variants {
		all["the chart, "+name], _ = render(t, c, namespace, values)
	}
	wanted := map[string]bool{}
	for _, objects := range all {
		for _, o := range objects {
			wanted[schemaName(o["apiVersion"].(string), o["kind"].(string))] = true
		}
	}
	foreign := t.TempDir()
	writeCRDs(t, foreign)
	for _, version := range kubernetesVersions {
		t.Run(version, func(t *testing.T) {
			folder := t.TempDir()
			openAPI(t, version).writeSchemas(t, folder, wanted)
			const file = "/{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json"
			conforms, err := validator.New([]string{folder + file, foreign + file}, validator.Opts{Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			for name, objects := range all {
				for id, o := range objects {
					if err := check(conforms, o); err != "" {
						t.Errorf("%s: %s: %s", name, id, err)
					}
				}
			}
			for id, path := range map[string][]any{
				deployment: {"spec"},
				"monitoring.coreos.com/v1 ServiceMonitor nmstate-system/nmstate-apiserver": {"spec", "endpoints", 0},
				"monitoring.coreos.com/v1 PrometheusRule nmstate-system/nmstate-apiserver": {"spec", "groups", 0, "rules", 0},
				"cert-manager.io/v1 Certificate nmstate-system/nmstate-apiserver":          {"spec", "privateKey"},
			} {
				wrong := all["artifacts/ with all components"][id]
				at, isObject := wrong.at(path...).(map[string]any)
				if !isObject {
					t.Fatalf("%s has nothing at %v", id, path)
				}
				at["replica"] = 1
				if check(conforms, wrong) == "" {
					t.Errorf("%s: a field that does not exist is not noticed", id)
				}
				delete(at, "replica")
			}
		})
	}
}

// check returns what is wrong with an object, empty if nothing is.
func check(conforms validator.Validator, o object) string {
	text, err := yaml.Marshal(o)
	if err != nil {
		return err.Error()
	}
	for _, result := range conforms.Validate("", io.NopCloser(bytes.NewReader(text))) {
		if result.Status != validator.Valid {
			if result.Err == nil {
				return "it was not checked"
			}
			return result.Err.Error()
		}
	}
	return ""
}
