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

// Command typed uses client-go's typed client: it lists the nodes' networks,
// reads one of them, and gives a node a bridge and takes it away again by
// server-side apply.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	applyv1alpha1 "github.com/nmstate/kubernetes-nmstate/pkg/generated/applyconfiguration/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

// fieldManager is who owns what this program applies.
const fieldManager = "example-typed"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, ~/.kube/config, in-cluster")
	selector := flag.String("l", "", "label selector of the nodes to list")
	node := flag.String("node", "node01", "node to change")
	bridge := flag.String("bridge", "br-typed", "bridge to make and take away")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *selector, *node, *bridge); err != nil {
		log.Fatal(explain(err))
	}
}

func run(ctx context.Context, kubeconfig, selector, node, bridge string) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	nns := clients.NmstateV1alpha1().NodeNetworkStates()

	list, err := nns.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	for i := range list.Items {
		show(&list.Items[i])
	}
	// The bridge, then its absence: leaving it out of the state would not remove it.
	for _, state := range []string{"up", "absent"} {
		obj, err := apply(ctx, nns, node, bridge, state)
		if err != nil {
			return err
		}
		if last := obj.Status.LastApply; last != nil {
			fmt.Printf("%s: %s %s: %s, by %s\n", node, bridge, state, last.Outcome, last.User)
		}
		show(obj)
	}
	// Applying nothing gives up what this field manager owns.
	_, err = nns.Apply(ctx, applyv1alpha1.NodeNetworkState(node), metav1.ApplyOptions{FieldManager: fieldManager})
	return err
}

// apply sends a state of the bridge and returns the object when the node has it.
func apply(ctx context.Context, nns typed.NodeNetworkStateInterface, node, bridge, state string) (*v1alpha1.NodeNetworkState, error) {
	desired, err := json.Marshal(map[string]any{"interfaces": []any{
		map[string]any{"name": bridge, "type": "linux-bridge", "state": state},
	}})
	if err != nil {
		return nil, err
	}
	wanted := applyv1alpha1.NodeNetworkState(node).WithSpec(
		applyv1alpha1.NodeNetworkStateSpec().WithDesiredState(*v1alpha1.NewState(desired)))
	return nns.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: fieldManager})
}

// show prints a node's conditions and the names of its interfaces.
func show(obj *v1alpha1.NodeNetworkState) {
	if !apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionAvailable) {
		fmt.Printf("%s: cannot be read now\n", obj.Name) // there is no currentState
		return
	}
	var current struct {
		Interfaces []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"interfaces"`
	}
	if err := json.Unmarshal(obj.Status.CurrentState.Raw, &current); err != nil {
		fmt.Printf("%s: %v\n", obj.Name, err)
		return
	}
	inSync := apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionInSync)
	fmt.Printf("%s: in sync: %t, interfaces:", obj.Name, inSync)
	for _, i := range current.Interfaces {
		fmt.Printf(" %s (%s)", i.Name, i.State)
	}
	fmt.Println()
}

// explain says what an error of a write means and what to do.
func explain(err error) error {
	switch {
	case apierrors.IsInvalid(err): // 422
		return fmt.Errorf("nmstate refuses the state, the node is as it was: %w", err)
	case apierrors.IsConflict(err): // 409
		return fmt.Errorf("somebody else owns it, or has changed it: %w", err)
	case apierrors.IsTooManyRequests(err): // 429, and client-go has tried again for half a minute
		return fmt.Errorf("somebody else is changing it: %w", err)
	case apierrors.IsServiceUnavailable(err): // 503
		return fmt.Errorf("the node or the server cannot be reached: %w", err)
	case apierrors.IsTimeout(err): // 504
		return fmt.Errorf("it goes on, or the node was lost: wait until Progressing is False and read status.lastApply: %w", err)
	case apierrors.IsInternalError(err): // 500
		return fmt.Errorf("nmstate failed at it, the node was put back: %w", err)
	}
	return err
}
