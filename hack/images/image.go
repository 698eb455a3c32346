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
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// kind of image.
type kind struct {
	name, title string
	// entrypoint is the binary's path in the image.
	entrypoint string
	user       string
	// limit of the size unpacked, in bytes: what a node has to hold.
	limit int64
}

var (
	apiserver = kind{
		name:       "nmstate-apiserver",
		title:      "API server that serves the live networks of nodes",
		entrypoint: "/apiserver",
		user:       "65532:65532",
		limit:      60 << 20,
	}
	// The agent is root, and no more than its capabilities let it be: others' capabilities end at the execve.
	nodeAgent = kind{
		name:       "nmstate-node-agent",
		title:      "agent that reads and changes its node's network",
		entrypoint: "/node-agent",
		user:       "0:0",
		limit:      31 << 20,
	}
)

// users lets programs find the names of the users that the images run as.
var users = []file{
	{path: "/etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
	{path: "/etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
}

// image makes an image of the program and the files around it. The program has a layer of its own: the other one stays
// the same from version to version.
func image(k kind, p *program, around []file, tag string, created time.Time) (v1.Image, error) {
	base, baseSize, err := layer(append(around, users...))
	if err != nil {
		return nil, err
	}
	binary, binarySize, err := layer([]file{{path: k.entrypoint, mode: 0o755, content: p.content}})
	if err != nil {
		return nil, err
	}
	if size := baseSize + binarySize; size > k.limit {
		return nil, fmt.Errorf("%s for %s has %.1f MiB unpacked, it may have %.1f", k.name, p.arch, mib(size), mib(k.limit))
	}
	history := v1.History{Created: v1.Time{Time: created}, CreatedBy: "hack/images"}
	i, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		mutate.Addendum{Layer: base, History: history, MediaType: types.OCILayer},
		mutate.Addendum{Layer: binary, History: history, MediaType: types.OCILayer})
	if err != nil {
		return nil, err
	}
	config, err := i.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", p.arch, v1.Time{Time: created}
	config.Config = v1.Config{
		Entrypoint: []string{k.entrypoint},
		User:       k.user,
		WorkingDir: "/",
		Env:        []string{"PATH=/"},
		Labels:     k.labels(tag),
	}
	i, err = mutate.ConfigFile(i, config)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(i, types.OCIConfigJSON), nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// labels of the image, which are an index's annotations, too.
func (k kind) labels(tag string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       k.name,
		"org.opencontainers.image.description": k.title,
		"org.opencontainers.image.version":     tag,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://github.com/nmstate/kubernetes-nmstate",
	}
}

// index makes one image of those for several architectures.
func index(k kind, images []v1.Image, tag string) (v1.ImageIndex, error) {
	i := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		i = mutate.AppendManifests(i, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture}},
		})
	}
	return mutate.Annotations(i, k.labels(tag)).(v1.ImageIndex), nil
}
