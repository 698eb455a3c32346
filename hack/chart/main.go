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

// Command chart packages artifacts/chart for a release: with its version, and with the images of a registry as defaults.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/yaml"
)

func main() {
	path, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

type options struct {
	// source is the chart's folder, out the folder that the package is written to.
	source, out string
	// version is the chart's, a semantic version with or without a leading v.
	version string
	// registry, repo and tag name the images.
	registry, repo, tag string
	// arch is the architecture of the agent's image.
	arch string
	// created is when the chart was made.
	created time.Time
}

// run packages the chart as the arguments say, and returns the path of the package.
func run(arguments []string) (string, error) {
	var o options
	var seconds int64
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	flags.StringVar(&o.source, "source", "artifacts/chart", "the chart's folder")
	flags.StringVar(&o.out, "out", "", "the folder to write to")
	flags.StringVar(&o.version, "version", "", "the chart's version")
	flags.StringVar(&o.registry, "registry", "", "the registry that the images are in")
	flags.StringVar(&o.repo, "repo", "", "the images' path in the registry")
	flags.StringVar(&o.tag, "tag", "", "the images' tag")
	flags.StringVar(&o.arch, "arch", "", "the architecture of the agent's image, as Kubernetes calls it")
	flags.Int64Var(&seconds, "created", 0, "when the chart was made, in seconds since 1970")
	if err := flags.Parse(arguments); err != nil {
		return "", err
	}
	o.created = time.Unix(seconds, 0).UTC()
	switch {
	case o.out == "" || o.version == "" || o.registry == "" || o.repo == "" || o.tag == "" || o.arch == "":
		return "", errors.New("--out, --version, --registry, --repo, --tag and --arch are needed")
	case flags.NArg() > 0:
		return "", fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	packaged, err := o.chart()
	if err != nil {
		return "", err
	}
	return chartutil.Save(packaged, o.out)
}

// chart returns the chart of a release. The same files give the same bytes when it is saved.
func (o options) chart() (*chart.Chart, error) {
	c, err := loader.LoadDir(o.source)
	if err != nil {
		return nil, err
	}
	c.Metadata.Version, c.Metadata.AppVersion = strings.TrimPrefix(o.version, "v"), o.tag
	values := findFile(c.Raw, chartutil.ValuesfileName)
	if values == nil {
		return nil, fmt.Errorf("%s has no %s", o.source, chartutil.ValuesfileName)
	}
	// The text is changed and not written anew: it is the documentation of the values.
	for _, one := range [][2]string{
		{"repository: localhost/nmstate/nmstate-apiserver\n", "repository: " + o.registry + "/" + o.repo + "/nmstate-apiserver\n"},
		{"repository: localhost/nmstate/nmstate-node-agent\n", "repository: " + o.registry + "/" + o.repo + "/nmstate-node-agent\n"},
		{"architectures: {}\n", "architectures: {" + o.arch + ": {}}\n"},
	} {
		if n := bytes.Count(values.Data, []byte(one[0])); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times instead of once", values.Name, one[0], n)
		}
		values.Data = bytes.Replace(values.Data, []byte(one[0]), []byte(one[1]), 1)
	}
	c.Values = nil
	if err := yaml.Unmarshal(values.Data, &c.Values); err != nil {
		return nil, fmt.Errorf("%s: %w", values.Name, err)
	}
	c.ModTime, c.SchemaModTime = o.created, o.created
	for _, files := range [][]*common.File{c.Raw, c.Templates, c.Files} {
		for _, file := range files {
			file.ModTime = o.created
		}
	}
	return c, nil
}

func findFile(files []*common.File, name string) *common.File {
	for _, file := range files {
		if file.Name == name {
			return file
		}
	}
	return nil
}
