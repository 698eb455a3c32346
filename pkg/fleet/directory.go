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

package fleet

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Node is a node as the directory knows it. Nobody may change its labels and its owner once it is delivered.
type Node struct {
	// Name is the name of the node and of its object.
	Name string
	// UID is the uid of the node. A node of the same name with another uid is another node.
	UID types.UID
	// Labels are the labels of the node's object.
	Labels map[string]string
	// CreationTimestamp is when the node was created.
	CreationTimestamp metav1.Time
	// Owner is what owns the node's object, if anything does.
	Owner *metav1.OwnerReference
	// Addresses are the node's InternalIPs, as the directory knows them.
	Addresses []string
	// NotReady says why the node cannot be expected to answer; empty if it can.
	NotReady string
}

// Directory says who is a node.
type Directory interface {
	// Watch delivers all nodes there are, then all of them again at each change,
	// until ctx ends; it returns ctx's error. deliver is called by one goroutine at a time.
	Watch(ctx context.Context, deliver func([]Node)) error
}

// Authenticator says who is an agent.
//
// What its errors say is sent to the agent, so they hold no secret. An error
// with a gRPC status keeps its code.
type Authenticator interface {
	// Authenticate looks at the metadata and the peer in a call's ctx, before
	// anything of the stream is read. An error is Unauthenticated.
	Authenticate(ctx context.Context) (*Identity, error)
}

// Identity is who an authenticated agent is.
type Identity struct {
	// Name tells one agent from another: streams of the same name are of one agent.
	Name string
	// Claim says which node the agent may speak for.
	Claim Claim
	// Speaks says whether the agent may speak for the node of that name as things are. Unlike
	// Claim it changes nothing: nobody joins by it. An error is PermissionDenied.
	Speaks func(node string) error
}

// Self is who this server is, as it tells agents.
type Self struct {
	// Name is the name of the server, as in the Lease.
	Name string
	// Host is the kernel and the network namespace that the server runs in, see
	// hostid.Current; empty if that is not known.
	Host string
	// Node is the name of the Node that the server runs on; empty if it runs on none.
	Node string
}

// Outside looks for something that does not run on the node and answers this server over a
// new connection. It returns what it has found, such as an address; an error says that
// nothing outside of the node has answered.
type Outside func(ctx context.Context, node Node) (string, error)

// Claim says whether an authenticated agent may speak for the node that its
// Hello names. An error is PermissionDenied.
type Claim func(ctx context.Context, hello *agentpb.Hello) error

// Sink is given the objects of all nodes. Its methods are called for one node by
// one goroutine at a time. Once a method returns, every consistent read sees what
// it was given. A Sink must not call the Fleet.
type Sink interface {
	// Set gives the sink an object, which it may stamp but not change otherwise:
	// what it points to is shared.
	Set(obj *v1alpha1.NodeNetworkState)
	// Delete says that the node is gone.
	Delete(name string)
}
