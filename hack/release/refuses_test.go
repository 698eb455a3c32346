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
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// refusal is a reason not to release.
type refusal struct {
	name, want string
	arrange    func(p *project)
}

// refusalsHere are reasons in the work tree and the settings.
func refusalsHere() []refusal {
	return []refusal{
		{"changed file", "dirty, commit or remove:\n M Makefile", func(p *project) { p.write("Makefile", "images:\n") }},
		{"unknown file", "?? new", func(p *project) { p.write("new", "") }},
		{"staged file", "A  new", func(p *project) { p.write("new", ""); p.git("add", "new") }},
		{"another branch", "this is branch other: releases are made from main", func(p *project) { p.git("checkout", "--quiet", "-b", "other") }},
		{"no branch", "no branch is checked out", func(p *project) { p.git("checkout", "--quiet", "--detach") }},
		{"tag here", "version v1.2.3 exists: there is a tag of that name;", func(p *project) { p.git("tag", "v1.2.3") }},
		{"no token", "GITHUB_TOKEN is not set", func(p *project) { p.options.token = "" }},
		{"no registry", "IMAGE_REGISTRY is \"\"", func(p *project) { p.options.registry = "" }},
		{"registry by default", "IMAGE_REGISTRY is \"localhost\"", func(p *project) { p.options.registry = "localhost" }},
		{"no version", "it must be like v1.2.3", func(p *project) { p.setVersion("1.2") }},
		{"build metadata", "it must be like v1.2.3", func(p *project) { p.setVersion("v1.2.3+more") }},
		{"no constant", "has no constant Version", func(p *project) { p.write("version/version.go", "package version\n") }},
		{"no description", "version/description is empty", func(p *project) { p.write("version/description", " \n") }},
		{"several at once", "GITHUB_TOKEN is not set: the release on GitHub is made with it\nthis is branch other: releases are made from main\nthe tree is dirty",
			func(p *project) {
				p.options.token = ""
				p.git("checkout", "--quiet", "-b", "other")
				p.write("new", "")
			}},
	}
}

// refusalsElsewhere are reasons on the remote, on GitHub and in the registry.
func refusalsElsewhere() []refusal {
	return []refusal{
		{"commit not pushed", "main here is not what it is on origin", func(p *project) { p.write("new", ""); p.commit() }},
		{"tag on the remote", "version v1.2.3 exists: there is a tag of that name on origin", func(p *project) {
			p.git("tag", "v1.2.3")
			p.git("push", "--quiet", "origin", "v1.2.3")
			p.git("tag", "--delete", "v1.2.3")
		}},
		{"released", "version v1.2.3 exists: there is a release on GitHub: http", func(p *project) { p.hub.add(&hubRelease{TagName: "v1.2.3"}) }},
		{"released long ago", "version v1.2.3 exists: there is a release", func(p *project) {
			p.hub.add(&hubRelease{TagName: "v1.2.3"})
			for i := range 150 {
				p.hub.releases = append([]*hubRelease{{TagName: fmt.Sprintf("v0.0.%d", i)}}, p.hub.releases...)
			}
		}},
		{"drafted", "version v1.2.3 exists: there is a draft", func(p *project) { p.hub.add(&hubRelease{TagName: "v1.2.3", Draft: true}) }},
		{"wrong token", "401 Bad credentials", func(p *project) { p.options.token = "github_pat_wrong" }},
		{"another's repository", "404 Not Found", func(p *project) { p.options.repository = "nmstate/other" }},
		{"no repository", "set GITHUB_REPOSITORY", func(p *project) { p.options.repository = "" }},
		{"token in the clear", "the token would be sent in the clear", func(p *project) { p.options.apiURL = "http://api.example" }},
		{"redirected", "would see the token", func(p *project) { p.options.apiURL = p.redirecting() }},
		{"registry refuses", "could not be pushed, log in to the registry", func(p *project) {
			p.refuse = func(r *http.Request) bool { return r.Method != http.MethodGet }
		}},
	}
}

// testRefuses: each reason, told clearly, and nothing done.
func testRefuses(t *testing.T, programs programs) {
	for _, c := range append(refusalsHere(), refusalsElsewhere()...) {
		t.Run(c.name, func(t *testing.T) {
			p := newProject(t, programs)
			c.arrange(p)
			before := p.state()
			output, err := p.release()
			if err == nil || !strings.HasPrefix(err.Error(), "refused, nothing was done:\n") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want a refusal with %q", err, c.want)
			}
			if after := p.state(); after != before {
				t.Errorf("it changed\n%s\nto\n%s", before, after)
			}
			if _, err := os.Stat(p.witness); err == nil || output != "" {
				t.Errorf("it began: %s", output)
			}
		})
	}
}

// redirecting is the URL of a server on loopback that sends on to the hub, which has another port.
func (p *project) redirecting() string {
	return newServer(p.t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.hub.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
}
