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

// Command openapi-schema prints the OpenAPI v2 definitions of the API's types:
// applyconfiguration-gen learns from them which lists and maps merge.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/openapi"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

func main() {
	if err := print(); err != nil {
		fmt.Fprintln(os.Stderr, "openapi-schema:", err)
		os.Exit(1)
	}
}

// anything is the name of a definition of whatever there is.
const anything = "io.nmstate.v1alpha1.State.Value"

// typed gives the schemas of a state's structure, which take whatever there is, the types that the generator insists on.
func typed(schema spec.Schema, reference func(string) spec.Ref) spec.Schema {
	isReference := schema.Ref.String() != ""
	switch {
	case len(schema.Type) > 0, isReference:
		return schema
	case schema.Items != nil:
		schema.Type = spec.StringOrArray{"array"}
		items := typed(*schema.Items.Schema, reference)
		schema.Items.Schema = &items
	case len(schema.Properties) == 0:
		schema.Ref = reference(anything)
	case len(schema.Properties) > 0:
		schema.Type = spec.StringOrArray{"object"}
		for name, property := range schema.Properties {
			schema.Properties[name] = typed(property, reference)
		}
	}
	return schema
}

func print() error {
	reference := func(name string) spec.Ref {
		return spec.MustCreateRef("#/definitions/" + common.EscapeJsonPointer(name))
	}
	object := v1alpha1.NodeNetworkState{}.OpenAPIModelName()
	types, err := stateschema.WithStructure(openapi.GetOpenAPIDefinitions,
		v1alpha1.State{}.OpenAPIModelName(), v1alpha1.NodeNetworkStateStatus{}.OpenAPIModelName(), v1alpha1.CurrentStateModelName)
	if err != nil {
		return err
	}
	definitions := spec.Definitions{anything: spec.Schema{}}
	for name, definition := range types(reference) {
		schema := typed(definition.Schema, reference)
		if v2, ok := schema.Extensions[common.ExtensionV2Schema]; ok {
			if v2Schema, ok := v2.(spec.Schema); ok {
				schema = v2Schema
			}
		}
		definitions[name] = schema
	}
	// The generator looks for a type by its package, and knows nothing of model names.
	definitions[util.ToRESTFriendlyName(reflect.TypeFor[v1alpha1.NodeNetworkState]().PkgPath()+".NodeNetworkState")] = definitions[object]
	return json.NewEncoder(os.Stdout).Encode(&spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "nmstate.io", Version: "unversioned"}},
		Paths:       &spec.Paths{},
		Definitions: definitions,
	}})
}
