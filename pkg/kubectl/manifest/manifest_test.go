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
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const object = "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: node01, managedFields: [{manager: x}], labels: {a: b}}\nspec: {desiredState: {interfaces: []}}\nstatus: {backend: Kernel}\n"

// files writes files by name into a folder.
func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// on returns the object with another node's name.
func on(node string) string { return strings.Replace(object, "node01", node, 1) }

func TestRead(t *testing.T) {
	folder := files(t, map[string]string{
		"a.yaml": object + "---\n# nothing but a comment\n---\n" + on("node02"), "b.json": `{"interfaces":[]}`, "c.txt": "no manifest",
		"below/d.yml": on("node04"),
		"list.yaml":   "apiVersion: v1\nkind: List\nitems:\n" + item("node05") + item("node06"),
	})
	path := func(name string) string { return filepath.Join(folder, name) }
	for _, c := range []struct {
		name      string
		paths     []string
		recursive bool
		want      []string
	}{
		{"two documents", []string{path("a.yaml")}, false, []string{"node01", "node02"}},
		{"a bare state", []string{path("b.json")}, false, []string{""}},
		{"a list", []string{path("list.yaml")}, false, []string{"node05", "node06"}},
		{"a folder", []string{folder}, false, []string{"node01", "node02", "", "node05", "node06"}},
		{"a pattern", []string{path("[al]*.yaml")}, false, []string{"node01", "node02", "node05", "node06"}},
		{"a folder with folders", []string{folder}, true, []string{"node01", "node02", "", "node04", "node05", "node06"}},
		{"standard input and a file", []string{"-", path("b.json")}, false, []string{"node07", ""}},
	} {
		documents, err := Read(c.paths, c.recursive, strings.NewReader(on("node07")))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var nodes []string
		for _, d := range documents {
			nodes = append(nodes, d.Node)
		}
		if !slices.Equal(nodes, c.want) {
			t.Errorf("%s: %q, want %q", c.name, nodes, c.want)
		}
	}
}

// item is an object as an item of a list.
func item(node string) string {
	return "- " + strings.ReplaceAll(strings.TrimSpace(on(node)), "\n", "\n  ") + "\n"
}

// TestWhatIsTheServers: what "kubectl get -o yaml" prints can be applied.
func TestWhatIsTheServers(t *testing.T) {
	documents, err := Read([]string{"-"}, false, strings.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(documents[0].Object)
	if want := "map[apiVersion:nmstate.io/v1alpha1 kind:NodeNetworkState metadata:map[labels:map[a:b] name:node01] spec:map[desiredState:map[interfaces:[]]]]"; got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
}

// TestMistakes: each error says where it is and what to write.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "# nothing\n---\n", "standard input is empty"},
		{"no object", "- a\n", "it is no object"},
		{"a text", "hello", "it is no object"},
		{"a key twice", "interfaces:\n- name: a\n  mtu: 1\n  mtu: 2\n", `standard input: line 4: key "mtu" already set in map`},
		{"a key twice in the second document", object + "---\ninterfaces: []\ninterfaces: []\n", "document 2 (line 7): line 2: key \"interfaces\" already set"},
		{"a tab", "interfaces:\n\t- name: a\n", "line 2: found character that cannot start any token"},
		{"no kind", "apiVersion: nmstate.io/v1alpha1\nmetadata: {name: a}\n", `write "kind: NodeNetworkState"`},
		{"no apiVersion", "kind: NodeNetworkState\nmetadata: {name: a}\n", `write "apiVersion: nmstate.io/v1alpha1"`},
		{"neither", "metadata: {name: a}\nspec: {}\n", `it has "spec" but neither apiVersion nor kind`},
		{"capitals", "Kind: NodeNetworkState\ninterfaces: []\n", "with these capitals"},
		{"a policy", "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: a}\n", "apply it with --node or -l"},
		{"a policy for some nodes", "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: a}\nspec: {nodeSelector: {zone: a, kubernetes.io/os: linux}}\n",
			"apply it with -l kubernetes.io/os=linux,zone=a"},
		{"a policy with captures", "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: a}\nspec: {capture: {a: b}}\n", "instead of captures"},
		{"a policy of nmstatectl", "capture: {a: b}\ndesiredState: {}\n", "\"nmstatectl policy FILE\""},
		{"what show prints", "nodes: [{node: a, state: {}}]\n", "prints of several nodes"},
		{"a status alone", "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: a}\nstatus: {currentState: {interfaces: []}}\n", "it has a status and no spec"},
		{"a number as name", "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: 1}\n", "write the name of the node in quotes"},
		{"more after the end of an object", "{interfaces: []}{routes: {}}", "there is more after its end"},
		{"more after the end of a document", "interfaces: []\n...\nroutes: {}\n", "there is more after its end"},
		{"a stream of JSON", "{\"interfaces\":[]}\n\n{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\"}", "standard input, document 2 (line 3): it is a ConfigMap"},
		{"another version", strings.Replace(object, "v1alpha1", "v1beta1", 1), `write "nmstate.io/v1alpha1"`},
		{"something else", "apiVersion: v1\nkind: ConfigMap\n", "it is a ConfigMap of v1"},
		{"a version that is none", "apiVersion: a/b/c\nkind: NodeNetworkState\n", `apiVersion "a/b/c" is none`},
		{"no name", "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {}\n", "metadata.name is missing"},
		{"a list without items", "apiVersion: v1\nkind: List\n", "a list without items"},
		{"a list of states", "apiVersion: v1\nkind: List\nitems: [{interfaces: []}]\n", "item 1 is no NodeNetworkState"},
		{"an empty object", "{}", "it is an empty object"},
		{"a program", "\x7fELF\x02\x01\x01\x00", "it is neither YAML nor JSON: "},
		{"Windows' line ends", strings.ReplaceAll(object+"---\nkind: ConfigMap\n", "\n", "\r\n"), "document 2 (line 7)"},
	} {
		_, err := Read([]string{"-"}, false, strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{nil, "no file is given"},
		{[]string{"-", "-"}, "given twice"},
		{[]string{"/nowhere.yaml"}, "there is no file /nowhere.yaml"},
		{[]string{"https://example.org/a.yaml"}, "https://example.org/a.yaml is no file: fetch it"},
		{[]string{files(t, map[string]string{"a.txt": ""})}, "has no file that ends with .yaml"},
		{[]string{files(t, map[string]string{"a.yaml": "x"})}, "a.yaml: it is no object"},
	} {
		if _, err := Read(c.paths, false, strings.NewReader(object)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.paths, err, c.want)
		}
	}
}

// TestNoSecrets: what is wrong with a file is told without what is in it.
func TestNoSecrets(t *testing.T) {
	const secret = "hunter2secret"
	for _, text := range []string{
		secret, "- " + secret, "interfaces: [{name: a, 802.1x: {private-key-password: " + secret + "}]", "a: |\n  " + secret + "\n b: c",
		"apiVersion: v1\nkind: Secret\ndata: {a: " + secret + "}\n",
	} {
		if _, err := Read([]string{"-"}, false, strings.NewReader(text)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestTargets(t *testing.T) {
	object := func(node, source string) Document {
		return Document{Node: node, Source: source, Object: map[string]any{"metadata": map[string]any{"name": node}}}
	}
	bare := Document{Source: "bare.yaml", Object: map[string]any{"interfaces": []any{}}}
	for _, c := range []struct {
		name      string
		documents []Document
		selected  []string
		want      []string
		wrong     string
	}{
		{"objects", []Document{object("b", "1"), object("a", "2")}, nil, []string{"b", "a"}, ""},
		{"objects, selected", []Document{object("b", "1"), object("a", "2")}, []string{"a", "c"}, []string{"a"}, ""},
		{"objects of others", []Document{object("b", "1")}, []string{"a", "c"}, nil, "none of the files is for a node that was selected (a, c)"},
		{"one node twice", []Document{object("a", "x.yaml"), object("a", "y.yaml, document 2")}, nil, nil, `node "a" is in x.yaml and in y.yaml, document 2`},
		{"a bare state", []Document{bare}, []string{"a", "b"}, []string{"a", "b"}, ""},
		{"a bare state for no node", []Document{bare}, nil, nil, "bare.yaml: it is a bare state, which is for no node"},
		{"two bare states", []Document{bare, {Source: "other.yaml"}}, []string{"a"}, nil, "bare.yaml is a bare state, and there is also other.yaml: one state is expected"},
		{"a bare state and an object", []Document{object("a", "x.yaml"), bare}, []string{"a"}, nil, "bare.yaml is a bare state, and there is also x.yaml"},
	} {
		targets, err := Targets(c.documents, c.selected, c.selected != nil)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
			}
			continue
		}
		var nodes []string
		for _, target := range targets {
			nodes = append(nodes, target.Node)
			if name := target.Object["metadata"].(map[string]any)["name"]; name != target.Node {
				t.Errorf("%s: the object of %s is named %v", c.name, target.Node, name)
			}
		}
		if err != nil || !slices.Equal(nodes, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, nodes, err, c.want)
		}
	}
}
