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

// Package nodenetworkstate is the resource nodenetworkstates.nmstate.io.
package nodenetworkstate

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// The verbs. There is no create, delete or deletecollection: objects come and go
// with nodes. Garbage collection and quota ignore a resource without these verbs.
var (
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Watcher              = &REST{}
	_ rest.Patcher              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
	_ rest.ResetFieldsStrategy  = &REST{}
)

// REST serves NodeNetworkStates. It is upstream's generic store over the live store.
type REST struct {
	store  *genericregistry.Store
	writer *Writer
	log    *livestore.Log
	format format
	owners ownership
}

// NewREST returns the storage of the resource. options connect the generic store to
// the live store of writer and log. encodings has what the Sink of that log records.
func NewREST(typer runtime.ObjectTyper, options generic.RESTOptionsGetter, writer *Writer, log *livestore.Log, encodings *Encodings) (*REST, error) {
	format, err := newFormat()
	if err != nil {
		return nil, err
	}
	owners, err := newOwnership()
	if err != nil {
		return nil, err
	}
	s := newStrategy(typer, format)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1alpha1.NodeNetworkState{} },
		NewListFunc:               func() runtime.Object { return &v1alpha1.NodeNetworkStateList{} },
		PredicateFunc:             predicate,
		DefaultQualifiedResource:  v1alpha1.Resource("nodenetworkstates"),
		SingularQualifiedResource: v1alpha1.Resource("nodenetworkstate"),
		UpdateStrategy:            s,
		ResetFieldsStrategy:       s,
		TableConvertor:            table{encodings},
		// The generic store insists on these; REST has neither verb.
		CreateStrategy: noCreate{s},
		DeleteStrategy: s,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: options, AttrFunc: getAttrs}); err != nil {
		return nil, err
	}
	return &REST{store: store, writer: writer, log: log, format: format, owners: owners}, nil
}

// noCreate satisfies the generic store, which is never asked to create.
type noCreate struct{ strategy }

func (noCreate) PrepareForCreate(context.Context, runtime.Object)          {}
func (noCreate) Validate(context.Context, runtime.Object) field.ErrorList  { return nil }
func (noCreate) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.store.New() }

// Destroy implements rest.Storage.
func (r *REST) Destroy() { r.store.Destroy() }

// NewList implements rest.Lister.
func (r *REST) NewList() runtime.Object { return r.store.NewList() }

// NamespaceScoped implements rest.Scoper.
func (r *REST) NamespaceScoped() bool { return false }

// ShortNames implements rest.ShortNamesProvider.
func (r *REST) ShortNames() []string { return []string{"nns"} }

// Categories implements rest.CategoriesProvider.
func (r *REST) Categories() []string { return []string{"nmstate"} }

// GetSingularName implements rest.SingularNameProvider.
func (r *REST) GetSingularName() string { return "nodenetworkstate" }

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *REST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (r *REST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}

// Get implements rest.Getter. Without a resourceVersion it returns the node as it
// is now. A resourceVersion of the future is 410 Gone.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	if err := r.log.CheckOldest(options.ResourceVersion); err != nil {
		return nil, err
	}
	return r.store.Get(ctx, name, options)
}

// List implements rest.Lister. Without a resourceVersion it returns the selected
// nodes as they are now. A resourceVersion of another term is 410 Gone.
func (r *REST) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	if err := r.log.CheckRevision(options.ResourceVersion); err != nil {
		return nil, err
	}
	ctx = scoped(ctx, options)
	// What a selector of other fields leaves is known after the barrier alone.
	if (options.Limit > 0 || options.Continue != "") && options.ResourceVersion == "" && (options.FieldSelector == nil || options.FieldSelector.Empty()) {
		return r.listPage(ctx, options)
	}
	return r.store.List(ctx, options)
}

// Watch implements rest.Watcher. Without a resourceVersion it starts with the
// selected nodes as they are now. A resourceVersion of another term is 410 Gone.
func (r *REST) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	if err := r.log.CheckRevision(options.ResourceVersion); err != nil {
		return nil, err
	}
	ctx = scoped(ctx, options)
	if options.ResourceVersion == "" {
		if err := r.writer.Barrier(ctx, ResourcePrefix+"/", true); err != nil {
			return nil, err
		}
		if err := r.cacheReaches(ctx, r.log.Revision()); err != nil {
			return nil, err
		}
	}
	return r.store.Watch(ctx, options)
}

// cacheReaches returns once the watch cache has the given revision. A watch without
// a resourceVersion starts with the content of the cache.
func (r *REST) cacheReaches(ctx context.Context, revision uint64) error {
	options := storage.GetOptions{IgnoreNotFound: true, ResourceVersion: strconv.FormatUint(revision, 10)}
	return r.store.Storage.Get(ctx, Key("none"), options, &v1alpha1.NodeNetworkState{})
}

// Update implements rest.Updater. A dry run goes to the node's agent too, which
// answers what would change.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	info = rest.WrapUpdatedObjectInfo(asSent{info, r.owners, r.format}, checkResourceVersion, keepUnmentioned, r.format.refuseUnknown)
	if slices.Contains(options.DryRun, metav1.DryRunAll) {
		planned, err := r.dryRun(ctx, name, info, create, update, options)
		return planned, false, err
	}
	// Server-side apply forces creation on; here it never is.
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// dryRunAttempts is how often a dry run is made anew because the object was
// changed meanwhile.
const dryRunAttempts = 5

// dryRun answers what the update would do. Like the update itself it begins anew if
// the object was changed meanwhile; a resourceVersion that was given is then the
// reason why it ends.
func (r *REST) dryRun(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, options *metav1.UpdateOptions) (runtime.Object, error) {
	for attempt := 1; ; attempt++ {
		start := &startingPoint{UpdatedObjectInfo: info}
		updated, _, err := r.store.Update(ctx, name, start, create, update, false, options)
		if err != nil {
			return nil, err
		}
		planned, err := r.writer.plan(ctx, start.object, updated.(*v1alpha1.NodeNetworkState))
		if err == nil {
			return planned, nil
		}
		if !apierrors.IsConflict(err) || attempt == dryRunAttempts {
			return nil, err
		}
	}
}

// startingPoint keeps the object that an update is made from. A dry run tells the
// agent of that very object: one that is read later may have a change in it that
// the update would undo.
type startingPoint struct {
	rest.UpdatedObjectInfo
	object *v1alpha1.NodeNetworkState
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (s *startingPoint) UpdatedObject(ctx context.Context, existing runtime.Object) (runtime.Object, error) {
	if state, ok := existing.(*v1alpha1.NodeNetworkState); ok {
		s.object = state.DeepCopy()
	}
	return s.UpdatedObjectInfo.UpdatedObject(ctx, existing)
}

// checkResourceVersion refuses a resourceVersion that is not a number. The generic
// store would answer 500.
func checkResourceVersion(_ context.Context, updated, _ runtime.Object) (runtime.Object, error) {
	state, ok := updated.(*v1alpha1.NodeNetworkState)
	if !ok || state.ResourceVersion == "" {
		return updated, nil
	}
	if _, err := strconv.ParseUint(state.ResourceVersion, 10, 64); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.resourceVersion %q is not one of this API: read the object again", state.ResourceVersion))
	}
	return updated, nil
}

// keepUnmentioned completes the object of a PUT. Labels, owner and status are the
// node's: a client that leaves them out does not mean to remove them. A status in a
// PUT without resourceVersion may be old, and is ignored.
func keepUnmentioned(ctx context.Context, updated, existing runtime.Object) (runtime.Object, error) {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	if !ok || info.Verb != "update" {
		return updated, nil
	}
	now, isOurs := updated.(*v1alpha1.NodeNetworkState)
	before, wasOurs := existing.(*v1alpha1.NodeNetworkState)
	if !isOurs || !wasOurs {
		return updated, nil
	}
	if now.Labels == nil {
		now.Labels = before.Labels
	}
	if now.OwnerReferences == nil {
		now.OwnerReferences = before.OwnerReferences
	}
	if now.ResourceVersion == "" || apiequality.Semantic.DeepEqual(now.Status, v1alpha1.NodeNetworkStateStatus{}) {
		now.Status = before.Status
	}
	return now, nil
}

// scoped narrows the barrier of a request to the nodes that its selectors match.
func scoped(ctx context.Context, options *internalversion.ListOptions) context.Context {
	label, fieldSelector := labels.Everything(), fields.Everything()
	if options.LabelSelector != nil {
		label = options.LabelSelector
	}
	if options.FieldSelector != nil {
		fieldSelector = options.FieldSelector
	}
	return withScope(ctx, label, fieldSelector)
}
