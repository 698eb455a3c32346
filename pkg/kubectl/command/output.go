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
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// The forms of output.
const (
	asText = ""
	asJSON = "json"
	asYAML = "yaml"
)

// output is how a command prints what it has found.
type output struct {
	form  string
	forms []string
}

// add adds the flag -o with the forms that the command has beside its text.
func (o *output) add(command *cobra.Command, forms ...string) {
	o.forms = forms
	command.Flags().StringVarP(&o.form, "output", "o", "", "Output: "+strings.Join(forms, " or ")+". Default: a text for people.")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) check() error {
	if o.form != asText && !slices.Contains(o.forms, o.form) {
		return fault.Wrong(fmt.Sprintf("-o %s is not known: use %s", o.form, strings.Join(o.forms, ", ")))
	}
	return nil
}

// print prints a value as JSON or YAML.
func (o *output) print(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil && o.form == asYAML {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.TrimSuffix(string(text), "\n"))
	return err
}

// canRewrite tells whether lines that were printed can be printed over. On Windows not each console can.
func canRewrite(stream any) bool {
	return printers.IsTerminal(stream) && os.Getenv("TERM") != "dumb" && runtime.GOOS != "windows"
}

// sizeOf returns how many columns and lines a terminal has.
func sizeOf(out io.Writer) (width, height int) {
	if file, ok := out.(*os.File); ok {
		// A terminal may not know its size, and say 0.
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 100, 24
}

// safe returns a text that does nothing to a terminal but appear there: a node may send anything.
func safe(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// safeLines is safe for a text of several lines.
func safeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = safe(line)
	}
	return strings.Join(lines, "\n")
}

// safeTree returns a tree of JSON values whose texts are safe.
func safeTree(value any) any {
	switch value := value.(type) {
	case string:
		return safeLines(value)
	case []any:
		items := make([]any, len(value))
		for i, item := range value {
			items[i] = safeTree(item)
		}
		return items
	case map[string]any:
		fields := make(map[string]any, len(value))
		for key, inner := range value {
			fields[safe(key)] = safeTree(inner)
		}
		return fields
	}
	return value
}
