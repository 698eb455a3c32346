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

package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/nmstate/kubernetes-nmstate/pkg/apiserver"
)

// Run runs the API server until ctx ends.
func (o *Options) Run(ctx context.Context) error {
	if err := o.complete(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	config, tasks, err := o.config(ctx)
	if err != nil {
		return err
	}
	config.Reads = o.Reads
	config.HistoryBytes = o.HistoryBytes.Value()
	server, err := apiserver.New(*config)
	if err != nil {
		return err
	}
	for _, task := range append(tasks, server.Run) {
		group.Go(func() error { return task(ctx) })
	}
	return group.Wait()
}

// config turns the options into the server's configuration, and what has to run beside it.
func (o *Options) config(ctx context.Context) (*apiserver.Config, []task, error) {
	if o.Standalone {
		config, err := o.standaloneConfig(ctx)
		return config, nil, err
	}
	return o.clusterConfig(ctx)
}
