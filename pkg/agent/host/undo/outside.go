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
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// outside is what is outside of a change's scope, and what a rollback of NetworkManager may take over all the same: the links that
// others have configured, for each of which NetworkManager has made up a profile. If such a link loses its carrier during the change,
// NetworkManager forgets this profile. The rollback then makes a real one of it, without what NetworkManager did not configure, and
// when the link loses its carrier the next time, NetworkManager takes all of the link's addresses away.
type outside struct {
	// Profiles are the links' names, by the UUIDs of the profiles that NetworkManager has made up.
	Profiles map[string]string `json:"profiles"`
	// Before is these links as they were.
	Before *Before `json:"before"`
}

// noteOutside notes the links outside of the scope that NetworkManager may take over; nil if there are none. known are the UUIDs
// of all profiles but those that NetworkManager has made up.
func noteOutside(ctx context.Context, in scope, known []string) (*outside, error) {
	profiles, err := madeUp(ctx)
	if err != nil {
		return nil, err
	}
	links := map[string]bool{}
	maps.DeleteFunc(profiles, func(_, link string) bool {
		if !in.has(link) {
			links[link] = true
		}
		return in.has(link)
	})
	if len(profiles) == 0 {
		return nil, nil
	}
	was, err := takeSnapshot(scope{links: links, meant: map[string]bool{}, managed: true}, nil)
	if err != nil {
		return nil, err
	}
	return &outside{profiles, &Before{was: was, Manager: Manager{GlobalDNS: map[string]dbus.Variant{}, known: known}}}, nil
}

// restore gives the links back to others that NetworkManager has taken over, with all that they had. It returns what could not
// be put back.
func (o *outside) restore(ctx context.Context, apply Apply) (leftover string) {
	if o == nil {
		return ""
	}
	taken, err := o.takenOver(ctx)
	if err != nil {
		return fmt.Sprintf("whether NetworkManager has taken links over: %v", err)
	}
	if len(taken) == 0 {
		return ""
	}
	return o.Before.only(taken).Restore(ctx, apply)
}

// takenOver returns the links for which NetworkManager has a real profile now.
func (o *outside) takenOver(ctx context.Context) (links map[string]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	links = map[string]bool{}
	err = askNetworkManager(ctx, func(bus *dbus.Conn, _ dbus.BusObject) error {
		for uuid, link := range o.Profiles {
			var path dbus.ObjectPath
			var flags uint32
			err := bus.Object(NetworkManagerName, settingsPath).CallWithContext(ctx, settingsInterface+".GetConnectionByUuid", 0, uuid).Store(&path)
			if err == nil {
				err = bus.Object(NetworkManagerName, path).StoreProperty(connectionInterface+".Flags", &flags)
			}
			var refusal dbus.Error
			if errors.As(err, &refusal) {
				continue // NetworkManager does not have it any more
			}
			if err != nil {
				return err
			}
			if flags&(isGenerated|isVolatile|isExternal) == 0 {
				links[link] = true
			}
		}
		return nil
	})
	return links, err
}

// only returns a Before of some of the links.
func (b *Before) only(links map[string]bool) *Before {
	was := newSnapshot(scope{links: links, meant: map[string]bool{}, managed: b.was.scope.managed}, b.was.full)
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

// stateIsExternal is the flag (NMActivationStateFlags) of an active profile that NetworkManager has made up because others have
// configured the link.
const stateIsExternal = 0x80

// madeUp returns the links' names by the UUIDs of such profiles.
func madeUp(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	found := map[string]string{}
	err := askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		var active []dbus.ObjectPath
		if err := manager.StoreProperty(NetworkManagerName+".ActiveConnections", &active); err != nil {
			return err
		}
		var pending []*dbus.Call
		for _, path := range active {
			pending = append(pending, bus.Object(NetworkManagerName, path).GoWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0,
				make(chan *dbus.Call, 1), activeInterface))
		}
		for _, call := range pending {
			var properties map[string]dbus.Variant
			if (<-call.Done).Store(&properties) != nil {
				continue // it has gone meanwhile
			}
			flags, _ := properties["StateFlags"].Value().(uint32)
			devices, _ := properties["Devices"].Value().([]dbus.ObjectPath)
			if flags&stateIsExternal == 0 || len(devices) == 0 {
				continue
			}
			var name string
			if bus.Object(NetworkManagerName, devices[0]).StoreProperty(deviceInterface+".Interface", &name) == nil && name != "" {
				found[textOf(properties["Uuid"])] = name
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading NetworkManager's active profiles: %w", err)
	}
	return found, nil
}

// joined joins what is left, without what is empty.
func joined(left ...string) string {
	return strings.Join(slices.DeleteFunc(left, func(one string) bool { return one == "" }), "; ")
}
