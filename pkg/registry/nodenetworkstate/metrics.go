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

package nodenetworkstate

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Objects has the nodes' objects as they are now; *livestore.Log implements it.
type Objects interface {
	// Objects returns the objects below prefix, which the caller must not change.
	Objects(prefix string) []runtime.Object
}

// stateMetrics serves what the nodes' objects say of their networks. It reads the objects
// when it is scraped and keeps nothing: no node is asked, and a node that is gone has no
// series. A node has at most nine series at a time: one for each type of condition, two for
// its interfaces, and three for its last change.
type stateMetrics struct {
	metrics.BaseStableCollector
	objects Objects

	condition, interfaces, interfacesUp, lastApply, lastApplyTime, confirmBefore *metrics.Desc
}

var _ metrics.StableCollector = &stateMetrics{}

// NewStateMetrics returns the metrics of the nodes' states, for legacyregistry.CustomRegister.
func NewStateMetrics(objects Objects) metrics.StableCollector {
	desc := func(name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc(name, help, append([]string{"node"}, labels...), nil, metrics.ALPHA, "")
	}
	return &stateMetrics{
		objects: objects,
		condition: desc("nmstate_node_condition",
			"The conditions of each node's NodeNetworkState, always 1: the labels have type, status (True, False or Unknown) and reason of a condition.",
			"condition", "status", "reason"),
		interfaces: desc("nmstate_node_interfaces",
			"How many interfaces each node has. Absent while the node's network cannot be read."),
		interfacesUp: desc("nmstate_node_interfaces_up",
			"How many interfaces of each node are up. Absent while the node's network cannot be read."),
		lastApply: desc("nmstate_node_last_apply",
			"How the last change of each node ended, always 1: the labels have its outcome (Committed, RolledBack, Rejected, or InProgress) and its reason, which is empty for a change that was committed.",
			"outcome", "reason"),
		lastApplyTime: desc("nmstate_node_last_apply_timestamp_seconds",
			"When the last change of each node ended, or began if it is under way, in seconds since 1970."),
		confirmBefore: desc("nmstate_node_confirm_before_timestamp_seconds",
			"When the change is rolled back that waits for a manual confirmation on the node, in seconds since 1970. Absent if none waits."),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (m *stateMetrics) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{m.condition, m.interfaces, m.interfacesUp, m.lastApply, m.lastApplyTime, m.confirmBefore} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (m *stateMetrics) CollectWithStability(ch chan<- metrics.Metric) {
	for _, object := range m.objects.Objects(ResourcePrefix + "/") {
		m.collect(object.(*v1alpha1.NodeNetworkState), func(desc *metrics.Desc, value float64, labels ...string) {
			ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, labels...)
		})
	}
}

// collect sends the series of one node.
func (m *stateMetrics) collect(n *v1alpha1.NodeNetworkState, send func(desc *metrics.Desc, value float64, labels ...string)) {
	for _, kind := range conditionTypes {
		if c := meta.FindStatusCondition(n.Status.Conditions, kind); c != nil {
			send(m.condition, 1, n.Name, kind, boundStatus(c.Status), boundReason(c.Reason))
		}
	}
	if count := n.Status.Interfaces; count != nil {
		send(m.interfaces, float64(count.Total), n.Name)
		send(m.interfacesUp, float64(count.Up), n.Name)
	}
	last := n.Status.LastApply
	if last == nil {
		return
	}
	when := last.StartTime
	if last.FinishTime != nil {
		when = *last.FinishTime
	}
	send(m.lastApply, 1, n.Name, boundOutcome(last.Outcome), boundReason(last.Reason))
	send(m.lastApplyTime, float64(when.Unix()), n.Name)
	if waits(last) {
		send(m.confirmBefore, float64(last.ConfirmBefore.Unix()), n.Name)
	}
}

// otherValue stands for a value that the API does not have. An agent says what it likes, and each
// new value of a label is a new series in whatever stores the metrics.
const otherValue = "Other"

func boundStatus(status metav1.ConditionStatus) string {
	switch status {
	case metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown:
		return string(status)
	}
	return otherValue
}

func boundOutcome(outcome v1alpha1.ApplyOutcome) string {
	switch outcome {
	case v1alpha1.ApplyCommitted, v1alpha1.ApplyRolledBack, v1alpha1.ApplyRejected, v1alpha1.ApplyInProgress, v1alpha1.ApplyInterrupted:
		return string(outcome)
	}
	return otherValue
}

// boundReason returns a reason of a condition or of a change as it is, if it is one of those
// that are documented in the API's types or one of nmstate's error kinds.
func boundReason(reason string) string {
	switch reason {
	case "",
		v1alpha1.ReasonStateRead, v1alpha1.ReasonAgentUnreachable, v1alpha1.ReasonReading, v1alpha1.ReasonReadFailed, v1alpha1.ReasonStateTooLarge,
		v1alpha1.ReasonNoDesiredState, v1alpha1.ReasonStateMatches, v1alpha1.ReasonDrifted, v1alpha1.ReasonComparisonFailed,
		v1alpha1.ReasonChecking, v1alpha1.ReasonPreparing, v1alpha1.ReasonApplying, v1alpha1.ReasonConfirming, v1alpha1.ReasonRollingBack,
		v1alpha1.ReasonAwaitingConfirmation, v1alpha1.ReasonRecovering, v1alpha1.ReasonIdle,
		v1alpha1.ReasonApplyFailed, v1alpha1.ReasonRollbackIncomplete, v1alpha1.ReasonRecordDamaged, v1alpha1.ReasonRecordNotWritable, v1alpha1.ReasonNoFailure,
		v1alpha1.ReasonNotReachable, v1alpha1.ReasonNotConfirmed, v1alpha1.ReasonRefusedByUser, v1alpha1.ReasonTimedOut,
		v1alpha1.ReasonAgentStopped, v1alpha1.ReasonAgentDied, v1alpha1.ReasonWorkerDied, v1alpha1.ReasonAgentRestarted, v1alpha1.ReasonRebooted,
		v1alpha1.ReasonCommitLost, v1alpha1.ReasonCheckpointPending, v1alpha1.ReasonCheckpointLost,
		"NetworkManagerAway",
		// nmstate's error kinds.
		"InvalidArgument", "PluginFailure", "Bug", "VerificationError", "NotImplementedError", "NotSupportedError",
		"KernelIntegerRoundedError", "DependencyError", "PolicyError", "PermissionError", "SrIovVfNotFound":
		return reason
	}
	return otherValue
}
