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
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
)

const secret = "github_pat_tests-only"

// hubRelease is a release as GitHub keeps and shows it.
type hubRelease struct {
	ID         int64  `json:"id"`
	TagName    string `json:"tag_name"`
	Target     string `json:"target_commitish"`
	Name       string `json:"name"`
	Body       string `json:"body"`
	Draft      bool   `json:"draft"`
	Prerelease bool   `json:"prerelease"`
	HTMLURL    string `json:"html_url"`
	UploadURL  string `json:"upload_url"`

	assets map[string][]byte
}

// fakeHub speaks GitHub's release API for one repository, nmstate/some.
type fakeHub struct {
	*httptest.Server
	mu       sync.Mutex
	releases []*hubRelease
	// writes are the requests that change something.
	writes []string
	// fail answers 500 to a request that it returns true for.
	fail func(r *http.Request) bool
	// published is called before a release is.
	published func()
}

func newFakeHub(t *testing.T) *fakeHub {
	h := &fakeHub{fail: func(*http.Request) bool { return false }, published: func() {}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
	})
	mux.HandleFunc("GET /repos/nmstate/some/releases", h.list)
	mux.HandleFunc("POST /repos/nmstate/some/releases", h.create)
	mux.HandleFunc("PATCH /repos/nmstate/some/releases/{id}", h.edit)
	mux.HandleFunc("DELETE /repos/nmstate/some/releases/{id}", h.remove)
	mux.HandleFunc("POST /uploads/nmstate/some/releases/{id}/assets", h.upload)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Method != http.MethodGet {
			h.writes = append(h.writes, r.Method+" "+r.URL.Path)
		}
		switch {
		case r.Header.Get("Authorization") != "Bearer "+secret:
			// As bad as it gets: a server that says the secret back.
			answer(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials: " + r.Header.Get("Authorization")})
		case h.fail(r):
			answer(w, http.StatusInternalServerError, map[string]string{"message": "broken, " + r.Header.Get("Authorization")})
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (h *fakeHub) list(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	first := min(max(page-1, 0)*size, len(h.releases))
	last := min(first+size, len(h.releases))
	if last < len(h.releases) {
		next := *r.URL
		next.RawQuery = url.Values{"per_page": {strconv.Itoa(size)}, "page": {strconv.Itoa(max(page, 1) + 1)}}.Encode()
		w.Header().Set("Link", fmt.Sprintf("<%s%s>; rel=\"next\"", h.URL, next.String()))
	}
	answer(w, http.StatusOK, h.releases[first:last])
}

// add keeps a release, as a person would make it by hand.
func (h *fakeHub) add(release *hubRelease) *hubRelease {
	release.ID = int64(len(h.releases) + 1)
	release.HTMLURL = fmt.Sprintf("%s/nmstate/some/releases/%d", h.URL, release.ID)
	release.UploadURL = fmt.Sprintf("%s/uploads/nmstate/some/releases/%d/assets{?name,label}", h.URL, release.ID)
	release.assets = map[string][]byte{}
	h.releases = append(h.releases, release)
	return release
}

func (h *fakeHub) create(w http.ResponseWriter, r *http.Request) {
	var release hubRelease
	if err := json.NewDecoder(r.Body).Decode(&release); err != nil || release.TagName == "" {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Validation Failed"})
		return
	}
	answer(w, http.StatusCreated, h.add(&release))
}

// find answers 404 itself.
func (h *fakeHub) find(w http.ResponseWriter, r *http.Request) *hubRelease {
	for _, release := range h.releases {
		if strconv.FormatInt(release.ID, 10) == r.PathValue("id") {
			return release
		}
	}
	answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
	return nil
}

func (h *fakeHub) edit(w http.ResponseWriter, r *http.Request) {
	release := h.find(w, r)
	if release == nil {
		return
	}
	before := release.Draft
	if err := json.NewDecoder(r.Body).Decode(release); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"message": "Problems parsing JSON"})
		return
	}
	if before && !release.Draft {
		h.published()
	}
	answer(w, http.StatusOK, release)
}

func (h *fakeHub) remove(w http.ResponseWriter, r *http.Request) {
	if gone := h.find(w, r); gone != nil {
		h.releases = slices.DeleteFunc(h.releases, func(release *hubRelease) bool { return release == gone })
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *fakeHub) upload(w http.ResponseWriter, r *http.Request) {
	release := h.find(w, r)
	if release == nil {
		return
	}
	name := r.URL.Query().Get("name")
	if _, exists := release.assets[name]; exists || name == "" || r.Header.Get("Content-Type") == "" {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Validation Failed"})
		return
	}
	// GitHub takes no upload of unknown length, and none that is empty.
	if r.ContentLength <= 0 {
		answer(w, http.StatusBadRequest, map[string]string{"message": "Bad Content-Length"})
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	release.assets[name] = content
	answer(w, http.StatusCreated, map[string]any{"name": name, "state": "uploaded"})
}
