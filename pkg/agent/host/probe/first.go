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

package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// first asks several targets at the same time and returns the first that answers, or
// why none does.
func first[T any](ctx context.Context, targets []T, ask func(context.Context, T) error) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		from int
		err  error
	}
	answers := make(chan answer, len(targets))
	for i, target := range targets {
		go func() { answers <- answer{from: i, err: ask(ctx, target)} }()
	}
	failures := make([]error, len(targets))
	for range targets {
		answer := <-answers
		if answer.err == nil {
			return targets[answer.from], nil
		}
		failures[answer.from] = answer.err
	}
	var none T
	return none, joined(failures)
}

// joined returns one error of several, in one line, each text once.
func joined(failures []error) error {
	var texts []string
	told := map[string]bool{}
	for _, err := range failures {
		if text := err.Error(); !told[text] {
			told[text] = true
			texts = append(texts, text)
		}
	}
	return errors.New(strings.Join(texts, "; "))
}

// pingNode asks a node at all of its addresses.
func pingNode(ctx context.Context, node string, addresses []string) error {
	if len(addresses) == 0 {
		return fmt.Errorf("no address of the node %q is known: the cluster has no such node, or it has no InternalIP", node)
	}
	_, err := first(ctx, addresses, ping)
	return err
}
