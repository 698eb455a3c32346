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
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

const (
	// NetworkManagerName is NetworkManager's on the system's D-Bus, and NetworkManagerPath its object's.
	NetworkManagerName = "org.freedesktop.NetworkManager"
	NetworkManagerPath = dbus.ObjectPath("/org/freedesktop/NetworkManager")
	globalDNSProperty  = NetworkManagerName + ".GlobalDnsConfiguration"
	checkpoints        = NetworkManagerName + ".Checkpoints"
	deviceInterface    = NetworkManagerName + ".Device"
)

// Manager is NetworkManager's part of the network: what its checkpoints don't cover, and what
// they cover, for when there is none any more.
type Manager struct {
	// GlobalDNS is where nmstate keeps DNS. Checkpoints cover it from
	// NetworkManager 1.47 on. It is put back as it is: through nmstate an
	// interface's own DNS would become global.
	GlobalDNS map[string]dbus.Variant
	// Owner is NetworkManager's own name on the bus. It has another one when it was started again.
	Owner string
	// Checkpoints are the open checkpoints of other programs.
	Checkpoints []dbus.ObjectPath
	// profiles are those of the links in the scope, by their UUIDs, and devices what
	// NetworkManager does with these links, by their names. known are the UUIDs of all profiles.
	profiles map[string]profile
	devices  map[string]device
	known    []string
}

const (
	// managerTimeout is how long NetworkManager may take to return or set a property.
	managerTimeout = time.Minute
	// callsAtOnce is how many profiles, or devices, NetworkManager is asked for at the same time. Most of the time of a call is
	// the way over the bus, and a host may have hundreds of them.
	callsAtOnce = 16
)

// awayPause is between two looks whether NetworkManager answers.
const awayPause = 200 * time.Millisecond

// IsAway tells whether an error of a call says that NetworkManager does not run, or has not come far enough with its start.
func IsAway(err error) bool {
	var refusal dbus.Error
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Name {
	case "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NoReply",
		"org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownInterface":
		return true
	}
	return false
}

// askNetworkManager calls ask with NetworkManager's object on the system's D-Bus.
// The end of ctx closes the connection, and with it whatever ask waits for.
func askNetworkManager(ctx context.Context, ask func(*dbus.Conn, dbus.BusObject) error) error {
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("connecting to the system's D-Bus: %w", err)
	}
	defer bus.Close()
	return ask(bus, bus.Object(NetworkManagerName, NetworkManagerPath))
}

// ReadManager returns what NetworkManager has now, without profiles and devices.
func ReadManager(ctx context.Context) (Manager, error) { return readManager(ctx, nil) }

// readManager returns what NetworkManager has now, with the profiles and devices of the links in the scope,
// if there is one.
func readManager(ctx context.Context, in *scope) (Manager, error) {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	state := Manager{GlobalDNS: map[string]dbus.Variant{}}
	err := askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		var asking errgroup.Group
		asking.Go(func() error {
			err := bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, NetworkManagerName).Store(&state.Owner)
			if err == nil {
				its := bus.Object(state.Owner, NetworkManagerPath)
				err = cmp.Or(its.StoreProperty(globalDNSProperty, &state.GlobalDNS), its.StoreProperty(checkpoints, &state.Checkpoints))
			}
			if err != nil {
				return fmt.Errorf("reading NetworkManager's properties: %w", err)
			}
			return nil
		})
		if in != nil {
			asking.Go(func() error { return state.noteProfiles(ctx, bus, manager, *in) })
		}
		// Of a device that could not be asked because the time was over, nobody knows whether it has gone.
		return cmp.Or(asking.Wait(), ctx.Err())
	})
	return state, err
}

// AwaitManager waits until NetworkManager answers, if it is away, and until it has activated what it activates when it
// starts. It returns an error if ctx ends while NetworkManager is away, or if NetworkManager takes longer than limit to answer.
func AwaitManager(ctx context.Context, limit time.Duration) error {
	return askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		changes := make(chan *dbus.Signal, 64)
		bus.Signal(changes)
		if err := cmp.Or(
			bus.AddMatchSignalContext(ctx, dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, NetworkManagerName)),
			bus.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(NetworkManagerPath), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")),
		); err != nil {
			return fmt.Errorf("subscribing to NetworkManager's changes: %w", err)
		}
		for {
			var starts bool
			asking, cancel := context.WithTimeout(ctx, limit)
			err := manager.CallWithContext(asking, "org.freedesktop.DBus.Properties.Get", 0, NetworkManagerName, "Startup").Store(&starts)
			cancel()
			if err == nil && !starts || err != nil && !IsAway(err) {
				return err
			}
			select {
			case <-changes:
			case <-time.After(awayPause): // nobody tells when a name's objects are there
			case <-ctx.Done():
				return err
			}
		}
	})
}

// RestoreDNS sets the global DNS back.
func (s Manager) RestoreDNS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	err := askNetworkManager(ctx, func(_ *dbus.Conn, manager dbus.BusObject) error {
		return manager.SetProperty(globalDNSProperty, dbus.MakeVariant(s.GlobalDNS))
	})
	if err != nil {
		return fmt.Errorf("setting NetworkManager's global DNS: %w", err)
	}
	return nil
}

// AwaitCheckpoints waits until NetworkManager has no checkpoint of ours any more: it
// was rolled back, or its time was up.
func (s Manager) AwaitCheckpoints(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		changes := make(chan *dbus.Signal, 16)
		bus.Signal(changes)
		if err := bus.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(NetworkManagerPath),
			dbus.WithMatchInterface("org.freedesktop.DBus.Properties")); err != nil {
			return fmt.Errorf("subscribing to NetworkManager's changes: %w", err)
		}
		for waited := false; ; waited = true {
			var open []dbus.ObjectPath
			if err := manager.StoreProperty(checkpoints, &open); err != nil {
				return fmt.Errorf("listing NetworkManager's checkpoints: %w", err)
			}
			open = slices.DeleteFunc(open, func(one dbus.ObjectPath) bool { return slices.Contains(s.Checkpoints, one) })
			if len(open) == 0 {
				return nil
			}
			if !waited {
				klog.FromContext(ctx).Info("Waiting for NetworkManager to roll back by itself", "checkpoints", open)
			}
			select {
			case <-changes:
			case <-ctx.Done():
				return fmt.Errorf("NetworkManager did not roll back to checkpoint %s: %w", open[0], ctx.Err())
			}
		}
	})
}

// isChanging tells whether a device in that state of NetworkManager's (NMDeviceState)
// is about to be in another: it is being activated or deactivated.
func isChanging(state uint32) bool {
	const prepare, secondaries, deactivating = 40, 90, 110
	return prepare <= state && state <= secondaries || state == deactivating
}

// stepTime is how long a device of a slow node may take to be activated, but for what it waits for from outside.
const stepTime = time.Minute

// leaseTime is how long a device may wait for somebody outside. NetworkManager gives a DHCP server 45 s, and a router 30 s, if a
// profile does not say otherwise (ipv4.dhcp-timeout, ipv6.ra-timeout).
const leaseTime = 45 * time.Second

// mayWait tells whether a device in that state of NetworkManager's may wait for somebody outside: a DHCP server, or a router.
func mayWait(state uint32) bool {
	const ipConfig, secondaries = 70, 90
	return ipConfig <= state && state <= secondaries
}

// awaitDevices waits until NetworkManager has finished with the devices of the links in the scope, or until the
// timeout. A rollback returns before it has finished, and removes addresses and routes later. A device that may wait
// for somebody outside need not finish: it is waited for until nothing has changed for leaseTime, and not at all if it
// waited before the change, too. What such a device has by a lease is not there before.
func awaitDevices(ctx context.Context, in scope, before map[string]device) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		changes := make(chan *dbus.Signal, 64)
		bus.Signal(changes)
		if err := bus.AddMatchSignalContext(ctx, dbus.WithMatchInterface(deviceInterface), dbus.WithMatchMember("StateChanged")); err != nil {
			return fmt.Errorf("subscribing to the changes of NetworkManager's devices: %w", err)
		}
		var seen map[string]uint32
		var since time.Time
		for {
			states, err := askDevices(ctx, bus, manager, in)
			if err != nil {
				return err
			}
			if seen == nil || !maps.Equal(states, seen) {
				seen, since = states, time.Now()
			}
			busy, waiting := unfinished(states, before)
			if !busy && !waiting {
				return nil
			}
			var enough <-chan time.Time
			if !busy {
				enough = time.After(time.Until(since.Add(leaseTime)))
			}
			select {
			case <-changes:
			case <-enough:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// unfinished tells whether devices in these states are busy, and whether some wait for somebody outside that did not
// wait before.
func unfinished(states map[string]uint32, before map[string]device) (busy, waiting bool) {
	for name, state := range states {
		switch {
		case !isChanging(state), mayWait(state) && before[name].Waits:
		case mayWait(state):
			waiting = true
		default:
			busy = true
		}
	}
	return busy, waiting
}

// askDevices returns the states (NMDeviceState) of NetworkManager's devices of the links in the scope, by their titles.
func askDevices(ctx context.Context, bus *dbus.Conn, manager dbus.BusObject, in scope) (map[string]uint32, error) {
	var devices []dbus.ObjectPath
	if err := manager.CallWithContext(ctx, NetworkManagerName+".GetDevices", 0).Store(&devices); err != nil {
		return nil, fmt.Errorf("listing NetworkManager's devices: %w", err)
	}
	states := map[string]uint32{}
	for _, path := range devices {
		var name string
		var kind, state uint32
		device := bus.Object(NetworkManagerName, path)
		// A device that cannot be asked has gone.
		err := errors.Join(device.StoreProperty(deviceInterface+".Interface", &name), device.StoreProperty(deviceInterface+".DeviceType", &kind),
			device.StoreProperty(deviceInterface+".State", &state))
		if err == nil && in.has(name) {
			states[titleOf(name, kind)] = state
		}
	}
	return states, nil
}

// deviceStates returns the same as texts, in order.
func deviceStates(ctx context.Context, in scope) ([]string, error) {
	var found []string
	err := askNetworkManager(ctx, func(bus *dbus.Conn, manager dbus.BusObject) error {
		states, err := askDevices(ctx, bus, manager, in)
		for _, name := range slices.Sorted(maps.Keys(states)) {
			found = append(found, fmt.Sprintf("device %s has state %d", name, states[name]))
		}
		return err
	})
	return found, err
}
