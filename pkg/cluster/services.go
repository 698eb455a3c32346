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

package cluster

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/util/webhook"
	corelisters "k8s.io/client-go/listers/core/v1"
)

var _ webhook.ServiceResolver = &ServiceResolver{}

// ServiceResolver resolves the Service of a webhook to its cluster IP, as
// kube-apiserver does. It does not use DNS: if the nodes' networks break DNS, an
// administrator must still be able to mend them through this API.
type ServiceResolver struct{ services corelisters.ServiceLister }

// NewServiceResolver returns a ServiceResolver that finds Services in the lister.
func NewServiceResolver(services corelisters.ServiceLister) *ServiceResolver {
	return &ServiceResolver{services}
}

// ResolveEndpoint implements webhook.ServiceResolver. (Upstream has a
// function for this, but its package also brings proxies for SPDY and websockets.)
func (r *ServiceResolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	service, err := r.services.Services(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	host := service.Spec.ClusterIP
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		host = service.Spec.ExternalName
	case host == "" || host == corev1.ClusterIPNone:
		return nil, fmt.Errorf("service %s/%s has no cluster IP", namespace, name)
	case !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port }):
		return nil, fmt.Errorf("service %s/%s has no port %d", namespace, name, port)
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}
