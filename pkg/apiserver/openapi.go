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
	"maps"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder3/util"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	generated "github.com/nmstate/kubernetes-nmstate/pkg/generated/openapi"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
	"github.com/nmstate/kubernetes-nmstate/version"
)

const strategicMergePatch = string(types.StrategicMergePatchType)

// setOpenAPI has the server describe its types. The field manager of server-side apply is built of the types' definitions,
// which have the structure of a state besides. What is served to clients has all that is known of a state instead.
func setOpenAPI(config *genericapiserver.Config, scheme *runtime.Scheme) error {
	definitions, err := stateschema.WithStructure(generated.GetOpenAPIDefinitions, v1alpha1.State{}.OpenAPIModelName(),
		v1alpha1.NodeNetworkStateStatus{}.OpenAPIModelName(), v1alpha1.CurrentStateModelName)
	if err != nil {
		return err
	}
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIConfig.Info.Title = "NMState"
	config.OpenAPIConfig.Info.Version = version.Version
	config.OpenAPIConfig.PostProcessSpec = describeV2
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	config.OpenAPIV3Config.Info.Title = "NMState"
	config.OpenAPIV3Config.Info.Version = version.Version
	config.OpenAPIV3Config.PostProcessSpec = describeV3
	return nil
}

// describeV2 makes the document say what clients are to know and the types do not tell: which patches there are, and
// what is in a network state. The field manager is not built of this document.
func describeV2(swagger *spec.Swagger) (*spec.Swagger, error) {
	get := func(name string) (spec.Schema, bool) {
		schema, ok := swagger.Definitions[name]
		return schema, ok
	}
	set := func(name string, schema spec.Schema) { swagger.Definitions[name] = schema }
	if err := describeState(get, set, "#/definitions/"); err != nil {
		return nil, err
	}
	return withoutStrategicV2(swagger)
}

// describeV3 is describeV2 for OpenAPI v3.
func describeV3(document *spec3.OpenAPI) (*spec3.OpenAPI, error) {
	if document.Components == nil {
		return withoutStrategicV3(document)
	}
	get := func(name string) (spec.Schema, bool) {
		schema, ok := document.Components.Schemas[name]
		if !ok {
			return spec.Schema{}, false
		}
		return *schema, true
	}
	// In OpenAPI v3 a reference has no words beside it.
	set := func(name string, schema spec.Schema) { document.Components.Schemas[name] = util.WrapRefs(&schema) }
	if err := describeState(get, set, "#/components/schemas/"); err != nil {
		return nil, err
	}
	return withoutStrategicV3(document)
}

// describeState gives the definition of a state its fields, and status.currentState one of its own, which also has what is
// only read. A document without a state is left as it is.
func describeState(get func(string) (spec.Schema, bool), set func(string, spec.Schema), reference string) error {
	desiredState, currentState := v1alpha1.State{}.OpenAPIModelName(), v1alpha1.CurrentStateModelName
	status := v1alpha1.NodeNetworkStateStatus{}.OpenAPIModelName()
	state, hasDesired := get(desiredState)
	shown, hasStatus := get(status)
	if !hasDesired || !hasStatus {
		return nil
	}
	definitions, err := stateschema.Definitions(desiredState, currentState, reference)
	if err != nil {
		return err
	}
	for name, definition := range definitions {
		if name == desiredState || name == currentState {
			definition.Description = state.Description
		}
		set(name, definition)
	}
	// The types' definitions are not ours to change: the field manager has them, too.
	shown.Properties = maps.Clone(shown.Properties)
	// What differs has no more than what is desired.
	difference := shown.Properties["difference"]
	difference.Ref = spec.MustCreateRef(reference + desiredState)
	shown.Properties["difference"] = difference
	set(status, shown)
	return nil
}

// withoutStrategicV2 removes strategic merge patch from the OpenAPI document. The
// generic server announces it for every Go type, and kubectl then uses it. But it
// merges by the tags of Go's types, and a state is none.
func withoutStrategicV2(swagger *spec.Swagger) (*spec.Swagger, error) {
	for _, path := range swagger.Paths.Paths {
		if path.Patch == nil {
			continue
		}
		var consumes []string
		for _, media := range path.Patch.Consumes {
			if media != strategicMergePatch {
				consumes = append(consumes, media)
			}
		}
		path.Patch.Consumes = consumes
	}
	return swagger, nil
}

// withoutStrategicV3 is withoutStrategicV2 for OpenAPI v3.
func withoutStrategicV3(document *spec3.OpenAPI) (*spec3.OpenAPI, error) {
	if document.Paths == nil {
		return document, nil
	}
	for _, path := range document.Paths.Paths {
		if path.Patch != nil && path.Patch.RequestBody != nil {
			delete(path.Patch.RequestBody.Content, strategicMergePatch)
		}
	}
	return document, nil
}

// refuseStrategic answers strategic merge patches of our resources with 415.
func refuseStrategic(next http.Handler, codecs serializer.CodecFactory) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := apirequest.RequestInfoFrom(r.Context())
		media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		if !ok || info.APIGroup != nmstate.GroupName || r.Method != http.MethodPatch || media != strategicMergePatch {
			next.ServeHTTP(w, r)
			return
		}
		err := apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", v1alpha1.Resource(info.Resource), info.Name,
			"strategic merge patch is not supported, because it merges by Go's types, and a network state is none: use server-side apply, a merge patch or a JSON patch", 0, true)
		responsewriters.ErrorNegotiated(err, codecs, v1alpha1.SchemeGroupVersion, w, r)
	})
}
