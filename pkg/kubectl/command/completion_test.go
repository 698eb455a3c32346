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
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// TestCompleteList: the last part of a list is completed, and what is in it already is not offered.
func TestCompleteList(t *testing.T) {
	complete := completeList(cobra.FixedCompletions([]string{"node01", "node02", "other"}, cobra.ShellCompDirectiveNoFileComp))
	for begun, want := range map[string][]string{
		"": {"node01", "node02", "other"}, "no": {"node01", "node02"}, "node01,": {"node01,node02", "node01,other"}, "other,node02,no": {"other,node02,node01"},
	} {
		if got, _ := complete(nil, nil, begun); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", begun, got, want)
		}
	}
}

// TestCompleteConfig: contexts, clusters and users are those of the kubeconfig.
func TestCompleteConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	const config = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]\nusers: [{name: u, user: {token: t}}]\n" +
		"contexts: [{name: b, context: {cluster: c, user: u}}, {name: a, context: {cluster: c}}]\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"--context": "a\nb\n:4\n", "--cluster": "c\n:4\n", "--user": "u\n:4\n"} {
		if out, _, _ := run(t, "", cobra.ShellCompRequestCmd, "show", "--kubeconfig", file, flag, ""); out != want {
			t.Errorf("%s: %q, want %q", flag, out, want)
		}
	}
}
