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
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// shared is the shared join token of the tests.
const shared = "shared-token"

// door is where agents knock. Another one of the same folder is the server after a restart.
type door struct {
	*Authenticator
	dir string
}

// unlimited is no bound that a test meets.
var unlimited = Limits{Nodes: 1000}

func newDoor(t *testing.T, dir string, clock clock.WithTicker, limits Limits) *door {
	t.Helper()
	s := open(t, dir)
	nodes, err := s.Nodes(limits)
	if err != nil {
		t.Fatal(err)
	}
	return &door{NewAuthenticator(shared, s.JoinTokens(clock), nodes), dir}
}

func (d *door) create(t *testing.T, node string, ttl time.Duration) string {
	t.Helper()
	token, err := d.tokens.Create(node, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (d *door) forget(t *testing.T, node string) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.dir, nodesFolder, node+nodeFile)); err != nil {
		t.Fatal(err)
	}
	if err := d.nodes.load(); err != nil {
		t.Fatal(err)
	}
}

// knock is one attempt to connect. As key serves what is repeated up to the length of one.
type knock struct{ token, key, node, from string }

func (d *door) knock(k knock) error {
	ctx := context.Background()
	if k.from != "" {
		ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(k.from), 40000))})
	}
	md := metadata.Pairs(agent.NodeKey, strings.Repeat(k.key, minKey))
	if k.token != "" {
		md.Set(agent.TokenKey, "Bearer "+k.token)
	}
	identity, err := d.Authenticate(metadata.NewIncomingContext(ctx, md))
	if err != nil {
		return err
	}
	if identity.Name == "" || strings.Contains(identity.Name, strings.Repeat(k.key, minKey)) {
		return fmt.Errorf("the agent is taken for %q", identity.Name)
	}
	return identity.Claim(ctx, &agentpb.Hello{Node: k.node, Labels: map[string]string{"a": "b"}})
}

// expect knocks and tells of an answer that does not say what it should; "" stands for being admitted.
func (d *door) expect(t *testing.T, says string, k knock) {
	t.Helper()
	err := d.knock(k)
	if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%+v: %v, want %q", k, err, says)
	}
	if err != nil && k.token != "" && strings.Contains(err.Error(), k.token) {
		t.Errorf("%+v: the error has the token: %v", k, err)
	}
}

// speaks tells whether an agent may speak for a node, without joining.
func (d *door) speaks(t *testing.T, k knock) error {
	t.Helper()
	md := metadata.Pairs(agent.NodeKey, strings.Repeat(k.key, minKey), agent.TokenKey, "Bearer "+k.token)
	identity, err := d.Authenticate(metadata.NewIncomingContext(t.Context(), md))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Speaks(k.node)
}

// TestSpeaking changes nothing: neither does a node join by it, nor do its labels change.
func TestSpeaking(t *testing.T) {
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	if err := d.speaks(t, knock{token: shared, key: "a", node: "node01"}); !errors.Is(err, errNotJoined) {
		t.Errorf("before it has joined: %v", err)
	}
	if nodes, _ := d.nodes.now(); len(nodes) != 0 {
		t.Errorf("there are the nodes %v", nodes)
	}
	d.expect(t, "", knock{token: shared, key: "a", node: "node01"})
	if err := d.speaks(t, knock{token: shared, key: "b", node: "node01"}); !errors.Is(err, errOtherKey) {
		t.Errorf("with another key: %v", err)
	}
	if err := d.speaks(t, knock{token: "expired", key: "a", node: "node01"}); err != nil {
		t.Errorf("with its key: %v", err)
	}
	if err := d.speaks(t, knock{token: shared, key: "a", node: "node02"}); err == nil {
		t.Error("it speaks for another node")
	}
	if nodes, _ := d.nodes.now(); len(nodes) != 1 || nodes[0].Labels["a"] != "b" {
		t.Errorf("the nodes became %+v", nodes)
	}
}

func TestANameBelongsToTheFirstThatJoins(t *testing.T) {
	dir := t.TempDir()
	d := newDoor(t, dir, clock.RealClock{}, unlimited)
	d.expect(t, "not one of this server's", knock{token: "wrong", key: "1", node: "node1"})
	d.expect(t, "no join token", knock{key: "1", node: "node1"})
	d.expect(t, "key of its own", knock{token: shared, node: "node1"})
	d.expect(t, "no name for a node", knock{token: shared, key: "1", node: "Node 1"})
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	d.expect(t, "another key", knock{token: shared, key: "2", node: "node1"})
	d.expect(t, "", knock{token: shared, key: "2", node: "node2"})
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	// They are known after a restart, and their keys too.
	d = newDoor(t, dir, clock.RealClock{}, unlimited)
	d.expect(t, "another key", knock{token: shared, key: "2", node: "node1"})
	d.forget(t, "node1")
	d.expect(t, "", knock{token: shared, key: "2", node: "node1"})
	if _, err := d.Authenticate(context.Background()); err == nil {
		t.Error("an agent without anything is authenticated")
	}
}

func TestATokenForOneNode(t *testing.T) {
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	token := d.create(t, "node1", time.Hour)
	other := d.create(t, "", time.Hour)
	d.expect(t, "for another node", knock{token: token, key: "1", node: "node2"})
	d.expect(t, "", knock{token: other, key: "2", node: "node2"})
	for _, forAny := range []string{shared, other} {
		d.expect(t, "a join token for this node alone", knock{token: forAny, key: "2", node: "node1"})
	}
	d.expect(t, "", knock{token: token, key: "1", node: "node1"})
	d.expect(t, "another key", knock{token: token, key: "3", node: "node1"})

	one, err := os.ReadFile(filepath.Join(d.dir, nodesFolder, "node1"+nodeFile))
	if err != nil || strings.Contains(string(one), token) || !strings.Contains(string(one), hashOf(token)[:idLength]) {
		t.Errorf("the node's file: %s, %v", one, err)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, joinTokensFolder, "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("files of tokens: %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if info, statErr := os.Stat(file); err != nil || statErr != nil || info.Mode().Perm() != 0o600 ||
			strings.Contains(file+string(text), token) || strings.Contains(file+string(text), other) {
			t.Errorf("%s: %s, %v, %v", file, text, info.Mode(), errors.Join(err, statErr))
		}
	}
}

// TestANodeThatHasJoinedNeedsNoToken: it must not be cut off because its token's time is over.
func TestANodeThatHasJoinedNeedsNoToken(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	d := newDoor(t, t.TempDir(), clock, unlimited)
	token := d.create(t, "node1", time.Hour)
	unused := d.create(t, "node2", time.Hour)
	d.expect(t, "", knock{token: token, key: "1", node: "node1"})
	clock.Step(time.Hour)
	for _, old := range []string{token, "", "wrong"} {
		d.expect(t, "", knock{token: old, key: "1", node: "node1"})
	}
	// Its key is no token: it opens the node's own door only.
	d.expect(t, "expired at", knock{token: token, key: "1", node: "node2"})
	d.expect(t, "no join token", knock{key: "1", node: "node2"})
	d.expect(t, "expired at", knock{token: unused, key: "2", node: "node2"})
	// Who has no good token is not told that the node has joined.
	d.expect(t, "not one of this server's", knock{token: "wrong", key: "2", node: "node1"})
	// A name is kept for its token only as long as that is good.
	d.expect(t, "", knock{token: shared, key: "2", node: "node2"})
}

func TestExpiredTokensAreRemovedInTime(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	d := newDoor(t, t.TempDir(), clock, unlimited)
	short, long := d.create(t, "node1", time.Hour), d.create(t, "node2", 100*time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.tokens.Run(ctx)
	}()
	left := func() int {
		all, err := d.tokens.List()
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	clock.Step(time.Hour)
	d.expect(t, "expired at", knock{token: short, key: "1", node: "node1"})
	if left() != 2 {
		t.Errorf("%d tokens as one has just expired", left())
	}
	clock.Step(keepExpired)
	for left() != 1 {
		time.Sleep(time.Millisecond)
	}
	d.expect(t, "not one of this server's", knock{token: short, key: "1", node: "node1"})
	d.expect(t, "", knock{token: long, key: "2", node: "node2"})
	cancel()
	<-ended
}

// TestAServerSeesWhatAnotherProcessDoes: the command that creates and deletes tokens is one.
func TestAServerSeesWhatAnotherProcessDoes(t *testing.T) {
	dir := t.TempDir()
	d, command := newDoor(t, dir, clock.RealClock{}, unlimited), open(t, dir).JoinTokens(clock.RealClock{})
	token, err := command.Create("", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d.expect(t, "", knock{token: token, key: "1", node: "node1"})
	if err := command.Delete(hashOf(token)[:idLength]); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "not one of this server's", knock{token: token, key: "2", node: "node2"})
	d.expect(t, "", knock{token: token, key: "1", node: "node1"})
}

func TestTheSharedTokenCanBeTurnedOff(t *testing.T) {
	dir := t.TempDir()
	d := newDoor(t, dir, clock.RealClock{}, unlimited)
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	off := &door{NewAuthenticator("", d.tokens, d.nodes), dir}
	off.expect(t, "not one of this server's", knock{token: shared, key: "2", node: "node2"})
	off.expect(t, "no join token", knock{token: "", key: "2", node: "node2"})
	off.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	off.expect(t, "", knock{token: d.create(t, "node2", time.Hour), key: "2", node: "node2"})
}

// TestADamagedTokenOpensNothing, and says so to the administrator, not to agents.
func TestADamagedTokenOpensNothing(t *testing.T) {
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	token := d.create(t, "", time.Hour)
	file := d.tokens.file(hashOf(token)[:idLength])
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "see its log", knock{token: token, key: "1", node: "node1"})
	d.expect(t, "see its log", knock{token: shared, key: "1", node: "node1"})
	d.expect(t, "", knock{token: d.create(t, "node1", time.Hour), key: "1", node: "node1"})
	if _, err := d.tokens.List(); err == nil || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
}

func TestMaxNodes(t *testing.T) {
	dir := t.TempDir()
	d := newDoor(t, dir, clock.RealClock{}, Limits{Nodes: 2})
	own := d.create(t, "node3", time.Hour)
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	d.expect(t, "", knock{token: shared, key: "2", node: "node2"})
	for _, d := range []*door{d, newDoor(t, dir, clock.RealClock{}, Limits{Nodes: 2}), newDoor(t, dir, clock.RealClock{}, Limits{Nodes: 1})} {
		d.expect(t, "--max-nodes", knock{token: own, key: "3", node: "node3"})
		d.expect(t, "", knock{token: shared, key: "2", node: "node2"})
		if len(d.nodes.joined) != 2 {
			t.Errorf("%d nodes", len(d.nodes.joined))
		}
	}
	d.forget(t, "node1")
	d.expect(t, "", knock{token: own, key: "3", node: "node3"})
}

func TestMaxNodesPerSource(t *testing.T) {
	dir, limits := t.TempDir(), Limits{Nodes: 100, NodesPerSource: 2}
	d := newDoor(t, dir, clock.RealClock{}, limits)
	other := d.create(t, "", time.Hour)
	// join joins as one node after the other, from the same source, until it is refused.
	nodes := 0
	join := func(token string, from ...string) (joined int) {
		t.Helper()
		for {
			nodes++
			k := knock{token: token, key: fmt.Sprint(nodes), node: fmt.Sprintf("node%d", nodes), from: from[joined%len(from)]}
			if err := d.knock(k); err != nil {
				d.expect(t, "raise the server's --max-nodes-per-source", k)
				return joined
			}
			if joined++; joined > limits.NodesPerSource {
				t.Errorf("%d nodes joined from %v", joined, from)
				return joined
			}
		}
	}
	// An IPv4 address is the same in both notations. An IPv6 host has a network of addresses.
	if got := join(shared, "192.0.2.1", "::ffff:192.0.2.1"); got != 2 {
		t.Errorf("%d nodes joined from an IPv4 address", got)
	}
	if got := join(other, "2001:db8::1", "2001:db8::2"); got != 2 {
		t.Errorf("%d nodes joined from an IPv6 network", got)
	}
	if got := join(other, "192.0.2.2"); got != 2 {
		t.Errorf("%d nodes joined from another IPv4 address", got)
	}
	if got := join(other, "192.0.2.1"); got != 0 {
		t.Errorf("%d further nodes joined with another token", got)
	}
	// The bound holds over a restart. A token for one node is not bound by it, and does not fill it.
	d = newDoor(t, dir, clock.RealClock{}, limits)
	if got := join(shared, "192.0.2.1"); got != 0 {
		t.Errorf("%d further nodes joined after a restart", got)
	}
	d.expect(t, "", knock{token: d.create(t, "vouched1", time.Hour), key: "x", node: "vouched1", from: "192.0.2.1"})
	d.forget(t, "node1")
	d.expect(t, "", knock{token: shared, key: "y", node: "node1", from: "192.0.2.1"})
	d.expect(t, "--max-nodes-per-source", knock{token: shared, key: "z", node: "last", from: "192.0.2.1"})
	newDoor(t, dir, clock.RealClock{}, unlimited).expect(t, "", knock{token: shared, key: "z", node: "last", from: "192.0.2.1"})
}

// TestForgottenWhileManyJoin: a node is forgotten whose file is removed while so much happens in the folder that the kernel's queue of
// reports overflows if nobody reads it.
func TestForgottenWhileManyJoin(t *testing.T) {
	const queue, each = 16384, 3 // fs.inotify.max_queued_events; a file that is written is made, changed and closed
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	ctx, cancel := context.WithCancel(t.Context())
	delivered, begun, ended := make(chan int), make(chan struct{}), make(chan error)
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		ended <- d.nodes.Watch(ctx, func(now []fleet.Node) {
			begin()
			select {
			case delivered <- len(now):
			case <-ctx.Done():
			}
		})
	}()
	<-begun
	for i := range 2 * queue / each { // the first nodes are delivered all the time
		if err := os.WriteFile(filepath.Join(d.dir, nodesFolder, fmt.Sprint(i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(d.dir, nodesFolder, "node1"+nodeFile)); err != nil {
		t.Fatal(err)
	}
	if got := []int{<-delivered, <-delivered}; got[0] != 1 || got[1] != 0 {
		t.Errorf("%d nodes were delivered, want 1 and then 0", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRemovingItsFileForgetsANode(t *testing.T) {
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	delivered := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.nodes.Watch(ctx, func(now []fleet.Node) { delivered <- len(now) }) }()
	if got := <-delivered; got != 0 {
		t.Errorf("%d nodes at first", got)
	}
	go func() {
		if err := d.knock(knock{token: shared, key: "1", node: "node1"}); err != nil {
			t.Error(err)
		}
	}()
	if got := <-delivered; got != 1 {
		t.Errorf("%d nodes after one joined", got)
	}
	if err := os.Remove(filepath.Join(d.dir, nodesFolder, "node1"+nodeFile)); err != nil {
		t.Fatal(err)
	}
	if got := <-delivered; got != 0 {
		t.Errorf("%d nodes after its file was removed", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
