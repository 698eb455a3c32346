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

package apiserver

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// writes is the handler that sees a request to write NodeNetworkStates before
// upstream does. It answers what upstream refuses without saying why, and gives
// the request's body to the registry.
type writes struct {
	next   http.Handler
	codecs runtime.NegotiatedSerializer
	// limit is how many bytes a body may have; upstream refuses a longer one.
	limit int64
	// exists tells whether there is a node of that name.
	exists func(name string) bool
}

// ServeHTTP implements http.Handler.
func (h writes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, ok := apirequest.RequestInfoFrom(r.Context())
	if !ok || !info.IsResourceRequest || info.APIGroup != nmstate.GroupName ||
		info.APIVersion != v1alpha1.SchemeGroupVersion.Version || info.Resource != "nodenetworkstates" {
		h.next.ServeHTTP(w, r)
		return
	}
	var err error
	switch {
	case info.Subresource != "":
		if info.Verb == "create" {
			err = h.checkReference(r)
		}
	case info.Verb == "create":
		err = h.refuseCreate(r, info.Name)
	case info.Verb == "delete", info.Verb == "deletecollection":
		err = nodenetworkstate.RefuseDelete(info.Name)
	case info.Verb == "update", info.Verb == "patch":
		r, err = h.withBody(r, info.Name)
	}
	if err == nil {
		h.next.ServeHTTP(w, r)
		return
	}
	if apierrors.IsMethodNotSupported(err) {
		w.Header().Set("Allow", allowed(info.Name))
	}
	responsewriters.ErrorNegotiated(err, h.codecs, v1alpha1.SchemeGroupVersion, w, r)
}

// allowed returns the methods of an object or, without a name, of the collection.
func allowed(name string) string {
	if name == "" {
		return http.MethodGet
	}
	return "GET, PUT, PATCH"
}

// refuseCreate answers a request to create an object, whose name is in the path
// or, as usual, in the body.
func (h writes) refuseCreate(r *http.Request, name string) error {
	data, _ := io.ReadAll(io.LimitReader(r.Body, h.limit))
	body := nodenetworkstate.NewBody(r.Header.Get("Content-Type"), data)
	if err := body.Check(name); err != nil {
		return err
	}
	if name == "" {
		name = body.Name()
	}
	return nodenetworkstate.RefuseCreate(name, h.exists(name))
}

// withBody returns the request with its body read: for the registry in the
// context, and for upstream once more.
func (h writes) withBody(r *http.Request, name string) (*http.Request, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, h.limit+1))
	r.Body = replayed{io.MultiReader(bytes.NewReader(data), r.Body), r.Body}
	if err != nil || int64(len(data)) > h.limit {
		return r, nil // upstream meets the same and says so
	}
	body := nodenetworkstate.NewBody(r.Header.Get("Content-Type"), data)
	body.Manager = fieldManager(r)
	query := r.URL.Query()
	body.FieldValidation = query.Get("fieldValidation")
	body.Force, _ = strconv.ParseBool(query.Get("force")) // upstream refuses what is neither
	if err := body.Check(name); err != nil {
		return r, err
	}
	return r.WithContext(nodenetworkstate.WithBody(r.Context(), body)), nil
}

// checkReference refuses a body that is too much for what is posted to a subresource.
func (h writes) checkReference(r *http.Request) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, nodenetworkstate.MaxReference+1))
	r.Body = replayed{io.MultiReader(bytes.NewReader(data), r.Body), r.Body}
	if err != nil {
		return nil // upstream meets the same and says so
	}
	return nodenetworkstate.NewBody(r.Header.Get("Content-Type"), data).CheckReference()
}

// fieldManager returns who upstream says manages the fields that the request changes: the
// field manager that the request has or, without one, the first word of its user agent.
func fieldManager(r *http.Request) string {
	if manager := r.URL.Query().Get("fieldManager"); manager != "" {
		return manager
	}
	manager, _, _ := strings.Cut(r.UserAgent(), "/")
	return manager
}

// replayed is a request's body that begins again.
type replayed struct {
	io.Reader
	io.Closer
}
