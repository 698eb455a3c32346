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
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"

	"github.com/google/go-github/v74/github"
	"golang.org/x/mod/semver"
)

// release is one release in the making. check fills in what make needs.
type release struct {
	options
	git    git
	log    *log.Logger
	output io.Writer

	version version
	commit  string
	hub     *hub
}

// make builds all, then publishes it in an order in which a failure can be undone or repeated.
func (r *release) make(ctx context.Context) error {
	r.log.Printf("building %s from %s", r.version.name, r.commit)
	if err := r.build(ctx); err != nil {
		return err
	}
	images, assets, err := r.stage(ctx)
	if err != nil {
		return fmt.Errorf("putting the release's files together: %w", err)
	}
	if err := r.checkSame(ctx); err != nil {
		return err
	}
	for _, image := range images {
		r.log.Printf("pushing %s", image.reference)
		if err := image.push(ctx); err != nil {
			return fmt.Errorf("pushing %s: %w", image.reference, err)
		}
	}
	draft, err := r.draft(ctx, assets)
	if err != nil {
		return err
	}
	r.log.Printf("tagging")
	message := r.version.name + "\n\n" + r.version.description
	if err := r.git.pushTag(ctx, r.remote, r.version.name, message, r.commit); err != nil {
		return r.hub.remove(ctx, draft, fmt.Errorf("tagging: %w", err))
	}
	// From here on others may have seen the version.
	if err := r.hub.publish(ctx, draft); err != nil {
		return fmt.Errorf("all is there and tag %s is pushed, but the release on GitHub is still a draft; publish it at %s: %w",
			r.version.name, draft.GetHTMLURL(), err)
	}
	r.log.Printf("%s is released: %s", r.version.name, draft.GetHTMLURL())
	return nil
}

// build makes the kubectl that renders the manifests, the chart, the images and the plugin; their Go code has no paths of this machine in it.
func (r *release) build(ctx context.Context) error {
	for _, target := range []string{"demo-kubectl", "chart"} {
		if err := r.runMake(ctx, target); err != nil {
			return err
		}
	}
	flags := "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath")
	for _, target := range []string{"images", "plugins"} {
		if err := r.runMake(ctx, target, flags); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) runMake(ctx context.Context, target string, environment ...string) error {
	command := exec.CommandContext(ctx, "make", target)
	command.Dir = r.root
	command.Env = append(r.imageEnvironment(), environment...)
	command.Stdout, command.Stderr = r.output, r.output
	if err := command.Run(); err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	return nil
}

// imageEnvironment tells other programs what the images are called.
func (r *release) imageEnvironment() []string {
	return append(withoutToken(os.Environ()),
		"IMAGE_REGISTRY="+r.registry, "IMAGE_REPO="+r.path, "IMAGE_TAG="+r.version.name)
}

// draft makes a draft of the release on GitHub with all its files; if that fails, there is none.
func (r *release) draft(ctx context.Context, assets []string) (*github.RepositoryRelease, error) {
	draft, err := r.hub.draft(ctx, r.version.name, r.commit, r.version.description, semver.Prerelease(r.version.name) != "")
	if err != nil {
		return nil, fmt.Errorf("making a draft of the release on GitHub: %w", err)
	}
	for _, asset := range assets {
		r.log.Printf("uploading %s", asset)
		if err := r.hub.upload(ctx, draft, asset); err != nil {
			return nil, r.hub.remove(ctx, draft, fmt.Errorf("uploading %s: %w", asset, err))
		}
	}
	return draft, nil
}
