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
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	ghcr "github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// check refuses what must not be released, or could not be, before anything is done. All that is wrong here is told
// at once; then the remote, GitHub and the registry are asked.
func (r *release) check(ctx context.Context) error {
	var err error
	if r.version, err = readVersion(r.root); err != nil {
		return err
	}
	if err := errors.Join(r.checkSettings(), r.checkTree(ctx)); err != nil {
		return err
	}
	if err := r.checkRemote(ctx); err != nil {
		return err
	}
	if err := r.checkGitHub(ctx); err != nil {
		return err
	}
	return r.checkRegistry()
}

func (r *release) checkSettings() error {
	var wrong []error
	if r.token == "" {
		wrong = append(wrong, errors.New("GITHUB_TOKEN is not set: the release on GitHub is made with it"))
	}
	switch r.registry {
	case "", "localhost":
		wrong = append(wrong, fmt.Errorf("IMAGE_REGISTRY is %q: set it to the registry that clusters pull from", r.registry))
	}
	return errors.Join(wrong...)
}

func (r *release) checkTree(ctx context.Context) error {
	var wrong []error
	branch, err := r.git.branch(ctx)
	switch {
	case err != nil:
		return err
	case branch == "":
		wrong = append(wrong, fmt.Errorf("no branch is checked out: releases are made from %s", r.branch))
	case branch != r.branch:
		wrong = append(wrong, fmt.Errorf("this is branch %s: releases are made from %s", branch, r.branch))
	}
	changes, err := r.git.changes(ctx)
	switch {
	case err != nil:
		return err
	case changes != "":
		wrong = append(wrong, fmt.Errorf("the tree is dirty, commit or remove:\n%s", changes))
	}
	tagged, err := r.git.hasTag(ctx, r.version.name)
	switch {
	case err != nil:
		return err
	case tagged:
		wrong = append(wrong, r.exists("there is a tag of that name"))
	}
	return errors.Join(wrong...)
}

// checkSame: what was built is what is tagged, although others may have worked in
// the tree meanwhile.
func (r *release) checkSame(ctx context.Context) error {
	commit, err := r.git.head(ctx)
	if err != nil {
		return err
	}
	changes, err := r.git.changes(ctx)
	if err != nil {
		return err
	}
	if commit != r.commit || changes != "" {
		return fmt.Errorf("the tree was changed while it was built from, and nothing was pushed: leave it alone, and make the release again (it was %s and is %s)\n%s",
			r.commit, commit, changes)
	}
	return nil
}

func (r *release) exists(where string) error {
	return fmt.Errorf("version %s exists: %s; change version/version.go and version/description", r.version.name, where)
}

// checkRemote: the tag is not there yet, and what is released is what others have reviewed.
func (r *release) checkRemote(ctx context.Context) error {
	var err error
	if r.commit, err = r.git.head(ctx); err != nil {
		return err
	}
	tag, branch := "refs/tags/"+r.version.name, "refs/heads/"+r.branch
	refs, err := r.git.remoteRefs(ctx, r.remote, tag, branch)
	if err != nil {
		return err
	}
	if refs[tag] != "" {
		return r.exists("there is a tag of that name on " + r.remote)
	}
	if refs[branch] != r.commit {
		return fmt.Errorf("%s here is not what it is on %s: pull or push first", r.branch, r.remote)
	}
	return nil
}

// checkGitHub also tells whether the token is any good.
func (r *release) checkGitHub(ctx context.Context) error {
	if r.repository == "" {
		var err error
		if r.repository, err = r.git.repository(ctx, r.remote); err != nil {
			return err
		}
	}
	var err error
	if r.hub, err = newHub(r.apiURL, r.repository, r.token); err != nil {
		return err
	}
	found, err := r.hub.find(ctx, r.version.name)
	if err != nil {
		return fmt.Errorf("asking GitHub for the releases of %s: %w", r.repository, err)
	}
	if found.GetDraft() {
		return r.exists("there is a draft of its release on GitHub, delete it if it is left over: " + found.GetHTMLURL())
	}
	if found != nil {
		return r.exists("there is a release on GitHub: " + found.GetHTMLURL())
	}
	return nil
}

// keychain knows what "docker login" and its like have stored, and GITHUB_TOKEN for GitHub's own registry.
func keychain() authn.Keychain { return authn.NewMultiKeychain(authn.DefaultKeychain, ghcr.Keychain) }

// checkRegistry begins an upload to each of the images' repositories and gives it up.
func (r *release) checkRegistry() error {
	for _, name := range imageNames() {
		reference, err := r.reference(name)
		if err != nil {
			return err
		}
		if err := remote.CheckPushPermission(reference, keychain(), http.DefaultTransport); err != nil {
			return fmt.Errorf("%s could not be pushed, log in to the registry: %w", reference, err)
		}
	}
	return nil
}
