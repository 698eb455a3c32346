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

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
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
	command := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	command.Dir = t.TempDir() // beside the requirements of this module
	out, err := command.Output()
	if err != nil {
		t.Fatalf("k8s.io/kubernetes@%s: %v\n%s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "api/openapi-spec/swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Definitions definitions }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Definitions
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
		schema["additionalProperties"] = false
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

// decoders are of kinds that Kubernetes has not: their own Go types say what is wrong.
var decoders = map[string]func() any{
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return &monitoringv1.ServiceMonitor{} },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return &monitoringv1.PrometheusRule{} },
	"cert-manager.io/v1 Certificate":          func() any { return &certmanagerv1.Certificate{} },
	"cert-manager.io/v1 Issuer":               func() any { return &certmanagerv1.Issuer{} },
}

// TestManifestsAreValid: kubeconform takes all manifests, in all their variants, by the schemas of the oldest and the newest
// Kubernetes.
func TestManifestsAreValid(t *testing.T) {
	c := loadChart(t)
	all := map[string]map[string]object{"artifacts/ with all components": kustomize(t, "service-monitor", "cert-manager", "prometheus-rule")}
	for name, values := range variants {
		all["the chart, "+name], _ = render(t, c, namespace, values)
	}
	wanted, builtin := map[string]bool{}, map[string]map[string]object{}
	for name, objects := range all {
		builtin[name] = map[string]object{}
		for id, o := range objects {
			kind := o["apiVersion"].(string) + " " + o["kind"].(string)
			decoder, ok := decoders[kind]
			if !ok {
				wanted[schemaName(o["apiVersion"].(string), o["kind"].(string))] = true
				builtin[name][id] = o
				continue
			}
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(text, decoder()); err != nil {
				t.Errorf("%s: %s: %v", name, id, err)
			}
		}
	}
	for _, version := range kubernetesVersions {
		t.Run(version, func(t *testing.T) {
			folder := t.TempDir()
			openAPI(t, version).writeSchemas(t, folder, wanted)
			conforms, err := validator.New([]string{folder + "/{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json"}, validator.Opts{Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			for name, objects := range builtin {
				for id, o := range objects {
					if err := check(conforms, o); err != "" {
						t.Errorf("%s: %s: %s", name, id, err)
					}
				}
			}
			wrong := builtin["the chart, defaults"]["apps/v1 Deployment nmstate-system/nmstate-apiserver"]
			wrong.at("spec").(map[string]any)["replica"] = 1
			if check(conforms, wrong) == "" {
				t.Error("a field that does not exist is not noticed")
			}
			delete(wrong.at("spec").(map[string]any), "replica")
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
