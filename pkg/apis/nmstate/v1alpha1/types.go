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

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch,update,patch,apply
// +genclient:noStatus
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodeNetworkState is the network of one node, named as the node. Reading it
// shows the node's network as it is now; changing its spec changes the network
// of the node, at once and as one transaction: it either takes effect, or the
// node and this object stay as they were, and what could not be put back is
// reported. A change that takes effect and cuts the node off stays: keep another
// way in. These objects come and go with the nodes, they cannot be created or
// deleted.
type NodeNetworkState struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The labels are those of the node and cannot be
	// changed here.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What was last committed on the node; a change that failed never appears here.
	// +optional
	Spec NodeNetworkStateSpec `json:"spec,omitempty"`
	// The node's network as it is now, and how the last change went. Read-only.
	// +optional
	Status NodeNetworkStateStatus `json:"status,omitempty"`
}

// NodeNetworkStateSpec is what the node is committed to.
type NodeNetworkStateSpec struct {
	// The nmstate state that was last committed on the node, as documented at
	// https://nmstate.io/devel/yaml_api.html: "interfaces", "routes",
	// "route-rules", "dns-resolver", "hostname" and so on. What it does not
	// mention stays as it is on the node; an interface, route or rule is removed
	// by giving it "state: absent". Writing it applies it to the node; nothing
	// applies it again by itself.
	// Secrets (802.1X, MACsec, IPsec, WireGuard) are masked when read; a masked
	// value that is sent back keeps the secret that the node has.
	// It may have 1 MiB as compact JSON.
	// +optional
	DesiredState *State `json:"desiredState,omitempty"`
}

// NodeNetworkStateStatus is the node's network as it is now, and how the last
// change went.
type NodeNetworkStateStatus struct {
	// The node's network, in nmstate's format: for a GET or LIST without
	// resourceVersion read from the node for this request, or proved unchanged
	// since it was read. Absent while the node cannot be reached: old data is never
	// shown as current. Absent, too, if it is too large to be shown (reason
	// StateTooLarge of the condition Available).
	// An address that DHCP or a router's advertisement gave has
	// "valid-life-time: dynamic". What is shown can be sent back as
	// spec.desiredState, as a whole or in parts, and leaves the network as it is.
	// +optional
	CurrentState *State `json:"currentState,omitempty"`
	// The part of spec.desiredState that the node does not match now, in nmstate's
	// format. Absent when the node is in sync. The answer to a dry run shows here
	// what the change would do.
	// +optional
	Difference *State `json:"difference,omitempty"`
	// Available: the node's network can be read. InSync: the node matches all of
	// spec.desiredState. Progressing: a change is being applied. Failing: the last
	// change failed, or the agent cannot keep its record.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The result of the most recent change to the spec, whether it succeeded or failed.
	// +optional
	LastApply *LastApply `json:"lastApply,omitempty"`
	// The metadata.generation that this status was computed for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// How many interfaces the node has, without those that currentState leaves out.
	// +optional
	Interfaces *InterfaceCount `json:"interfaces,omitempty"`
	// What carries out changes on the node: NetworkManager, or the kernel alone.
	// +optional
	Backend Backend `json:"backend,omitempty"`
	// Version of the node's agent.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`
	// Version of libnmstate in the node's agent.
	// +optional
	NmstateVersion string `json:"nmstateVersion,omitempty"`
	// Version of NetworkManager on the node; absent in kernel-only mode.
	// +optional
	NetworkManagerVersion string `json:"networkManagerVersion,omitempty"`
	// When the state shown here was read for the first time; it advances only when
	// something changes. While the node is unreachable it shows when the last known
	// state was read.
	// +optional
	LastSuccessfulUpdateTime *metav1.Time `json:"lastSuccessfulUpdateTime,omitempty"`
}

// InterfaceCount counts interfaces.
type InterfaceCount struct {
	// All interfaces of currentState.
	Total int32 `json:"total"`
	// Those of them whose state is up.
	Up int32 `json:"up"`
}

// Backend is what carries out changes on a node.
// +enum
type Backend string

const (
	// BackendNetworkManager: nmstate drives NetworkManager, which keeps the configuration over a reboot.
	BackendNetworkManager Backend = "NetworkManager"
	// BackendKernel: nmstate changes the kernel's state directly; nothing outlives a reboot.
	BackendKernel Backend = "Kernel"
)

// LastApply tells how the last change to a node's spec went.
type LastApply struct {
	// The metadata.generation that the object has, or would have had, with this change.
	Generation int64 `json:"generation"`
	// Name of the user who asked for the change.
	// +optional
	User string `json:"user,omitempty"`
	// When the node began to apply the change.
	StartTime metav1.Time `json:"startTime"`
	// When the change was committed or given up; absent while it is in progress.
	// +optional
	FinishTime *metav1.Time `json:"finishTime,omitempty"`
	// How it ended.
	Outcome ApplyOutcome `json:"outcome"`
	// Why, as a CamelCase word: nmstate's own error kind where nmstate refused or failed.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Why, in words: nmstate's own message where nmstate refused or failed.
	// +optional
	Message string `json:"message,omitempty"`
}

// ApplyOutcome is how a change ended.
// +enum
type ApplyOutcome string

const (
	// ApplyCommitted: the change is in effect on the node and is the spec now.
	ApplyCommitted ApplyOutcome = "Committed"
	// ApplyRolledBack: the change failed half-way and the node is as it was.
	ApplyRolledBack ApplyOutcome = "RolledBack"
	// ApplyRejected: nmstate refused the change, and the node is as it was.
	ApplyRejected ApplyOutcome = "Rejected"
	// ApplyInProgress: the change is being applied.
	ApplyInProgress ApplyOutcome = "InProgress"
	// ApplyInterrupted: the agent ended while the change was being applied.
	ApplyInterrupted ApplyOutcome = "Interrupted"
)

// Types of the conditions of a NodeNetworkState.
const (
	// ConditionAvailable is True when the node's network can be read, Unknown when the node cannot be asked.
	ConditionAvailable = "Available"
	// ConditionInSync is True when all of spec.desiredState holds on the node.
	ConditionInSync = "InSync"
	// ConditionProgressing is True while a change is being applied.
	ConditionProgressing = "Progressing"
	// ConditionFailing is True when the last change failed or the agent cannot keep its records.
	ConditionFailing = "Failing"
)

// Reasons of conditions.
const (
	// ReasonStateRead: Available is True, the node's network was read.
	ReasonStateRead = "StateRead"
	// ReasonAgentUnreachable: Available and what depends on it are Unknown, the node's agent cannot be asked.
	ReasonAgentUnreachable = "AgentUnreachable"
	// ReasonReading: Available and InSync are Unknown, the node's agent is there and takes longer to read the network than the reader waits.
	ReasonReading = "Reading"
	// ReasonReadFailed: Available is False, the agent is there but libnmstate could not read the network.
	ReasonReadFailed = "ReadFailed"
	// ReasonStateTooLarge: Available is False, the network was read and is too large to be shown. On InSync,
	// which is False then: status.difference is too large to be shown.
	ReasonStateTooLarge = "StateTooLarge"
	// ReasonNoDesiredState: InSync is True, there is nothing that could be out of sync.
	ReasonNoDesiredState = "NoDesiredState"
	// ReasonStateMatches: InSync is True, all of spec.desiredState holds.
	ReasonStateMatches = "StateMatches"
	// ReasonDrifted: InSync is False, status.difference tells what does not hold.
	ReasonDrifted = "Drifted"
	// ReasonComparisonFailed: InSync is Unknown, nmstate could not compare.
	ReasonComparisonFailed = "ComparisonFailed"
	// ReasonApplying: Progressing is True.
	ReasonApplying = "Applying"
	// ReasonIdle: Progressing is False.
	ReasonIdle = "Idle"
	// ReasonApplyFailed: Failing is True, status.lastApply tells why.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonRollbackIncomplete: Failing is True, after a failed change something could not be put back.
	ReasonRollbackIncomplete = "RollbackIncomplete"
	// ReasonRecordDamaged: Failing is True, the agent's record was damaged and has been set aside.
	ReasonRecordDamaged = "RecordDamaged"
	// ReasonRecordNotWritable: Failing is True, the agent cannot write its record.
	ReasonRecordNotWritable = "RecordNotWritable"
	// ReasonNoFailure: Failing is False.
	ReasonNoFailure = "NoFailure"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodeNetworkStateList is a list of NodeNetworkStates.
type NodeNetworkStateList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// One item per node.
	Items []NodeNetworkState `json:"items"`
}
