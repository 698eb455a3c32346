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
	"net/url"
	"os"
	"testing"
)

func TestParse(t *testing.T) {
	environment := map[string]string{"GITHUB_TOKEN": secret, "IMAGE_REGISTRY": "registry.example"}
	o, err := parse([]string{"--repo=some/where", "--api-url=https://hub.example"}, func(name string) string { return environment[name] })
	want := options{root: ".", remote: "origin", branch: "main", registry: "registry.example", path: "some/where",
		apiURL: "https://hub.example", token: secret}
	if err != nil || o != want {
		t.Errorf("options %+v, %v, want %+v", o, err, want)
	}
	if _, err := parse([]string{"v1.2.3"}, os.Getenv); err == nil {
		t.Error("an argument that is no flag is taken")
	}
}

func TestRepository(t *testing.T) {
	for given, want := range map[string]string{
		"https://github.com/nmstate/some.git":           "nmstate/some",
		"https://name:" + secret + "@github.com/n/some": "n/some",
		"git@github.com:nmstate/some.git":               "nmstate/some",
		"ssh://git@github.com:22/nmstate/some.git":      "nmstate/some",
		"/srv/git/some.git":                             "",
		"https://name:" + secret + "@github.com":        "",
	} {
		g := git{folder: t.TempDir()}
		run(t, g.folder, "git", "init", "--quiet")
		run(t, g.folder, "git", "remote", "add", "origin", given)
		got, err := g.repository(t.Context(), "origin")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v, want %q", given, got, err, want)
		}
	}
}

func TestMaySeeToken(t *testing.T) {
	for given, want := range map[string]bool{
		"https://api.github.com/": true, "http://127.0.0.1:8080/": true, "http://[::1]:8080/": true,
		"http://api.github.com/": false, "http://localhost.example/": false, "ftp://127.0.0.1/": false, "http://192.0.2.1/": false,
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := maySeeToken(u) == nil; got != want {
			t.Errorf("%s: %v, want %v", given, got, want)
		}
	}
}
