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
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-github/v74/github"
)

// hub is a repository on GitHub.
type hub struct {
	client      *github.Client
	owner, name string
}

func newHub(apiURL, repository, token string) (*hub, error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("GITHUB_REPOSITORY is %q, it must be OWNER/NAME", repository)
	}
	base, err := url.Parse(strings.TrimSuffix(apiURL, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("GITHUB_API_URL: %w", err)
	}
	if err := maySeeToken(base); err != nil {
		return nil, fmt.Errorf("GITHUB_API_URL: %w", err)
	}
	// The client adds the token to every request, so a redirect must not lead it elsewhere.
	stay := func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
			return fmt.Errorf("not followed to %s://%s, which would see the token", r.URL.Scheme, r.URL.Host)
		}
		return nil
	}
	client := github.NewClient(&http.Client{CheckRedirect: stay}).WithAuthToken(token)
	client.BaseURL = base
	return &hub{client: client, owner: owner, name: name}, nil
}

// maySeeToken fails for a URL to which the token would go in the clear.
func maySeeToken(u *url.URL) error {
	address := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && address != nil && address.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s://%s is not https: the token would be sent in the clear", u.Scheme, u.Host)
}

// find returns the release of a tag, a draft included, or nil.
func (h *hub) find(ctx context.Context, tag string) (*github.RepositoryRelease, error) {
	// Asked for by its tag, GitHub does not find a draft.
	options := &github.ListOptions{PerPage: 100}
	for {
		releases, response, err := h.client.Repositories.ListReleases(ctx, h.owner, h.name, options)
		if err != nil {
			return nil, err
		}
		for _, release := range releases {
			if release.GetTagName() == tag {
				return release, nil
			}
		}
		if response.NextPage == 0 {
			return nil, nil
		}
		options.Page = response.NextPage
	}
}

// draft makes a release that only those see who may write to the repository.
func (h *hub) draft(ctx context.Context, tag, commit, description string, prerelease bool) (*github.RepositoryRelease, error) {
	created, _, err := h.client.Repositories.CreateRelease(ctx, h.owner, h.name, &github.RepositoryRelease{
		TagName:         &tag,
		TargetCommitish: &commit,
		Name:            &tag,
		Body:            &description,
		Draft:           github.Ptr(true),
		Prerelease:      &prerelease,
	})
	return created, err
}

// upload adds the file to the release, at the address that the release names for it.
func (h *hub) upload(ctx context.Context, release *github.RepositoryRelease, path string) error {
	template, _, _ := strings.Cut(release.GetUploadURL(), "{")
	address, err := url.Parse(template)
	if err != nil {
		return err
	}
	if err := maySeeToken(address); err != nil {
		return fmt.Errorf("the release's upload URL: %w", err)
	}
	address.RawQuery = url.Values{"name": {filepath.Base(path)}}.Encode()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	request, err := h.client.NewUploadRequest(address.String(), file, info.Size(), mime.TypeByExtension(filepath.Ext(path)))
	if err != nil {
		return err
	}
	_, err = h.client.Do(ctx, request, nil)
	return err
}

func (h *hub) publish(ctx context.Context, release *github.RepositoryRelease) error {
	_, _, err := h.client.Repositories.EditRelease(ctx, h.owner, h.name, release.GetID(),
		&github.RepositoryRelease{Draft: github.Ptr(false)})
	return err
}

// remove takes a draft away after err, also when that was an interrupt.
func (h *hub) remove(ctx context.Context, release *github.RepositoryRelease, err error) error {
	if _, undone := h.client.Repositories.DeleteRelease(context.WithoutCancel(ctx), h.owner, h.name, release.GetID()); undone != nil {
		return errors.Join(err, fmt.Errorf("its draft could not be deleted, do so at %s: %w", release.GetHTMLURL(), undone))
	}
	return err
}
