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

package app

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/component-base/logs"
)

var update = flag.Bool("update", false, "write the golden files")

// helps are the golden files, which are documentation too.
var helps = map[string][]string{
	"apiserver.txt":            {""},
	"apiserver-join-token.txt": {"join-token", "join-token create", "join-token list", "join-token delete"},
	"apiserver-uninstall.txt":  {"uninstall", "uninstall apiservice", "uninstall made"},
}

// TestHelp holds the help of each command to a golden file.
func TestHelp(t *testing.T) {
	for name, commands := range helps {
		var help bytes.Buffer
		for i, args := range commands {
			if i > 0 {
				help.WriteString("\n" + strings.Repeat("-", helpWidth) + "\n\n")
			}
			command := NewCommand()
			logs.AddFlags(command.PersistentFlags()) // as cli.Run does
			command.SetOut(&help)
			command.SetArgs(append(strings.Fields(args), "--help"))
			if err := command.Execute(); err != nil {
				t.Fatal(err)
			}
		}
		golden := "../../../docs/help/" + name
		if *update {
			if err := os.WriteFile(golden, help.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if help.String() != string(want) {
			t.Error("the help is not as in " + golden + ": run go test ./cmd/... -update and look at the difference")
		}
	}
}

// TestValidate: each bad option is named.
func TestValidate(t *testing.T) {
	for args, want := range invalid {
		options := NewOptions()
		if err := parse(options, strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, err := range options.Validate() {
			all = append(all, err.Error())
		}
		if text := strings.Join(all, "\n"); !strings.Contains(text, want) {
			t.Errorf("%q: %q lacks %q", args, text, want)
		}
	}
}

var invalid = map[string]string{
	"":                                            "--namespace is needed",
	"--namespace=x --state-dir=/x":                "--state-dir has a meaning only with --standalone",
	"--namespace=x --cert-mode=magic":             "--cert-mode \"magic\" must be",
	"--namespace=x --cert-mode=files":             "--cert-mode=files needs --tls-cert-file",
	"--namespace=x --tls-cert-file=a":             "need --cert-mode=files",
	"--namespace=x --ca-validity=1s":              "--ca-validity",
	"--standalone --namespace=x":                  "--namespace has no meaning with --standalone",
	"--standalone --state-dir=":                   "--state-dir must not be empty",
	"--standalone --history-bytes=1Mi":            "--history-bytes 1Mi is too little",
	"--standalone --agent-port=99999":             "--agent-port 99999",
	"--standalone --read-timeout=0s":              "--read-timeout 0s must be more than 0",
	"--standalone --list-read-timeout=-1s":        "--list-read-timeout -1s must be more than 0",
	"--standalone --max-node-reads=-1":            "--max-node-reads -1 must be 0",
	"--standalone --max-nodes=0":                  "--max-nodes 0 must be",
	"--standalone --max-nodes-per-source=-1":      "--max-nodes-per-source -1 must be",
	"--namespace=x --max-nodes=7":                 "--max-nodes has a meaning only with --standalone",
	"--standalone --enable-priority-and-fairness": "--enable-priority-and-fairness",
}

func parse(options *Options, args []string) error {
	all := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, section := range options.Flags().FlagSets {
		all.AddFlagSet(section)
	}
	return all.Parse(args)
}
