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
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// TestPackage: a release's chart has its version and its images, and the same files give the same bytes.
func TestPackage(t *testing.T) {
	arguments := func(out string) []string {
		return []string{"--source=" + filepath.Join(artifacts, "chart"), "--out=" + out, "--version=v1.2.3-rc.1",
			"--registry=registry.example.com", "--repo=network", "--tag=v1.2.3-rc.1", "--arch=arm64", "--created=1800000000"}
	}
	path, err := run(arguments(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(path) != "nmstate-1.2.3-rc.1.tgz" {
		t.Errorf("the package is %s", path)
	}
	c, err := loader.LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Metadata.Version != "1.2.3-rc.1" || c.Metadata.AppVersion != "v1.2.3-rc.1" {
		t.Errorf("it is of version %s, %s", c.Metadata.Version, c.Metadata.AppVersion)
	}
	if !bytes.Contains(findFile(c.Raw, "values.yaml").Data, []byte("# How many servers there are.")) {
		t.Error("its values are not documented")
	}
	objects, _ := render(t, c, namespace, "{prometheusRule: {enabled: true}, dashboards: {enabled: true}}")
	for id, want := range map[string]string{
		deployment:           "registry.example.com/network/nmstate-apiserver:v1.2.3-rc.1",
		daemonSet + "-arm64": "registry.example.com/network/nmstate-node-agent:v1.2.3-rc.1",
	} {
		if got := objects[id].at(under(container, "image")...); got != want {
			t.Errorf("%s has the image %v", id, got)
		}
	}
	if dashboard, _ := objects["v1 ConfigMap nmstate-system/nmstate-dashboard"].at("data", "nmstate.json").(string); !strings.Contains(dashboard, "nmstate_node_condition") {
		t.Error("the dashboard is not in the package")
	}
	again, err := run(arguments(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("packaged again it has other bytes")
	}
}

func TestPackageRefuses(t *testing.T) {
	good := []string{"--source=" + filepath.Join(artifacts, "chart"), "--out=" + t.TempDir(), "--version=v1.2.3", "--registry=r", "--repo=p", "--tag=t", "--arch=amd64"}
	for want, arguments := range map[string][]string{
		"--arch are needed": good[:len(good)-1],
		`"more" is no flag`: append(good[:len(good):len(good)], "more"),
		"version":           append(good[:len(good):len(good)], "--version=one"),
		"Chart.yaml":        append(good[:len(good):len(good)], "--source=nowhere"),
	} {
		if _, err := run(arguments); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", arguments, err, want)
		}
	}
}
