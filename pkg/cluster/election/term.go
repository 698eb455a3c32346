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

package election

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	// termDistance is the least distance between the starts of two terms, so that the
	// resourceVersions of one term never reach those of the next.
	termDistance = 1 << 32
	// maxTerm is the greatest term that is believed when it is read. The clock will
	// reach it in 146,000 years.
	maxTerm = 1 << 62
)

// termOf returns the term in the object's annotation, 0 if there is none.
func termOf(object metav1.Object) (uint64, error) {
	text, isThere := object.GetAnnotations()[TermAnnotation]
	if !isThere {
		return 0, nil
	}
	term, err := strconv.ParseUint(text, 10, 64)
	if err == nil && term > maxTerm {
		err = fmt.Errorf("%d is beyond %d", term, uint64(maxTerm))
	}
	if err != nil {
		return 0, fmt.Errorf("annotation %s of %s is no term: %w", TermAnnotation, object.GetName(), err)
	}
	return term, nil
}

// remember records that this term was begun, by this server or another.
func (e *Election) remember(term uint64) {
	for {
		highest := e.highest.Load()
		if term <= highest || e.highest.CompareAndSwap(highest, term) {
			return
		}
	}
}

// rememberFrom remembers the term that is recorded in the object. A damaged record
// is logged and passed over.
func (e *Election) rememberFrom(ctx context.Context, object metav1.Object) {
	term, err := termOf(object)
	if err != nil {
		klog.FromContext(ctx).Error(err, "A recorded term is damaged and left out; it is written anew")
	}
	e.remember(term)
}

// beginTerm returns the new term after it has recorded it in the ConfigMap and in
// the Lease, while this server held the Lease.
func (c *candidate) beginTerm(ctx context.Context) (uint64, error) {
	bounded, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	err := insist(bounded, func(ctx context.Context) error {
		err := c.tryToBegin(ctx)
		if err != nil {
			klog.FromContext(ctx).V(2).Info("The term is not recorded yet", "reason", err)
		}
		return err
	})
	if err == nil {
		return c.proposed, nil
	}
	return 0, fmt.Errorf("recording the term: %w", err)
}

func (c *candidate) tryToBegin(ctx context.Context) error {
	e := c.election
	configMaps := e.config.Client.CoreV1().ConfigMaps(e.config.Namespace)
	configMap, err := configMaps.Get(ctx, e.config.ConfigMapName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		configMap = nil
	case err != nil:
		return fmt.Errorf("reading ConfigMap %s: %w", e.config.ConfigMapName, err)
	default:
		e.rememberFrom(ctx, configMap)
	}
	lease, err := c.ownLease(ctx)
	if err != nil {
		return err
	}
	if lease != nil {
		e.rememberFrom(ctx, lease)
	}
	// The proposal of an attempt that failed is used again, unless a higher term was
	// read since.
	if highest := e.highest.Load(); c.proposed == 0 || highest > c.proposed {
		c.proposed = max(uint64(max(e.config.Clock.Now().UnixMicro(), 0)), highest+termDistance)
	}
	// The Lease is written last: the write proves that this server still holds it.
	if err := c.putInConfigMap(ctx, configMap, c.proposed); err != nil {
		return err
	}
	return c.putInLease(ctx, lease, c.proposed)
}

// ownLease returns the Lease, nil if there is none. It ends the tenure if another
// server holds the Lease.
func (c *candidate) ownLease(ctx context.Context) (*coordinationv1.Lease, error) {
	lease, err := c.leases().Get(ctx, c.election.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading lease %s: %w", c.Describe(), err)
	}
	if holder(lease) != c.Identity() {
		c.lose(heldBy(holder(lease)))
		return nil, context.Cause(c.tenure)
	}
	return lease, nil
}

// putInConfigMap writes the term into the ConfigMap as it was read, nil if there
// was none. It fails if somebody has written the ConfigMap since.
func (c *candidate) putInConfigMap(ctx context.Context, configMap *corev1.ConfigMap, term uint64) error {
	config := c.election.config
	configMaps := config.Client.CoreV1().ConfigMaps(config.Namespace)
	annotations := map[string]string{TermAnnotation: strconv.FormatUint(term, 10)}
	if configMap == nil {
		configMap = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: config.Namespace, Name: config.ConfigMapName, Annotations: annotations,
		}}
		if _, err := configMaps.Create(ctx, configMap, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("making ConfigMap %s: %w", config.ConfigMapName, err)
		}
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": configMap.ResourceVersion, "annotations": annotations,
	}})
	if err != nil {
		return err
	}
	if _, err := configMaps.Patch(ctx, config.ConfigMapName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("writing the term to ConfigMap %s: %w", config.ConfigMapName, err)
	}
	return nil
}

// putInLease writes the term into the Lease that ownLease has returned. If that is
// nil, it creates the Lease, held by this server; it fails if another server was
// faster.
func (c *candidate) putInLease(ctx context.Context, lease *coordinationv1.Lease, term uint64) error {
	deleted := lease == nil
	if deleted {
		now := metav1.Now()
		lease = &coordinationv1.Lease{
			ObjectMeta: c.LeaseMeta,
			Spec: resourcelock.LeaderElectionRecordToLeaseSpec(&resourcelock.LeaderElectionRecord{
				HolderIdentity:       c.Identity(),
				LeaseDurationSeconds: int(leaseDuration / time.Second),
				AcquireTime:          now,
				RenewTime:            now,
			}),
		}
	}
	if recorded, damaged := termOf(lease); damaged == nil && recorded == term {
		return nil
	}
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, TermAnnotation, strconv.FormatUint(term, 10))
	var err error
	if deleted {
		_, err = c.leases().Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = c.leases().Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing the term to lease %s: %w", c.Describe(), err)
	}
	return nil
}

// keepTerm reads the Lease after each entry of check, until ctx ends. It writes the
// term again if the term or the Lease is gone. It ends the tenure if another
// server has begun a term.
func (c *candidate) keepTerm(ctx context.Context, term uint64) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.check:
		}
		// It fails only when ctx ends; the end of the tenure ends ctx.
		_ = insist(ctx, func(ctx context.Context) error {
			err := c.tryToKeep(ctx, term)
			if err != nil {
				klog.FromContext(ctx).Error(err, "The term's record is not as it should be", "term", term)
			}
			return err
		})
	}
}

func (c *candidate) tryToKeep(ctx context.Context, term uint64) error {
	lease, err := c.ownLease(ctx)
	if err != nil {
		return err
	}
	if lease != nil {
		recorded, _ := termOf(lease)
		c.election.remember(recorded)
	}
	if highest := c.election.highest.Load(); highest > term {
		c.lose(fmt.Errorf("term %d was begun after this one, %d", highest, term))
		return context.Cause(c.tenure)
	}
	return c.putInLease(ctx, lease, term)
}
