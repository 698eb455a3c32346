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
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apiserver"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/hostid"
	"github.com/nmstate/kubernetes-nmstate/pkg/memory"
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
	for _, task := range append(tasks, memory.Trim, server.Run) {
		group.Go(func() error { return task(ctx) })
	}
	return group.Wait()
}

// self returns who this server is, by the given name and on the Node of that name. A server
// that does not know its host is told apart from the agents' by the Node alone.
func self(ctx context.Context, name, node string) fleet.Self {
	host, err := hostid.Current()
	if err != nil {
		klog.FromContext(ctx).Error(err, "This server does not know which host it runs on: the agent of that host will take it for one elsewhere, unless --node-name tells")
	}
	return fleet.Self{Name: name, Host: host, Node: node}
}

// config turns the options into the server's configuration, and what has to run beside it.
func (o *Options) config(ctx context.Context) (*apiserver.Config, []task, error) {
	if o.Standalone {
		config, err := o.standaloneConfig(ctx)
		return config, nil, err
	}
	return o.clusterConfig(ctx)
}
