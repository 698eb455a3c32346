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
	"fmt"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	openapibuilder3 "k8s.io/kube-openapi/pkg/builder3"
	openapiutil "k8s.io/kube-openapi/pkg/util"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// installGroup does what GenericAPIServer.InstallAPIGroups of k8s.io/apiserver v0.37 does for one version, with a TypeConverter of ours.
// Upstream makes the TypeConverter itself, and takes no other. Compare the two when k8s.io/apiserver is updated.
func (s *Server) installGroup(config *genericapiserver.Config, info *genericapiserver.APIGroupInfo) error {
	version := v1alpha1.SchemeGroupVersion
	storages := info.VersionedResourcesStorageMap[version.Version]
	types, err := typesOf(config, info, storages)
	if err != nil {
		return fmt.Errorf("describing the types to the field manager: %w", err)
	}
	served := map[string][]string{}
	for resource := range storages {
		served[resource] = []string{version.String()}
	}
	group := endpoints.APIGroupVersion{
		Root: genericapiserver.APIGroupPrefix, GroupVersion: version, Storage: storages, AllServedVersionsByResource: served,
		OptionsExternalVersion: info.OptionsExternalVersion, MetaGroupVersion: info.MetaGroupVersion,
		ParameterCodec: info.ParameterCodec, Serializer: info.NegotiatedSerializer,
		Typer: info.Scheme, Creater: info.Scheme, Defaulter: info.Scheme, Convertor: info.Scheme, ConvertabilityChecker: info.Scheme,
		UnsafeConvertor: runtime.UnsafeObjectConvertor(info.Scheme), Namer: runtime.Namer(meta.NewAccessor()),
		TypeConverter:              types,
		EquivalentResourceRegistry: s.generic.EquivalentResourceRegistry,
		Authorizer:                 s.generic.Authorizer,
		Admit:                      config.AdmissionControl,
		MinRequestTimeout:          time.Duration(config.MinRequestTimeout) * time.Second,
		MaxRequestBodyBytes:        config.MaxRequestBodyBytes,
	}
	resources, _, err := group.InstallREST(s.generic.Handler.GoRestfulContainer)
	if err != nil {
		return err
	}
	s.generic.AggregatedDiscoveryGroupManager.AddGroupVersion(version.Group, apidiscoveryv2.APIVersionDiscovery{
		Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Version: version.Version, Resources: resources,
	})
	for _, storage := range storages {
		s.generic.RegisterDestroyFunc(storage.Destroy)
	}
	only := metav1.GroupVersionForDiscovery{GroupVersion: version.String(), Version: version.Version}
	discovered := metav1.APIGroup{Name: version.Group, Versions: []metav1.GroupVersionForDiscovery{only}, PreferredVersion: only}
	s.generic.DiscoveryGroupManager.AddGroup(discovered)
	s.generic.Handler.GoRestfulContainer.Add(discovery.NewAPIGroupHandler(s.generic.Serializer, discovered).WebService())
	return nil
}

// typesOf returns what the field manager knows of the types of storages.
func typesOf(config *genericapiserver.Config, info *genericapiserver.APIGroupInfo, storages map[string]rest.Storage) (managedfields.TypeConverter, error) {
	var names []string
	for _, storage := range storages {
		kind, err := endpoints.GetResourceKind(v1alpha1.SchemeGroupVersion, storage, info.Scheme)
		if err != nil {
			return nil, err
		}
		object, err := info.Scheme.New(kind)
		if err != nil {
			return nil, err
		}
		names = append(names, openapiutil.GetCanonicalTypeName(object))
	}
	models, err := openapibuilder3.BuildOpenAPIDefinitionsForResources(config.OpenAPIV3Config, names...)
	if err != nil {
		return nil, err
	}
	upstream, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		return nil, err
	}
	return nodenetworkstate.NewTypeConverter(upstream), nil
}
