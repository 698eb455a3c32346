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
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// mostMet is how many entries an error names with their owners.
	mostMet = 10
	// causeOwners is the type of the cause that says who owns the entries that an error names.
	causeOwners = "FieldManagers"
)

// met is a named entry of a list of a desired state, and the field managers that own it.
type met struct {
	name, path string
	managers   []string
}

// entriesOf returns the named entries of all lists, and who owns them, in the order of their paths.
func entriesOf(managed []metav1.ManagedFieldsEntry) []met {
	byPath := map[string]*met{}
	for _, entry := range managed {
		addEntries(inState(fieldsOf(entry)), field.NewPath("spec", "desiredState"), func(name, path string) {
			if byPath[path] == nil {
				byPath[path] = &met{name: name, path: path}
			}
			if quoted := fmt.Sprintf("%q", entry.Manager); !slices.Contains(byPath[path].managers, quoted) {
				byPath[path].managers = append(byPath[path].managers, quoted)
			}
		})
	}
	var found []met
	for _, entry := range byPath {
		found = append(found, *entry)
	}
	slices.SortFunc(found, func(a, b met) int { return strings.Compare(a.path, b.path) })
	return found
}

// addEntries calls add for each entry of a set that has a name: a text, or a field "name" in its key. path is where the set is.
func addEntries(set *fieldpath.Set, path *field.Path, add func(name, path string)) {
	set.Members.Iterate(func(member fieldpath.PathElement) {
		if member.Value != nil && (*member.Value).IsString() {
			name := (*member.Value).AsString()
			add(name, path.Key(name).String())
		}
	})
	set.Children.Iterate(func(child fieldpath.PathElement) {
		next := path
		switch {
		case child.FieldName != nil:
			next = path.Child(*child.FieldName)
		case child.Key != nil:
			var keys []string
			name := ""
			for _, key := range *child.Key {
				keys = append(keys, fmt.Sprintf("%s=%v", key.Name, key.Value.Unstructured()))
				if key.Name == "name" && key.Value.IsString() {
					name = key.Value.AsString()
				}
			}
			next = path.Key(strings.Join(keys, ","))
			add(name, next.String())
		}
		addEntries(set.WithPrefix(child), next, add)
	})
}

// whose says who owns the concerned entries if several field managers do; else it returns "".
func whose(managed []metav1.ManagedFieldsEntry, concerned func(name string) bool) string {
	var texts []string
	managers := map[string]bool{}
	for _, entry := range entriesOf(managed) {
		if !concerned(entry.name) {
			continue
		}
		for _, manager := range entry.managers {
			managers[manager] = true
		}
		texts = append(texts, fmt.Sprintf("%s is of %s", entry.path, strings.Join(entry.managers, " and ")))
	}
	if len(managers) < 2 {
		return ""
	}
	if len(texts) > mostMet {
		texts = append(texts[:mostMet], "…")
	}
	return "entries of several field managers meet: " + strings.Join(texts, ", ")
}

// withOwners adds to a node's refusal of a desired state who owns the entries that it names. Each field manager may
// find its own entries right: what the node refuses is what came of merging them.
func withOwners(now *v1alpha1.NodeNetworkState, err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Reason != metav1.StatusReasonInvalid && status.ErrStatus.Reason != metav1.StatusReasonInternalError {
		return err
	}
	said := status.ErrStatus.Message
	owners := whose(now.ManagedFields, func(name string) bool { return mentions(said, name) })
	if owners == "" {
		return err
	}
	explained := status.ErrStatus.DeepCopy()
	explained.Message += "; " + owners
	if explained.Details != nil {
		explained.Details.Causes = append(explained.Details.Causes, metav1.StatusCause{Type: causeOwners, Field: "spec.desiredState", Message: owners})
	}
	return &apierrors.StatusError{ErrStatus: *explained}
}

// mentions tells whether a text has a name as a word of its own: eth1 is none in eth1.101.
func mentions(text, name string) bool {
	if name == "" || !strings.Contains(text, name) {
		return false
	}
	word := regexp.MustCompile(`(^|[^\w.@-])` + regexp.QuoteMeta(name) + `($|[^\w.:@-]|[.:]($|\W))`)
	return word.MatchString(text)
}
