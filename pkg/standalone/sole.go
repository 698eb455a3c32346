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

import "context"

// Sole is the elector of a standalone server, which has no other beside it. The
// server leads as long as it runs. Its term begins after this revision.
type Sole uint64

// Run implements the elector: it calls lead at once.
func (s Sole) Run(ctx context.Context, lead func(ctx context.Context, term uint64) error) error {
	return lead(ctx, uint64(s))
}

// IsActive is always true.
func (Sole) IsActive() bool { return true }

// Announce does nothing: there is no other server that must know.
func (Sole) Announce(context.Context) error { return nil }
