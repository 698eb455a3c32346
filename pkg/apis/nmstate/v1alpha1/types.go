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
// +genclient:method=Confirm,verb=create,subresource=confirm,input=TransactionReference,result=NodeNetworkState
// +genclient:method=Rollback,verb=create,subresource=rollback,input=TransactionReference,result=NodeNetworkState
// +genclient:method=GetHistory,verb=get,subresource=history,result=NodeNetworkStateHistory
// +genclient:method=GetPorts,verb=get,subresource=ports,result=NodeNetworkPorts
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodeNetworkState is the network of one node, named as the node. Reading it
// shows the node's network as it is now; changing its spec changes the network
// of the node, at once and as one transaction: it either takes effect, or the
// node and this object stay as they were, and what could not be put back is
// reported. A change that cuts the node off is rolled back by the node itself. These
// objects come and go with the nodes, they cannot be created or deleted.
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

// NodeNetworkStateSpec is what the node is committed to, and how changes of it are
// made safe.
type NodeNetworkStateSpec struct {
	// The nmstate state that was last committed on the node, as documented at
	// https://nmstate.io/devel/yaml_api.html: "interfaces", "routes",
	// "route-rules", "dns-resolver", "hostname" and so on. What it does not
	// mention stays as it is on the node; an interface, route or rule is removed
	// by giving it "state: absent". What becomes of what leaves it, "removal" says.
	// Writing it applies it to the node; whether it is applied again by itself,
	// "reapply" says.
	// Secrets (802.1X, MACsec, IPsec, WireGuard) are masked when read; a masked
	// value that is sent back keeps the secret that the node has.
	// Server-side apply knows an owner for each interface, port, address and route;
	// docs/state.md says of each list what has an owner, and why.
	// It may have 1 MiB as compact JSON.
	// +optional
	DesiredState *State `json:"desiredState,omitempty"`
	// What must answer after a change before the change is committed. Each probe is
	// run before the change, too: one that fails then is reported, and not
	// required. Without probes there is one: the default gateway, if it answered
	// before.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Probes []Probe `json:"probes,omitempty"`
	// Who confirms a change, and until when. A change that is not confirmed in time
	// is rolled back by the node itself.
	// +optional
	Confirmation *Confirmation `json:"confirmation,omitempty"`
	// When the node's agent applies desiredState again by itself. Default: OnBoot
	// where the kernel alone carries out changes, Never with NetworkManager, which
	// keeps the configuration itself.
	// +optional
	Reapply ReapplyPolicy `json:"reapply,omitempty"`
	// What happens on the node to what leaves desiredState: an interface, a field of
	// one, a route, a rule, DNS, the hostname. Orphan (default): it stays as it is.
	// Revert: the change takes it away, and puts back what was there before it came
	// into desiredState. Removing what others need is refused. Only the policy at the
	// time of leaving counts.
	// +optional
	Removal RemovalPolicy `json:"removal,omitempty"`
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
	// spec.desiredState. Progressing: a change is under way; the reason is its stage. Failing: the last
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

// Types of the conditions of a NodeNetworkState.
const (
	// ConditionAvailable is True when the node's network can be read, Unknown when the node cannot be asked.
	ConditionAvailable = "Available"
	// ConditionInSync is True when all of spec.desiredState holds on the node.
	ConditionInSync = "InSync"
	// ConditionProgressing is True while a change is under way; the reason is its stage.
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
	// ReasonChecking: Progressing is True, the change that somebody has asked for is being checked.
	ReasonChecking = string(StageChecking)
	// ReasonPreparing: Progressing is True, what is needed to undo the change is being noted.
	ReasonPreparing = string(StagePreparing)
	// ReasonApplying: Progressing is True, nmstate applies the change and verifies it.
	ReasonApplying = string(StageApplying)
	// ReasonConfirming: Progressing is True, the node finds out whether it can be reached with the change.
	ReasonConfirming = string(StageConfirming)
	// ReasonRollingBack: Progressing is True, the change is being undone.
	ReasonRollingBack = string(StageRollingBack)
	// ReasonAwaitingConfirmation: Progressing is True, the change in status.lastApply waits for a manual confirmation.
	ReasonAwaitingConfirmation = string(StageAwaitingConfirmation)
	// ReasonRecovering: Progressing is True, the agent has started again and ends a change that was under way.
	ReasonRecovering = string(StageRecovering)
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

// Reasons of a change that was not committed, in status.lastApply.reason and in the
// answer to whoever asked for it, beside nmstate's own error kinds.
const (
	// ReasonNotReachable: the node could not reach the API server over a new connection before the change; nothing was touched.
	ReasonNotReachable = "NotReachable"
	// ReasonNotConfirmed: nothing has confirmed the change in time: the node could not be reached with it, a probe
	// that it depends on has failed, or no user has confirmed it. The message says which.
	ReasonNotConfirmed = "NotConfirmed"
	// ReasonRefusedByUser: a user has rolled the change back, by the subresource "rollback".
	ReasonRefusedByUser = "RefusedByUser"
	// ReasonTimedOut: nmstate or NetworkManager took longer than it may.
	ReasonTimedOut = "TimedOut"
	// ReasonAgentStopped: the node's agent was stopped before the change was confirmed.
	ReasonAgentStopped = "AgentStopped"
	// ReasonAgentDied: the node's agent died before the change was confirmed; the process that applied the change has undone it.
	ReasonAgentDied = "AgentDied"
	// ReasonWorkerDied: the process that was to apply the change has died, and the agent has undone it.
	ReasonWorkerDied = "WorkerDied"
	// ReasonAgentRestarted: the node's agent died before the change was confirmed; the next agent has undone it.
	ReasonAgentRestarted = "AgentRestarted"
	// ReasonRebooted: the node was rebooted before the change was confirmed.
	ReasonRebooted = "Rebooted"
	// ReasonCommitLost: NetworkManager has rolled the change back before it was told to commit it.
	ReasonCommitLost = "CommitLost"
	// ReasonCheckpointPending: another program has a checkpoint of NetworkManager open; nothing was touched.
	ReasonCheckpointPending = "CheckpointPending"
	// ReasonCheckpointLost: NetworkManager has lost its checkpoint before the change was confirmed.
	ReasonCheckpointLost = "CheckpointLost"
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
