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
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// TestAskEach: several objects are asked at the same time. The answers are in the order of the objects, an object that has gone
// is left out, and an error is returned.
func TestAskEach(t *testing.T) {
	paths := []dbus.ObjectPath{"/1", "/2", "/3"}
	var together sync.WaitGroup
	together.Add(len(paths))
	got, err := askEach(paths, func(path dbus.ObjectPath) (*string, error) {
		together.Done()
		together.Wait() // nobody answers before all are asked
		if path == "/2" {
			return nil, nil
		}
		answer := "answer of " + string(path)
		return &answer, nil
	})
	if want := []string{"answer of /1", "answer of /3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, not %q", got, err, want)
	}
	silent := errors.New("no answer")
	if got, err := askEach(paths, func(path dbus.ObjectPath) (*string, error) {
		if path == "/2" {
			return nil, silent
		}
		return new(string), nil
	}); !errors.Is(err, silent) || got != nil {
		t.Errorf("with an error: got %q, %v", got, err)
	}
}
