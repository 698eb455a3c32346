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

// Command release publishes the version that version/version.go names: its images, its tag and its release on GitHub.
// It checks everything that it can before it does anything, and what all see comes last: as long as the tag is not
// pushed, a release that failed can be made again. See docs/releasing.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Getenv)
	if err == nil {
		err = publish(ctx, o, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

type options struct {
	// root of the work tree.
	root string
	// remote and branch that releases are made from.
	remote, branch string
	// registry and path that the images are pushed to.
	registry, path string
	// owner and repository on GitHub; if empty, the remote's.
	repository string
	apiURL     string
	token      string
}

// parse reads flags, whose defaults come from the environment, and the token, which comes from nowhere else: the
// arguments of a process can be read by others.
func parse(arguments []string, getenv func(string) string) (options, error) {
	fallback := func(variable, otherwise string) string {
		if value := getenv(variable); value != "" {
			return value
		}
		return otherwise
	}
	o := options{token: getenv("GITHUB_TOKEN")}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", ".", "the project's work tree")
	flags.StringVar(&o.remote, "remote", "origin", "the remote that the tag is pushed to")
	flags.StringVar(&o.branch, "branch", "main", "the branch that releases are made from")
	flags.StringVar(&o.registry, "registry", getenv("IMAGE_REGISTRY"), "the registry that the images are pushed to (IMAGE_REGISTRY)")
	flags.StringVar(&o.path, "repo", fallback("IMAGE_REPO", "nmstate"), "the path in the registry (IMAGE_REPO)")
	flags.StringVar(&o.repository, "repository", getenv("GITHUB_REPOSITORY"),
		"OWNER/NAME on GitHub (GITHUB_REPOSITORY); what the remote's URL says, if not given")
	flags.StringVar(&o.apiURL, "api-url", fallback("GITHUB_API_URL", "https://api.github.com"), "GitHub's API (GITHUB_API_URL)")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	return o, nil
}

// publish makes the release. Neither its output nor its error has the token in it.
func publish(ctx context.Context, o options, output io.Writer) error {
	output = &hiding{w: output, secret: o.token}
	r := &release{
		options: o,
		git:     git{folder: o.root},
		log:     log.New(output, "release: ", 0),
		output:  output,
	}
	err := r.check(ctx)
	if err != nil {
		err = fmt.Errorf("refused, nothing was done:\n%w", err)
	} else {
		err = r.make(ctx)
	}
	if err != nil && o.token != "" {
		return errors.New(strings.ReplaceAll(err.Error(), o.token, hidden))
	}
	return err
}
