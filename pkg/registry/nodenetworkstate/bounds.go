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

package nodenetworkstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	yamltojson "sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// What a body may be like, besides its length. Upstream decodes and merges a body before it
// validates the result, and a body of 60 KB can make it work for 20 s with 1 GB: a merge patch is
// copied once for each level of nesting, and an alias in YAML is written out each time.
const (
	// maxBodyDepth is how deep a body may be nested: as deep as a state, and what stands around it.
	maxBodyDepth = v1alpha1.MaxDepth + 20
	// maxFields is how many fields a body may have outside of lists, such as annotations.
	maxFields = 20_000
	// maxNested bounds the sum of the depths of a body's bytes. A whole object of 3 MiB has half of it.
	maxNested = 64 << 20
	// maxExpanded is how long YAML may be once its aliases are written out, as long as a body.
	maxExpanded = 3 << 20
	// MaxReference is how long a TransactionReference may be. It has an id and a name.
	MaxReference = 16 << 10
)

// json returns the body as JSON. It refuses YAML that grows by its aliases.
func (b Body) json() ([]byte, error) {
	if !slices.Contains([]string{string(types.ApplyYAMLPatchType), runtime.ContentTypeYAML}, b.MediaType) {
		return b.Data, nil
	}
	if err := checkAliases(b.Data); err != nil {
		return nil, err
	}
	// YAML may begin as JSON does.
	if json.Valid(b.Data) {
		return b.Data, nil
	}
	return yamltojson.YAMLToJSON(b.Data)
}

// checkBounds refuses a body that costs much more to decode and to merge than its length tells.
func (b Body) checkBounds() error {
	text, err := b.json()
	if apierrors.IsBadRequest(err) {
		return err
	}
	if err != nil {
		return nil // upstream meets the same and says so
	}
	weight := jsonweight.Of(text)
	switch {
	case weight.Depth > maxBodyDepth:
		return apierrors.NewBadRequest(fmt.Sprintf("the body must not be nested deeper than %d levels: spec.desiredState may have %d",
			maxBodyDepth, v1alpha1.MaxDepth))
	case weight.Nested > maxNested:
		return apierrors.NewBadRequest(fmt.Sprintf("the body has too much text in deep levels: its %d bytes are nested %d levels deep on average; send less at once",
			len(text), weight.Nested/len(text)))
	case !utf8.Valid(text):
		return apierrors.NewBadRequest("the body is not valid UTF-8")
	case b.MediaType == string(types.JSONPatchType):
		return checkOperations(text)
	}
	return checkFields(weight.Fields)
}

// checkFields refuses a body with so many fields outside of lists that to note who manages
// them would take seconds and 100 MB.
func checkFields(fields int) error {
	if fields > maxFields {
		return apierrors.NewBadRequest(fmt.Sprintf("the body has %d fields outside of lists: more than %d are not taken", fields, maxFields))
	}
	return nil
}

// checkOperations refuses a JSON patch that reaches deeper than an object may be, or adds too
// many fields. By copies into itself an object doubles its depth with each operation.
func checkOperations(text []byte) error {
	var operations []struct {
		From  string          `json:"from"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if utiljson.Unmarshal(text, &operations) != nil {
		return nil // upstream says so
	}
	var sum jsonweight.Weight
	for i, operation := range operations {
		weight := jsonweight.Of(operation.Value)
		sum.Fields += 1 + weight.Fields
		sum.Values += weight.Values
		sum.Siblings += max(1, weight.Siblings)
		if max(strings.Count(operation.From, "/"), strings.Count(operation.Path, "/")) > maxBodyDepth {
			return apierrors.NewBadRequest(fmt.Sprintf("patch[%d]: its path must not be deeper than %d levels", i, maxBodyDepth))
		}
	}
	switch {
	case sum.Siblings > v1alpha1.MaxSiblings:
		return apierrors.NewBadRequest(fmt.Sprintf("the patch may add %d entries to one list, or fields to one object: more than %d are not taken", sum.Siblings, v1alpha1.MaxSiblings))
	case sum.Values > v1alpha1.MaxDesiredValues:
		return apierrors.NewBadRequest(fmt.Sprintf("the patch has about %d values: more than %d are not taken", sum.Values, v1alpha1.MaxDesiredValues))
	}
	return checkFields(sum.Fields)
}

// checkAliases refuses YAML that is longer than a body may be once its aliases are written out.
func checkAliases(text []byte) error {
	if !bytes.ContainsRune(text, '*') {
		return nil
	}
	var root yaml.Node
	if yaml.Unmarshal(text, &root) != nil {
		return apierrors.NewBadRequest("the body is no YAML that can be read: send JSON, or YAML without aliases")
	}
	if expanded(&root, map[*yaml.Node]int{}) > maxExpanded {
		return apierrors.NewBadRequest(fmt.Sprintf("the body has more than %d bytes with its YAML aliases written out: write less, or send JSON", maxExpanded))
	}
	return nil
}

// expanded returns how long the node's text is about, with aliases written out. It stops
// to count soon after maxExpanded. known has the nodes that are counted already.
func expanded(node *yaml.Node, known map[*yaml.Node]int) int {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if size, there := known[node]; there {
		return size
	}
	known[node] = maxExpanded + 1 // an alias of what it stands in never ends
	size := len(node.Value) + 1
	for _, item := range node.Content {
		if size += expanded(item, known); size > maxExpanded {
			break
		}
	}
	known[node] = size
	return size
}
