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
	"os"
	"path/filepath"
	"slices"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/errgroup"
)

const (
	settingsPath        = NetworkManagerPath + "/Settings"
	settingsInterface   = NetworkManagerName + ".Settings"
	connectionInterface = settingsInterface + ".Connection"
	activeInterface     = NetworkManagerName + ".Connection.Active"
)

// The flags of a profile, NMSettingsConnectionFlags.
const (
	isUnsaved   = 0x1
	isGenerated = 0x2
	isVolatile  = 0x4
	isExternal  = 0x8
)

// profileFolders are where NetworkManager keeps profiles. The last one has those of the
// distribution, which nobody changes: a changed one lies in the first.
var profileFolders = []string{
	"/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections",
}

// secretSettings are the settings of a profile that have secrets and that nmstate writes.
var secretSettings = []string{"802-1x", "macsec", "vpn", "wireguard"}

// settings are the settings of a profile, as D-Bus has them: a{sa{sv}}.
type settings map[string]map[string]dbus.Variant

// profile is one of NetworkManager's profiles.
type profile struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
	// File is where NetworkManager keeps the profile, and Content what is there. There is no
	// content if this process does not see NetworkManager's files.
	File    string `json:"file,omitempty"`
	Content []byte `json:"content,omitempty"`
	// Unsaved tells that the profile is only in memory.
	Unsaved bool `json:"unsaved,omitempty"`
	// Settings are the settings with their secrets, as GVariant's text.
	Settings string `json:"settings"`

	path dbus.ObjectPath
}

// device is what NetworkManager does with a link.
type device struct {
	// Profile is the UUID of the profile that is active, "" if none is, or one that
	// NetworkManager has made up because others have configured the link.
	Profile     string `json:"profile,omitempty"`
	Autoconnect bool   `json:"autoconnect,omitempty"`
	Managed     bool   `json:"managed,omitempty"`
	// Waits tells that the device may have waited for somebody outside, see mayWait.
	Waits bool `json:"waits,omitempty"`

	path, active dbus.ObjectPath
}

// noteProfiles notes the profiles and devices of the links in the scope.
func (m *Manager) noteProfiles(ctx context.Context, bus *dbus.Conn, manager dbus.BusObject, in scope) error {
	var all []linkProfile
	var devices []activeDevice
	var listing errgroup.Group
	listing.Go(func() (err error) {
		all, err = listProfiles(ctx, bus)
		return err
	})
	listing.Go(func() (err error) {
		devices, err = listDevices(ctx, bus, manager, in)
		return err
	})
	if err := listing.Wait(); err != nil {
		return fmt.Errorf("reading NetworkManager's profiles: %w", err)
	}
	uuids := map[dbus.ObjectPath]string{}
	for _, one := range all {
		uuids[one.path] = one.UUID
		m.known = append(m.known, one.UUID)
	}
	slices.Sort(m.known)
	m.devices = map[string]device{}
	for _, one := range devices {
		one.Profile = uuids[one.uses]
		m.devices[one.title] = one.device
	}
	m.profiles = map[string]profile{}
	for _, one := range all {
		isActive := func(d device) bool { return d.Profile == one.UUID }
		if in.has(one.link) || slices.ContainsFunc(slices.Collect(maps.Values(m.devices)), isActive) {
			m.profiles[one.UUID] = one.profile
		}
	}
	return nil
}

// linkProfile is a profile with the name of the link that it is for, "" if it does not say.
type linkProfile struct {
	profile
	link string
}

// listProfiles returns NetworkManager's profiles, but for those that it has made up.
func listProfiles(ctx context.Context, bus *dbus.Conn) ([]linkProfile, error) {
	var paths []dbus.ObjectPath
	if err := bus.Object(NetworkManagerName, settingsPath).CallWithContext(ctx, settingsInterface+".ListConnections", 0).Store(&paths); err != nil {
		return nil, fmt.Errorf("listing them: %w", err)
	}
	return askEach(paths, func(path dbus.ObjectPath) (*linkProfile, error) {
		one, err := readProfile(ctx, bus.Object(NetworkManagerName, path))
		var refusal dbus.Error
		if errors.As(err, &refusal) && refusal.Name == "org.freedesktop.DBus.Error.UnknownMethod" {
			return nil, nil // it has gone meanwhile
		}
		return one, err
	})
}

// askEach asks NetworkManager for each of its objects, for several at the same time. It returns the answers in the order of the
// paths, without those that are nil.
func askEach[T any](paths []dbus.ObjectPath, ask func(dbus.ObjectPath) (*T, error)) ([]T, error) {
	answers := make([]*T, len(paths))
	var asking errgroup.Group
	asking.SetLimit(callsAtOnce)
	for i, path := range paths {
		asking.Go(func() (err error) {
			answers[i], err = ask(path)
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	var found []T
	for _, answer := range answers {
		if answer != nil {
			found = append(found, *answer)
		}
	}
	return found, nil
}

// readProfile reads one profile; nil is one that NetworkManager has made up.
func readProfile(ctx context.Context, object dbus.BusObject) (*linkProfile, error) {
	var flags uint32
	one := linkProfile{profile: profile{path: object.Path()}}
	if err := errors.Join(object.StoreProperty(connectionInterface+".Flags", &flags), object.StoreProperty(connectionInterface+".Filename", &one.File)); err != nil {
		return nil, err
	}
	if flags&(isGenerated|isVolatile|isExternal) != 0 {
		return nil, nil
	}
	one.Unsaved = flags&isUnsaved != 0
	var is settings
	if err := object.CallWithContext(ctx, connectionInterface+".GetSettings", 0).Store(&is); err != nil {
		return nil, err
	}
	for _, name := range secretSettings {
		var secrets settings
		if is[name] == nil || object.CallWithContext(ctx, connectionInterface+".GetSecrets", 0, name).Store(&secrets) != nil {
			continue // it has none
		}
		maps.Copy(is[name], secrets[name])
	}
	connection := is["connection"]
	delete(connection, "timestamp") // when the profile was active last
	for _, family := range []string{"ipv4", "ipv6"} {
		// These are address-data and route-data in the form of before, with structs, which the
		// library does not write as it has read them.
		delete(is[family], "addresses")
		delete(is[family], "routes")
	}
	one.UUID, one.Name, one.link = textOf(connection["uuid"]), textOf(connection["id"]), textOf(connection["interface-name"])
	one.Settings = dbus.MakeVariant(is).String()
	if slices.Contains(profileFolders, filepath.Dir(one.File)) {
		one.Content, _ = os.ReadFile(one.File) // the file may be in another mount namespace
	}
	return &one, nil
}

func textOf(value dbus.Variant) string {
	text, _ := value.Value().(string)
	return text
}

// parseSettings reads a profile's settings.
func parseSettings(text string) (settings, error) {
	parsed, err := dbus.ParseVariant(text, dbus.SignatureOf(settings{}))
	if err != nil {
		return nil, err
	}
	read, is := parsed.Value().(map[string]map[string]dbus.Variant)
	if !is {
		return nil, fmt.Errorf("%T are not a profile's settings", parsed.Value())
	}
	return read, nil
}

// activeDevice is a device with its title, see titleOf, and the profile that is active on it.
type activeDevice struct {
	device
	title string
	uses  dbus.ObjectPath
}

// listDevices returns NetworkManager's devices of the links in the scope.
func listDevices(ctx context.Context, bus *dbus.Conn, manager dbus.BusObject, in scope) ([]activeDevice, error) {
	var paths []dbus.ObjectPath
	if err := manager.CallWithContext(ctx, NetworkManagerName+".GetDevices", 0).Store(&paths); err != nil {
		return nil, fmt.Errorf("listing the devices: %w", err)
	}
	return askEach(paths, func(path dbus.ObjectPath) (*activeDevice, error) {
		var link string
		var kind, state uint32
		one, object := activeDevice{device: device{path: path}}, bus.Object(NetworkManagerName, path)
		if object.StoreProperty(deviceInterface+".Interface", &link) != nil || !in.has(link) {
			return nil, nil // it has gone meanwhile, or belongs to others
		}
		if errors.Join(object.StoreProperty(deviceInterface+".ActiveConnection", &one.active),
			object.StoreProperty(deviceInterface+".Autoconnect", &one.Autoconnect),
			object.StoreProperty(deviceInterface+".Managed", &one.Managed),
			object.StoreProperty(deviceInterface+".DeviceType", &kind),
			object.StoreProperty(deviceInterface+".State", &state)) != nil {
			return nil, nil
		}
		one.title, one.Waits = titleOf(link, kind), mayWait(state)
		if one.active != "/" && bus.Object(NetworkManagerName, one.active).StoreProperty(activeInterface+".Connection", &one.uses) != nil {
			one.uses = ""
		}
		return &one, nil
	})
}

// titleOf tells a device from all others. An interface of Open vSwitch, its port and its bridge may have the same name,
// and each has a device of NetworkManager's (NMDeviceType) and a profile of its own. So has the link, if it is not the kernel
// that switches.
func titleOf(name string, kind uint32) string {
	const ovsInterface, ovsPort, ovsBridge = 24, 25, 26
	switch kind {
	case ovsInterface:
		return name + " (interface of Open vSwitch)"
	case ovsPort:
		return name + " (port of Open vSwitch)"
	case ovsBridge:
		return name + " (bridge of Open vSwitch)"
	}
	return name
}

// differences names what NetworkManager has otherwise than before, in the scope.
func (m *Manager) differences(now *Manager) []string {
	var found []string
	for _, uuid := range slices.Sorted(maps.Keys(m.profiles)) {
		was := m.profiles[uuid]
		if is, there := now.profiles[uuid]; !there {
			found = append(found, "profile "+was.Name+" is missing")
		} else if !is.same(was) {
			found = append(found, "profile "+was.Name+" is different")
		}
	}
	for _, uuid := range slices.Sorted(maps.Keys(now.profiles)) {
		if m.isNew(uuid) {
			found = append(found, "profile "+now.profiles[uuid].Name+" is left")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.devices)) {
		was, is := m.devices[name], now.devices[name]
		switch {
		case is.Profile != was.Profile:
			found = append(found, "device "+name+" has another profile")
		case is.path != "" && (is.Autoconnect != was.Autoconnect || is.Managed != was.Managed):
			found = append(found, "device "+name+" is managed otherwise")
		}
	}
	return found
}

// isNew tells whether a profile was made after the state was noted.
func (m *Manager) isNew(uuid string) bool { return !slices.Contains(m.known, uuid) }

// same tells whether two profiles are the same. A file counts only if both were seen.
func (p profile) same(other profile) bool {
	sameFile := p.Content == nil || other.Content == nil || p.File == other.File && string(p.Content) == string(other.Content)
	return p.Settings == other.Settings && p.Unsaved == other.Unsaved && sameFile
}

// uncovered names the profiles that cannot be put back.
func (m *Manager) uncovered() []string {
	var found []string
	for _, uuid := range slices.Sorted(maps.Keys(m.profiles)) {
		one := m.profiles[uuid]
		read, err := parseSettings(one.Settings)
		if one.Content == nil && (err != nil || dbus.MakeVariant(read).String() != one.Settings) {
			found = append(found, "profile "+one.Name+" of NetworkManager")
		}
	}
	return found
}
