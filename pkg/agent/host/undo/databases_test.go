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

package undo

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestDatabasesBefore: what of Open vSwitch's database has to be set to undo a change.
func TestDatabasesBefore(t *testing.T) {
	const full = `{"ovs-db":{"external_ids":{"a":"1","b":"2"},"other_config":{}},
		"ovn":{"bridge-mappings":[{"localnet":"net1","bridge":"br1"},{"localnet":"net2","bridge":"br2"}]}}`
	for desired, want := range map[string]string{
		`{}`:                                    ``,
		`{"interfaces":[{"name":"eth1"}]}`:      ``,
		`{"ovs-db":{}}`:                         ``,
		`{"ovs-db":{"external_ids":{"a":"9"}}}`: `{"ovs-db":{"external_ids":{"a":"1"}}}`,
		`{"ovs-db":{"external_ids":{"a":null,"c":"3"},"other_config":{"d":"4"}}}`:              `{"ovs-db":{"external_ids":{"a":"1","c":null},"other_config":{"d":null}}}`,
		`{"ovs-db":{"external_ids":{}}}`:                                                       `{"ovn":{"bridge-mappings":[{"bridge":"br1","localnet":"net1"},{"bridge":"br2","localnet":"net2"}]},"ovs-db":{"external_ids":{"a":"1","b":"2"}}}`,
		`{"ovs-db":{"other_config":{}}}`:                                                       ``,
		`{"ovn":{"bridge-mappings":[{"localnet":"net1","bridge":"br9"},{"localnet":"net3"}]}}`: `{"ovn":{"bridge-mappings":[{"bridge":"br1","localnet":"net1"},{"localnet":"net3","state":"absent"}]}}`,
		`{"ovn":{"bridge-mappings":[{"localnet":"net2","state":"absent"}]}}`:                   `{"ovn":{"bridge-mappings":[{"bridge":"br2","localnet":"net2"}]}}`,
	} {
		if got, err := databasesBefore([]byte(desired), []byte(full)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v\nwant %s", desired, got, err, want)
		}
	}
}

// TestDatabasesArePutBack by nmstate, and what it cannot put back is told.
func TestDatabasesArePutBack(t *testing.T) {
	const desired, full = `{"ovs-db":{"external_ids":{"a":"9"}}}`, `{"ovs-db":{"external_ids":{"a":"1"}}}`
	noted, err := Note(t.Context(), Request{Desired: []byte(desired), Current: []byte(full)})
	if err != nil {
		t.Fatal(err)
	}
	noted.Close()
	before, applied := throughJSON(t, noted), ""
	if left := before.Restore(t.Context(), func(_ context.Context, state []byte) error {
		applied += string(state)
		return nil
	}); left != "" || applied != full {
		t.Errorf("applied is %s, left is %q", applied, left)
	}
	if left := before.Restore(t.Context(), func(context.Context, []byte) error { return errors.New("no daemon") }); !strings.Contains(left, "no daemon") {
		t.Errorf("left is %q", left)
	}
}
