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
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// page is a part of a list: the nodes from a name on, and at most so many.
type page struct {
	from string
	most int
	// last is the name of the last node for which the barrier was passed; "" if it was passed for all.
	last string
}

// listPage answers a list that is asked for in pages. Each page is live when it is asked for, and asks
// only the agents of its own nodes. Upstream shows later pages as the objects were at the first one; but
// then nobody asked these nodes. All pages have the first one's resourceVersion: a watch from there tells
// of each change that any page lacks, and again of some that it has.
func (r *REST) listPage(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	begun := int64(0)
	p := &page{most: math.MaxInt32} // A last page may have no limit.
	if options.Limit > 0 {
		p.most = int(min(options.Limit, math.MaxInt32))
	}
	if options.Continue != "" {
		key, revision, err := storage.DecodeContinue(options.Continue, ResourcePrefix+"/")
		if err != nil {
			return r.store.List(ctx, options) // upstream says what is wrong with it
		}
		if revision > 0 {
			begun = revision
			if err := r.log.CheckRevision(strconv.FormatInt(begun, 10)); err != nil {
				return nil, err
			}
		}
		p.from = strings.TrimPrefix(key, ResourcePrefix+"/")
		newest := *options
		if newest.Continue, err = storage.EncodeContinue(key, ResourcePrefix+"/", newestRevision); err != nil {
			return nil, err
		}
		options = &newest
	}
	s, _ := ctx.Value(scopeKey{}).(scope)
	s.page = p
	ctx = context.WithValue(ctx, scopeKey{}, s)
	for {
		found, err := r.store.List(ctx, options)
		if err != nil {
			return nil, err
		}
		list := found.(*v1alpha1.NodeNetworkStateList)
		if n := len(list.Items); p.last != "" && n > 0 && list.Items[n-1].Name > p.last {
			// A node has gone since the barrier, and another one has taken its place.
			p.most += p.most
			continue
		}
		return list, continueFrom(list, begun)
	}
}

// newestRevision asks, in the token of a page, for the objects as they are now (storage.DecodeContinue).
const newestRevision = -1

// continueFrom gives a page the revision at which the list was begun, if that was before it.
func continueFrom(list *v1alpha1.NodeNetworkStateList, begun int64) error {
	if begun == 0 {
		return nil
	}
	list.ResourceVersion = strconv.FormatInt(begun, 10)
	if list.Continue == "" {
		return nil
	}
	key, _, err := storage.DecodeContinue(list.Continue, ResourcePrefix+"/")
	if err == nil {
		list.Continue, err = storage.EncodeContinue(key, ResourcePrefix+"/", begun)
	}
	return err
}
