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

package rtnetlink

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how many times a list is requested while it keeps changing.
const dumpTries = 100

// Dump calls list. It calls it again while the kernel reports that the list changed
// while it was being read (NLM_F_DUMP_INTR).
func Dump[T any](list func() (T, error)) (T, error) {
	for range dumpTries - 1 {
		if found, err := list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return found, err
		}
	}
	return list()
}
