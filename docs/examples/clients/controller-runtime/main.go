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

// Command controller-runtime is a small controller: it tells which nodes are out
// of sync with what they are committed to, and when they are in sync again. It
// only reads; it runs until it is ended, or for as long as it is told.
package main

import (
	"context"
	"flag"
	"os"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func main() {
	// --kubeconfig is controller-runtime's own flag.
	duration := flag.Duration("for", 0, "how long to run; 0: until ended")
	flag.Parse()
	ctrl.SetLogger(klog.NewKlogr())
	ctx := ctrl.SetupSignalHandler()
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	if err := run(ctx); err != nil {
		klog.ErrorS(err, "The controller ended")
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"}, // none
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.NodeNetworkState{}).
		WithEventFilter(inSyncChanged()).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

// inSyncChanged passes over the many changes of a network that leave it as
// synchronised as it was. GenerationChangedPredicate would not do: the generation
// counts changes of the spec, and drift is none.
func inSyncChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(*v1alpha1.NodeNetworkState)
		is, ok2 := e.ObjectNew.(*v1alpha1.NodeNetworkState)
		return !ok || !ok2 || inSync(was) != inSync(is)
	}}
}

func inSync(obj *v1alpha1.NodeNetworkState) metav1.ConditionStatus {
	if c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionInSync); c != nil {
		return c.Status
	}
	return metav1.ConditionUnknown
}

// reconciler reads from the manager's cache, which a watch keeps.
type reconciler struct{ client.Reader }

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	logger := log.FromContext(ctx)
	var node v1alpha1.NodeNetworkState
	if err := r.Get(ctx, request.NamespacedName, &node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // the node is gone
	}
	switch inSync(&node) {
	case metav1.ConditionTrue:
		logger.Info("In sync", "generation", node.Generation)
	case metav1.ConditionFalse:
		logger.Info("Out of sync", "difference", string(node.Status.Difference.Raw))
	default:
		logger.Info("Unknown", "since", node.Status.LastSuccessfulUpdateTime)
	}
	return ctrl.Result{}, nil
}
