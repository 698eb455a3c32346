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

package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kustomize returns the objects of artifacts/ with components, by their ids.
func kustomize(t *testing.T, components ...string) map[string]object {
	t.Helper()
	output, err := filepath.Abs("../../_output")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(output, "kustomize-") // a kustomization refers to others by relative paths
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	overlay := map[string]any{"resources": []string{"../../artifacts"}, "images": []map[string]string{
		{"name": "nmstate-apiserver", "newName": "localhost/nmstate/nmstate-apiserver", "newTag": "v0.0.0"},
		{"name": "nmstate-node-agent", "newName": "localhost/nmstate/nmstate-node-agent", "newTag": "v0.0.0"},
	}}
	paths := []string{}
	for _, component := range components {
		paths = append(paths, "../../artifacts/components/"+component)
	}
	overlay["components"] = paths
	text, err := yaml.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := rendered.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]object{}
	for _, o := range parse(t, "artifacts", string(manifests)) {
		// Kustomize takes kinds that it does not know for those of a namespace. Servers pass that over.
		if slices.Contains([]any{"FlowSchema", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}, o["kind"]) {
			delete(o.at("metadata").(map[string]any), "namespace")
		}
		objects[o.id()] = o
	}
	return objects
}

// helmsOwn are the labels that only a chart gives its objects.
var helmsOwn = []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}

// TestTheChartIsWhatKustomizeMakes: there is one truth. The manifests of artifacts/ and of the chart are the same, but for
//   - the Namespace, which is Helm's to make;
//   - the hooks, which do for helm uninstall what hack/artifacts/deploy.sh does;
//   - Helm's own labels.
func TestTheChartIsWhatKustomizeMakes(t *testing.T) {
	c := loadChart(t)
	for values, components := range map[string][]string{
		"{}":                              nil,
		"tls: {type: cert-manager}":       {"cert-manager"},
		"serviceMonitor: {enabled: true}": {"service-monitor"},
		"prometheusRule: {enabled: true}": {"prometheus-rule"},
		"{tls: {type: cert-manager}, serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}": {"service-monitor", "cert-manager", "prometheus-rule"},
	} {
		want := kustomize(t, components...)
		const ours = "v1 Namespace <nil>/nmstate-system"
		if want[ours] == nil {
			t.Errorf("artifacts/ have no namespace: %v", slices.Sorted(maps.Keys(want)))
		}
		delete(want, ours)
		got, _ := render(t, c, namespace, values)
		maps.DeleteFunc(got, func(_ string, o object) bool { return o.isHook() })
		if len(want) < 20 || len(got) < 20 {
			t.Errorf("with %s there are %d objects of artifacts/ and %d of the chart", values, len(want), len(got))
		}
		for id, o := range got {
			for _, label := range helmsOwn {
				labels, _ := o.at("metadata", "labels").(map[string]any)
				if labels[label] == nil {
					t.Errorf("with %s: %s has no label %s", values, id, label)
				}
				delete(labels, label)
			}
			if want[id] == nil {
				t.Errorf("with %s: artifacts/ have no %s", values, id)
			}
		}
		for id, o := range want {
			if got[id] == nil {
				t.Errorf("with %s: the chart has no %s", values, id)
			} else if difference := compare("", map[string]any(o), map[string]any(got[id])); len(difference) > 0 {
				t.Errorf("with %s: %s differs:\n%s", values, id, strings.Join(difference, "\n"))
			}
		}
	}
}

// compare returns in what two values differ, by their paths.
func compare(path string, want, got any) []string {
	wantFields, ok := want.(map[string]any)
	gotFields, same := got.(map[string]any)
	if ok && same {
		var difference []string
		for _, key := range slices.Sorted(maps.Keys(mergedKeys(wantFields, gotFields))) {
			difference = append(difference, compare(path+"."+key, wantFields[key], gotFields[key])...)
		}
		return difference
	}
	if reflect.DeepEqual(want, got) {
		return nil
	}
	text := func(value any) string {
		out, err := yaml.Marshal(value)
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	return []string{path + " of artifacts/:\n" + text(want) + "of the chart:\n" + text(got)}
}

func mergedKeys(a, b map[string]any) map[string]bool {
	keys := map[string]bool{}
	for _, m := range []map[string]any{a, b} {
		for key := range m {
			keys[key] = true
		}
	}
	return keys
}

// TestAnotherNamespace: nothing of the chart is about nmstate-system when it is installed elsewhere.
func TestAnotherNamespace(t *testing.T) {
	c := loadChart(t)
	for name, values := range variants {
		there, _ := render(t, c, "elsewhere", values)
		for id, o := range there {
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), namespace) {
				t.Errorf("%s: %s names %s", name, id, namespace)
			}
		}
	}
}
