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

package witness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/godbus/dbus/v5"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

// Bus reaches NetworkManager.
type Bus interface {
	// Connect returns a lasting connection to the system's D-Bus that hands all of NetworkManager's signals to Signals. It is the
	// same one as long as it works.
	Connect(ctx context.Context) (*dbus.Conn, error)
	Signals() *Signals
}

// Signals counts what NetworkManager reports. It implements dbus.SignalHandler: a connection calls it for each signal before it
// hands a later reply over, and D-Bus keeps the order of what a sender sends ("Message Ordering" of the D-Bus Specification).
// So after a reply of NetworkManager's all signals are counted that it sent before.
type Signals struct {
	// Tell, if there is one, is called for each signal that counts. It must return at once.
	Tell func()

	count atomic.Uint64
}

// silent are the interfaces whose signals tell of nothing that libnmstate shows: it takes addresses and routes from the kernel.
// Some of these come all the time: statistics, leases that are renewed, access points that are seen, a carrier that comes and goes.
var silent = []string{
	deviceInterface + ".Statistics", deviceInterface + ".Wireless", deviceInterface + ".Wired",
	undo.NetworkManagerName + ".AccessPoint", undo.NetworkManagerName + ".IP4Config", undo.NetworkManagerName + ".IP6Config",
	undo.NetworkManagerName + ".DHCP4Config", undo.NetworkManagerName + ".DHCP6Config",
}

// silentOfDevices are such properties of devices: they come and go with the carrier, too.
var silentOfDevices = []string{"InterfaceFlags", "Ip4Connectivity", "Ip6Connectivity"}

// tellsNothing tells whether a signal is of changed properties, of which libnmstate shows nothing.
func tellsNothing(name string, body []any) bool {
	if name != "PropertiesChanged" || len(body) < 2 {
		return false
	}
	of, _ := body[0].(string)
	if of != deviceInterface {
		return slices.Contains(silent, of)
	}
	changed, _ := body[1].(map[string]dbus.Variant)
	if len(body) > 2 {
		if invalid, _ := body[2].([]string); len(invalid) > 0 {
			return false
		}
	}
	for property := range changed {
		if !slices.Contains(silentOfDevices, property) {
			return false
		}
	}
	return len(changed) > 0
}

// DeliverSignal implements dbus.SignalHandler.
func (s *Signals) DeliverSignal(_, name string, signal *dbus.Signal) {
	if tellsNothing(name, signal.Body) {
		return
	}
	s.count.Add(1)
	if s.Tell != nil {
		s.Tell()
	}
}

// Renewed says that the connection is a new one: what was reported meanwhile is not known.
func (s *Signals) Renewed() { s.count.Add(1) }

// manager proves that NetworkManager is as it was: it has reported nothing since, it is the same process, and no device has
// another profile applied, which NetworkManager does not report.
type manager struct {
	bus Bus
	// readTells is set if a read tells which profiles are applied, see Witness.Applied. If not, devices are asked right before it.
	readTells bool
	// reported is what NetworkManager had reported when applied was found out: the versions of the profiles that devices have
	// applied, by object path; nil if they are not known.
	reported string
	applied  map[string]uint64
	// unread counts facts without versions: each differs from all others.
	unread int
}

const (
	deviceInterface = undo.NetworkManagerName + ".Device"
	notActive       = deviceInterface + ".NotActive"
	// pendingCalls is how many calls wait for a reply at the same time: a system bus of dbus-daemon refuses more than 128 of a connection.
	pendingCalls = 64
)

// errChanging says that NetworkManager reported something while it was looked at.
var errChanging = errors.New("NetworkManager is changing")

func (m *manager) observe(ctx context.Context) ([]byte, error) {
	conn, err := m.bus.Connect(ctx)
	if err != nil {
		return nil, err
	}
	var owner string
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, undo.NetworkManagerName).Store(&owner); err != nil {
		return nil, fmt.Errorf("asking who NetworkManager is: %w", err)
	}
	// A round trip: what it has reported before is counted afterwards.
	var devices []dbus.ObjectPath
	manager := conn.Object(owner, undo.NetworkManagerPath)
	if err := manager.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, undo.NetworkManagerName, "AllDevices").Store(&devices); err != nil {
		return nil, fmt.Errorf("asking NetworkManager for its devices: %w", err)
	}
	reported := m.bus.Signals().reported(owner)
	if reported != m.reported {
		m.reported, m.applied = reported, nil
	}
	switch {
	case m.applied != nil:
		devices = devices[:0]
		for path := range m.applied {
			devices = append(devices, dbus.ObjectPath(path))
		}
	case m.readTells:
		return m.toBeRead(), nil
	}
	now, err := versions(ctx, conn, owner, devices)
	since := m.bus.Signals().reported(owner)
	switch {
	case err == nil && since == reported:
		m.applied = now
		return factsOf(reported, now), nil
	case err == nil && m.readTells:
		m.reported, m.applied = since, nil
		return m.toBeRead(), nil
	}
	m.reported, m.applied = "", nil
	return nil, cmp.Or(err, errChanging)
}

// toBeRead returns facts that prove nothing: NetworkManager has reported something, so the network has to be read in any case.
func (m *manager) toBeRead() []byte {
	m.unread++
	return fmt.Appendf(nil, "%s%s%d", m.reported, unread, m.unread)
}

// reported says how much NetworkManager, of that owner of its name, has reported so far.
func (s *Signals) reported(owner string) string { return fmt.Sprintf("%s %d", owner, s.count.Load()) }

// unread stands in facts in place of the versions that a read will tell.
const unread = " unread "

// factsOf returns what proves that NetworkManager is as it was.
func factsOf(reported string, applied map[string]uint64) []byte {
	facts := []byte(reported)
	for _, path := range slices.Sorted(maps.Keys(applied)) {
		facts = fmt.Appendf(facts, " %s %d", path, applied[path])
	}
	return facts
}

// complete returns facts with the versions that a read has told which began with them.
func (m *manager) complete(facts []byte, applied map[string]uint64) []byte {
	reported, _, lacks := bytes.Cut(facts, []byte(unread))
	if !lacks || applied == nil {
		return facts
	}
	if m.reported == string(reported) {
		m.applied = applied
	}
	return factsOf(string(reported), applied)
}

// versions asks devices, many at once, which version of which profile they have applied. It returns those that have one.
func versions(ctx context.Context, conn *dbus.Conn, owner string, devices []dbus.ObjectPath) (map[string]uint64, error) {
	answers := make(chan *dbus.Call, len(devices))
	asked := 0
	ask := func() {
		if asked < len(devices) {
			conn.Object(owner, devices[asked]).GoWithContext(ctx, deviceInterface+".GetAppliedConnection", 0, answers, uint32(0))
			asked++
		}
	}
	for range pendingCalls {
		ask()
	}
	applied := map[string]uint64{}
	for range devices {
		call := <-answers
		ask()
		var refusal dbus.Error
		if errors.As(call.Err, &refusal) && refusal.Name == notActive {
			continue
		}
		if call.Err != nil {
			return nil, fmt.Errorf("asking NetworkManager for the profile of %s: %w", call.Path, call.Err)
		}
		// The profile comes first. Storing it would take longer than all the rest.
		if len(call.Body) != 2 {
			return nil, fmt.Errorf("NetworkManager's answer for %s has %d parts, want 2", call.Path, len(call.Body))
		}
		number, is := call.Body[1].(uint64)
		if !is {
			return nil, fmt.Errorf("NetworkManager's answer for %s has no version of the profile", call.Path)
		}
		applied[string(call.Path)] = number
	}
	return applied, nil
}

func (m *manager) close() {}
