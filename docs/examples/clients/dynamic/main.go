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

// Command dynamic uses client-go's dynamic client, which needs nothing of ours:
// it adds a bridge to what a node is committed to, and takes it away again, by
// merge patches that are tried again when somebody else was faster.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"slices"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, ~/.kube/config, in-cluster")
	selector := flag.String("l", "", "label selector of the nodes to list")
	node := flag.String("node", "node01", "node to change")
	bridge := flag.String("bridge", "br-dynamic", "bridge to make and take away")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *selector, *node, *bridge); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, selector, node, bridge string) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	nns := client.Resource(schema.GroupVersionResource{Group: "nmstate.io", Version: "v1alpha1", Resource: "nodenetworkstates"})

	list, err := nns.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	for i := range list.Items {
		show(&list.Items[i])
	}
	// The bridge, then its absence, then nothing about it.
	for _, state := range []string{"up", "absent", ""} {
		obj, tries, err := patch(ctx, nns, node, bridge, state)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s %q, tries: %d\n", node, bridge, state, tries)
		show(obj)
	}
	return nil
}

// backoff goes on for a minute or two, beside what client-go does by itself while
// the node is busy with somebody else's change. It has no Cap, at which a Backoff would end.
func backoff() wait.Backoff {
	return wait.Backoff{Steps: 14, Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.5}
}

// mayTryAgain: after a conflict, with what is there then; while the node is busy;
// and when the node or the server could not be reached. If the change was made all the same, because it was
// kube-apiserver that lost the server, another try is a conflict: the patch has the
// resourceVersion of what was read.
func mayTryAgain(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err)
}

// patch puts the bridge's state in place of what the spec says of it. It returns
// the object when the node has it, and how often it had to try.
func patch(ctx context.Context, nns dynamic.ResourceInterface, node, bridge, state string) (obj *unstructured.Unstructured, tries int, err error) {
	err = retry.OnError(backoff(), mayTryAgain, func() error {
		tries++
		current, err := nns.Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		interfaces, _, err := unstructured.NestedSlice(current.Object, "spec", "desiredState", "interfaces")
		if err != nil {
			return err
		}
		interfaces = slices.DeleteFunc(interfaces, func(i any) bool {
			entry, ok := i.(map[string]any)
			return ok && entry["name"] == bridge
		})
		if state != "" {
			interfaces = append(interfaces, map[string]any{"name": bridge, "type": "linux-bridge", "state": state})
		}
		// A merge patch replaces a list as a whole, and null takes a key away. The
		// resourceVersion makes it a conflict (409) if anything has changed since the
		// list was read.
		desired := map[string]any{"interfaces": interfaces}
		if len(interfaces) == 0 {
			desired["interfaces"] = nil
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": current.GetResourceVersion()},
			"spec":     map[string]any{"desiredState": desired},
		})
		if err != nil {
			return err
		}
		obj, err = nns.Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "example-dynamic"})
		return err
	})
	return obj, tries, err
}

// show prints what a node is committed to about interfaces, and whether it holds.
func show(obj *unstructured.Unstructured) {
	inSync := "Unknown"
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == "InSync" {
			inSync = fmt.Sprint(condition["status"])
		}
	}
	fmt.Printf("%s: in sync: %s, committed interfaces:", obj.GetName(), inSync)
	interfaces, _, _ := unstructured.NestedSlice(obj.Object, "spec", "desiredState", "interfaces")
	for _, i := range interfaces {
		if entry, ok := i.(map[string]any); ok {
			fmt.Printf(" %v (%v)", entry["name"], entry["state"])
		}
	}
	fmt.Println()
}
