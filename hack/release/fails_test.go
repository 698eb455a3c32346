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
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// failure is something that goes wrong on the way.
type failure struct {
	name, want string
	// pushed tells that it happens after the images were pushed.
	pushed bool
	breaks func(p *project)
	mends  func(p *project)
}

func failures(programs programs) []failure {
	return []failure{
		{"build", "make images", false,
			func(p *project) { p.t.Setenv("IMAGES", "false") },
			func(p *project) { p.t.Setenv("IMAGES", programs.images) }},
		{"images of another name", "not " + "127.0.0.1", false,
			func(p *project) { p.t.Setenv("MAKEFLAGS", " -- IMAGE_TAG=v9") },
			func(p *project) { p.t.Setenv("MAKEFLAGS", "") }},
		{"a plugin that was not built", "make plugins has not written", false,
			func(p *project) { p.t.Setenv("PLUGINS", "/nowhere") },
			func(p *project) { p.t.Setenv("PLUGINS", filepath.Dir(programs.agent)) }},
		{"manifest without our images", "does not use 127.0.0.1", false,
			func(p *project) {
				p.commitRender("#!/bin/sh\necho 'image: localhost/nmstate/nmstate-apiserver:v1.2.3'\n")
			},
			func(p *project) { p.commitRender(render) }},
		{"no chart", "make chart", false,
			func(p *project) { p.t.Setenv("CHART", "false") },
			func(p *project) { p.t.Setenv("CHART", programs.chart) }},
		{"chart of another version", "make chart has not written the chart of v1.2.3", false,
			func(p *project) { p.t.Setenv("CHART", "true") },
			func(p *project) { p.t.Setenv("CHART", programs.chart) }},
		{"registry", "pushing 127.0.0.1", false,
			func(p *project) {
				p.refuse = func(r *http.Request) bool {
					return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
				}
			},
			func(p *project) { p.refuse = refuseNothing }},
		{"draft", "making a draft", true,
			func(p *project) { p.hub.fail = func(r *http.Request) bool { return r.Method == http.MethodPost } },
			func(p *project) { p.hub.fail = refuseNothing }},
		{"upload", "uploading", true,
			func(p *project) { p.hub.fail = uploadsManifest },
			func(p *project) { p.hub.fail = refuseNothing }},
		{"push of the tag", "not today", true,
			func(p *project) {
				write(p.t, filepath.Join(p.bare, "hooks", "pre-receive"), "#!/bin/sh\necho not today >&2\nexit 1\n", 0o755)
			},
			func(p *project) { write(p.t, filepath.Join(p.bare, "hooks", "pre-receive"), "#!/bin/sh\n", 0o755) }},
	}
}

func uploadsManifest(r *http.Request) bool { return r.URL.Query().Get("name") == "install.yaml" }

// testFails: what goes wrong leaves neither tag nor release, and can be tried again.
func testFails(t *testing.T, programs programs) {
	for _, c := range failures(programs) {
		t.Run(c.name, func(t *testing.T) {
			p := newProject(t, programs)
			c.breaks(p)
			if _, err := p.release(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if tags := p.git("tag") + p.git("ls-remote", "--tags", p.bare); tags != "" {
				t.Errorf("there are tags: %s", tags)
			}
			if len(p.hub.releases) != 0 {
				t.Errorf("there is the release %+v", p.hub.releases[0])
			}
			if pushed := strings.Contains(p.catalog(), "nmstate"); pushed != c.pushed {
				t.Errorf("images are pushed: %v, want %v", pushed, c.pushed)
			}
			c.mends(p)
			if output, err := p.release(); err != nil {
				t.Errorf("trying again: %v\n%s", err, output)
			}
			if len(p.hub.releases) != 1 || p.hub.releases[0].Draft {
				t.Error("trying again published nothing")
			}
		})
	}
}

// testFailsLate: what cannot be taken back says what is left to be done by hand.
func testFailsLate(t *testing.T, programs programs) {
	t.Run("publishing", func(t *testing.T) {
		p := newProject(t, programs)
		p.hub.fail = func(r *http.Request) bool { return r.Method == http.MethodPatch }
		_, err := p.release()
		if err == nil || !strings.Contains(err.Error(), "publish it at "+p.hub.releases[0].HTMLURL) {
			t.Errorf("error %v, want one that says where to publish the draft", err)
		}
		if p.git("ls-remote", "--tags", p.bare) == "" || len(p.hub.releases[0].assets) == 0 {
			t.Error("tag or assets are not there")
		}
	})

	t.Run("a draft that cannot be deleted", func(t *testing.T) {
		p := newProject(t, programs)
		p.hub.fail = func(r *http.Request) bool {
			return r.Method == http.MethodDelete || uploadsManifest(r)
		}
		_, err := p.release()
		if err == nil || !strings.Contains(err.Error(), "its draft could not be deleted, do so at "+p.hub.releases[0].HTMLURL) {
			t.Errorf("error %v, want one that says where the draft is", err)
		}
	})
}

func (p *project) commitRender(content string) {
	p.write("hack/artifacts/render.sh", content)
	p.commit()
	p.git("push", "--quiet", "origin", "main")
}
