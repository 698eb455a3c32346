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
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// git runs git in a work tree, as the user has set it up.
type git struct{ folder string }

// run returns what git prints.
func (g git) run(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = g.folder
	command.Env = append(withoutToken(os.Environ()), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", arguments[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// withoutToken is the environment for other programs: none needs the token.
func withoutToken(environment []string) []string {
	return slices.DeleteFunc(environment, func(variable string) bool { return strings.HasPrefix(variable, "GITHUB_TOKEN=") })
}

func (g git) head(ctx context.Context) (string, error) {
	return g.run(ctx, "rev-parse", "--verify", "HEAD")
}

// branch is empty if none is checked out.
func (g git) branch(ctx context.Context) (string, error) {
	return g.run(ctx, "branch", "--show-current")
}

// changes are the files that are not as they were committed, those that git does not know included.
func (g git) changes(ctx context.Context) (string, error) {
	return g.run(ctx, "status", "--porcelain", "--untracked-files=all")
}

func (g git) hasTag(ctx context.Context, tag string) (bool, error) {
	found, err := g.run(ctx, "tag", "--list", tag)
	return found != "", err
}

// remoteRefs returns the commits of the references that the remote has.
func (g git) remoteRefs(ctx context.Context, remote string, refs ...string) (map[string]string, error) {
	out, err := g.run(ctx, append([]string{"ls-remote", remote}, refs...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if commit, ref, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			found[ref] = commit
		}
	}
	return found, nil
}

// hosted finds owner and name in the URL of a repository: https://HOST/OWNER/NAME.git, git@HOST:OWNER/NAME.git.
var hosted = regexp.MustCompile(`^(?:\w+://|\S+@)\S*[/:]([\w.-]+)/([\w.-]+?)(?:\.git)?/?$`)

// repository returns OWNER/NAME of a remote.
func (g git) repository(ctx context.Context, remote string) (string, error) {
	url, err := g.run(ctx, "remote", "get-url", remote)
	if err != nil {
		return "", err
	}
	match := hosted.FindStringSubmatch(url)
	if match == nil { // not told: the URL may have a password in it
		return "", fmt.Errorf("the URL of remote %s does not say which repository on GitHub it is: set GITHUB_REPOSITORY to OWNER/NAME", remote)
	}
	return match[1] + "/" + match[2], nil
}

// pushTag tags the commit and pushes the tag. If that fails, there is no tag of
// ours. A push whose answer is lost has not failed.
func (g git) pushTag(ctx context.Context, remote, tag, message, commit string) error {
	if _, err := g.run(ctx, "tag", "--annotate", "--cleanup=whitespace", "--message", message, tag, commit); err != nil {
		return err
	}
	ref := "refs/tags/" + tag
	object, err := g.run(ctx, "rev-parse", "--verify", ref)
	if err == nil {
		_, err = g.run(ctx, "push", remote, ref)
	}
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if refs, unknown := g.remoteRefs(ctx, remote, ref); unknown != nil {
		return fmt.Errorf("%w; whether %s has the tag is not known, if it has not, delete it here (git tag --delete %s): %w", err, remote, tag, unknown)
	} else if object != "" && refs[ref] == object {
		return nil
	}
	_, undone := g.run(ctx, "tag", "--delete", tag)
	return errors.Join(err, undone)
}
