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
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/scheme"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/manifest"
)

// defaultManager is the field manager of changes that the plugin makes: the one of "kubectl apply --server-side", so that the same
// file can be applied in either way.
const defaultManager = "kubectl"

// applying are the flags of server-side apply.
type applying struct {
	manager  string
	force    bool
	validate string
	confirm  string
	timeout  time.Duration
	probes   []string
}

func (a *applying) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&a.manager, "field-manager", defaultManager, "Name of the owner of what is applied. What the same manager has applied before, and is not in the file any more, leaves the spec; the network keeps it.")
	flags.BoolVar(&a.force, "force-conflicts", false, "Take over what other field managers own.")
	flags.StringVar(&a.validate, "validate", "strict", "What becomes of a field that the server does not know: strict, warn or ignore.")
	flags.StringVar(&a.confirm, "confirm", "", "Who confirms the change: reachability (the node, once it can be reached), manual (you, at the terminal) or none. It becomes spec.confirmation.mode. Default: as the file says, else reachability.")
	flags.DurationVar(&a.timeout, "timeout", 0, "How long after it was applied the change may be confirmed, from 5s to 10m; then the node rolls it back. It becomes spec.confirmation.timeout. Default: as the file says, else 60s.")
	flags.StringArrayVar(&a.probes, "probe", nil, "What must answer after the change: ping, ping=ADDRESS, tcp=HOST:PORT, http=URL, dns=NAME, dns=NAME@SERVER or node=NAME. It is added to spec.probes. Can be given several times.")
	for name, values := range map[string][]string{"confirm": {"reachability", "manual", "none"}, "validate": {"strict", "warn", "ignore"}, "probe": {"ping", "tcp=", "http=", "dns=", "node="}} {
		_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// modes are the values of --confirm.
var modes = map[string]v1alpha1.ConfirmationMode{
	"": "", "reachability": v1alpha1.ConfirmByReachability, "manual": v1alpha1.ConfirmManually, "none": v1alpha1.ConfirmNone,
}

// validations are the values of --validate. kubectl's are understood, too.
var validations = map[string]string{
	"strict": metav1.FieldValidationStrict, "true": metav1.FieldValidationStrict, "warn": metav1.FieldValidationWarn,
	"ignore": metav1.FieldValidationIgnore, "false": metav1.FieldValidationIgnore,
}

func (a *applying) check(flags *pflag.FlagSet) error {
	if _, known := modes[strings.ToLower(a.confirm)]; !known {
		return fault.Wrong(fmt.Sprintf("--confirm=%s is not known: use reachability, manual or none", a.confirm))
	}
	if _, known := validations[strings.ToLower(a.validate)]; !known {
		return fault.Wrong(fmt.Sprintf("--validate=%s is not known: use strict, warn or ignore", a.validate))
	}
	if flags.Changed("timeout") && (a.timeout < v1alpha1.MinConfirmationTimeout || a.timeout > v1alpha1.MaxConfirmationTimeout) {
		return fault.Wrong(fmt.Sprintf("--timeout=%v must be from %v to %v", a.timeout, v1alpha1.MinConfirmationTimeout, v1alpha1.MaxConfirmationTimeout))
	}
	_, err := parseProbes(a.probes)
	return err
}

// parseProbes reads the values of --probe.
func parseProbes(values []string) ([]any, error) {
	var probes []any
	for i, text := range values {
		kind, target, hasTarget := strings.Cut(text, "=")
		fields := map[string]any{}
		switch {
		case kind == "ping" && !hasTarget:
		case kind == "ping":
			fields["address"] = target
		case kind == "tcp" && target != "":
			fields["address"] = target
		case kind == "http" && target != "":
			fields["url"] = target
		case kind == "dns" && target != "":
			name, server, hasServer := strings.Cut(target, "@")
			fields["name"] = name
			if hasServer {
				fields["server"] = server
			}
		case kind == "node" && target != "":
			fields["name"] = target
		default:
			return nil, fault.Wrong(fmt.Sprintf("--probe=%s is none: write ping, ping=ADDRESS, tcp=HOST:PORT, http=URL, dns=NAME, dns=NAME@SERVER or node=NAME", text))
		}
		probes = append(probes, map[string]any{"name": fmt.Sprintf("%s-%d", kind, i+1), kind: fields})
	}
	return probes, nil
}

// body returns the request's body: the manifest with what the flags add to it.
func (a *applying) body(target manifest.Target) ([]byte, error) {
	spec := tree.Object(target.Object["spec"])
	if a.confirm != "" || a.timeout != 0 || len(a.probes) > 0 {
		if spec == nil {
			spec = map[string]any{}
			target.Object["spec"] = spec
		}
	}
	if a.confirm != "" || a.timeout != 0 {
		confirmation := tree.Object(spec["confirmation"])
		if confirmation == nil {
			confirmation = map[string]any{}
			spec["confirmation"] = confirmation
		}
		if a.confirm != "" {
			confirmation["mode"] = modes[strings.ToLower(a.confirm)]
		}
		if a.timeout != 0 {
			confirmation["timeout"] = a.timeout.String()
		}
	}
	if probes, err := parseProbes(a.probes); err != nil {
		return nil, err
	} else if len(probes) > 0 {
		spec["probes"] = append(tree.Items(spec["probes"]), probes...)
	}
	return json.Marshal(target.Object)
}

// patch is a request that changes a node, or tells what it would change.
type patch struct {
	node    string
	kind    types.PatchType
	body    []byte
	options metav1.PatchOptions
}

// request returns the server-side apply of a target.
func (a *applying) request(target manifest.Target) (patch, error) {
	body, err := a.body(target)
	return patch{
		node: target.Node, kind: types.ApplyYAMLPatchType, body: body,
		options: metav1.PatchOptions{FieldManager: a.manager, Force: &a.force, FieldValidation: validations[strings.ToLower(a.validate)]},
	}, err
}

// send sends the request. A node that is busy is not asked again: the caller tells the user what it waits for.
func (c *connection) send(ctx context.Context, p patch) (*v1alpha1.NodeNetworkState, error) {
	obj := &v1alpha1.NodeNetworkState{}
	err := c.clients.NmstateV1alpha1().RESTClient().Patch(p.kind).Resource("nodenetworkstates").Name(p.node).
		VersionedParams(&p.options, scheme.ParameterCodec).Body(p.body).MaxRetries(0).Do(ctx).Into(obj)
	return obj, err
}
