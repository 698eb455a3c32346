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

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/witness"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// backend is what carries out changes now.
type backend struct {
	name v1alpha1.Backend
	// version is NetworkManager's, if it is the backend.
	version string
	// away tells that NetworkManager was the backend until a moment ago: the
	// network can be read without it, and must not be changed yet.
	away bool
	// silent tells that NetworkManager is there and does not answer: libnmstate would wait
	// for it without end.
	silent bool
}

// flags are those with which libnmstate reads the network.
func (b backend) flags() nmstate.Flags {
	if b.name == v1alpha1.BackendKernel || b.silent {
		return nmstate.KernelOnly
	}
	return 0
}

// BackendChoice is the value of the flag --backend.
type BackendChoice string

const (
	// BackendAuto is NetworkManager when it answers on the system's D-Bus, else the kernel alone.
	BackendAuto BackendChoice = "auto"
	// BackendNetworkManager is NetworkManager, whether it answers or not.
	BackendNetworkManager BackendChoice = "networkmanager"
	// BackendKernel is the kernel alone.
	BackendKernel BackendChoice = "kernel"
)

const (
	// absence is how long NetworkManager must have been silent to be taken for
	// gone: it is started again when it is updated, and what is changed meanwhile
	// would be in none of its profiles, and gone with the next reboot.
	absence = time.Minute
	// busTimeout is how long the bus, and NetworkManager, may take to answer.
	busTimeout = 5 * time.Second
)

// detector finds out which backend there is.
type detector struct {
	choice BackendChoice

	// signals are those of NetworkManager on the bus.
	signals witness.Signals

	mu     sync.Mutex
	bus    *dbus.Conn
	closed bool
	// seen is when NetworkManager answered last.
	seen time.Time
}

// detect returns the backend that there is now. Which one is asked anew each
// time: NetworkManager can come, go and be replaced at any time.
func (d *detector) detect() backend {
	if d.choice == BackendKernel {
		return backend{name: v1alpha1.BackendKernel}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), busTimeout)
	defer cancel()
	version, err := d.networkManager(ctx)
	if err == nil {
		d.seen = time.Now()
	} else if d.choice == BackendAuto && !saysNothing(err) {
		return backend{name: v1alpha1.BackendKernel, away: time.Since(d.seen) < absence}
	}
	silent := errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil
	return backend{name: v1alpha1.BackendNetworkManager, version: version, silent: silent}
}

// networkManager returns the version of NetworkManager, an error if it does not
// answer. The caller holds the lock.
func (d *detector) networkManager(ctx context.Context) (string, error) {
	bus, err := d.connect(ctx)
	if err != nil {
		return "", err
	}
	var owned bool
	if err := bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, undo.NetworkManagerName).Store(&owned); err != nil {
		return "", err
	}
	if !owned {
		return "", fmt.Errorf("%s has no owner on the system's D-Bus", undo.NetworkManagerName)
	}
	var version string
	err = bus.Object(undo.NetworkManagerName, undo.NetworkManagerPath).CallWithContext(ctx,
		"org.freedesktop.DBus.Properties.Get", 0, undo.NetworkManagerName, "Version").Store(&version)
	return version, err
}

// saysNothing tells that the error says nothing about NetworkManager: the bus does
// not speak to this agent, by AppArmor's word, say, or is stuck. Who cannot ask
// must not take NetworkManager for absent: a change that passed it by would be
// gone with the next reboot.
func saysNothing(err error) bool {
	var refusal dbus.Error
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &refusal) && refusal.Name == "org.freedesktop.DBus.Error.AccessDenied"
}

// Connect implements witness.Bus.
func (d *detector) Connect(ctx context.Context) (*dbus.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connect(ctx)
}

// Signals implements witness.Bus.
func (d *detector) Signals() *witness.Signals { return &d.signals }

// connect returns the connection to the bus, a new one if there is none that
// works. The caller holds the lock.
func (d *detector) connect(ctx context.Context) (*dbus.Conn, error) {
	if d.closed {
		return nil, errors.New("the agent has ended")
	}
	if d.bus != nil && d.bus.Connected() {
		return d.bus, nil
	}
	// The connection outlives ctx, which bounds only how long making it takes.
	lasting, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(lasting), dbus.WithSignalHandler(&d.signals))
	if err == nil {
		err = bus.AddMatchSignalContext(ctx, dbus.WithMatchSender(undo.NetworkManagerName))
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connecting to the system's D-Bus: %w", errors.Join(err, ctx.Err()))
	}
	d.signals.Renewed()
	d.bus = bus
	return bus, nil
}

// close ends the connection to the bus for good. A round may still be at it: it
// is waited for, and makes no new connection afterwards.
func (d *detector) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.bus != nil {
		d.bus.Close()
	}
}

// now returns the time as it is after it was in a JSON text.
func now() metav1.Time { return metav1.NewTime(time.Now()).Rfc3339Copy() }
