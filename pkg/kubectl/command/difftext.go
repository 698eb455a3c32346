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

package command

import (
	"encoding/json"
	"io"
	"maps"
	"strings"

	"github.com/gonvenience/bunt"
	"github.com/gonvenience/ytbx"
	"github.com/homeport/dyff/pkg/dyff"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// asTree returns a value as a tree of JSON values.
func asTree(value any) (map[string]any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return tree.Decode(text)
}

// withoutState returns a spec without its desired state.
func withoutState(spec map[string]any) map[string]any {
	rest := maps.Clone(spec)
	delete(rest, "desiredState")
	return rest
}

// writeDifference writes how two objects differ: coloured and side by side on a terminal, else plainly, one below the other.
func writeDifference(out io.Writer, before, after map[string]any) error {
	setting := bunt.OFF
	if printers.AllowsColorOutput(out) {
		setting = bunt.ON
	}
	bunt.SetColorSettings(setting, bunt.OFF)
	from, err := document("before", before)
	if err != nil {
		return err
	}
	to, err := document("after", after)
	if err != nil {
		return err
	}
	report, err := dyff.CompareInputFiles(from, to, dyff.KubernetesEntityDetection(false), dyff.IgnoreOrderChanges(true),
		dyff.AdditionalIdentifiers("ip", "localnet"))
	if err != nil {
		return err
	}
	var text strings.Builder
	human := &dyff.HumanReport{Report: report, Indent: 2, OmitHeader: true, DoNotInspectCerts: true, NoTableStyle: !printers.IsTerminal(out)}
	if err := human.WriteReport(&text); err != nil {
		return err
	}
	_, err = io.WriteString(out, tidy(text.String()))
	return err
}

// tidy takes away blank lines and blanks at the ends of lines, and indents what is left.
func tidy(report string) string {
	var lines strings.Builder
	for line := range strings.Lines(report) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines.WriteString("  " + line + "\n")
		}
	}
	return lines.String()
}

// document returns an object as dyff takes it.
func document(name string, object map[string]any) (ytbx.InputFile, error) {
	text, err := tree.Encode(safeTree(orEmptyObject(object)))
	if err != nil {
		return ytbx.InputFile{}, err
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return ytbx.InputFile{}, err
	}
	documents, err := ytbx.LoadYAMLDocuments(text)
	return ytbx.InputFile{Location: name, Documents: documents}, err
}

func orEmptyObject(object map[string]any) map[string]any {
	if object == nil {
		return map[string]any{}
	}
	return object
}
