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
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// applied are the devices that have a profile applied, as they were when counted signals had come.
	applied []dbus.ObjectPath
	counted uint64
	owner   string
}

const (
	deviceInterface = undo.NetworkManagerName + ".Device"
	notActive       = deviceInterface + ".NotActive"
	// mostLooks is how often NetworkManager is looked at again if it reports something meanwhile.
	mostLooks = 3
	// pendingCalls is how many calls wait for a reply at the same time: a system bus of dbus-daemon refuses more than 128 of a connection.
	pendingCalls = 64
)

// errChanging says that NetworkManager reported something while it was looked at.
var errChanging = errors.New("NetworkManager is changing")

// observe looks again if NetworkManager is changing: a read that begins without facts would prove nothing to the next reader, who would
// have to read once more.
func (m *manager) observe(ctx context.Context) ([]byte, error) {
	for looks := 1; ; looks++ {
		facts, err := m.look(ctx)
		if looks == mostLooks || !errors.Is(err, errChanging) {
			return facts, err
		}
	}
}

func (m *manager) look(ctx context.Context) ([]byte, error) {
	conn, err := m.bus.Connect(ctx)
	if err != nil {
		return nil, err
	}
	signals := m.bus.Signals()
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
	if now := signals.count.Load(); now == m.counted && owner == m.owner {
		devices = m.applied
	}
	facts := &strings.Builder{}
	fmt.Fprintf(facts, "%s %d", owner, signals.count.Load())
	m.counted, m.owner = signals.count.Load(), owner
	m.applied, err = versions(ctx, conn, owner, devices, facts)
	if now := signals.count.Load(); err == nil && now != m.counted {
		err = errChanging
	}
	if err != nil {
		m.counted, m.owner = 0, ""
	}
	return []byte(facts.String()), err
}

// versions asks devices, many at once, which version of which profile they have applied. It returns those that have one.
func versions(ctx context.Context, conn *dbus.Conn, owner string, devices []dbus.ObjectPath, facts *strings.Builder) ([]dbus.ObjectPath, error) {
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
	version := map[dbus.ObjectPath]uint64{}
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
		version[call.Path] = number
	}
	var applied []dbus.ObjectPath
	for _, device := range devices {
		if number, has := version[device]; has {
			applied = append(applied, device)
			fmt.Fprintf(facts, " %s %d", device, number)
		}
	}
	return applied, nil
}

func (m *manager) close() {}
