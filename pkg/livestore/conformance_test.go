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

package livestore

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// upstream are the functions with which Kubernetes tests its own storage.
var upstream = map[string]func(context.Context, *testing.T, *rig){
	"RunTestCreate": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestCreate(ctx, t, r, r.stored)
	},
	"RunTestCreateWithKeyExist":                               run(storagetesting.RunTestCreateWithKeyExist),
	"RunTestGet":                                              run(storagetesting.RunTestGet),
	"RunTestUnconditionalDelete":                              run(storagetesting.RunTestUnconditionalDelete),
	"RunTestConditionalDelete":                                run(storagetesting.RunTestConditionalDelete),
	"RunTestDeleteWithSuggestion":                             run(storagetesting.RunTestDeleteWithSuggestion),
	"RunTestDeleteWithSuggestionAndConflict":                  run(storagetesting.RunTestDeleteWithSuggestionAndConflict),
	"RunTestDeleteWithConflict":                               run(storagetesting.RunTestDeleteWithConflict),
	"RunTestDeleteWithSuggestionOfDeletedObject":              run(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject),
	"RunTestValidateDeletionWithSuggestion":                   run(storagetesting.RunTestValidateDeletionWithSuggestion),
	"RunTestValidateDeletionWithOnlySuggestionValid":          run(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid),
	"RunTestPreconditionalDeleteWithSuggestion":               run(storagetesting.RunTestPreconditionalDeleteWithSuggestion),
	"RunTestPreconditionalDeleteWithOnlySuggestionPass":       run(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass),
	"RunTestGetListRecursivePrefix":                           run(storagetesting.RunTestGetListRecursivePrefix),
	"RunTestListPaging":                                       run(storagetesting.RunTestListPaging),
	"RunTestNamespaceScopedList":                              run(storagetesting.RunTestNamespaceScopedList),
	"RunTestGuaranteedUpdateWithConflict":                     run(storagetesting.RunTestGuaranteedUpdateWithConflict),
	"RunTestGuaranteedUpdateWithSuggestionAndConflict":        run(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict),
	"RunTestKeySchema":                                        run(storagetesting.RunTestKeySchema),
	"RunTestWatch":                                            run(storagetesting.RunTestWatch),
	"RunTestDeleteTriggerWatch":                               run(storagetesting.RunTestDeleteTriggerWatch),
	"RunTestWatchFromNonZero":                                 run(storagetesting.RunTestWatchFromNonZero),
	"RunTestDelayedWatchDelivery":                             run(storagetesting.RunTestDelayedWatchDelivery),
	"RunTestWatchContextCancel":                               run(storagetesting.RunTestWatchContextCancel),
	"RunTestWatcherTimeout":                                   run(storagetesting.RunTestWatcherTimeout),
	"RunTestWatchDeleteEventObjectHaveLatestRV":               run(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV),
	"RunTestWatchInitializationSignal":                        run(storagetesting.RunTestWatchInitializationSignal),
	"RunTestClusterScopedWatch":                               run(storagetesting.RunTestClusterScopedWatch),
	"RunTestNamespaceScopedWatch":                             run(storagetesting.RunTestNamespaceScopedWatch),
	"RunTestOptionalWatchBookmarksWithCorrectResourceVersion": run(storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion),
	"RunSendInitialEventsBackwardCompatibility":               run(storagetesting.RunSendInitialEventsBackwardCompatibility),
	"RunWatchSemantics":                                       run(storagetesting.RunWatchSemantics),
	"RunWatchSemanticInitialEventsExtended":                   run(storagetesting.RunWatchSemanticInitialEventsExtended),
	"RunWatchListMatchSingle":                                 run(storagetesting.RunWatchListMatchSingle),
	"RunTestConsistentList": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestConsistentList(ctx, t, r, r.increase, r.cached(), true, true)
	},
	"RunTestGetListNonRecursive": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestGetListNonRecursive(ctx, t, r.increase, r)
	},
	"RunTestListContinuation": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestListContinuation(ctx, t, r, anyCalls)
	},
	"RunTestListPaginationRareObject": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestListPaginationRareObject(ctx, t, r, anyCalls)
	},
	"RunTestListContinuationWithFilter": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestListContinuationWithFilter(ctx, t, r, anyCalls)
	},
	"RunTestListResourceVersionMatch": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestListResourceVersionMatch(ctx, t, withoutTransformer{r})
	},
	"RunTestStats": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestStats(ctx, t, r, codec(), identity.NewEncryptCheckTransformer(), false)
	},
	"RunTestCompactRevision": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestCompactRevision(ctx, t, r, r.increase, r.compact)
	},
	"RunTestWatchDispatchBookmarkEvents": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, r, r.cached())
	},
	"RunTestWatchFromZero": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestWatchFromZero(ctx, t, r, r.compactOrNil())
	},
	"RunTestListInconsistentContinuation": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestListInconsistentContinuation(ctx, t, r, r.compact)
	},
	"RunTestGuaranteedUpdate": func(ctx context.Context, t *testing.T, r *rig) {
		storagetesting.RunTestGuaranteedUpdate(ctx, t, withoutTransformer{r}, r.stored)
	},
}

// leftOut are the functions that cannot be run, raw or cached, each with the reason.
var leftOut = map[string]string{
	"RunTestCreateWithTTL":                                                "a node's state has no time to live",
	"RunTestGuaranteedUpdateWithTTL":                                      "a node's state has no time to live",
	"RunTestList":                                                         "counts the requests that reach etcd, by a recorder in etcd's client",
	"RunOptionalTestProgressNotify":                                       "expects bookmarks nobody asked for; the watch cache asks",
	"RunTestGuaranteedUpdateChecksStoredData":                             "about encryption at rest; nothing is at rest",
	"RunTestTransformationFailure":                                        "about encryption at rest; nothing is at rest",
	"RunTestWatchError":                                                   "about encryption at rest; nothing is at rest",
	"RunTestWatchWithUnsafeDelete":                                        "about encryption at rest; nothing is at rest",
	"RunWatchErrorIsBlockingFurtherEvents":                                "about encryption at rest; nothing is at rest",
	"RunTestGetListWithErrorAggregation":                                  "about encryption at rest; nothing is at rest",
	"RunTestGetListWithoutErrorAggregation":                               "about encryption at rest; nothing is at rest",
	"RunTestDeleteExpectedTransformOrDecodeError":                         "about encryption at rest; nothing is at rest",
	"RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError":   "about encryption at rest; nothing is at rest",
	"RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError": "about encryption at rest; nothing is at rest",
}

// rawOnly and cachedOnly are those that cannot be run the other way, with the reason.
var (
	rawOnly = map[string]string{
		"RunTestCompactRevision":              "the watch cache's own history is compacted by its internals",
		"RunTestListInconsistentContinuation": "the watch cache's own history is compacted by its internals",
	}
	cachedOnly = map[string]string{
		"RunTestOptionalWatchBookmarksWithCorrectResourceVersion": "expects bookmarks nobody asked for; the watch cache asks",
	}
)

// needsCacheToFollow are those that read from the cache right after a Create.
var needsCacheToFollow = sets.New(
	"RunTestGetListRecursivePrefix", "RunSendInitialEventsBackwardCompatibility", "RunWatchSemantics",
	"RunWatchSemanticInitialEventsExtended", "RunWatchListMatchSingle",
)

// TestUpstreamRaw runs upstream's storage tests on the log itself.
func TestUpstreamRaw(t *testing.T) {
	for name, test := range upstream {
		if _, left := cachedOnly[name]; !left {
			t.Run(name, func(t *testing.T) { test(t.Context(), t, newRaw(t)) })
		}
	}
}

// TestUpstreamCached runs them through upstream's watch cache, as it is in production.
func TestUpstreamCached(t *testing.T) {
	for name, test := range upstream {
		if _, left := rawOnly[name]; left {
			continue
		}
		t.Run(name, func(t *testing.T) {
			keyFunc := storage.NamespaceKeyFunc
			if name == "RunTestClusterScopedWatch" {
				keyFunc = storage.NoNamespaceKeyFunc
			}
			r := newCached(t, keyFunc)
			if needsCacheToFollow.Has(name) {
				r.Interface = cachedAfterCreate{r.Interface}
			}
			test(t.Context(), t, r)
		})
	}
}

// TestUpstreamIsComplete fails when upstream has a test that is neither run nor
// left out with a reason.
func TestUpstreamIsComplete(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "k8s.io/apiserver/pkg/storage/testing").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"store_tests.go", "watcher_tests.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(function.Name.Name, "Run") {
				continue
			}
			_, left := leftOut[function.Name.Name]
			if _, runs := upstream[function.Name.Name]; runs == left {
				t.Errorf("%s must be either run or left out with a reason", function.Name.Name)
			}
		}
	}
}

// run adapts the functions that need nothing but a store.
func run(test func(context.Context, *testing.T, storage.Interface)) func(context.Context, *testing.T, *rig) {
	return func(ctx context.Context, t *testing.T, r *rig) { test(ctx, t, r.Interface) }
}

// anyCalls stands for a count of the requests that reach etcd.
func anyCalls(*testing.T, uint64, uint64) {}

// stored checks that there is an object at key.
func (r *rig) stored(_ context.Context, t *testing.T, key string) {
	t.Helper()
	if r.log.Get(key) == nil {
		t.Errorf("nothing at %s", key)
	}
}

// increase makes a change that has nothing to do with what is tested.
func (r *rig) increase(_ context.Context, t *testing.T) int64 {
	t.Helper()
	pod := &example.Pod{}
	pod.Name = strconv.FormatUint(r.log.Revision(), 10)
	if _, err := r.log.Set("/elsewhere", pod); err != nil {
		t.Fatal(err)
	}
	return int64(r.log.Revision())
}

func (r *rig) compact(_ context.Context, t *testing.T, resourceVersion string) {
	t.Helper()
	revision, err := storage.APIObjectVersioner{}.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	r.log.Compact(revision)
}

// cached tells whether the rig is one behind the watch cache.
func (r *rig) cached() bool {
	_, raw := r.Interface.(*Store)
	return !raw
}

// compactOrNil is nil behind the watch cache, which has a history of its own.
func (r *rig) compactOrNil() storagetesting.Compaction {
	if r.cached() {
		return nil
	}
	return r.compact
}

// withoutTransformer is for tests that can be run with encryption and without.
type withoutTransformer struct{ *rig }

func (withoutTransformer) UpdatePrefixTransformer(storagetesting.PrefixTransformerModifier) func() {
	return func() {}
}

var _ storagetesting.InterfaceWithPrefixTransformer = withoutTransformer{}
