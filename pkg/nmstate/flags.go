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

package nmstate

// Flags change how a state is retrieved or applied; they are libnmstate's
// NMSTATE_FLAG_* and can be combined with |.
type Flags uint32

const (
	// KernelOnly leaves out NetworkManager and OVSDB.
	KernelOnly Flags = 1 << 1
	// NoVerify applies without verifying afterwards that the state holds.
	NoVerify Flags = 1 << 2
	// IncludeStatusData is accepted by libnmstate and has no effect today.
	IncludeStatusData Flags = 1 << 3
	// IncludeSecrets retrieves secrets instead of masks.
	IncludeSecrets Flags = 1 << 4
	// NoCommit applies and leaves a checkpoint of NetworkManager open, for
	// CommitCheckpoint or RollbackCheckpoint. With KernelOnly there are none.
	NoCommit Flags = 1 << 5
	// MemoryOnly applies without making it outlive a reboot.
	MemoryOnly Flags = 1 << 6
	// RunningConfigOnly retrieves without running status such as automatic
	// addresses and routes.
	RunningConfigOnly Flags = 1 << 7
	// YAMLOutput retrieves YAML instead of JSON.
	YAMLOutput Flags = 1 << 8
	// OverrideIface applies interfaces without merging in what they are now.
	OverrideIface Flags = 1 << 9
)
