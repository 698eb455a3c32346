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

// Confirmation says who confirms a change, and until when.
type Confirmation struct {
	// Reachability (default): the node itself, once it has reached the API server
	// through the changed network over a new connection. Manual: a user, by the
	// subresource "confirm", after the node could be reached. None: nobody; the
	// change is committed once nmstate has verified it.
	// +optional
	Mode ConfirmationMode `json:"mode,omitempty"`
	// How long after the change was applied it may be confirmed, 5s to 10m. Default 60s.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// ConfirmationMode is who confirms a change.
// +enum
type ConfirmationMode string

const (
	// ConfirmByReachability: a change is committed when the node could reach the API server over a new connection.
	ConfirmByReachability ConfirmationMode = "Reachability"
	// ConfirmManually: a change is committed when a user confirms it by its id.
	ConfirmManually ConfirmationMode = "Manual"
	// ConfirmNone: a change is committed as soon as nmstate has verified it.
	ConfirmNone ConfirmationMode = "None"
)

// ReapplyPolicy is when the desired state is applied again without a request.
// +enum
type ReapplyPolicy string

const (
	// ReapplyNever: only a write applies the desired state.
	ReapplyNever ReapplyPolicy = "Never"
	// ReapplyOnBoot: the desired state is applied when the agent starts after a boot of the node.
	ReapplyOnBoot ReapplyPolicy = "OnBoot"
	// ReapplyAlways: the desired state is applied after a boot, and whenever the node differs from it, at most once a minute.
	ReapplyAlways ReapplyPolicy = "Always"
)

// RemovalPolicy is what happens on the node to what leaves the desired state.
// +enum
type RemovalPolicy string

const (
	// RemovalOrphan: what leaves the desired state stays on the node as it is.
	RemovalOrphan RemovalPolicy = "Orphan"
	// RemovalRevert: what leaves the desired state is taken away, and what was there before it came is put back.
	RemovalRevert RemovalPolicy = "Revert"
)

// Probe is something that must answer. Exactly one of ping, tcp, http, dns and node is given.
type Probe struct {
	// Name of the probe, which its result has, too.
	Name string `json:"name"`
	// An ICMP echo must be answered.
	// +optional
	Ping *PingProbe `json:"ping,omitempty"`
	// A TCP connection must be accepted.
	// +optional
	TCP *TCPProbe `json:"tcp,omitempty"`
	// An HTTP or HTTPS request must be answered.
	// +optional
	HTTP *HTTPProbe `json:"http,omitempty"`
	// A name must be resolved.
	// +optional
	DNS *DNSProbe `json:"dns,omitempty"`
	// Another node of the cluster must answer an ICMP echo. Nodes without a cluster
	// have no InternalIP, so the probe fails there.
	// +optional
	Node *NodeProbe `json:"node,omitempty"`
	// How long an answer may take, up to 1m. Default 5s. After a change the probe is
	// tried again until it passes or the time for the confirmation is over.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Whether the change is rolled back if the probe fails after the change and did
	// not before. Default true.
	// +optional
	Required *bool `json:"required,omitempty"`
}

// PingProbe asks for an ICMP echo.
type PingProbe struct {
	// IP address. Default: the default gateway.
	// +optional
	Address string `json:"address,omitempty"`
}

// TCPProbe opens a TCP connection.
type TCPProbe struct {
	// Host and port, as in "192.0.2.1:443" or "[2001:db8::1]:443".
	Address string `json:"address"`
}

// HTTPProbe makes a GET request. Redirects are not followed.
type HTTPProbe struct {
	// URL, http or https.
	URL string `json:"url"`
	// The status code that the answer must have. Default: any from 200 to 399.
	// +optional
	Status *int32 `json:"status,omitempty"`
	// Whether the certificate of an https server is accepted whoever has signed it.
	// What is asked is whether the server can be reached, so the default is true.
	// +optional
	InsecureSkipTLSVerify *bool `json:"insecureSkipTLSVerify,omitempty"`
}

// DNSProbe resolves a name to an address.
type DNSProbe struct {
	// The name, as in "example.org".
	Name string `json:"name"`
	// Address of the server that is asked, with or without a port. Default: those of the node.
	// +optional
	Server string `json:"server,omitempty"`
}

// NodeProbe asks another node of the cluster for an ICMP echo, at its InternalIP.
type NodeProbe struct {
	// Name of the node.
	Name string `json:"name"`
}

// LastApply tells how the last change to a node's spec went.
type LastApply struct {
	// Identifies the change: a UUID. It is what a manual confirmation names; events
	// and logs have it, too.
	// +optional
	ID string `json:"id,omitempty"`
	// The metadata.generation that the object has, or would have had, with this change.
	Generation int64 `json:"generation"`
	// Name of the user who asked for the change.
	// +optional
	User string `json:"user,omitempty"`
	// The field manager that the change was made with.
	// +optional
	Manager string `json:"manager,omitempty"`
	// When the node began to apply the change.
	StartTime metav1.Time `json:"startTime"`
	// When the change was committed, or was undone; absent while it is in progress.
	// +optional
	FinishTime *metav1.Time `json:"finishTime,omitempty"`
	// How it ended.
	Outcome ApplyOutcome `json:"outcome"`
	// What the node does for the change now; absent when the change has ended.
	// +optional
	Stage ApplyStage `json:"stage,omitempty"`
	// When that began.
	// +optional
	StageStartTime *metav1.Time `json:"stageStartTime,omitempty"`
	// Why, as a CamelCase word: nmstate's own error kind where nmstate refused or failed.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Why, in words: nmstate's own message where nmstate refused or failed.
	// +optional
	Message string `json:"message,omitempty"`
	// What has confirmed the change; absent if nothing has.
	// +optional
	ConfirmedBy Witness `json:"confirmedBy,omitempty"`
	// While the change waits for a manual confirmation: when it is rolled back unless it is confirmed.
	// +optional
	ConfirmBefore *metav1.Time `json:"confirmBefore,omitempty"`
	// How the probes went.
	// +optional
	// +listType=map
	// +listMapKey=name
	Probes []ProbeResult `json:"probes,omitempty"`
}

// Witness is what has confirmed a change.
// +enum
type Witness string

const (
	// WitnessAPIServer: the API server of this resource, which runs elsewhere than on the node.
	WitnessAPIServer Witness = "APIServer"
	// WitnessKubeAPIServer: the cluster's kube-apiserver, asked by the API server of this resource, which runs on the node itself.
	WitnessKubeAPIServer Witness = "KubeAPIServer"
	// WitnessGateway: the default gateway; the API server runs on the node itself and proves nothing.
	WitnessGateway Witness = "Gateway"
	// WitnessUser: a user, by the subresource "confirm".
	WitnessUser Witness = "User"
	// WitnessNothing: there is nothing outside of the node that could be asked.
	WitnessNothing Witness = "Nothing"
)

// ProbeResult tells how a probe went before and after the change.
type ProbeResult struct {
	// Name of the probe.
	Name string `json:"name"`
	// Whether the change depends on it: it is required and passed before.
	Required bool `json:"required"`
	// How it went before the change.
	Before ProbeOutcome `json:"before"`
	// How it went after the change, the last time that it was tried; absent if it was not.
	// +optional
	After ProbeOutcome `json:"after,omitempty"`
	// How long the answer took that After tells of, or Before if there is no After, in milliseconds.
	Milliseconds int64 `json:"milliseconds"`
	// Why it failed.
	// +optional
	Message string `json:"message,omitempty"`
}

// ProbeOutcome is how a probe went.
// +enum
type ProbeOutcome string

const (
	// ProbePassed: the answer came and is as wanted.
	ProbePassed ProbeOutcome = "Passed"
	// ProbeFailed: no answer came in time, or one that is not as wanted.
	ProbeFailed ProbeOutcome = "Failed"
)

// ApplyOutcome is how a change ended.
// +enum
type ApplyOutcome string

const (
	// ApplyCommitted: the change is in effect on the node and is the spec now.
	ApplyCommitted ApplyOutcome = "Committed"
	// ApplyRolledBack: the change was begun and not committed, and the node is as it was; the message names what is not.
	ApplyRolledBack ApplyOutcome = "RolledBack"
	// ApplyRejected: the change was refused, and the node is as it was.
	ApplyRejected ApplyOutcome = "Rejected"
	// ApplyInProgress: the change is being applied, or waits for its confirmation.
	ApplyInProgress ApplyOutcome = "InProgress"
	// ApplyInterrupted: an agent of an older version ended while it applied the change; newer agents undo such a change.
	ApplyInterrupted ApplyOutcome = "Interrupted"
)

// ApplyStage is what the node does for a change that is under way. It is the reason of the
// condition Progressing, too.
// +enum
type ApplyStage string

const (
	// StageChecking: the node checks the change, and whether it can reach the API server. Nothing is touched.
	StageChecking ApplyStage = "Checking"
	// StagePreparing: the node notes what is needed to undo the change. Nothing is touched.
	StagePreparing ApplyStage = "Preparing"
	// StageApplying: nmstate applies the change and verifies it. If it does not hold, nmstate tries again for some time.
	StageApplying ApplyStage = "Applying"
	// StageConfirming: the change is in effect, and the node finds out whether it can be reached. Then it commits the change.
	StageConfirming ApplyStage = "Confirming"
	// StageAwaitingConfirmation: the change is in effect, and waits for a user.
	StageAwaitingConfirmation ApplyStage = "AwaitingConfirmation"
	// StageRollingBack: the node undoes the change.
	StageRollingBack ApplyStage = "RollingBack"
	// StageRecovering: the node's agent has started again, and ends a change that was under way.
	StageRecovering ApplyStage = "Recovering"
)

// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TransactionReference names a change. It is what is posted to the subresources
// "confirm" and "rollback" of a NodeNetworkState.
type TransactionReference struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata; only a name, which must be that of the NodeNetworkState, is looked at.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The change, as in status.lastApply.id. No other change is confirmed or rolled back.
	ID string `json:"id"`
}

// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodeNetworkStateHistory is the last changes of a node, the newest first: the
// subresource "history" of a NodeNetworkState.
type NodeNetworkStateHistory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// One entry per change, at most 20.
	// +listType=atomic
	Entries []HistoryEntry `json:"entries"`
}

// HistoryEntry is one change of a node.
type HistoryEntry struct {
	LastApply `json:",inline"`

	// What the change was to make different, in nmstate's format; secrets are masked.
	// +optional
	Difference *State `json:"difference,omitempty"`
	// The state that undoes the change: applied as spec.desiredState, it makes the
	// network what it was before. Secrets are masked. Absent if the change was not
	// committed, if it asked nothing of the network, if the state has more than 64 KiB,
	// or if nmstate cannot tell.
	// +optional
	Revert *State `json:"revert,omitempty"`
	// The spec before the change. Secrets are masked. Absent if the change was not
	// committed, if its desired state has more than 64 KiB, or if an agent of an older
	// version made the change.
	// +optional
	PreviousSpec *NodeNetworkStateSpec `json:"previousSpec,omitempty"`
}
