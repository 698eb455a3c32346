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

package undo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// outside is what is outside of a change's scope, and what a rollback of NetworkManager may take over all the same: the links that
// others have configured. NetworkManager makes up a profile for each, and forgets it if the link loses its carrier. A rollback then
// makes a real profile of it, without what NetworkManager did not configure, and when the link loses its carrier the next time,
// NetworkManager takes all of the link's addresses away.
type outside struct {
	// Links are the links' names.
	Links map[string]bool `json:"links"`
	// Before is these links as they were.
	Before *Before `json:"before"`
}

// noteOutside notes the links outside of the scope that NetworkManager may take over; nil if there are none. known are the UUIDs
// of all profiles but those that NetworkManager has made up.
func noteOutside(in scope, uses map[string]use, known []string) (*outside, error) {
	links := map[string]bool{}
	for name, use := range uses {
		if !in.has(name) && use.isManaged && use.isOthers() {
			links[name] = true
		}
	}
	if len(links) == 0 {
		return nil, nil
	}
	was, err := takeSnapshot(scopeOfOthers(links), nil)
	if err != nil {
		return nil, err
	}
	return &outside{links, &Before{was: was, Manager: Manager{GlobalDNS: map[string]dbus.Variant{}, known: known}}}, nil
}

// scopeOfOthers is the scope of links that others have configured. NetworkManager switches IPv6 off on a link that it
// deactivates, and without IPv6 the link can have none of its addresses back.
func scopeOfOthers(links map[string]bool) scope {
	s := scope{links: links, meant: map[string]bool{}, managed: true}
	s.noteFiles(nil)
	return s
}

// restore gives the links back to others that NetworkManager has taken over, with all that they had. It returns what could not
// be put back.
func (o *outside) restore(ctx context.Context, apply Apply) (leftover string) {
	if o == nil {
		return ""
	}
	uses, err := readUses(ctx)
	if err != nil {
		return fmt.Sprintf("whether NetworkManager has taken links over: %v", err)
	}
	taken := map[string]bool{}
	for name := range o.Links {
		if uses[name].isMadeByRollback(name) && o.Before.Manager.isNew(uses[name].profile) {
			taken[name] = true
		} else if uses[name].profile == "" && o.isAtRisk(name) {
			// NetworkManager has deactivated the link, and from then on takes addresses away that it has not made.
			if err := forget(ctx, uses[name].path); err != nil {
				return fmt.Sprintf("giving link %s back that NetworkManager has taken over: %v", name, err)
			}
			taken[name] = true
		}
	}
	if len(taken) == 0 {
		return ""
	}
	return o.Before.only(taken).Restore(ctx, apply)
}

// forget makes NetworkManager forget what it knows of a device: it looks at the device again as if it were new.
func forget(ctx context.Context, path dbus.ObjectPath) error {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	return askNetworkManager(ctx, func(bus *dbus.Conn, _ dbus.BusObject) error {
		return setManaged(bus.Object(NetworkManagerName, path), false, true)
	})
}

// isAtRisk tells whether NetworkManager may take the link over.
func (o *outside) isAtRisk(name string) bool {
	l, err := netlink.LinkByName(name)
	if err != nil || l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
		return false
	}
	for _, noted := range o.Before.was.addresses {
		if noted.link == name && slices.ContainsFunc(noted.list, func(one netlink.Addr) bool { return noted.ownerOf(one) != kernels }) {
			return true
		}
	}
	return false
}

// only returns a Before of some of the links.
func (b *Before) only(links map[string]bool) *Before {
	was := newSnapshot(scopeOfOthers(links), b.was.full)
	was.files = b.was.files
	maps.Copy(was.links, b.was.links)
	maps.DeleteFunc(was.links, func(name string, _ link) bool { return !links[name] })
	maps.Copy(was.addresses, b.was.addresses)
	maps.DeleteFunc(was.addresses, func(_ string, of addresses) bool { return !links[of.link] })
	maps.Copy(was.routes, b.was.routes)
	maps.DeleteFunc(was.routes, func(_ string, of route) bool {
		return !slices.ContainsFunc(of.over(), func(name string) bool { return links[name] })
	})
	return &Before{was: was, Manager: Manager{GlobalDNS: map[string]dbus.Variant{}, known: b.Manager.known}}
}

// use is what NetworkManager uses a link for.
type use struct {
	// isManaged tells that NetworkManager may activate a profile on the link, isExternal that the profile that is active there
	// is made up because others have configured the link.
	isManaged, isExternal bool
	// profile is the UUID of the profile that is active, name its name; both are "" if none is. isAutomatic tells that NetworkManager
	// activates it by itself. path is the device's.
	profile, name string
	isAutomatic   bool
	path          dbus.ObjectPath
}

// isOthers tells whether NetworkManager has configured nothing of the link.
func (u use) isOthers() bool { return u.profile == "" || u.isExternal }

// isMadeByRollback tells whether the profile is like those that NetworkManager makes up, but a real one.
func (u use) isMadeByRollback(link string) bool {
	return u.profile != "" && !u.isExternal && !u.isAutomatic && u.name == link
}

// readUses returns what NetworkManager uses each link for.
func readUses(ctx context.Context) (map[string]use, error) {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	found := map[string]use{}
	err := askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		var devices []dbus.ObjectPath
		if err := manager.CallWithContext(ctx, NetworkManagerName+".GetDevices", 0).Store(&devices); err != nil {
			return err
		}
		active := map[dbus.ObjectPath]string{}
		for _, device := range propertiesOf(ctx, bus, devices, deviceInterface) {
			name, uses := textOf(device.properties["Interface"]), pathOf(device.properties["ActiveConnection"])
			isManaged, _ := device.properties["Managed"].Value().(bool)
			if found[name] = (use{isManaged: isManaged, path: device.path}); len(uses) > 1 {
				active[uses] = name
			}
		}
		const stateIsExternal = 0x80 // NMActivationStateFlags
		for _, one := range propertiesOf(ctx, bus, slices.Collect(maps.Keys(active)), activeInterface) {
			used := found[active[one.path]]
			flags, _ := one.properties["StateFlags"].Value().(uint32)
			used.isExternal, used.profile, used.name = flags&stateIsExternal != 0, textOf(one.properties["Uuid"]), textOf(one.properties["Id"])
			if !used.isExternal {
				var is settings
				_ = bus.Object(NetworkManagerName, pathOf(one.properties["Connection"])).CallWithContext(ctx, connectionInterface+".GetSettings", 0).Store(&is)
				no, isSet := is["connection"]["autoconnect"].Value().(bool)
				used.isAutomatic = !isSet || no
			}
			found[active[one.path]] = used
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading what NetworkManager uses links for: %w", err)
	}
	return found, nil
}

// object is one of NetworkManager's objects with its properties.
type object struct {
	path       dbus.ObjectPath
	properties map[string]dbus.Variant
}

// propertiesOf returns NetworkManager's objects with their properties. An object that cannot be asked has gone.
func propertiesOf(ctx context.Context, bus *dbus.Conn, paths []dbus.ObjectPath, of string) []object {
	found, _ := askEach(paths, func(path dbus.ObjectPath) (*object, error) {
		one := object{path: path}
		if bus.Object(NetworkManagerName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, of).Store(&one.properties) != nil {
			return nil, nil
		}
		return &one, nil
	})
	return found
}

func pathOf(value dbus.Variant) dbus.ObjectPath {
	path, _ := value.Value().(dbus.ObjectPath)
	return path
}

// joined joins what is left, without what is empty.
func joined(left ...string) string {
	return strings.Join(slices.DeleteFunc(left, func(one string) bool { return one == "" }), "; ")
}
