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

// Command images writes the project's container images, without a container engine and without a registry to take a base
// from. An image is the binary, the shared libraries that it needs and nothing else. For each image NAME it writes
//
//	NAME/                      an OCI image layout
//	NAME.tar                   the same in one file, as "ctr images import" takes it
//	NAME-linux-ARCH.cdx.json   what is in it (CycloneDX)
//
// The same binaries give the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

type options struct {
	out        string
	repository string
	tag        string
	servers    []string
	agent      string
	crates     string
	created    time.Time
}

func run(arguments []string, stdout io.Writer) error {
	o, err := parse(arguments)
	if err != nil {
		return err
	}
	written, err := write(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, strings.Join(written, "\n"))
	return err
}

func parse(arguments []string) (options, error) {
	var o options
	var registry, path string
	var seconds int64
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.StringVar(&o.out, "out", "", "the folder to write to")
	flags.StringVar(&registry, "registry", "localhost", "the registry that the images are named after")
	flags.StringVar(&path, "repo", "nmstate", "the path in the registry that the images are named after")
	flags.StringVar(&o.tag, "tag", "", "the images' tag")
	flags.Func("server", "an apiserver binary; repeated, one for each architecture", func(path string) error {
		o.servers = append(o.servers, path)
		return nil
	})
	flags.StringVar(&o.agent, "agent", "", "the node-agent binary, of this machine's architecture")
	flags.StringVar(&o.crates, "crates", "", "the Cargo.lock of the libnmstate that is linked into node-agent")
	flags.Int64Var(&seconds, "created", 0, "when the images were made, in seconds since 1970")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.repository = registry + "/" + path
	o.created = time.Unix(seconds, 0).UTC()
	switch {
	case o.out == "" || o.tag == "" || o.agent == "" || o.crates == "" || len(o.servers) == 0:
		return o, errors.New("--out, --tag, --agent, --crates and at least one --server are needed")
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	return o, nil
}
