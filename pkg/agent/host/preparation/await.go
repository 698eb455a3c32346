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

package preparation

import (
	"bytes"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// maxForwardDelay is the longest forward delay that a bridge takes.
const maxForwardDelay = 30 * time.Second

// carrierDelay is how long the kernel may take to see the carriers of a port and of its bridge: once a second it looks, and a busy machine is late.
const carrierDelay = 10 * time.Second

// awaitTrees waits for the bridges with a spanning tree that get ports: their ports listen and learn before they forward,
// and until then the bridge has no carrier, which libnmstate takes for down.
func (p *planner) awaitTrees(ordered []*entry) {
	for _, e := range ordered {
		ports, _ := p.ports(e)
		if e.kind == "linux-bridge" && e.state() == "up" && !p.staysDown(e) && len(ports) > 0 {
			p.steps = append(p.steps, Step{text: "await the spanning tree of " + e.name, lenient: true, do: func() error { return awaitTree(e.name) }})
		}
	}
}

// forwarding is the state of a bridge's port that forwards (BR_STATE_FORWARDING).
const forwarding = 3

// hasForwarding tells whether a port of a bridge forwards.
func hasForwarding(bridge int) (bool, error) {
	links, err := rtnetlink.Links()
	return slices.ContainsFunc(links, func(l rtnetlink.Link) bool {
		return l.Controller == bridge && bytes.Equal(l.PortData[nl.IFLA_BRPORT_STATE], []byte{forwarding})
	}), err
}

// wouldRestartTree tells whether an interface is a port in a spanning tree, of which libnmstate has no address to take away.
func (p *planner) wouldRestartTree(e *entry) bool {
	bridge := p.portOf(e.name, "linux-bridge")
	options := tree.Object(tree.Object(p.there[bridge]["bridge"])["options"])
	stp, _ := boolean(section(options, "stp")["enabled"])
	if b := p.byName[bridge]; b != nil {
		if given := section(section(b.section(), "options"), "stp")["enabled"]; given != nil {
			stp, _ = boolean(given)
		}
	}
	return stp && len(static(tree.Object(e.current["ipv4"]))) == 0 && len(static(tree.Object(e.current["ipv6"]))) == 0
}

// awaitTree returns when a bridge has a carrier because of a port that forwards, has no spanning tree, or its ports should have been
// forwarding for a while.
func awaitTree(name string) error {
	updates, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		return err
	}
	var over <-chan time.Time
	for {
		l, err := rtnetlink.LinkByName(name)
		if err != nil {
			return err
		}
		stp := l.Data[nl.IFLA_BR_STP_STATE]
		if len(stp) != 4 || nl.NativeEndian().Uint32(stp) == 0 {
			return nil
		}
		// A new bridge is shown with a carrier for a moment, until the kernel has seen to its ports.
		if forwards, err := hasForwarding(l.Index); err != nil || forwards && l.Is(unix.IFF_RUNNING) {
			return err
		}
		if over == nil {
			delay := maxForwardDelay
			if value := l.Data[nl.IFLA_BR_FORWARD_DELAY]; len(value) == 4 {
				delay = time.Duration(nl.NativeEndian().Uint32(value)) * time.Second / userHz
			}
			over = time.After(2*delay + carrierDelay)
		}
		select {
		case _, open := <-updates:
			if !open {
				return nil
			}
		case <-over:
			return nil
		}
	}
}
