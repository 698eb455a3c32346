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
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	generated "github.com/nmstate/kubernetes-nmstate/pkg/generated/openapi"
	"github.com/nmstate/kubernetes-nmstate/version"
)

const strategicMergePatch = string(types.StrategicMergePatchType)

// setOpenAPI has the server describe its types, which server-side apply needs.
func setOpenAPI(config *genericapiserver.Config, scheme *runtime.Scheme) {
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generated.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "NMState"
	config.OpenAPIConfig.Info.Version = version.Version
	config.OpenAPIConfig.PostProcessSpec = withoutStrategicV2
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generated.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info.Title = "NMState"
	config.OpenAPIV3Config.Info.Version = version.Version
	config.OpenAPIV3Config.PostProcessSpec = withoutStrategicV3
}

// withoutStrategicV2 removes strategic merge patch from the OpenAPI document. The
// generic server announces it for every Go type, and kubectl then uses it. But a
// free-form state has no merge keys.
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
			"strategic merge patch is not supported, because a network state has no merge keys: use a merge patch, a JSON patch or server-side apply", 0, true)
		responsewriters.ErrorNegotiated(err, codecs, v1alpha1.SchemeGroupVersion, w, r)
	})
}
