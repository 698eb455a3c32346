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
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/godbus/dbus/v5"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

// read returns what NetworkManager has now, in the scope of the Before.
func (b *Before) readManagerNow(ctx context.Context) (*Manager, error) {
	now, err := readManager(ctx, &b.was.scope)
	return &now, err
}

// mendManager makes NetworkManager's part what it was: the global DNS, the profiles, and
// which of them is active where. After a rollback of a checkpoint there is nothing to do but
// the DNS; without a checkpoint, such as after a reboot, this is the rollback.
func (b *Before) mendManager(ctx context.Context) error {
	now, err := b.readManagerNow(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if b.was.scope.dns && !reflect.DeepEqual(now.GlobalDNS, b.Manager.GlobalDNS) {
		errs = append(errs, b.Manager.RestoreDNS(ctx))
	}
	if len(b.Manager.differences(now)) == 0 {
		return errors.Join(errs...)
	}
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	errs = append(errs, askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		m := managerMend{ctx: ctx, bus: bus, manager: manager, was: &b.Manager, now: now}
		return errors.Join(m.profiles(), m.devices(b.was.scope))
	}))
	return errors.Join(append(errs, awaitDevices(ctx, b.was.scope, b.Manager.devices))...)
}

// managerMend is one call of mendManager.
type managerMend struct {
	ctx      context.Context
	bus      *dbus.Conn
	manager  dbus.BusObject
	was, now *Manager
}

func (m managerMend) object(path dbus.ObjectPath) dbus.BusObject {
	return m.bus.Object(NetworkManagerName, path)
}

// profiles puts the profiles back: by their files where this process sees them, which
// keeps what somebody has written into them, else through D-Bus. New ones are deleted, which
// deactivates them.
func (m managerMend) profiles() error {
	var errs []error
	for uuid, one := range m.now.profiles {
		if m.was.isNew(uuid) {
			if err := m.object(one.path).CallWithContext(m.ctx, connectionInterface+".Delete", 0).Err; err != nil {
				errs = append(errs, fmt.Errorf("deleting profile %s: %w", one.Name, err))
			}
		}
	}
	byFile := false
	for uuid, was := range m.was.profiles {
		is, there := m.now.profiles[uuid]
		if there && is.same(was) {
			continue
		}
		var err error
		if was.Content != nil {
			byFile = true
			err = was.putFile(is)
		} else {
			err = m.putSettings(was, is)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("putting profile %s back: %w", was.Name, err))
		}
	}
	if byFile {
		var done bool
		if err := m.object(settingsPath).CallWithContext(m.ctx, settingsInterface+".ReloadConnections", 0).Store(&done); err != nil {
			errs = append(errs, fmt.Errorf("making NetworkManager read its profiles again: %w", err))
		}
	}
	return errors.Join(errs...)
}

// putFile puts the file of a profile back, and takes away the one that the profile has now.
func (p profile) putFile(is profile) error {
	if is.File != "" && is.File != p.File && filepath.Dir(is.File) != profileFolders[2] {
		if err := os.Remove(is.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if filepath.Dir(p.File) == profileFolders[2] {
		return nil // it is there: nobody writes into this folder
	}
	return atomicfile.Write(p.File, p.Content, 0o600)
}

// putSettings gives NetworkManager the settings of a profile back.
func (m managerMend) putSettings(was, is profile) error {
	with, err := parseSettings(was.Settings)
	if err != nil {
		return errors.New("its settings cannot be read") // the reason would quote them, with their secrets
	}
	const toDisk, inMemory, inMemoryOnly, blockAutoconnect = 0x1, 0x2, 0x8, 0x20
	update, add := uint32(toDisk), uint32(toDisk)
	if was.Unsaved {
		update, add = inMemoryOnly, inMemory // only this flag takes away what the change has saved
	}
	none := map[string]dbus.Variant{}
	if is.path != "" {
		return m.object(is.path).CallWithContext(m.ctx, connectionInterface+".Update2", 0, with, update, none).Err
	}
	// The profile is activated below, if it was active.
	return m.object(settingsPath).CallWithContext(m.ctx, settingsInterface+".AddConnection2", 0, with, add|blockAutoconnect, none).Err
}

// devices makes active on each device what was active. A profile that was put back is
// activated again: the device still has what the change made of it.
func (m managerMend) devices(in scope) error {
	after := &Manager{}
	if err := after.noteProfiles(m.ctx, m.bus, m.manager, in); err != nil {
		return err
	}
	var errs []error
	var pending []string
	for name, was := range m.was.devices {
		is, there := after.devices[name]
		if there && is.Profile != "" && was.Profile == "" {
			errs = append(errs, m.manager.CallWithContext(m.ctx, NetworkManagerName+".DeactivateConnection", 0, is.active).Err)
		}
		if there && is.Managed != was.Managed {
			// A rollback of a checkpoint may have said so already, and the device not have followed: it is told first what it is.
			errs = append(errs, setManaged(m.object(is.path), is.Managed, was.Managed))
		}
		before, wasThere := m.now.profiles[was.Profile]
		if was.Profile != "" && (is.Profile != was.Profile || !wasThere || !before.same(m.was.profiles[was.Profile])) {
			pending = append(pending, name)
		}
	}
	slices.SortFunc(pending, func(one, other string) int {
		return m.rank(after, one) - m.rank(after, other)
	})
	for _, name := range pending {
		errs = append(errs, m.activate(name, after))
	}
	return errors.Join(append(errs, m.autoconnect(in))...)
}

// setManaged has NetworkManager manage a device, or leave it alone, in turn. NetworkManager acts on what is new to it alone.
func setManaged(device dbus.BusObject, turns ...bool) error {
	var errs []error
	for _, managed := range turns {
		errs = append(errs, device.SetProperty(deviceInterface+".Managed", dbus.MakeVariant(managed)))
	}
	return errors.Join(errs...)
}

// autoconnect sets what NetworkManager switches off when somebody deactivates a device.
func (m managerMend) autoconnect(in scope) error {
	after := &Manager{}
	if err := after.noteProfiles(m.ctx, m.bus, m.manager, in); err != nil {
		return err
	}
	var errs []error
	for name, was := range m.was.devices {
		if is, there := after.devices[name]; there && is.Autoconnect != was.Autoconnect {
			errs = append(errs, m.object(is.path).SetProperty(deviceInterface+".Autoconnect", dbus.MakeVariant(was.Autoconnect)))
		}
	}
	return errors.Join(errs...)
}

// rank orders activations: what others need comes first. Ports are last, because
// NetworkManager activates their controllers with them.
func (m managerMend) rank(after *Manager, name string) int {
	of, err := parseSettings(after.profiles[m.was.devices[name].Profile].Settings)
	if err != nil {
		return 0
	}
	if textOf(of["connection"]["master"]) != "" || textOf(of["connection"]["controller"]) != "" {
		return 2
	}
	hasParent := func(fields map[string]dbus.Variant) bool { return textOf(fields["parent"]) != "" }
	if slices.ContainsFunc(slices.Collect(maps.Values(of)), hasParent) {
		return 1
	}
	return 0
}

// activate activates the profile that was active on a device. NetworkManager makes the
// device if there is none.
func (m managerMend) activate(name string, after *Manager) error {
	profile, there := after.profiles[m.was.devices[name].Profile]
	if !there {
		return nil // it could not be put back, which is told already
	}
	on := dbus.ObjectPath("/")
	if is, there := after.devices[name]; there {
		on = is.path
	}
	if err := m.manager.CallWithContext(m.ctx, NetworkManagerName+".ActivateConnection", 0, profile.path, on, dbus.ObjectPath("/")).Err; err != nil {
		return fmt.Errorf("activating profile %s on %s: %w", profile.Name, name, err)
	}
	return nil
}
