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
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/utils/clock"
)

// TestWrongLabelsCostLittle: one Hello with 4,000 wrong labels took 3 s of processor time.
func TestWrongLabelsCostLittle(t *testing.T) {
	labels := map[string]string{}
	for i := range maxLabels + 1 {
		labels[fmt.Sprintf("no label %d", i)] = ""
	}
	if err := checkLabels(labels); err == nil || !strings.Contains(err.Error(), "may be at most 256") {
		t.Errorf("too many labels: %v", err)
	}
	delete(labels, "no label 0")
	if err := checkLabels(labels); err == nil || strings.Count(err.Error(), "no label") != 1 {
		t.Errorf("many wrong labels: %v", err)
	}
	if err := checkLabels(map[string]string{"a": "b"}); err != nil {
		t.Error(err)
	}
}

// TestLabelsDoNotChangeAllTheTime: each change is a write to the disk, and one more of
// the changes that all who watch are told of.
func TestLabelsDoNotChangeAllTheTime(t *testing.T) {
	d := newDoor(t, t.TempDir(), clock.RealClock{}, unlimited)
	d.expect(t, "", knock{token: shared, key: "1", node: "node1"})
	d.expect(t, "", knock{token: shared, key: "2", node: "node2"})
	labels := func(node, key, value string) error {
		_, err := d.nodes.readmit(t.Context(), node, hashOf(strings.Repeat(key, minKey)), map[string]string{"a": value})
		return err
	}
	var err error
	for i := range 10 * relabelBurst {
		if err = labels("node1", "1", fmt.Sprint(i)); err != nil {
			break
		}
	}
	if !errors.Is(err, errRelabelled) {
		t.Errorf("the labels have changed again and again: %v", err)
	}
	if err := labels("node1", "1", d.nodes.joined["node1"].Labels["a"]); err != nil {
		t.Errorf("with the labels as they are: %v", err)
	}
	if err := labels("node2", "2", "c"); err != nil {
		t.Errorf("another node: %v", err)
	}
	d.forget(t, "node1")
	if len(d.nodes.relabels) != 1 {
		t.Errorf("%d nodes are remembered", len(d.nodes.relabels))
	}
}
