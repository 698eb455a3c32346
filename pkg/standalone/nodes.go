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
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

var _ fleet.Directory = &Nodes{}

// nodeFile is how the name of a node's file ends.
const nodeFile = ".json"

// Nodes are the nodes that have joined: one file each in the state folder, made
// when its agent joins. A node is forgotten by removing its file.
type Nodes struct {
	dir string

	mu     sync.Mutex
	joined map[string]joined
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
}

// Nodes returns the nodes that have joined before.
func (s *State) Nodes() (*Nodes, error) {
	n := &Nodes{dir: s.path(nodesFolder), moved: make(chan struct{})}
	return n, n.load()
}

// load reads the folder anew. A file that is damaged is an error: taking it for
// a node that is gone would delete its object.
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
	for {
		nodes, moved := n.now()
		deliver(nodes)
		if err := n.await(ctx, watcher, moved); err != nil {
			return err
		}
	}
}

// await returns when the nodes have changed: when one has joined, or when the
// file of one was removed.
func (n *Nodes) await(ctx context.Context, watcher *fsnotify.Watcher, moved <-chan struct{}) error {
	logger := klog.FromContext(ctx)
	for {
		select {
		case <-moved:
			return nil
		case event := <-watcher.Events:
			if event.Has(fsnotify.Remove) && strings.HasSuffix(event.Name, nodeFile) {
				if err := n.load(); err != nil {
					logger.Error(err, "The nodes stay as they were")
				}
			}
		case err := <-watcher.Errors:
			logger.Error(err, "Watching the nodes that have joined", "folder", n.dir)
		case <-ctx.Done():
			return ctx.Err()
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

// errOtherKey is why an agent may not speak for a node that another has joined as.
var errOtherKey = errors.New("the node has joined with another key: if its agent's state was lost, remove the node's file from the server's state folder")

// join makes the agent with the given key that of the node, unless another one is.
func (n *Nodes) join(name, key string, labels map[string]string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := sha256.Sum256([]byte(key))
	hash := hex.EncodeToString(sum[:])
	one, known := n.joined[name]
	switch {
	case !known:
		uid, err := uuid.NewRandomFromReader(rand.Reader)
		if err != nil {
			return err
		}
		one = joined{UID: types.UID(uid.String()), Created: metav1.NewTime(time.Now().Truncate(time.Second)), KeyHash: hash}
	case subtle.ConstantTimeCompare([]byte(one.KeyHash), []byte(hash)) != 1:
		return errOtherKey
	case maps.Equal(one.Labels, labels):
		return nil
	}
	one.Labels = labels
	text, err := json.MarshalIndent(one, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(n.dir, name+nodeFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("recording node %s: %w", name, err)
	}
	n.joined[name] = one
	n.wake()
	return nil
}
