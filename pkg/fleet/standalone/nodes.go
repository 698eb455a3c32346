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

// Package standalone is the directory of a server that has no Kubernetes beside
// it: its nodes are the agents that join with a token.
//
// Whoever has the token may join as a new node. From then on the node's name
// belongs to the agent that joined, which proves itself with a key of its own;
// the token alone does not give the name to another.
package standalone

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

var (
	_ fleet.Directory     = &Nodes{}
	_ fleet.Authenticator = &Nodes{}
)

// Nodes are the nodes that have joined. They are recorded in a file, so that
// after a restart none is missing until its agent is back.
type Nodes struct {
	config Config

	mu      sync.Mutex
	records map[string]record
	// moved is closed, and replaced, whenever records changes.
	moved chan struct{}
}

// Config says where the files are.
type Config struct {
	// Records is the path of the file with the nodes. To forget a node, stop the
	// server and take it out of there.
	Records string
	// Token is the path of the file with the join token, which is read for each agent.
	Token string
}

// record is a node that has joined, as it is in the file.
type record struct {
	UID     types.UID         `json:"uid"`
	Created metav1.Time       `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	// KeyHash is the SHA-256 of the key of the agent that joined, in hex.
	KeyHash string `json:"keyHash"`
}

// Open returns the nodes that are recorded, none if there is no record yet.
func Open(config Config) (*Nodes, error) {
	records, err := load(config.Records)
	if err != nil {
		return nil, err
	}
	return &Nodes{config: config, records: records, moved: make(chan struct{})}, nil
}

// Watch implements fleet.Directory.
func (n *Nodes) Watch(ctx context.Context, deliver func([]fleet.Node)) error {
	for {
		n.mu.Lock()
		nodes, moved := n.nodes(), n.moved
		n.mu.Unlock()
		deliver(nodes)
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nodes returns all nodes, sorted by name. The caller holds the lock.
func (n *Nodes) nodes() []fleet.Node {
	nodes := make([]fleet.Node, 0, len(n.records))
	for _, name := range slices.Sorted(maps.Keys(n.records)) {
		r := n.records[name]
		nodes = append(nodes, fleet.Node{Name: name, UID: r.UID, Labels: r.Labels, CreationTimestamp: r.Created})
	}
	return nodes
}

// Authenticate implements fleet.Authenticator: the agent must have the join
// token. It may then speak for the node that it joined as, or join.
func (n *Nodes) Authenticate(ctx context.Context) (fleet.Claim, error) {
	token, err := uplink.ReadSecret(n.config.Token)
	if err != nil {
		return nil, errors.New("this server has no join token: see its log")
	}
	given := first(ctx, uplink.TokenKey)
	bearer, ok := strings.CutPrefix(given, "Bearer ")
	if !ok {
		return nil, errors.New("no join token was given")
	}
	if subtle.ConstantTimeCompare([]byte(bearer), []byte(token)) != 1 {
		return nil, errors.New("the join token is wrong")
	}
	key := first(ctx, uplink.NodeKey)
	if len(key) < 32 {
		return nil, errors.New("the agent gave no key of its own, or one that is too short")
	}
	sum := sha256.Sum256([]byte(key))
	hash := hex.EncodeToString(sum[:])
	return func(_ context.Context, hello *agentpb.Hello) error { return n.join(hello, hash) }, nil
}

// first returns the first value of a key in the call's metadata.
func first(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// join makes a node of the agent with the given hash of its key, or recognises it.
func (n *Nodes) join(hello *agentpb.Hello, hash string) error {
	if err := valid(hello); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	known, joined := n.records[hello.Node]
	if joined && subtle.ConstantTimeCompare([]byte(known.KeyHash), []byte(hash)) != 1 {
		return fmt.Errorf("another agent has joined as node %s, and this one has not its key", hello.Node)
	}
	next := known
	if !joined {
		next = record{UID: types.UID(uuid.NewString()), Created: metav1.Now().Rfc3339Copy(), KeyHash: hash}
	}
	next.Labels = hello.Labels
	if joined && maps.Equal(known.Labels, next.Labels) {
		return nil
	}
	records := maps.Clone(n.records)
	records[hello.Node] = next
	if err := store(n.config.Records, records); err != nil {
		return fmt.Errorf("the server cannot record node %s: %w", hello.Node, err)
	}
	n.records = records
	close(n.moved)
	n.moved = make(chan struct{})
	return nil
}

// valid returns an error if the node could not be an object of the API.
func valid(hello *agentpb.Hello) error {
	if problems := validation.NameIsDNSSubdomain(hello.Node, false); len(problems) > 0 {
		return fmt.Errorf("%q cannot be the name of a node: %s", hello.Node, strings.Join(problems, ", "))
	}
	if err := metav1validation.ValidateLabels(hello.Labels, field.NewPath("labels")).ToAggregate(); err != nil {
		return fmt.Errorf("the labels of node %s are not valid: %w", hello.Node, err)
	}
	return nil
}
