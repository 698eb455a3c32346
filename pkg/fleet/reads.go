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

package fleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Reads say how readers and the agents that read for them are held to each other.
type Reads struct {
	// Timeout is how long a read of one node waits for the node's agent to read its
	// network; ListTimeout is that of a read of many nodes. The time counts from
	// when the agent's read began.
	Timeout, ListTimeout time.Duration
	// MaxPerNode is how many times a second a node reads its network for all
	// readers together. Readers beyond wait, and share the next read. 0 is no limit.
	MaxPerNode int
}

// DefaultReads returns the defaults of the flags.
func DefaultReads() Reads {
	return Reads{Timeout: 30 * time.Second, ListTimeout: 10 * time.Second, MaxPerNode: 10}
}

// AddFlags adds the flags, whose defaults are what r has.
func (r *Reads) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&r.Timeout, "read-timeout", r.Timeout, "How long a GET or a write of a node waits for the node's agent to read its network, from when that read began. Beyond, the node is shown as Reading, without its current state.")
	flags.DurationVar(&r.ListTimeout, "list-read-timeout", r.ListTimeout, "How long a LIST or a WATCH waits for each node's agent to read its network, from when that read began. Beyond, the node is shown as Reading, without its current state.")
	flags.IntVar(&r.MaxPerNode, "max-node-reads", r.MaxPerNode, "How many times a second a node reads its network for all readers of this server together; twice as many at once after a rest. Readers beyond wait for the next read and share it. 0 is no limit.")
}

// Validate tells what is wrong with them.
func (r *Reads) Validate() error {
	var errs []error
	for name, value := range map[string]time.Duration{"read-timeout": r.Timeout, "list-read-timeout": r.ListTimeout} {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("--%s %s must be more than 0", name, value))
		}
	}
	if r.MaxPerNode < 0 {
		errs = append(errs, fmt.Errorf("--max-node-reads %d must be 0, for no limit, or more", r.MaxPerNode))
	}
	return errors.Join(errs...)
}
