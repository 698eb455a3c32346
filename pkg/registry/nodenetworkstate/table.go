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
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// table shows NodeNetworkStates as kubectl prints them.
type table struct{ encodings *Encodings }

var _ rest.TableConvertor = table{}

// wide is the priority of columns that only "-o wide" shows.
const wide = 1

var columns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "Name of the node."},
	{Name: "Available", Type: "string", Description: "Whether the node's network can be read: True, False or Unknown."},
	{Name: "In Sync", Type: "string", Description: "Whether all of spec.desiredState holds: True, False or Unknown."},
	{Name: "Interfaces", Type: "string", Description: "How many interfaces are up, of all."},
	{Name: "Default Route", Type: "string", Description: "Next hop and interface of the IPv4 default route, or else of the IPv6 one."},
	{Name: "Last Apply", Type: "string", Description: "How the last change ended, and how long ago; of one that is under way its stage and for how long, or until when it waits for a manual confirmation."},
	{Name: "Age", Type: "string", Description: "Time since the node was made known."},
	{Name: "Problem", Type: "string", Priority: wide, Description: "What is wrong with the node: the reasons of the conditions that are not as they should be."},
	{Name: "Joined", Type: "string", Priority: wide, Description: "When the node joined the standalone server; in a cluster, when its Node was made."},
	{Name: "Addresses", Type: "string", Priority: wide, Description: "Addresses of the node's interfaces that are up, without link-local and loopback ones."},
	{Name: "Backend", Type: "string", Priority: wide, Description: "What carries out changes: NetworkManager or the kernel alone."},
	{Name: "Agent", Type: "string", Priority: wide, Description: "Version of the node's agent."},
	{Name: "NMState", Type: "string", Priority: wide, Description: "Version of libnmstate in the node's agent."},
	{Name: "NetworkManager", Type: "string", Priority: wide, Description: "Version of NetworkManager on the node."},
	{Name: "Confirmed By", Type: "string", Priority: wide, Description: "What has confirmed the last change: it answered through the changed network, or is the user who decided."},
}

// ConvertToTable implements rest.TableConvertor.
func (c table) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	t := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		t.ColumnDefinitions = columns
	}
	if m, err := meta.ListAccessor(object); err == nil {
		t.ResourceVersion = m.GetResourceVersion()
		t.Continue = m.GetContinue()
		t.RemainingItemCount = m.GetRemainingItemCount()
	} else if m, err := meta.CommonAccessor(object); err == nil {
		t.ResourceVersion = m.GetResourceVersion()
	}
	if list, ok := object.(*v1alpha1.NodeNetworkStateList); ok {
		for i := range list.Items {
			t.Rows = append(t.Rows, row(&list.Items[i], c.encodings.networkOf(&list.Items[i])))
		}
		return t, nil
	}
	state, ok := object.(*v1alpha1.NodeNetworkState)
	if !ok {
		return nil, fmt.Errorf("no table of a %T", object)
	}
	t.Rows = append(t.Rows, row(state, c.encodings.networkOf(state)))
	return t, nil
}

func row(n *v1alpha1.NodeNetworkState, net network) metav1.TableRow {
	return metav1.TableRow{
		Object: runtime.RawExtension{Object: n},
		Cells: []any{
			n.Name,
			condition(n, v1alpha1.ConditionAvailable),
			condition(n, v1alpha1.ConditionInSync),
			interfaces(n.Status.Interfaces),
			orNone(net.defaultRoute),
			lastApply(n.Status.LastApply),
			age(n.CreationTimestamp.Time),
			problem(n),
			at(n.CreationTimestamp.Time),
			orNone(strings.Join(net.addresses, ",")),
			orNone(string(n.Status.Backend)),
			orNone(n.Status.AgentVersion),
			orNone(n.Status.NmstateVersion),
			orNone(n.Status.NetworkManagerVersion),
			confirmedBy(n.Status.LastApply),
		},
	}
}

func condition(n *v1alpha1.NodeNetworkState, conditionType string) string {
	if c := meta.FindStatusCondition(n.Status.Conditions, conditionType); c != nil {
		return string(c.Status)
	}
	return string(metav1.ConditionUnknown)
}

// problem returns the reasons of the conditions that are not as they should be, each once.
func problem(n *v1alpha1.NodeNetworkState) string {
	var reasons []string
	for _, c := range n.Status.Conditions {
		var well bool
		switch c.Type {
		case v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync:
			well = c.Status == metav1.ConditionTrue
		case v1alpha1.ConditionFailing:
			well = c.Status == metav1.ConditionFalse
		default:
			well = true
		}
		if reason := boundReason(c.Reason); !well && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return orNone(strings.Join(reasons, ","))
}

func interfaces(count *v1alpha1.InterfaceCount) string {
	if count == nil {
		return "<unknown>"
	}
	return fmt.Sprintf("%d/%d", count.Up, count.Total)
}

func lastApply(last *v1alpha1.LastApply) string {
	if last == nil {
		return "<none>"
	}
	if waits(last) {
		return fmt.Sprintf("%s until %s", v1alpha1.ReasonAwaitingConfirmation, at(last.ConfirmBefore.Time))
	}
	if last.Stage != "" && last.StageStartTime != nil {
		return fmt.Sprintf("%s (for %s)", last.Stage, age(last.StageStartTime.Time))
	}
	when := last.StartTime.Time
	if last.FinishTime != nil {
		when = last.FinishTime.Time
	}
	return fmt.Sprintf("%s (%s ago)", last.Outcome, age(when))
}

// waits tells whether a change waits for a manual confirmation.
func waits(last *v1alpha1.LastApply) bool {
	return last != nil && last.Outcome == v1alpha1.ApplyInProgress && last.ConfirmBefore != nil
}

func confirmedBy(last *v1alpha1.LastApply) string {
	if last == nil {
		return "<none>"
	}
	return orNone(string(last.ConfirmedBy))
}

func age(since time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(since))
}

func at(when time.Time) string {
	if when.IsZero() {
		return "<unknown>"
	}
	return when.UTC().Format(time.RFC3339)
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
