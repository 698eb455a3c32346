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

package nodenetworkstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// TestSinkKeepsTheCurrent: the encodings have what the log has: one of each node, of the newest object.
func TestSinkKeepsTheCurrent(t *testing.T) {
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	encodings := NewEncodings()
	sink := NewSink(log, encodings)
	object := func(text string) *v1alpha1.NodeNetworkState {
		n := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}
		n.Status.CurrentState = v1alpha1.NewState([]byte(text))
		return n
	}
	sink.Set(object(long("a")))
	first := encodings.of("node1")
	sink.Set(object(long("a")))
	if encodings.of("node1") != first || first.object != log.Get(Key("node1")) {
		t.Error("the same object is encoded again")
	}
	sink.Set(object(long("b")))
	second := encodings.of("node1")
	if second == first || second.object != log.Get(Key("node1")) {
		t.Error("the old object is kept")
	}
	pieces, err := second.text()
	if err != nil || len(pieces) != 3 || &pieces[1][0] != &second.object.Status.CurrentState.Raw[0] {
		t.Errorf("%d pieces, %v: the state is in memory twice", len(pieces), err)
	}
	sink.Delete("node1")
	if len(encodings.current) != 0 {
		t.Error("a node that is gone is kept")
	}
}

// TestWatchersThatAreBehind: an object that is in the history still is encoded once for all who begin behind it, and nothing is kept of it
// when it has left the history.
func TestWatchersThatAreBehind(t *testing.T) {
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	encodings := NewEncodings()
	sink := NewSink(log, encodings)
	sink.Set(&v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Status: v1alpha1.NodeNetworkStateStatus{CurrentState: v1alpha1.NewState([]byte(long("a")))}})
	behind := log.Get(Key("node1")).DeepCopyObject().(*v1alpha1.NodeNetworkState)
	want, err := json.Marshal(behind)
	if err != nil {
		t.Fatal(err)
	}
	// sameText encodes the object twice, and tells whether that was done once.
	sameText := func() bool {
		t.Helper()
		first, err1 := encodings.textOf(behind)
		second, err2 := encodings.textOf(behind)
		if err1 != nil || err2 != nil || !bytes.Equal(bytes.Join(first, nil), want) || !bytes.Equal(bytes.Join(second, nil), want) {
			t.Fatalf("%s, %v and %s, %v, not %s", first, err1, second, err2, want)
		}
		return &first[0][0] == &second[0][0]
	}
	sink.Set(&v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Status: v1alpha1.NodeNetworkStateStatus{CurrentState: v1alpha1.NewState([]byte(long("b")))}})
	if !sameText() {
		t.Error("after a change each watcher encodes the object of before")
	}
	sink.Delete("node1")
	if !sameText() {
		t.Error("after the node is gone each watcher encodes the object of before")
	}
	other := behind.DeepCopy()
	other.Annotations = map[string]string{"changed": "on its way"}
	if pieces, err := encodings.textOf(other); err != nil || !bytes.Contains(bytes.Join(pieces, nil), []byte("on its way")) {
		t.Errorf("another object is shown by what is kept: %s, %v", pieces, err)
	}
	log.Compact(log.Revision())
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		encodings.mu.RLock()
		left := len(encodings.past)
		encodings.mu.RUnlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d objects that have left the history are kept", left)
		}
	}
	if sameText() {
		t.Error("an object that has left the history is kept")
	}
}

// TestReadersWhileNodesChange: a reader gets the encoding of the object that it shows, whatever is observed meanwhile.
func TestReadersWhileNodesChange(t *testing.T) {
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	encodings := NewEncodings()
	sink := NewSink(log, encodings)
	change := func(n int) {
		sink.Set(&v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"},
			Status: v1alpha1.NodeNetworkStateStatus{CurrentState: v1alpha1.NewState([]byte(long(fmt.Sprint("eth", n))))}})
	}
	change(0)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				shown := log.Get(Key("node1")).(*v1alpha1.NodeNetworkState)
				pieces, err := encodings.textOf(shown)
				if err != nil {
					t.Error(err)
				}
				want, err := json.Marshal(shown)
				if err != nil || string(bytes.Join(pieces, nil)) != string(want) {
					t.Errorf("%s, not %s", bytes.Join(pieces, nil), want)
				}
				if net := encodings.networkOf(shown); !strings.HasPrefix(net.defaultRoute, "192.0.2.254%eth") || !bytes.Contains(want, []byte(net.defaultRoute[len("192.0.2.254%"):])) {
					t.Errorf("the route of %s is shown as %s", want, net.defaultRoute)
				}
			}
		})
	}
	for n := range 500 {
		change(n)
	}
	close(done)
	readers.Wait()
}
