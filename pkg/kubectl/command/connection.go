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

package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/version"
)

// connection is the API server that the kubeconfig names.
type connection struct {
	clients versioned.Interface
	nodes   typed.NodeNetworkStateInterface
}

// nobodysHost is what clientcmd takes for the API server if nothing names one.
const nobodysHost = "http://localhost:8080"

// connect reads the kubeconfig. No request is made.
func (p *plugin) connect() (*connection, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, fault.FromConfig(err, *p.flags.KubeConfig)
	}
	if raw, err := p.flags.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && config.Host == nobodysHost && *p.flags.APIServer == "" {
		return nil, fault.FromConfig(clientcmd.ErrEmptyConfig, *p.flags.KubeConfig)
	}
	config.UserAgent = "kubectl-nmstate/" + version.Version
	config.QPS = -1
	config.WarningHandlerWithContext = warningHandler{p}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, fault.FromConfig(err, *p.flags.KubeConfig)
	}
	return &connection{clients: clients, nodes: clients.NmstateV1alpha1().NodeNetworkStates()}, nil
}

// warnings are those that the server gave to the requests of one node.
type warnings struct {
	mu  sync.Mutex
	all []string
}

type warningsKey struct{}

// collectWarnings returns a context whose requests add their warnings to w.
func collectWarnings(ctx context.Context, w *warnings) context.Context {
	return context.WithValue(ctx, warningsKey{}, w)
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.all, text) {
		w.all = append(w.all, text)
	}
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

// warningHandler adds a warning to those of its request, or prints it.
type warningHandler struct{ *plugin }

var _ rest.WarningHandlerWithContext = warningHandler{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (h warningHandler) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if code != 299 || text == "" {
		return
	}
	if w, collects := ctx.Value(warningsKey{}).(*warnings); collects {
		w.add(text)
		return
	}
	fmt.Fprintln(h.streams.ErrOut, "Warning:", safe(text))
}

// atOnce is how many nodes are asked at the same time.
const atOnce = 16

// selected returns the objects of the named nodes, else of those that the label selector matches, by name. Those that there
// are not have an error.
func (c *connection) selected(ctx context.Context, names []string, selector string) ([]*v1alpha1.NodeNetworkState, []*fault.Error) {
	if len(names) == 0 {
		list, err := c.nodes.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, []*fault.Error{fault.From("", err)}
		}
		var objects []*v1alpha1.NodeNetworkState
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
		if len(objects) == 0 {
			return nil, []*fault.Error{noneSelected(selector)}
		}
		return objects, nil
	}
	names = unique(names)
	objects := make([]*v1alpha1.NodeNetworkState, len(names))
	errs := make([]*fault.Error, len(names))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			obj, err := c.nodes.Get(ctx, name, metav1.GetOptions{})
			objects[i], errs[i] = obj, c.explain(ctx, name, err)
			return nil
		})
	}
	_ = group.Wait()
	var there []*v1alpha1.NodeNetworkState
	for i, obj := range objects {
		if errs[i] == nil {
			there = append(there, obj)
		}
	}
	return there, compactErrors(errs)
}

func noneSelected(selector string) *fault.Error {
	if selector == "" {
		return &fault.Error{Code: fault.Unreachable, Message: "there are no nodes", Remedy: "Standalone, nodes are there once their agents have joined."}
	}
	return &fault.Error{Code: fault.Usage, Message: fmt.Sprintf("no node has labels that match %q", selector), Remedy: "\"kubectl get nns --show-labels\" lists the nodes and their labels."}
}

// compactErrors returns the errors without nils, and each that is about no node once.
func compactErrors(errs []*fault.Error) []*fault.Error {
	var some []*fault.Error
	for _, err := range errs {
		if err == nil || err.Node == "" && slices.ContainsFunc(some, func(other *fault.Error) bool { return *other == *err }) {
			continue
		}
		some = append(some, err)
	}
	return some
}

// explain is fault.From, and names the nodes that there are if there is none of that name.
func (c *connection) explain(ctx context.Context, node string, err error) *fault.Error {
	if err == nil {
		return nil
	}
	return c.known(ctx, fault.From(node, err))
}

// known adds the names of the nodes to an error that says that there is no node of that name.
func (c *connection) known(ctx context.Context, found *fault.Error) *fault.Error {
	if !found.NoNode {
		return found
	}
	names, err := c.names(ctx, "")
	const most = 10
	if err == nil && len(names) > 0 && len(names) <= most {
		found.Remedy = "The nodes are " + strings.Join(names, ", ") + "."
	}
	return found
}

// names returns the names of the nodes that the label selector matches. No node is asked.
func (c *connection) names(ctx context.Context, selector string) ([]string, error) {
	// Metadata alone is a fraction of the states.
	var list metav1.PartialObjectMetadataList
	err := c.clients.NmstateV1alpha1().RESTClient().Get().Resource("nodenetworkstates").
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
		VersionedParams(&metav1.ListOptions{LabelSelector: selector, ResourceVersion: "0"}, metav1.ParameterCodec).Do(ctx).Into(&list)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	slices.Sort(names)
	return names, nil
}

// checkSelector tells whether a label selector can be read, and is not given beside names.
func checkSelector(selector string, names []string) error {
	if selector != "" && len(names) > 0 {
		return fault.Wrong("nodes are named, and -l selects some: give either")
	}
	if _, err := labels.Parse(selector); err != nil {
		return fault.Wrong(fmt.Sprintf("-l %q is no label selector: %v", selector, err), "Write it like topology.kubernetes.io/zone=a.")
	}
	return nil
}
