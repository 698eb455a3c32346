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
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden file")

const golden = "../../../docs/help/node-agent.txt"

// TestHelp holds the help to the golden file, which is documentation too.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	command := NewCommand()
	command.SetOut(&help)
	command.SetArgs([]string{"--help"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
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

// TestServerOfEitherFamily: brackets, which IPv6 needs, may be put around any address.
func TestServerOfEitherFamily(t *testing.T) {
	for _, server := range []string{"[fd00::5]:6444", "[10.0.0.1]:6444", "10.0.0.1:6444", "host:6444"} {
		options := NewOptions()
		options.Server, options.CAFile, options.TokenFile, options.StateDir = server, "ca", "token", "dir"
		if errs := options.Validate(); len(errs) > 0 {
			t.Errorf("%s: %v", server, errs)
		}
	}
}

var invalid = map[string]string{
	"--node-name=A":                      "--node-name",
	"--server=x":                         "--server \"x\" must be HOST:PORT",
	"--server=x:1":                       "--ca-file is needed",
	"--token-file=a --join-token-file=b": "one of --token-file",
	"--backend=other":                    "--backend \"other\" must be one of",
	"--join-token-file=":                 "one of --token-file",
}

func parse(options *Options, args []string) error {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	options.AddFlags(flags)
	return flags.Parse(args)
}

// TestFirstStart: the state folder is made for the agent's own key, too.
func TestFirstStart(t *testing.T) {
	options := NewOptions()
	options.JoinTokenFile, options.StateDir = "token", filepath.Join(t.TempDir(), "a", "b")
	files, err := options.credentials()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(files.NodeKey); err != nil {
		t.Error(err)
	}
}
