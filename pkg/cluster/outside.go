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
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	discoveryclient "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

// The Service of kube-apiserver, whose EndpointSlices name where it runs.
const kubernetesNamespace, kubernetesService = metav1.NamespaceDefault, "kubernetes"

// maxDialled is how many endpoints of kube-apiserver are tried.
const maxDialled = 3

// Outside finds a kube-apiserver that does not run on a node.
type Outside struct {
	config *rest.Config
	// addresses returns all that the cluster knows of a node.
	addresses func(node string) []string
}

// NewOutside returns an Outside of the cluster of that config. It needs to list
// endpointslices in namespace default.
func NewOutside(config *rest.Config, directory *Directory) *Outside {
	return &Outside{config: config, addresses: directory.Addresses}
}

// Find is a fleet.Outside: it returns the address of a kube-apiserver that has answered over a
// new connection and whose address is none of the node's. The endpoints are asked for anew,
// too: one that was outside once may be the node's by now.
func (o *Outside) Find(ctx context.Context, node fleet.Node) (string, error) {
	own := o.addresses(node.Name)
	if len(own) == 0 {
		return "", fmt.Errorf("the cluster knows no address of node %s, so any kube-apiserver may run on it", node.Name)
	}
	all, err := o.endpoints(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the endpoints of kube-apiserver: %w", err)
	}
	outside := slices.DeleteFunc(slices.Clone(all), func(e netip.AddrPort) bool { return isOf(e.Addr(), own) })
	if len(outside) == 0 {
		return "", fmt.Errorf("none of the %d kube-apiservers runs outside of node %s", len(all), node.Name)
	}
	return o.first(ctx, outside[:min(len(outside), maxDialled)])
}

// isOf tells whether an address is one of a node's.
func isOf(address netip.Addr, own []string) bool {
	return slices.ContainsFunc(own, func(text string) bool {
		parsed, err := netip.ParseAddr(text)
		return err == nil && parsed.Unmap() == address
	})
}

// endpoints returns where kube-apiserver runs.
func (o *Outside) endpoints(ctx context.Context) ([]netip.AddrPort, error) {
	config, client, err := anew(o.config, "")
	if err != nil {
		return nil, err
	}
	defer utilnet.CloseIdleConnectionsFor(client.Transport)
	discovery, err := discoveryclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	list, err := discovery.EndpointSlices(kubernetesNamespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + kubernetesService,
	})
	if err != nil {
		return nil, err
	}
	var endpoints []netip.AddrPort
	for _, slice := range list.Items {
		endpoints = append(endpoints, endpointsOf(slice)...)
	}
	return endpoints, nil
}

// endpointsOf returns the addresses of a slice, each with the port for HTTPS.
func endpointsOf(slice discoveryv1.EndpointSlice) []netip.AddrPort {
	var endpoints []netip.AddrPort
	for _, port := range slice.Ports {
		if port.Port == nil || port.Name != nil && *port.Name != "https" {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, text := range endpoint.Addresses {
				if address, err := netip.ParseAddr(text); err == nil {
					endpoints = append(endpoints, netip.AddrPortFrom(address.Unmap(), uint16(*port.Port)))
				}
			}
		}
	}
	return endpoints
}

// first returns the first of the endpoints that answers. All are asked at once.
func (o *Outside) first(ctx context.Context, endpoints []netip.AddrPort) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		from string
		err  error
	}
	answers := make(chan answer, len(endpoints))
	for _, endpoint := range endpoints {
		go func() {
			from := net.JoinHostPort(endpoint.Addr().String(), strconv.Itoa(int(endpoint.Port())))
			answers <- answer{from, o.ask(ctx, from)}
		}()
	}
	var errs []error
	for range endpoints {
		got := <-answers
		if got.err == nil {
			return got.from, nil
		}
		errs = append(errs, fmt.Errorf("kube-apiserver at %s: %w", got.from, got.err))
	}
	return "", errors.Join(errs...)
}

// ask asks one kube-apiserver, over a new connection and with this server's credentials,
// whether it is there. One that is there may not be ready, and may forbid the question.
func (o *Outside) ask(ctx context.Context, address string) error {
	config, client, err := anew(o.config, address)
	if err != nil {
		return err
	}
	defer utilnet.CloseIdleConnectionsFor(client.Transport)
	discovery, err := discoveryclient.NewForConfigAndClient(config, client)
	if err != nil {
		return err
	}
	err = discovery.RESTClient().Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error()
	var answered apierrors.APIStatus
	if errors.As(err, &answered) {
		return nil
	}
	return err
}
