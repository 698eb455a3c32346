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

package host

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// transactions says how changes are carried out.
func (h *Host) transactions() transaction.Config {
	config := transaction.Config{
		Dir:        h.config.StateDir,
		Kernel:     h.kernel,
		Owner:      owner{h},
		Confirmer:  h.config.Confirmer,
		Restored:   h.config.Restored,
		Probe:      probe.Run,
		HasGateway: hasGateway,
		Gateway:    gatewayAnswers,
		Impossible: func(desired, current []byte) (field.ErrorList, error) {
			return impossible(desired, current, kernelMakes)
		},
		ToValidate: toValidate,
		Holds:      holds,
		Limits:     transaction.DefaultLimits(),
	}
	if h.config.ApplyTimeout > 0 {
		config.Limits.Apply = h.config.ApplyTimeout
	}
	if h.config.adjust != nil {
		h.config.adjust(&config)
	}
	return config
}

// DefaultApplyTimeout is how long nmstate may take to apply and verify a change where nothing else is configured.
func DefaultApplyTimeout() time.Duration { return transaction.DefaultLimits().Apply }

// hasGateway tells whether there is a default gateway. What is not known is no reason to do without it.
func hasGateway() bool {
	has, err := probe.HasGateway()
	return has || err != nil
}

// gatewayAnswers tells whether the default gateway answers.
func gatewayAnswers(ctx context.Context) bool {
	_, err := probe.Gateway(ctx)
	return err == nil
}

// toValidate returns the desired state as nmstate is to validate it.
func toValidate(desired, current []byte) ([]byte, error) {
	there, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	return withVRFs(desired, there), nil
}

// holds tells whether all of a desired state holds in the current one.
func holds(desired, current []byte) (bool, error) {
	now, err := parseState(string(current), true)
	if err != nil {
		return false, err
	}
	missing, err := differenceOf(v1alpha1.NewState(desired), now, v1alpha1.BackendNetworkManager)
	return missing == nil, err
}

// recover ends what an earlier agent has left.
func (h *Host) recover(ctx context.Context) error {
	h.mu.Lock()
	left := h.view.change
	h.mu.Unlock()
	err := h.runner.Recover(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.mu.Lock()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Ending what an earlier agent has left")
		h.view.damage = err.Error()
	}
	if h.view.change == left { // there was nothing to end
		h.view.change = nil
		h.stale()
		h.store.unstage()
		h.interrupt()
	}
	h.mu.Unlock()
	h.noteUnsettled()
	return h.awaitReread(ctx)
}

// interrupt records that an apply was interrupted, if the agent before ended during one.
func (h *Host) interrupt() {
	last := h.view.record.LastApply
	if last == nil || last.Outcome != v1alpha1.ApplyInProgress {
		return
	}
	ended := last.DeepCopy()
	finish := now()
	ended.FinishTime = &finish
	ended.Outcome = v1alpha1.ApplyInterrupted
	ended.Reason = "AgentRestarted"
	ended.Message = "the agent before, of an older version, ended while it applied the change. NetworkManager takes such a change back within some minutes; " +
		"where there is none, the node may have a part of it: see status.currentState"
	h.view.record.LastApply = ended
	h.save(h.view.record)
}

// settlePause is between two attempts to undo what could not be undone because NetworkManager did not answer.
const settlePause = 5 * time.Second

// settles undoes what could not be undone, as soon as NetworkManager answers, until ctx ends.
func (h *Host) settles(ctx context.Context) error {
	pause := time.NewTicker(settlePause)
	pause.Stop()
	defer pause.Stop()
	for {
		select {
		case <-h.leftovers:
			pause.Reset(settlePause)
		case <-pause.C:
			if err := h.runner.Settle(ctx); err != nil {
				continue
			}
			pause.Stop()
			if err := h.awaitReread(ctx); err != nil {
				klog.FromContext(ctx).Error(err, "Showing that a change was undone")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
