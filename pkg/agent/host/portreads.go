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

package host

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/ports"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// The ports are read at most so many times a second for all readers together, and so many times in a row after a rest.
const (
	portReadRate  = 10
	portReadBurst = 20
)

// portReads are the reads of the ports. Whoever comes while one is under way shares the next.
type portReads struct {
	rounds *agent.Rounds
	last   atomic.Pointer[v1alpha1.NodeNetworkPorts]
}

// newPortReads returns the reads that a function makes.
func newPortReads(read func() (*v1alpha1.NodeNetworkPorts, error)) *portReads {
	p := &portReads{}
	limit := rate.NewLimiter(portReadRate, portReadBurst)
	p.rounds = agent.NewRounds(func() (bool, error) {
		// It ends soon: there is one round at a time.
		if err := limit.Wait(context.Background()); err != nil {
			return false, err
		}
		ports, err := read()
		if err == nil {
			p.last.Store(ports)
		}
		return true, err
	})
	return p
}

// Ports implements agent.Agent.
func (h *Host) Ports(ctx context.Context) (*v1alpha1.NodeNetworkPorts, error) {
	if _, err := h.await(ctx, h.portReads.rounds.Join()); err != nil {
		return nil, err
	}
	// A later round may have read since: so much the better.
	return h.portReads.last.Load(), nil
}

// readPorts reads the ports from the kernel.
func (h *Host) readPorts() (*v1alpha1.NodeNetworkPorts, error) {
	readTime := metav1.NewMicroTime(time.Now())
	links, err := rtnetlink.Ports()
	if err != nil {
		return nil, &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: err.Error()}
	}
	shown := make([]rtnetlink.Port, 0, len(links))
	for _, link := range links {
		if h.shows(link) {
			shown = append(shown, link)
		}
	}
	told := &v1alpha1.NodeNetworkPorts{ReadTime: readTime, Ports: ports.Describe(shown)}
	for i, link := range shown {
		told.Ports[i].LLDP = h.lldp.Heard(link)
	}
	return told, nil
}

// shows tells whether the current state shows a link. What it leaves out are pods' veths: those that NetworkManager leaves
// alone, and so those that the agent has not read yet.
func (h *Host) shows(link rtnetlink.Port) bool {
	if link.Kind != "veth" || h.config.KeepUnmanagedVeths {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.view.state == nil || h.view.backend.name == v1alpha1.BackendKernel || h.view.state.veths[link.Name]
}
