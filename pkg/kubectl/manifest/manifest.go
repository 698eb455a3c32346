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

// Package manifest reads what users write: NodeNetworkStates and bare nmstate states, from files, folders and standard input.
package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Document is one document of a file.
type Document struct {
	// Source says where it is from, such as `a.yaml, document 2`.
	Source string
	// Node is the name of the node that it is for; empty for a bare state, which is for any node.
	Node string
	// Object is a NodeNetworkState as it is to be applied, or a bare state.
	Object map[string]any
}

// Target is what is to be applied to one node.
type Target struct {
	Node string
	// Source says where it is from.
	Source string
	// Object is a NodeNetworkState as server-side apply takes it.
	Object map[string]any
}

// ErrNoNode is returned for a bare state without a node.
var ErrNoNode = errors.New("it is a bare state, which is for no node")

// Targets returns what is to be applied to which node. selected are the nodes that the command line names; selects tells whether
// it names any. A bare state is for each of them; of NodeNetworkStates only those of selected nodes are taken.
// The targets are in the order of the documents, those of a bare state in the order of selected.
func Targets(documents []Document, selected []string, selects bool) ([]Target, error) {
	if i := slices.IndexFunc(documents, func(d Document) bool { return d.Node == "" }); i >= 0 {
		return bareTargets(documents, i, selected, selects)
	}
	var targets []Target
	sources := map[string]string{}
	for _, d := range documents {
		if first, twice := sources[d.Node]; twice {
			return nil, fmt.Errorf("node %q is in %s and in %s: the second would take the place of the first, merge them", d.Node, first, d.Source)
		}
		sources[d.Node] = d.Source
		if selects && !slices.Contains(selected, d.Node) {
			continue
		}
		targets = append(targets, Target{Node: d.Node, Source: d.Source, Object: d.Object})
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("none of the files is for a node that was selected (%s)", strings.Join(selected, ", "))
	}
	return targets, nil
}

// bareTargets returns the targets of the bare state at i, which must be alone.
func bareTargets(documents []Document, i int, selected []string, selects bool) ([]Target, error) {
	bare := documents[i]
	if len(documents) > 1 {
		other := documents[1]
		if i == 1 {
			other = documents[0]
		}
		return nil, fmt.Errorf("%s is a bare state, and there is also %s: one state is expected; "+
			"to change nodes differently, write a NodeNetworkState for each", bare.Source, other.Source)
	}
	if !selects {
		return nil, fmt.Errorf("%s: %w", bare.Source, ErrNoNode)
	}
	var targets []Target
	for _, node := range selected {
		targets = append(targets, Target{Node: node, Source: bare.Source, Object: wrap(node, bare.Object)})
	}
	return targets, nil
}

// wrap returns the NodeNetworkState of a node that desires the state.
func wrap(node string, state map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": v1alpha1.SchemeGroupVersion.String(),
		"kind":       "NodeNetworkState",
		"metadata":   map[string]any{"name": node},
		"spec":       map[string]any{"desiredState": state},
	}
}
