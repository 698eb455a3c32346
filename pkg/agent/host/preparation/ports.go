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
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

func keysOf[T any](of map[string]T) iter.Seq[string] { return maps.Keys(of) }

// detach detaches the ports that a controller is not to have any more, or that a bond has to do without for a moment.
func (p *planner) detach(e *entry) error {
	if given, is := e.fields["controller"].(string); is && given == "" && e.is != nil && e.is.Controller != 0 {
		p.free(e.name)
	}
	if e.is == nil {
		return nil
	}
	ports, given := p.ports(e)
	extra := e.section()["allow-extra-ports"] == true
	empty := p.isEmptied(e)
	for _, name := range p.portsOf(e) {
		leaves := given && !extra && !slices.Contains(ports, name) && !p.isIgnored(name)
		if leaves || empty {
			p.free(name)
		}
	}
	return nil
}

func (p *planner) free(name string) {
	if !p.freed[name] {
		p.freed[name], p.movesMTU = true, true
		p.step("detach "+name, func() error { return setController(name, "", false) })
	}
}

// isIgnored tells whether nobody manages an interface.
func (p *planner) isIgnored(name string) bool {
	if e := p.byName[name]; e != nil {
		return e.state() == "ignore"
	}
	return tree.StringAt(p.there[name], "state") == "ignore"
}

// attach attaches the ports that a controller is to have.
func (p *planner) attach(e *entry) error {
	for _, name := range p.portsToBe(e) {
		l, is := p.links[name]
		if is && e.is != nil && l.Controller == e.is.Index && !p.freed[name] && !(p.again[name] && p.isMadeAgain(name)) {
			continue
		}
		if err := p.attachTo(name, e.name, e.kind); err != nil {
			return err
		}
	}
	if controller, is := e.fields["controller"].(string); is && controller != "" {
		name := p.name(controller)
		kind := tree.StringAt(p.there[name], "type")
		if other := p.byName[name]; other != nil {
			kind = other.kind
		}
		if e.is == nil || p.nameOf(e.is.Controller) != name {
			if err := p.attachTo(e.name, name, kind); err != nil {
				return err
			}
		}
	}
	if e.kind != "bond" {
		return nil
	}
	mode, err := bondMode(e.section(), e.is)
	if err != nil {
		return nil // the state says nothing of it
	}
	if primary := bondPrimary(e.section(), mode, p.name); len(primary) > 0 && (e.is == nil || len(differing(primary, e.is.Data, p.index)) > 0 || p.again[e.name]) {
		p.step("set "+e.name+": "+described(primary), func() error { return apply(e.name, primary, false) })
	}
	return nil
}

// isMadeAgain tells whether a link that is there is removed and made.
func (p *planner) isMadeAgain(name string) bool {
	e := p.byName[name]
	return e != nil && e.is == nil
}

// changesPorts tells whether a controller that is there gets ports, or loses some.
func (p *planner) changesPorts(e *entry) bool {
	names := slices.Concat(slices.Collect(keysOf(p.links)), slices.Collect(keysOf(p.byName)))
	return slices.ContainsFunc(names, func(name string) bool {
		return (p.portOf(name, e.kind) == e.name) != (p.nameOf(p.links[name].Controller) == e.name)
	})
}

func (p *planner) attachTo(port, controller, kind string) error {
	text := "attach " + port + " to " + controller
	if p.has(text) {
		return nil
	}
	if err := p.strip(port, kind); err != nil {
		return err
	}
	p.movesMTU = true
	p.step(text, func() error { return setController(port, controller, kind == "bond") })
	return nil
}

// setPorts sets the options of the ports of a bridge or bond.
func (p *planner) setPorts(e *entry) error {
	var list []map[string]any
	options := bondPortOptions
	switch e.kind {
	case "linux-bridge":
		list, _ = bridgePorts(e.section())
		options = bridgePortOptions
	case "bond":
		for _, item := range tree.List(e.section(), "ports-config") {
			list = append(list, tree.Object(item))
		}
	}
	for _, port := range list {
		name := p.name(tree.StringAt(port, "name"))
		set, err := settings(port, options)
		if err != nil {
			return fmt.Errorf("port %s: %w", name, err)
		}
		l, is := p.links[name]
		isPort := is && e.is != nil && l.Controller == e.is.Index && !p.freed[name] && !p.again[name]
		if isPort {
			set = differing(set, l.PortData, p.index)
		}
		if len(set) > 0 {
			p.step("set port "+name+" of "+e.name+": "+described(set), func() error { return apply(name, set, true) })
		}
	}
	return p.setVLANs(e, list)
}

// setFilter sets whether a bridge filters VLANs, and its default one, which cannot be set while it does.
func (p *planner) setFilter(e *entry) error {
	if e.kind != "linux-bridge" {
		return nil
	}
	list, given := bridgePorts(e.section())
	options := section(e.section(), "options")
	byDefault, err := settings(options, []option{{"vlan-default-pvid", nl.IFLA_BR_VLAN_DEFAULT_PVID, unsigned(2)}})
	if err != nil {
		return err
	}
	has := rtnetlink.Attributes{}
	if e.is != nil {
		has = e.is.Data
	}
	filter := func(on bool) []setting {
		value, _ := truth(1)(on)
		return []setting{{name: "vlan-filtering", attribute: nl.IFLA_BR_VLAN_FILTERING, value: value, text: fmt.Sprint(on)}}
	}
	isOn := len(differing(filter(true), has, p.index)) == 0
	wanted := isOn
	if given {
		wanted = filters(list, e.current, p.name)
	}
	set := func(list []setting) {
		p.step("set "+e.name+": "+described(list), func() error { return apply(e.name, list, false) })
	}
	change := differing(byDefault, has, p.index)
	if len(change) > 0 {
		if isOn {
			set(filter(false))
		}
		set(change)
	}
	if wanted != isOn || isOn && len(change) > 0 {
		set(filter(wanted))
	}
	return nil
}

// setVLANs sets the VLANs of the ports that have a filter, or are not to have one any more.
func (p *planner) setVLANs(e *entry, ports []map[string]any) error {
	for _, port := range ports {
		if e.kind != "linux-bridge" || port["vlan"] == nil {
			continue
		}
		filter := tree.Object(port["vlan"])
		if len(filter) == 0 && e.is == nil {
			continue // a new port has none
		}
		name := p.name(tree.StringAt(port, "name"))
		if _, err := portVLANs(filter, 0); err != nil {
			return fmt.Errorf("port %s: vlan: %w", name, err)
		}
		p.step("set the VLANs of port "+name+" of "+e.name+": "+plain(filter), func() error { return filterPort(name, e.name, filter) })
	}
	return nil
}

// filterPort makes the VLANs of a port those that its filter asks for.
func filterPort(name, bridge string, filter map[string]any) error {
	b, err := rtnetlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	byDefault := uint16(0)
	if value := b.Data[nl.IFLA_BR_VLAN_DEFAULT_PVID]; len(value) == 2 {
		byDefault = nl.NativeEndian().Uint16(value)
	}
	wanted, err := portVLANs(filter, byDefault)
	if err != nil {
		return err
	}
	l, err := rtnetlink.LinkByName(name)
	if err != nil {
		return err
	}
	all, err := rtnetlink.VLANs()
	if err != nil {
		return err
	}
	return rtnetlink.SetVLANs(l.Index, false, all[l.Index], wanted)
}
