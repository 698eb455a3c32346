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

package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// parse returns the documents of a text, those of lists one by one.
func parse(source string, text []byte) ([]Document, error) {
	parts := split(text)
	var documents []Document
	for i, part := range parts {
		name := source
		if len(parts) > 1 {
			name = fmt.Sprintf("%s, document %d (line %d)", source, i+1, part.line)
		}
		object, err := decode(part.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found, err := classify(name, object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		documents = append(documents, found...)
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%s is empty", source)
	}
	return documents, nil
}

// decode reads YAML or JSON as kubectl does. A key that is there twice is an error.
func decode(text []byte) (map[string]any, error) {
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		_, text, several := strings.Cut(err.Error(), "unmarshal errors:\n")
		if !several {
			text = strings.TrimPrefix(err.Error(), "yaml: ")
		}
		if strings.Contains(text, "control characters") || strings.Contains(text, "invalid UTF-8") {
			text = "it is neither YAML nor JSON: " + text
		}
		return nil, errors.New(strings.TrimSpace(text))
	}
	object, err := tree.Decode(raw)
	if err != nil || object == nil {
		return nil, errors.New("it is no object: a NodeNetworkState, or a state such as \"interfaces: […]\", is expected")
	}
	// What follows the first object would be left out without a word.
	var first, more any
	if rest := goyaml.NewDecoder(bytes.NewReader(text)); rest.Decode(&first) == nil && !errors.Is(rest.Decode(&more), io.EOF) {
		return nil, errors.New("there is more after its end: write a line \"---\" between documents")
	}
	return object, nil
}

// classify tells what an object is: a list of others, a NodeNetworkState, or a bare state.
func classify(source string, object map[string]any) ([]Document, error) {
	kind, isText := object["kind"].(string)
	version, hasVersion := object["apiVersion"].(string)
	switch {
	case object["kind"] == nil && object["apiVersion"] == nil:
		return bare(source, object)
	case !isText || kind == "":
		return nil, errors.New("it has an apiVersion and no kind: write \"kind: NodeNetworkState\"")
	case !hasVersion || version == "":
		return nil, fmt.Errorf("it has a kind and no apiVersion: write \"apiVersion: %s\"", v1alpha1.SchemeGroupVersion)
	case kind == "List" || kind == "NodeNetworkStateList":
		return list(source, object)
	}
	if err := checkKind(version, kind, tree.Object(object["spec"])); err != nil {
		return nil, err
	}
	metadata := tree.Object(object["metadata"])
	name := tree.StringAt(metadata, "name")
	switch {
	case name == "" && metadata["name"] != nil && metadata["name"] != "":
		return nil, errors.New("metadata.name is no text: write the name of the node in quotes")
	case name == "":
		return nil, errors.New("metadata.name is missing: it is the name of the node")
	case object["status"] != nil && object["spec"] == nil:
		// To apply no spec would give up all that was applied before.
		return nil, errors.New("it has a status and no spec: the status says what is, and is not applied; write what is to be into spec.desiredState")
	}
	// What the server has put there is not the user's to apply.
	delete(object, "status")
	delete(metadata, "managedFields")
	return []Document{{Source: source, Node: name, Object: object}}, nil
}

// checkKind tells what to do with an object that is no NodeNetworkState of this API.
func checkKind(version, kind string, spec map[string]any) error {
	group, err := schema.ParseGroupVersion(version)
	if err != nil {
		return fmt.Errorf("apiVersion %.100q is none: write %q", version, v1alpha1.SchemeGroupVersion)
	}
	switch {
	case kind == "NodeNetworkConfigurationPolicy" && group.Group == v1alpha1.SchemeGroupVersion.Group:
		return policy(spec)
	case kind != "NodeNetworkState" || group.Group != v1alpha1.SchemeGroupVersion.Group:
		return fmt.Errorf("it is a %s of %s: only NodeNetworkStates of %s and bare states are expected", kind, version, v1alpha1.SchemeGroupVersion)
	case group != v1alpha1.SchemeGroupVersion:
		return fmt.Errorf("apiVersion is %q, which is the object of kubernetes-nmstate: write %q", version, v1alpha1.SchemeGroupVersion)
	}
	return nil
}

// policy is the error of a policy of kubernetes-nmstate: it says how its state is applied here.
func policy(spec map[string]any) error {
	var selector []string
	for key, value := range tree.Object(spec["nodeSelector"]) {
		selector = append(selector, key+"="+tree.Text(value))
	}
	slices.Sort(selector)
	to := "--node or -l"
	if len(selector) > 0 {
		to = "-l " + strings.Join(selector, ",")
	}
	text := "it is a NodeNetworkConfigurationPolicy, which this API does not serve: its spec.desiredState is a bare state; put that into a file of its own, " +
		"and apply it with " + to
	if spec["capture"] != nil {
		text += "; instead of captures, write what they stand for on each node"
	}
	return errors.New(text)
}

// bare returns a state of nmstate's own format. Its fields are the server's to check, which knows them all.
func bare(source string, object map[string]any) ([]Document, error) {
	if object["capture"] != nil {
		return nil, errors.New("it is a policy of nmstatectl: \"nmstatectl policy FILE\", run on the node, prints the state that it makes there")
	}
	if _, isList := object["nodes"].([]any); isList {
		return nil, errors.New("it is the list that \"kubectl nmstate show\" prints of several nodes: print one node, and apply that")
	}
	for _, key := range []string{"spec", "metadata", "desiredState"} {
		if object[key] != nil {
			return nil, fmt.Errorf("it has %q but neither apiVersion nor kind: write \"apiVersion: %s\" and \"kind: NodeNetworkState\", or a bare state alone",
				key, v1alpha1.SchemeGroupVersion)
		}
	}
	if object["Kind"] != nil || object["apiversion"] != nil {
		return nil, errors.New("the fields are \"kind\" and \"apiVersion\", with these capitals")
	}
	if len(object) == 0 {
		return nil, errors.New("it is an empty object")
	}
	return []Document{{Source: source, Object: object}}, nil
}

func list(source string, object map[string]any) ([]Document, error) {
	items, isList := object["items"].([]any)
	if !isList {
		return nil, errors.New("it is a list without items")
	}
	var documents []Document
	for i, item := range items {
		name := fmt.Sprintf("%s, item %d", source, i+1)
		fields := tree.Object(item)
		if fields == nil || fields["kind"] == nil && fields["apiVersion"] == nil {
			return nil, fmt.Errorf("item %d is no NodeNetworkState", i+1)
		}
		found, err := classify(name, fields)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

// part is a document's text, and the line at which it begins.
type part struct {
	text []byte
	line int
}

// split returns the documents of a YAML stream that have more than comments, or of a stream of JSON objects.
func split(text []byte) []part {
	if parts := splitJSON(text); len(parts) > 0 {
		return parts
	}
	var parts []part
	var lines []string
	first := 1
	flush := func(next int) {
		if slices.ContainsFunc(lines, hasContent) {
			parts = append(parts, part{[]byte(strings.Join(lines, "")), first})
		}
		lines, first = nil, next
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if marker := strings.TrimRight(line, " \t\r\n"); marker == "---" || strings.HasPrefix(line, "--- ") {
			flush(number + 1)
			if rest, found := strings.CutPrefix(line, "--- "); found {
				lines = append(lines, rest)
			}
			continue
		}
		lines = append(lines, line)
	}
	flush(number + 1)
	return parts
}

// splitJSON returns the objects of a stream of JSON, nothing if the text is none.
func splitJSON(text []byte) []part {
	var parts []part
	for stream := json.NewDecoder(bytes.NewReader(text)); ; {
		begin := stream.InputOffset()
		var object json.RawMessage
		switch err := stream.Decode(&object); {
		case errors.Is(err, io.EOF):
			return parts
		case err != nil:
			return nil
		}
		begin += int64(len(text[begin:]) - len(bytes.TrimLeft(text[begin:], " \t\r\n")))
		parts = append(parts, part{object, 1 + bytes.Count(text[:begin], []byte("\n"))})
	}
}

func hasContent(line string) bool {
	text := strings.TrimSpace(line)
	return text != "" && !strings.HasPrefix(text, "#") && text != "..." && !strings.HasPrefix(text, "%YAML")
}
