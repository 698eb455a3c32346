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

package standalone

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

var _ fleet.Directory = &Nodes{}

// nodeFile is how the name of a node's file ends.
const nodeFile = ".json"

// Limits bound how many nodes may join.
type Limits struct {
	// Nodes is how many there may be in all.
	Nodes int
	// NodesPerSource is how many may have joined from one source address with
	// tokens that let any node join; 0 means no bound. An IPv6 source is its
	// /64 network: a single host has as many addresses as it likes there.
	NodesPerSource int
}

// Nodes are the nodes that have joined. Each has a file in the state folder, which
// is made when the node joins. Who removes the file makes the server forget the node.
type Nodes struct {
	dir    string
	limits Limits

	mu     sync.Mutex
	joined map[string]joined
	// relabels says how often the labels of a node may change, of nodes whose labels
	// have changed.
	relabels map[string]*rate.Limiter
	// moved is closed, and replaced, whenever joined changes.
	moved chan struct{}
}

// joined is what a node's file holds.
type joined struct {
	UID     types.UID         `json:"uid"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created metav1.Time       `json:"created"`
	// KeyHash is the SHA-256 of the agent's own key, hexadecimal.
	KeyHash string `json:"keyHash"`
	// Source is the address from which the node joined.
	Source netip.Addr `json:"source,omitzero"`
	// JoinToken is the ID of the token with which the node joined. ForThisNode is
	// true if it let no other node join, so that an administrator has vouched for the name.
	JoinToken   string `json:"joinToken,omitempty"`
	ForThisNode bool   `json:"joinTokenForThisNode,omitempty"`
}

// applicant is an agent that wants to be a node's.
type applicant struct {
	keyHash string
	source  netip.Addr
	token   JoinToken
}

// identity names the applicant, to tell its streams from those of others. A node
// that has joined is known by its key. An applicant can make up any number of keys,
// so it is known by its token and the address that it connects from.
func (a applicant) identity(hasJoined bool) string {
	if hasJoined {
		return a.keyHash
	}
	return a.token.ID + "@" + a.source.String()
}

// Nodes returns the nodes that have joined before.
func (s *State) Nodes(limits Limits) (*Nodes, error) {
	n := &Nodes{dir: s.path(nodesFolder), limits: limits, relabels: map[string]*rate.Limiter{}, moved: make(chan struct{})}
	return n, n.load()
}

// load reads all files. A damaged file is an error: if it were skipped, the node's
// object would be deleted.
func (n *Nodes) load() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return fmt.Errorf("reading the nodes that have joined: %w", err)
	}
	read := map[string]joined{}
	for _, entry := range entries {
		name, isNode := strings.CutSuffix(entry.Name(), nodeFile)
		if !isNode || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(n.dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading node %s: %w", name, err)
		}
		var one joined
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("the file of node %s in %s is damaged: %w; remove it to have the node join anew", name, n.dir, err)
		}
		read[name] = one
	}
	n.joined = read
	maps.DeleteFunc(n.relabels, func(name string, _ *rate.Limiter) bool {
		_, still := read[name]
		return !still
	})
	n.wake()
	return nil
}

func (n *Nodes) wake() {
	close(n.moved)
	n.moved = make(chan struct{})
}

// Watch implements fleet.Directory.
func (n *Nodes) Watch(ctx context.Context, deliver func([]fleet.Node)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the nodes that have joined: %w", err)
	}
	defer watcher.Close()
	if err := watcher.Add(n.dir); err != nil {
		return fmt.Errorf("watching %s: %w", n.dir, err)
	}
	removed := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.followFiles(ctx, watcher, removed) })
	group.Go(func() error {
		for {
			nodes, moved := n.now()
			deliver(nodes)
			select {
			case <-moved:
			case <-removed:
				if err := n.load(); err != nil {
					klog.FromContext(ctx).Error(err, "The nodes stay as they were")
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return group.Wait()
}

// followFiles notes in removed that files of nodes may have been removed, until ctx ends. It reads all events at once: while many nodes
// join there are so many that the kernel's queue overflows otherwise.
func (n *Nodes) followFiles(ctx context.Context, watcher *fsnotify.Watcher, removed chan<- struct{}) error {
	logger := klog.FromContext(ctx)
	for {
		select {
		case event := <-watcher.Events:
			if !event.Has(fsnotify.Remove) || !strings.HasSuffix(event.Name, nodeFile) {
				continue
			}
		case err := <-watcher.Errors:
			logger.Error(err, "Watching the nodes that have joined; their files are read anew", "folder", n.dir)
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case removed <- struct{}{}:
		default:
		}
	}
}

func (n *Nodes) now() ([]fleet.Node, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var nodes []fleet.Node
	for _, name := range slices.Sorted(maps.Keys(n.joined)) {
		one := n.joined[name]
		nodes = append(nodes, fleet.Node{Name: name, UID: one.UID, Labels: one.Labels, CreationTimestamp: one.Created})
	}
	return nodes, n.moved
}

// Why an agent may not speak for a node. The agent is told so.
var (
	errOtherKey    = errors.New("the node has joined with another key: if its agent's state was lost, remove the node's file from the server's state folder")
	errNotJoined   = errors.New("the node has not joined")
	errRelabelled  = errors.New("the node's labels change too often: let its agent keep them as they were, or try again in a minute")
	errNotRecorded = errors.New("the server cannot record the node: see its log")
)

// knowsKey tells whether a node has joined with the key.
func (n *Nodes) knowsKey(keyHash string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.joined {
		if sameHash(one.KeyHash, keyHash) {
			return true
		}
	}
	return false
}

// speaks returns an error unless the node has joined with the key. It changes nothing.
func (n *Nodes) speaks(name, keyHash string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	one, known := n.joined[name]
	switch {
	case !known:
		return errNotJoined
	case !sameHash(one.KeyHash, keyHash):
		return errOtherKey
	}
	return nil
}

// readmit tells whether the node has joined with the key; if so, it sets the node's labels.
func (n *Nodes) readmit(ctx context.Context, name, keyHash string, labels map[string]string) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one, known := n.joined[name]
	if !known || !sameHash(one.KeyHash, keyHash) {
		return false, nil
	}
	if maps.Equal(one.Labels, labels) {
		return true, nil
	}
	if !n.mayRelabel(name) {
		return true, errRelabelled
	}
	one.Labels = labels
	return true, n.record(ctx, name, one)
}

// A node's labels are its agent's to say. Each change is written to the disk and told to
// all who watch.
const (
	relabelInterval = time.Minute
	relabelBurst    = 10
)

// mayRelabel tells whether the labels of a node may change now. The caller holds the lock.
func (n *Nodes) mayRelabel(name string) bool {
	if n.relabels[name] == nil {
		n.relabels[name] = rate.NewLimiter(rate.Every(relabelInterval), relabelBurst)
	}
	return n.relabels[name].Allow()
}

// join binds the node to the key of the applicant. It fails if the node is bound
// to a key already, or if there are too many nodes.
func (n *Nodes) join(ctx context.Context, name string, a applicant, labels map[string]string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.joined[name]; known {
		return errOtherKey
	}
	if err := n.room(a); err != nil {
		return err
	}
	uid, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return err
	}
	return n.record(ctx, name, joined{
		UID: types.UID(uid.String()), Labels: labels, Created: metav1.NewTime(time.Now().Truncate(time.Second)), KeyHash: a.keyHash,
		Source: a.source, JoinToken: a.token.ID, ForThisNode: a.token.Node != "",
	})
}

// room tells why no further node may join.
func (n *Nodes) room(a applicant) error {
	if len(n.joined) >= n.limits.Nodes {
		return fmt.Errorf("%d nodes have joined, and the server takes no more than %d: forget nodes that are gone, or raise the server's --max-nodes",
			len(n.joined), n.limits.Nodes)
	}
	if n.limits.NodesPerSource == 0 || a.token.Node != "" {
		return nil
	}
	source, count := network(a.source), 0
	for _, one := range n.joined {
		if !one.ForThisNode && one.Source.IsValid() && network(one.Source) == source {
			count++
		}
	}
	if count >= n.limits.NodesPerSource {
		return fmt.Errorf("%d nodes have joined from %s, and the server takes no more than %d from one source: join with a token for this node alone, or raise the server's --max-nodes-per-source",
			count, source, n.limits.NodesPerSource)
	}
	return nil
}

// network returns what counts as one source: an IPv4 address, or an IPv6 network of 64 bits.
func network(source netip.Addr) netip.Prefix {
	bits := source.BitLen()
	if source.Is6() {
		bits = 64
	}
	prefix, _ := source.Prefix(bits) // the zero Prefix for the zero Addr
	return prefix
}

// record writes the node's file.
func (n *Nodes) record(ctx context.Context, name string, one joined) error {
	text, err := json.MarshalIndent(one, "", "  ")
	if err == nil {
		err = atomicfile.Write(filepath.Join(n.dir, name+nodeFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot record a node", "node", name)
		return errNotRecorded
	}
	n.joined[name] = one
	n.wake()
	return nil
}
