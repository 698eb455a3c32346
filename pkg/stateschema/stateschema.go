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

// Package stateschema knows the format of a network state: which fields it has, and which values they take. The
// definitions are made by hack/nmstate-schema of the source of the crate nmstate. A node may have a newer nmstate, so a
// field that is not known here is not wrong.
package stateschema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// definitionsJSON is an OpenAPI v2 document that has definitions alone. What OpenAPI has no words for is in extensions
// x-nmstate-….
//
//go:embed zz_generated.definitions.json
var definitionsJSON []byte

const (
	// root is the definition of a whole network state.
	root = "NetworkState"
	// extension begins the names of the generator's own extensions.
	extension = "x-nmstate-"
	// localReference begins a reference to a definition of the document.
	localReference = "#/definitions/"
)

// readDefinitions returns all definitions, by the crate's names. The caller may change them.
func readDefinitions() (map[string]*spec.Schema, error) {
	var document struct {
		Definitions map[string]*spec.Schema `json:"definitions"`
	}
	if err := json.Unmarshal(definitionsJSON, &document); err != nil {
		return nil, fmt.Errorf("reading the definitions of a network state: %w", err)
	}
	return document.Definitions, nil
}

// referenced returns the name of the definition that a schema refers to, or "".
func referenced(schema *spec.Schema) string {
	name, ok := strings.CutPrefix(schema.Ref.String(), localReference)
	if !ok {
		return ""
	}
	return name
}
