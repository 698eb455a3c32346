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
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Plan is what has to be made and set before libnmstate is asked for the rest.
type Plan struct {
	// Steps are carried out in order.
	Steps []Step
	// planner has made the plan.
	planner *planner
	// routes are the desired ones: libnmstate is not asked for them, see rest and UnheldRoutes.
	routes routes
	// sysctls are what some of the steps set.
	sysctls []sysctl
	// withIPv6 are the links that are to have IPv6.
	withIPv6 []string
	// linkLocals are the link-local addresses that these have once the steps are done.
	linkLocals []linkLocal
	// held is what else the kernel has once the steps are done. The addresses of withAddresses are libnmstate's to change.
	held          *rtnetlink.Held
	withAddresses []string
	// withLoopback tells that the state has the loopback, dropLoopbackRoute that it has no route in the table main.
	withLoopback, dropLoopbackRoute bool
}

// planner makes one plan.
type planner struct {
	*network
	steps   []Step
	sysctls []sysctl
	// again are the links that are made again, or go down and up: the kernel forgets what is on them.
	again map[string]bool
	// freed are the links that cease to be ports.
	freed map[string]bool
	// movesMTU tells that the kernel may change the MTU of a link by itself: that of a bridge after its ports', for one.
	movesMTU bool
	// stripped are the links that lose their addresses and routes: they become ports of bridges and bonds.
	stripped map[string]bool
	routes   routes
}

// New plans how the links come from what they are to what is desired.
func New(desired, current []byte, links []rtnetlink.Link) (*Plan, error) {
	n, err := read(desired, current, links)
	if err != nil {
		return nil, err
	}
	p := &planner{network: n, again: map[string]bool{}, freed: map[string]bool{}, stripped: map[string]bool{}}
	if err := p.findAgain(); err != nil {
		return nil, err
	}
	ordered := p.ordered()
	p.remove(ordered)
	for _, phase := range []func(*entry) error{
		p.make, p.detach, p.set, p.attach, p.stripPort, p.setPorts, p.setMTU, p.setAutoconf, p.raise, p.setFlags, p.setSysctls, p.setEthtool, p.setAltNames,
		p.setAddresses, p.setRouters,
	} {
		for _, e := range ordered {
			if e.state() != "up" {
				continue
			}
			if err := phase(e); err != nil {
				return nil, fmt.Errorf("interface %s: %w", e.name, err)
			}
		}
	}
	p.raiseFreed()
	if err := p.setRoutes(); err != nil {
		return nil, err
	}
	if err := p.setRules(); err != nil {
		return nil, err
	}
	p.setHostname()
	p.lower(ordered)
	p.awaitTrees(ordered)
	plan := &Plan{Steps: p.steps, planner: p, routes: p.routes, sysctls: p.sysctls}
	for _, e := range ordered {
		if e.hasIPv6() {
			plan.withIPv6 = append(plan.withIPv6, e.name)
		}
		if six := tree.Object(e.fields["ipv6"]); six != nil && !saysAutoconfOnly(six) {
			plan.withAddresses = append(plan.withAddresses, e.name)
		}
		plan.withLoopback = plan.withLoopback || e.name == "lo" && e.state() == "up"
	}
	return plan, nil
}

// has tells whether there is a step already.
func (p *planner) has(text string) bool {
	return slices.ContainsFunc(p.steps, func(s Step) bool { return s.text == text })
}

func (p *planner) step(text string, do func() error) {
	p.steps = append(p.steps, Step{text: text, do: do})
}

// settingsOf returns the settings of an interface by its type, in the order of their numbers.
func (p *planner) settingsOf(e *entry) (fixed, free []setting, err error) {
	of, known := families()[e.kind]
	if !known || of.settings == nil || e.section() == nil && e.kind != "linux-bridge" {
		return nil, nil, nil
	}
	if fixed, free, err = of.settings(e.section(), e.is); err != nil {
		return nil, nil, err
	}
	for _, list := range [][]setting{fixed, free} {
		slices.SortStableFunc(list, func(a, b setting) int { return cmp.Compare(a.attribute, b.attribute) })
		for i, s := range list {
			if s.link != "" {
				list[i].link = p.name(s.link)
			}
		}
	}
	return fixed, free, nil
}

// index returns the index that a link has now, 0 if it is to be made.
func (p *planner) index(name string) int { return p.links[name].Index }

// base returns the name of the link below, "" if the state gives none.
func (p *planner) base(e *entry) string {
	of := families()[e.kind]
	if of.base == "" {
		return ""
	}
	if name := tree.StringAt(e.section(), of.base); name != "" {
		return p.name(name)
	}
	return ""
}

// needs returns the links that must be there, and set, before the interface is.
func (p *planner) needs(e *entry) []string {
	needs := []string{p.base(e)}
	if fixed, free, err := p.settingsOf(e); err == nil {
		for _, s := range slices.Concat(fixed, free) {
			needs = append(needs, s.link)
		}
	}
	if e.kind == "linux-bridge" {
		ports, _ := p.ports(e)
		needs = append(needs, ports...)
	}
	return needs
}

// ordered returns the interfaces, each after those that it needs.
func (p *planner) ordered() []*entry {
	var list []*entry
	seen := map[*entry]bool{}
	var visit func(e *entry)
	visit = func(e *entry) {
		if e == nil || seen[e] {
			return
		}
		seen[e] = true
		for _, name := range p.needs(e) {
			visit(p.byName[name])
		}
		list = append(list, e)
	}
	for _, e := range p.entries {
		visit(e)
	}
	return list
}

// isPort tells whether a link is a port of a controller of some type once the state is applied.
func (p *planner) isPort(name, kind string) bool { return p.portOf(name, kind) != "" }

// portOf returns the controller of some type of which a link is a port once the state is applied, "" if there is none.
func (p *planner) portOf(name, kind string) string {
	for _, e := range p.entries {
		ports, given := p.ports(e)
		if e.kind == kind && e.state() == "up" && given && slices.Contains(ports, name) {
			return e.name
		}
	}
	controller := p.controllerOf(name)
	is := tree.StringAt(p.there[controller], "type")
	if e := p.byName[controller]; e != nil {
		if _, given := p.ports(e); given || e.state() != "up" {
			return ""
		}
		is = e.kind
	}
	if is != kind {
		return ""
	}
	return controller
}

// controllerOf returns the controller that a link's own entry gives it, or that it has.
func (p *planner) controllerOf(name string) string {
	if e := p.byName[name]; e != nil {
		if given, is := e.fields["controller"].(string); is {
			return p.name(given)
		}
	}
	return p.nameOf(p.links[name].Controller)
}

// isUp tells whether a link is set up now.
func isUp(l *rtnetlink.Link) bool { return l != nil && l.Is(unix.IFF_UP) }
