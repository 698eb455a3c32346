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
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/standalone"
)

// joinToken runs the command and returns what it prints, to both of its outputs.
func joinToken(stateDir string, args ...string) (out, errors string, err error) {
	var stdout, stderr bytes.Buffer
	command := NewCommand()
	command.SetOut(&stdout)
	command.SetErr(&stderr)
	command.SetArgs(append([]string{"join-token", "--state-dir", stateDir}, args...))
	err = command.Execute()
	return stdout.String(), stderr.String(), err
}

func TestJoinTokenCreatePrintsTheTokenAlone(t *testing.T) {
	dir := t.TempDir()
	if _, err := standalone.Open(dir); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args    string
		warning bool
	}{{"create --node node01", false}, {"create", true}} {
		out, warning, err := joinToken(dir, strings.Fields(test.args)...)
		if err != nil || !regexp.MustCompile(`^[A-Z2-7]{26,}\n$`).MatchString(out) {
			t.Errorf("%s: %q, %v", test.args, out, err)
		}
		if test.warning != strings.HasPrefix(warning, "Warning: whoever has this token") || !test.warning && warning != "" {
			t.Errorf("%s warns: %q", test.args, warning)
		}
		holdsNot(t, dir, strings.TrimSpace(out))
	}
}

// holdsNot tells whether a secret is in a file of the folder or in the name of one.
func holdsNot(t *testing.T, dir, secret string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if strings.Contains(path+string(text), secret) {
			t.Errorf("%s has the token", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in %s, %v", files, dir, err)
	}
}

func TestJoinTokenListAndDelete(t *testing.T) {
	dir := t.TempDir()
	if _, err := standalone.Open(dir); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, args := range []string{"create --node node01 --ttl 2h", "create"} {
		out, _, err := joinToken(dir, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.TrimSpace(out))
	}
	listed, _, err := joinToken(dir, "list")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for line := range strings.Lines(listed) {
		if f := strings.Fields(line); len(f) == 4 {
			ids[f[1]] = f[0]
		}
	}
	if strings.Count(listed, "\n") != 3 || ids["NODE"] != "ID" || ids["node01"] == "" || ids["any"] == "" {
		t.Errorf("listed:\n%s", listed)
	}
	for _, secret := range secrets {
		if strings.Contains(listed, secret) {
			t.Error("the list has a token")
		}
	}
	if _, _, err := joinToken(dir, "delete", ids["any"]); err != nil {
		t.Error(err)
	}
	if listed, _, err = joinToken(dir, "list"); err != nil || strings.Contains(listed, "any") || !strings.Contains(listed, ids["node01"]) {
		t.Errorf("after the other one was deleted, %v:\n%s", err, listed)
	}
}

// TestJoinTokenRefuses: each mistake is named, and changes nothing.
func TestJoinTokenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := standalone.Open(dir); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"create --node Node_1":        `"Node_1" cannot be the name of a node`,
		"create --ttl 0s":             "must last for a second or longer",
		"create node01":               "unknown command",
		"delete":                      "accepts 1 arg",
		"delete 0123456789abcdef":     "there is no join token 0123456789abcdef",
		"delete ../nodes/node01":      "is not the ID of a join token",
		"show":                        "unknown command",
		"create --state-dir /nowhere": `"/nowhere" is not the state folder of a standalone server`,
	} {
		if out, _, err := joinToken(dir, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %q, %v", args, out, err)
		}
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("a mistyped folder was made")
	}
	if out, _, err := joinToken(dir, "list"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("listed %q, %v", out, err)
	}
}
