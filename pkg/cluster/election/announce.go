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
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/runtime"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// The label is written at most labelBurst times in a row, then once in a
// labelInterval: another controller may remove it each time.
const (
	labelInterval = 200 * time.Millisecond
	labelBurst    = 5
)

// Announce makes the Service send its traffic to this server. lead calls it when
// the server is ready. It returns nil once this server's pod has the label and no
// other pod has it; the label is then kept until the term ends. Announce tries
// until ctx or the term ends. It returns ErrStandby if there is no term.
func (e *Election) Announce(ctx context.Context) error {
	o := e.active()
	if o == nil {
		return ErrStandby
	}
	o.announceOnce.Do(func() { close(o.announce) })
	select {
	case <-o.announced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("labelling pod %s: %w", e.config.PodName, context.Cause(ctx))
	case <-o.ctx.Done():
		return fmt.Errorf("labelling pod %s: %w", e.config.PodName, context.Cause(o.ctx))
	}
}

// keepLabels keeps the label on this server's pod alone, from the announcement
// until ctx ends.
func (e *Election) keepLabels(ctx context.Context, o *office) {
	select {
	case <-ctx.Done():
		return
	case <-o.announce:
	}
	if e.config.PodName == "" {
		close(o.announced)
		return
	}
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	var watching sync.WaitGroup
	watching.Go(func() { e.watchPods(ctx, changed) })
	defer watching.Wait()

	announced := sync.OnceFunc(func() { close(o.announced) })
	limiter := rate.NewLimiter(rate.Every(labelInterval), labelBurst)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		if err := limiter.Wait(ctx); err != nil {
			return
		}
		err := insist(ctx, func(ctx context.Context) error {
			err := e.moveLabel(ctx)
			if err != nil {
				klog.FromContext(ctx).Error(err, "The label that brings traffic here is not in place; trying again", "pod", e.config.PodName)
			}
			return err
		})
		if err == nil {
			announced()
		}
	}
}

// watchPods puts an entry into changed when a pod has the label and should not, or
// lacks it and should have it.
func (e *Election) watchPods(ctx context.Context, changed chan<- struct{}) {
	informer := coreinformers.NewFilteredPodInformer(e.config.Client, e.config.Namespace, 0, cache.Indexers{},
		func(options *metav1.ListOptions) { options.LabelSelector = servers() })
	check := func(obj any) {
		if pod, isPod := obj.(*corev1.Pod); isPod && e.isMislabelled(pod) {
			notify(changed)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    check,
		UpdateFunc: func(_, obj any) { check(obj) },
		DeleteFunc: func(any) {},
	})
	if err != nil {
		// An informer refuses a handler only after it was stopped.
		runtime.HandleErrorWithContext(ctx, err, "Watching the servers' pods")
	}
	informer.RunWithContext(ctx)
}

func servers() string { return labels.Set{NameLabel: NameValue}.String() }

func (e *Election) isMislabelled(pod *corev1.Pod) bool {
	value, isLabelled := pod.Labels[ActiveLabel]
	if pod.Name == e.config.PodName {
		return value != "true"
	}
	return isLabelled
}

// moveLabel puts the label on this server's pod, then takes it off the others.
func (e *Election) moveLabel(ctx context.Context) error {
	pods, err := e.config.Client.CoreV1().Pods(e.config.Namespace).List(ctx, metav1.ListOptions{LabelSelector: servers()})
	if err != nil {
		return fmt.Errorf("listing the servers' pods: %w", err)
	}
	var others []string
	isThere := false
	for i := range pods.Items {
		pod := &pods.Items[i]
		own := pod.Name == e.config.PodName
		isThere = isThere || own
		switch {
		case !e.isMislabelled(pod):
		case own:
			err = e.label(ctx, pod.Name, true)
		default:
			others = append(others, pod.Name)
		}
	}
	if !isThere {
		err = fmt.Errorf("pod %s with label %s is not in namespace %s: is it what --pod-name should say?", e.config.PodName, servers(), e.config.Namespace)
	}
	errs := []error{err}
	for _, name := range others {
		if err := e.label(ctx, name, false); !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// label adds the pod's label or removes it, and with it the pod's deletion cost. A
// rolling update deletes cheap pods first: the standby, so that the active server
// changes only once, in the last step.
func (e *Election) label(ctx context.Context, pod string, active bool) error {
	var label, cost *string
	if active {
		label, cost = new("true"), new("1")
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels":      map[string]*string{ActiveLabel: label},
		"annotations": map[string]*string{corev1.PodDeletionCost: cost},
	}})
	if err != nil {
		return err
	}
	if _, err := e.config.Client.CoreV1().Pods(e.config.Namespace).Patch(ctx, pod, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("changing label %s of pod %s: %w", ActiveLabel, pod, err)
	}
	return nil
}
