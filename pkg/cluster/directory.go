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

// Package cluster connects the API server to the Kubernetes cluster that it
// serves: the cluster's Nodes are the nodes, and a pod's token proves on which
// node an agent runs.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

var _ fleet.Directory = &Directory{}

// Directory has the Nodes of the cluster.
type Directory struct {
	informer cache.SharedIndexInformer
	lister   corelisters.NodeLister
	// live lists the nodes from kube-apiserver, past the informer.
	live metadata.Getter
	// changed has an entry when the nodes may have changed since they were delivered.
	changed chan struct{}
}

const (
	// listTimeout bounds one list of the nodes from kube-apiserver.
	listTimeout = 3 * time.Second
	// lag is how far the watch may be behind. It is longer than the longest pause of
	// a reflector.
	lag = time.Minute
	// pollInterval is the polling interval while the watch lags behind.
	pollInterval = time.Second
)

// NewDirectory returns the Directory of a cluster. It has no nodes before Run
// runs. The clients need the rights to list and watch nodes.
func NewDirectory(client kubernetes.Interface, live metadata.Interface) (*Directory, error) {
	nodes := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(essence)).Core().V1().Nodes()
	d := &Directory{
		informer: nodes.Informer(), lister: nodes.Lister(),
		live: live.Resource(corev1.SchemeGroupVersion.WithResource("nodes")), changed: make(chan struct{}, 1),
	}
	_, err := d.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { d.poke() },
		UpdateFunc: func(before, now any) {
			if !same(before.(*corev1.Node), now.(*corev1.Node)) {
				d.poke()
			}
		},
		DeleteFunc: func(any) { d.poke() },
	})
	if err != nil {
		return nil, fmt.Errorf("watching the cluster's nodes: %w", err)
	}
	return d, nil
}

// Run follows the cluster's nodes until ctx ends, also while nobody calls Watch.
func (d *Directory) Run(ctx context.Context) { d.informer.RunWithContext(ctx) }

// Watch implements fleet.Directory. Only one Watch may run at a time.
func (d *Directory) Watch(ctx context.Context, deliver func([]fleet.Node)) error {
	if !cache.WaitForCacheSync(ctx.Done(), d.informer.HasSynced) {
		return ctx.Err()
	}
	// The informer of a standby may lag far behind. If a node were missing from the
	// first list, clients would take that for its deletion.
	missing, err := d.missing(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The cluster's nodes cannot be listed; beginning with those that the watch has")
	}
	d.catchUp(ctx, missing, deliver)
	for {
		deliver(d.nodes(nil))
		select {
		case <-d.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nodes returns the informer's nodes and the missing ones. Of a missing node only
// the metadata is known.
func (d *Directory) nodes(missing []metav1.PartialObjectMetadata) []fleet.Node {
	nodes, _ := d.lister.List(labels.Everything()) // from memory, without an error
	for _, node := range missing {
		nodes = slices.DeleteFunc(nodes, func(old *corev1.Node) bool { return old.Name == node.Name })
		nodes = append(nodes, &corev1.Node{ObjectMeta: node.ObjectMeta})
	}
	infos := make([]fleet.Node, 0, len(nodes))
	for _, node := range nodes {
		infos = append(infos, infoOf(node))
	}
	slices.SortFunc(infos, func(a, b fleet.Node) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// missing lists the cluster's nodes and returns those that the informer lacks.
func (d *Directory) missing(ctx context.Context) ([]metav1.PartialObjectMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	all, err := d.live.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Items, d.knows), nil
}

// knows tells whether the informer has the node.
func (d *Directory) knows(node metav1.PartialObjectMetadata) bool {
	known, err := d.lister.Get(node.Name)
	return err == nil && known.UID == node.UID
}

// catchUp delivers the informer's nodes together with the missing ones, at each
// change, until the informer has them all or lag is over. Meanwhile it lists
// again, so that a missing node that is deleted disappears.
func (d *Directory) catchUp(ctx context.Context, missing []metav1.PartialObjectMetadata, deliver func([]fleet.Node)) {
	ctx, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	again := time.NewTicker(pollInterval)
	defer again.Stop()
	for len(missing) > 0 && ctx.Err() == nil {
		deliver(d.nodes(missing))
		select {
		case <-d.changed:
		case <-again.C:
			if now, err := d.missing(ctx); err == nil {
				missing = now
			}
		case <-ctx.Done():
		}
		missing = slices.DeleteFunc(missing, d.knows)
	}
}

func (d *Directory) poke() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// essence keeps only the fields of a Node that this package reads, because all
// Nodes stay in memory.
func essence(obj any) (any, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, errors.New("the cluster sent an object that is not a Node")
	}
	kept := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: node.Name, UID: node.UID, Labels: node.Labels, CreationTimestamp: node.CreationTimestamp, ResourceVersion: node.ResourceVersion,
	}}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
			kept.Status.Addresses = append(kept.Status.Addresses, address)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			kept.Status.Conditions = []corev1.NodeCondition{{
				Type: condition.Type, Status: condition.Status, Reason: condition.Reason, Message: condition.Message,
			}}
		}
	}
	return kept, nil
}

func same(a, b *corev1.Node) bool {
	return a.UID == b.UID && maps.Equal(a.Labels, b.Labels) && notReady(a) == notReady(b) &&
		slices.Equal(a.Status.Addresses, b.Status.Addresses)
}

// addressesOf returns the node's addresses of one of the types.
func addressesOf(node *corev1.Node, types ...corev1.NodeAddressType) []string {
	var addresses []string
	for _, address := range node.Status.Addresses {
		if _, err := netip.ParseAddr(address.Address); err == nil && slices.Contains(types, address.Type) {
			addresses = append(addresses, address.Address)
		}
	}
	return addresses
}

// Addresses returns all IP addresses that the cluster knows of a node, none if it does not know
// the node.
func (d *Directory) Addresses(name string) []string {
	node, err := d.lister.Get(name)
	if err != nil {
		return nil
	}
	return addressesOf(node, corev1.NodeInternalIP, corev1.NodeExternalIP)
}

// infoOf returns a Node as the fleet sees it.
func infoOf(node *corev1.Node) fleet.Node {
	return fleet.Node{
		Name:              node.Name,
		UID:               node.UID,
		Labels:            node.Labels,
		CreationTimestamp: node.CreationTimestamp,
		Owner: &metav1.OwnerReference{
			APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: node.Name, UID: node.UID,
		},
		Addresses: addressesOf(node, corev1.NodeInternalIP),
		NotReady:  notReady(node),
	}
}

// notReady says why the node is not ready, "" if it is.
func notReady(node *corev1.Node) string {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Sprintf("the cluster says that the node is not ready (%s: %s)", condition.Reason, condition.Message)
		}
	}
	return ""
}
