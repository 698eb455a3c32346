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

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// machine is a node.
type machine struct {
	*suite
	name    string
	backend v1alpha1.Backend
	nns     typed.NodeNetworkStateInterface
	// own replaces what is the node's own in states and looks, such as MAC addresses.
	own *strings.Replacer
	// reapply is spec.reapply, where a case asks for another than the default.
	reapply v1alpha1.ReapplyPolicy
	// reboots counts how often the node was rebooted.
	reboots int
}

// exec runs a shell script on the node and returns what it prints.
func (m *machine) exec(ctx context.Context, script string) (string, error) {
	return m.run(ctx, "hack/vm/node.sh", "exec", m.name, "sh", "-c", script)
}

// prepare makes the node's ports idle and notes what it runs.
func (m *machine) prepare(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", m.kubeconfig())
	if err != nil {
		return err
	}
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	m.nns = clients.NmstateV1alpha1().NodeNetworkStates()
	m.own = strings.NewReplacer()
	begin := func(ctx context.Context) error { return m.apply(ctx, table.Idle()) }
	if left, err := m.leftovers(ctx); err != nil {
		return err
	} else if len(left) > 0 {
		GinkgoWriter.Printf("%s has what a run that ended early has left: %v\n", m.name, left)
		begin = m.renew
	}
	// Another node's case may have had a router announce itself: a default route that a port loses would fail the change.
	if _, err := m.exec(ctx, "ip -6 route flush default proto ra"); err != nil {
		return err
	}
	if err := begin(ctx); err != nil {
		return fmt.Errorf("making the ports of %s idle: %w", m.name, err)
	}
	out, err := m.exec(ctx, `for port in eth1 eth2 eth3; do cat /sys/class/net/$port/address; done; hostname`)
	if err != nil {
		return err
	}
	own := strings.Fields(out)
	if len(own) != 4 {
		return fmt.Errorf("%s does not tell its ports' addresses and its name: %q", m.name, out)
	}
	m.own = strings.NewReplacer("${MAC:eth1}", own[0], "${MAC:eth2}", own[1], "${MAC:eth3}", own[2], "${HOSTNAME}", own[3])
	return m.noteVersions(ctx)
}

// leftovers names what the desired state has beside the ports.
func (m *machine) leftovers(ctx context.Context) ([]string, error) {
	obj, err := m.get(ctx)
	if err != nil || obj.Spec.DesiredState == nil {
		return nil, err
	}
	var desired table.State
	if err := json.Unmarshal(obj.Spec.DesiredState.Raw, &desired); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(desired.Names(), func(name string) bool { return slices.Contains(table.Ports, name) }), nil
}

func (m *machine) noteVersions(ctx context.Context) error {
	obj, err := m.get(ctx)
	if err != nil {
		return err
	}
	kernel, err := m.exec(ctx, "uname -r")
	if err != nil {
		return err
	}
	v := table.Versions{
		Kernel: strings.TrimSpace(kernel), Agent: obj.Status.AgentVersion, Nmstate: obj.Status.NmstateVersion,
		NetworkManager: obj.Status.NetworkManagerVersion,
	}
	if m.backend == v1alpha1.BackendNetworkManager {
		out, err := m.exec(ctx, "ovs-vsctl --version || true")
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(out, "\n")
		v.OpenVSwitch = first[strings.LastIndex(first, " ")+1:]
	}
	m.results.Versions[m.backend] = v
	return nil
}

func (m *machine) get(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
	return m.nns.Get(ctx, m.name, metav1.GetOptions{})
}

// facts returns what is compared of the node.
func (m *machine) facts(ctx context.Context) (table.Facts, error) {
	out, err := m.exec(ctx, table.FactsScript)
	if err != nil {
		return nil, err
	}
	return table.ParseFacts(out)
}

// unchanged returns an error that says what differs from before, if something still does when the network
// has had time to settle.
func (m *machine) unchanged(ctx context.Context, before table.Facts, remade bool, without ...string) error {
	for deadline := time.Now().Add(settling); ; {
		now, err := m.facts(ctx)
		if err != nil {
			return err
		}
		difference := now.Difference(before, remade, without...)
		if len(difference) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node is not as before:\n%s", strings.Join(difference, "\n"))
		}
	}
}

// apply makes state the node's desired state and waits until the change has ended; the error is that of the
// request or, if it took longer than requests do, what status.lastApply says.
func (m *machine) apply(ctx context.Context, state table.State) error {
	return m.applyBy(ctx, "", state)
}

// applyBy is apply. removal says what happens to what leaves the desired state.
func (m *machine) applyBy(ctx context.Context, removal v1alpha1.RemovalPolicy, state table.State) error {
	manifest, err := m.manifest(removal, state)
	if err != nil {
		return err
	}
	force := true
	begun := time.Now()
	for attempt := 0; ; attempt++ {
		before, err := m.get(ctx)
		if err != nil {
			return err
		}
		_, err = m.nns.Patch(ctx, m.name, types.ApplyPatchType, manifest, metav1.PatchOptions{FieldManager: "test-vm", Force: &force})
		switch {
		case (apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err)) && attempt < 5:
			GinkgoWriter.Printf("%s could not be asked: %v\n", m.name, err)
			if _, err := m.wait(ctx, "be idle", idle); err != nil {
				return err
			}
			continue
		case apierrors.IsTimeout(err):
			err = m.outcome(ctx, before)
		}
		GinkgoWriter.Printf("a change of %s took %v: %v\n", m.name, time.Since(begun).Round(time.Millisecond), err)
		return err
	}
}

// idle tells whether the node is there and no change is under way.
func idle(obj *v1alpha1.NodeNetworkState) bool {
	return apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionAvailable) &&
		apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionProgressing)
}

// outcome waits until the change that came after before has ended.
func (m *machine) outcome(ctx context.Context, before *v1alpha1.NodeNetworkState) error {
	obj, err := m.wait(ctx, "end its change", func(obj *v1alpha1.NodeNetworkState) bool {
		last := obj.Status.LastApply
		return idle(obj) && last != nil && (before.Status.LastApply == nil || last.ID != before.Status.LastApply.ID)
	})
	if err != nil {
		return err
	}
	if last := obj.Status.LastApply; last.Outcome != v1alpha1.ApplyCommitted {
		return fmt.Errorf("%s: %s: %s", last.Outcome, last.Reason, last.Message)
	}
	return nil
}

// manifest is what is applied for a state.
func (m *machine) manifest(removal v1alpha1.RemovalPolicy, state table.State) ([]byte, error) {
	spec := map[string]any{"desiredState": state}
	if m.reapply != "" {
		spec["reapply"] = m.reapply
	}
	if removal != "" {
		spec["removal"] = removal
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "nmstate.io/v1alpha1", "kind": "NodeNetworkState", "metadata": map[string]any{"name": m.name},
		"spec": spec,
	})
	return []byte(m.own.Replace(string(text))), err
}

// dryRun returns what applying the state would change.
func (m *machine) dryRun(ctx context.Context, state table.State) (*v1alpha1.State, error) {
	manifest, err := m.manifest("", state)
	if err != nil {
		return nil, err
	}
	force := true
	obj, err := m.nns.Patch(ctx, m.name, types.ApplyPatchType, manifest,
		metav1.PatchOptions{FieldManager: "test-vm", Force: &force, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	return obj.Status.Difference, nil
}

// wait watches the node until it is as wanted.
func (m *machine) wait(ctx context.Context, what string, wanted func(*v1alpha1.NodeNetworkState) bool) (*v1alpha1.NodeNetworkState, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last *v1alpha1.NodeNetworkState
	for ctx.Err() == nil {
		w, err := m.nns.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + m.name})
		if err != nil {
			continue // the server may be starting
		}
		for event := range w.ResultChan() {
			obj, ok := event.Object.(*v1alpha1.NodeNetworkState)
			if !ok {
				break
			}
			if last = obj; wanted(obj) {
				w.Stop()
				return obj, nil
			}
		}
		w.Stop()
	}
	if last == nil {
		return nil, fmt.Errorf("%s did not %s within %v; it was not seen", m.name, what, patience)
	}
	text, err := json.Marshal(struct {
		Difference *v1alpha1.State
		Conditions []metav1.Condition
		LastApply  *v1alpha1.LastApply
	}{last.Status.Difference, last.Status.Conditions, last.Status.LastApply})
	return nil, errors.Join(fmt.Errorf("%s did not %s within %v: %s", m.name, what, patience, text), err)
}

// look returns an error if the node does not show what it must. What comes by itself, such as a lease, may take
// its time.
func (m *machine) look(ctx context.Context, look table.Look) error {
	if look.Only != "" && look.Only != m.backend {
		return nil
	}
	for deadline := time.Now().Add(settling); ; {
		var out string
		var err error
		if look.Run == "nns" {
			var obj *v1alpha1.NodeNetworkState
			if obj, err = m.get(ctx); err == nil && obj.Status.CurrentState != nil {
				out = string(obj.Status.CurrentState.Raw)
			}
		} else {
			out, err = m.exec(ctx, look.Run)
		}
		if err == nil {
			err = m.matches(look, out)
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (m *machine) matches(look table.Look, out string) error {
	for _, pattern := range look.Has {
		if !regexp.MustCompile(m.own.Replace(pattern)).MatchString(out) {
			return fmt.Errorf("%s does not show %q: %s", look.Run, pattern, out)
		}
	}
	for _, pattern := range look.Lacks {
		if regexp.MustCompile(m.own.Replace(pattern)).MatchString(out) {
			return fmt.Errorf("%s shows %q: %s", look.Run, pattern, out)
		}
	}
	return nil
}

// reboot reboots the node and waits until its agent has ended what it has to do after a boot.
func (m *machine) reboot(ctx context.Context) error {
	if _, err := m.run(ctx, "hack/vm/node.sh", "reboot", m.name); err != nil {
		return err
	}
	m.reboots++
	_, err := m.wait(ctx, "be in sync after a reboot", inSync)
	return err
}

func inSync(obj *v1alpha1.NodeNetworkState) bool {
	return idle(obj) && apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionInSync)
}

// renew makes the node anew, with nothing that a case has left.
func (m *machine) renew(ctx context.Context) error {
	GinkgoWriter.Printf("%s is made anew\n", m.name)
	if _, err := m.run(ctx, "hack/vm/node.sh", "down", m.name); err != nil {
		return err
	}
	if _, err := m.run(ctx, "hack/vm/node.sh", "up", m.name); err != nil {
		return err
	}
	if _, err := m.wait(ctx, "be back", idle); err != nil {
		return err
	}
	return m.apply(ctx, table.Idle())
}
