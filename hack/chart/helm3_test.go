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
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// helm3 builds Helm 3, which many people have still, and returns how to call it. It finds nothing of the user's.
func helm3(t *testing.T) func(arguments ...string) (string, error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "helm")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "helm.sh/helm/v3/cmd/helm").CombinedOutput(); err != nil {
		t.Fatalf("building Helm 3: %v\n%s", err, out)
	}
	home := t.TempDir()
	return func(arguments ...string) (string, error) {
		command := exec.Command(program, arguments...)
		command.Env = []string{"HOME=" + home}
		out, err := command.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = errors.New(string(out) + string(exit.Stderr))
		}
		return string(out), err
	}
}

// TestHelm3: Helm 3 takes the chart and its values, renders what Helm 4 renders, for the oldest and the newest Kubernetes, and
// refuses values that there are not.
func TestHelm3(t *testing.T) {
	helm := helm3(t)
	c := loadChart(t)
	folder := filepath.Join(artifacts, "chart")
	for name, values := range variants {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := helm("lint", "--strict", "--kube-version="+kubernetesVersions[0], "--namespace="+namespace, "--values="+file, folder); err != nil {
			t.Errorf("%s: helm lint: %v", name, err)
		}
		want, _ := render(t, c, namespace, values)
		for _, version := range kubernetesVersions {
			text, err := helm("template", "nmstate", folder, "--kube-version="+version, "--namespace="+namespace, "--values="+file)
			if err != nil {
				t.Errorf("%s, %s: helm template: %v", name, version, err)
				continue
			}
			got := parse(t, name, text)
			for id, o := range want {
				if !reflect.DeepEqual(got[id], o) {
					t.Errorf("%s, %s: Helm 3 renders %s as\n%v, and Helm 4 as\n%v", name, version, id, got[id], o)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s, %s: Helm 3 renders %d objects, and Helm 4 %d", name, version, len(got), len(want))
			}
		}
	}
	for _, wrong := range [][]string{
		{"--set=replica=2"}, {"--set=replicas=none"}, {"--set=tls.type=mine"}, {"--kube-version=v1.29.0"},
	} {
		if _, err := helm(append([]string{"template", "nmstate", folder, "--kube-version=" + kubernetesVersions[1]}, wrong...)...); err == nil {
			t.Errorf("Helm 3 takes %v", wrong)
		}
	}
}
