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
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

const (
	// tokenFile is how the name of a join token's file ends.
	tokenFile = ".json"
	// idLength is the length of a join token's ID.
	idLength = 16
	// sharedID is the ID of the shared join token, which has no file of its own here.
	sharedID = "shared"

	// keepExpired is how long the file of an expired token is kept: an agent that
	// comes with the token meanwhile is told that it has expired.
	keepExpired = 24 * time.Hour
	// removeInterval is how often a server removes the files of expired tokens.
	removeInterval = time.Hour
)

// JoinTokens are the join tokens that expire. Each has a file in the state
// folder, which holds the token's hash and not the token. The files are read
// whenever an agent connects: a server that runs knows at once of a token that
// another process has created or deleted.
type JoinTokens struct {
	dir   string
	clock clock.WithTicker
}

// JoinToken is what the server knows of a join token.
type JoinToken struct {
	// ID names the token. It is the beginning of Hash.
	ID string `json:"-"`
	// Hash is the SHA-256 of the token, hexadecimal.
	Hash string `json:"hash"`
	// Node is the only node that the token lets join; empty means any.
	Node string `json:"node,omitempty"`
	// Created and Expires are when the token's time begins and ends.
	Created metav1.Time `json:"created"`
	Expires metav1.Time `json:"expires"`
}

// JoinTokens returns the join tokens of this state folder.
func (s *State) JoinTokens(clock clock.WithTicker) *JoinTokens {
	return &JoinTokens{dir: s.path(joinTokensFolder), clock: clock}
}

// Create makes a token that lets one node join, or any node if node is empty,
// until ttl is over. It returns the token, which is stored nowhere.
func (t *JoinTokens) Create(node string, ttl time.Duration) (string, error) {
	if problems := validation.IsDNS1123Subdomain(node); node != "" && len(problems) > 0 {
		return "", fmt.Errorf("%q cannot be the name of a node: %s", node, strings.Join(problems, "; "))
	}
	if ttl < time.Second {
		return "", fmt.Errorf("a join token must last for a second or longer, not %s", ttl)
	}
	token := rand.Text()
	now := t.clock.Now()
	one := JoinToken{Hash: hashOf(token), Node: node, Created: metav1.NewTime(now), Expires: metav1.NewTime(now.Add(ttl))}
	text, err := json.MarshalIndent(one, "", "  ")
	if err != nil {
		return "", err
	}
	if err := atomicfile.Write(t.file(one.Hash[:idLength]), append(text, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("recording the join token: %w", err)
	}
	return token, nil
}

// List returns all tokens, in the order of their IDs. A token that has expired
// is among them until its file is removed.
func (t *JoinTokens) List() ([]JoinToken, error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the join tokens: %w", err)
	}
	var all []JoinToken
	for _, entry := range entries {
		id, isToken := strings.CutSuffix(entry.Name(), tokenFile)
		if !isToken || validID(id) != nil {
			continue
		}
		one, err := t.read(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Delete removes a token: nobody can join with it any more. The nodes that have
// joined with it are still nodes.
func (t *JoinTokens) Delete(id string) error {
	if err := validID(id); err != nil {
		return err
	}
	err := os.Remove(t.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no join token %s in %s", id, t.dir)
	}
	return err
}

// Expired tells whether the token's time is over.
func (t *JoinTokens) Expired(one JoinToken) bool { return !t.clock.Now().Before(one.Expires.Time) }

// Run removes the files of expired tokens until ctx ends.
func (t *JoinTokens) Run(ctx context.Context) {
	ticker := t.clock.NewTicker(removeInterval)
	defer ticker.Stop()
	for {
		if err := t.removeExpired(); err != nil {
			klog.FromContext(ctx).Error(err, "Could not remove expired join tokens; trying again", "retryIn", removeInterval)
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

func (t *JoinTokens) removeExpired() error {
	all, err := t.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range all {
		if t.clock.Since(one.Expires.Time) < keepExpired {
			continue
		}
		if err := os.Remove(t.file(one.ID)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var (
	errWrongToken  = errors.New("the join token is not one of this server's: it may have been deleted")
	errUnreadable  = errors.New("the server cannot read its join tokens: see its log")
	errOfOtherNode = errors.New("the join token is for another node")
	errReserved    = errors.New("there is a join token for this node alone: join with that one")
)

// find returns what is known of the token that an agent has shown. The agent is
// told the error.
func (t *JoinTokens) find(ctx context.Context, token string) (JoinToken, error) {
	hash := hashOf(token)
	one, err := t.read(hash[:idLength])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return JoinToken{}, errWrongToken
	case err != nil:
		klog.FromContext(ctx).Error(err, "Cannot read a join token")
		return JoinToken{}, errUnreadable
	case !sameHash(one.Hash, hash):
		return JoinToken{}, errWrongToken
	case t.Expired(one):
		return JoinToken{}, fmt.Errorf("the join token expired at %s: create another one on the server", one.Expires.UTC().Format(time.RFC3339))
	}
	return one, nil
}

// mayJoin tells why the holder of a token may not join as a node that has not
// joined yet. A node for which there is a token of its own joins with that one only.
func (t *JoinTokens) mayJoin(ctx context.Context, with JoinToken, node string) error {
	if with.Node != "" {
		if with.Node != node {
			return errOfOtherNode
		}
		return nil
	}
	all, err := t.List()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot read the join tokens")
		return errUnreadable
	}
	for _, one := range all {
		if one.Node == node && !t.Expired(one) {
			return errReserved
		}
	}
	return nil
}

func (t *JoinTokens) read(id string) (JoinToken, error) {
	text, err := os.ReadFile(t.file(id))
	if err != nil {
		return JoinToken{}, fmt.Errorf("reading join token %s: %w", id, err)
	}
	one := JoinToken{ID: id}
	if err := json.Unmarshal(text, &one); err != nil {
		return JoinToken{}, fmt.Errorf("%s is damaged: %w; remove it and create another join token", t.file(id), err)
	}
	return one, nil
}

func (t *JoinTokens) file(id string) string { return filepath.Join(t.dir, id+tokenFile) }

// validID tells why a text is no ID of a join token. Only an ID becomes part of a path.
func validID(id string) error {
	if _, err := hex.DecodeString(id); err != nil || len(id) != idLength {
		return fmt.Errorf("%q is not the ID of a join token, which has %d hexadecimal digits", id, idLength)
	}
	return nil
}

// hashOf returns the SHA-256 of a secret, hexadecimal.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func sameHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
