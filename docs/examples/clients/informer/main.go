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

// Command informer follows the nodes' networks with client-go's shared informer:
// it waits for the first list, prints it, and then each change, until it has seen
// so many of them or its time is over. The informer lists again by itself when a
// watch ends or the server answers 410 Gone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/informers/externalversions"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, ~/.kube/config, in-cluster")
	selector := flag.String("l", "", "label selector of the nodes to follow")
	events := flag.Int("events", 10, "changes to wait for")
	timeout := flag.Duration("for", time.Minute, "how long to wait for them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if err := run(ctx, *kubeconfig, *selector, *events); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, selector string, events int) error {
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
	// No resync: there is nothing to reconcile with, and every change is an event.
	factory := externalversions.NewSharedInformerFactoryWithOptions(clients, 0,
		externalversions.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = selector }))
	nns := factory.Nmstate().V1alpha1().NodeNetworkStates()
	changes := make(chan string)
	handler, err := nns.Informer().AddEventHandler(handlers(ctx, changes))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer factory.Shutdown() // waits for the informer, which stop ends
	defer stop()
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		return errors.New("the first list did not come in time")
	}
	list, err := nns.Lister().List(labels.Everything()) // from memory
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b *v1alpha1.NodeNetworkState) int { return strings.Compare(a.Name, b.Name) })
	for _, obj := range list {
		fmt.Println("now     ", line(obj))
	}
	for range events {
		select {
		case change := <-changes:
			fmt.Println(change)
		case <-ctx.Done():
			fmt.Println("time is over")
			return nil
		}
	}
	return nil
}

// handlers sends a line for each change after the first list.
func handlers(ctx context.Context, changes chan<- string) cache.ResourceEventHandler {
	send := func(change string) {
		select {
		case changes <- change:
		case <-ctx.Done():
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, isInInitialList bool) {
			if nns, ok := obj.(*v1alpha1.NodeNetworkState); ok && !isInInitialList {
				send("added    " + line(nns))
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(*v1alpha1.NodeNetworkState)
			is, ok2 := after.(*v1alpha1.NodeNetworkState)
			if ok && ok2 {
				send("modified " + line(is) + difference(interfaces(was), interfaces(is)))
			}
		},
		DeleteFunc: func(obj any) {
			// A node that went while no watch ran is known by its key and last state only.
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
				send("deleted  " + key)
			}
		},
	}
}

// line tells the state of a node's conditions.
func line(obj *v1alpha1.NodeNetworkState) string {
	status := func(conditionType string) metav1.ConditionStatus {
		if c := apimeta.FindStatusCondition(obj.Status.Conditions, conditionType); c != nil {
			return c.Status
		}
		return metav1.ConditionUnknown
	}
	return fmt.Sprintf("%s at %s: available %s, in sync %s", obj.Name, obj.ResourceVersion,
		status(v1alpha1.ConditionAvailable), status(v1alpha1.ConditionInSync))
}

// interfaces returns each interface of the node as JSON; none while the node cannot be read.
func interfaces(obj *v1alpha1.NodeNetworkState) map[string]string {
	var current struct {
		Interfaces []json.RawMessage `json:"interfaces"`
	}
	if obj.Status.CurrentState == nil || json.Unmarshal(obj.Status.CurrentState.Raw, &current) != nil {
		return nil
	}
	result := map[string]string{}
	for _, raw := range current.Interfaces {
		var i struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(raw, &i) == nil {
			result[i.Name] = string(raw)
		}
	}
	return result
}

// difference names the interfaces that came (+), went (-) or changed (~).
func difference(before, after map[string]string) string {
	var names []string
	for name, is := range after {
		switch was, there := before[name]; {
		case !there:
			names = append(names, "+"+name)
		case was != is:
			names = append(names, "~"+name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			names = append(names, "-"+name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return ", interfaces " + strings.Join(names, " ")
}
