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
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// backend is what carries out changes now.
type backend struct {
	name v1alpha1.Backend
	// version is NetworkManager's, if it is the backend.
	version string
}

// flags are those that libnmstate takes for the backend.
func (b backend) flags() nmstate.Flags {
	if b.name == v1alpha1.BackendKernel {
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

// detector finds out which backend there is.
type detector struct {
	choice BackendChoice

	mu     sync.Mutex
	bus    *dbus.Conn
	closed bool
}

// detect returns the backend that there is now. Which one is asked anew each
// time: NetworkManager can come, go and be replaced at any time.
func (d *detector) detect() backend {
	if d.choice == BackendKernel {
		return backend{name: v1alpha1.BackendKernel}
	}
	version, err := d.networkManager()
	if err != nil && d.choice == BackendAuto && !isDenied(err) {
		return backend{name: v1alpha1.BackendKernel}
	}
	return backend{name: v1alpha1.BackendNetworkManager, version: version}
}

// networkManager returns the version of NetworkManager, an error if it does not answer.
func (d *detector) networkManager() (string, error) {
	bus, err := d.connect()
	if err != nil {
		return "", err
	}
	var owned bool
	if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, networkManagerName).Store(&owned); err != nil {
		return "", err
	}
	if !owned {
		return "", fmt.Errorf("%s has no owner on the system's D-Bus", networkManagerName)
	}
	version, err := bus.Object(networkManagerName, networkManagerPath).GetProperty(networkManagerName + ".Version")
	if err != nil {
		return "", err
	}
	text, _ := version.Value().(string)
	return text, nil
}

// isDenied tells that the bus does not speak to this agent, by AppArmor's word, say.
// Who cannot ask must not take NetworkManager for absent: a change that passed it
// by would be gone with the next reboot.
func isDenied(err error) bool {
	var refusal dbus.Error
	return errors.Is(err, fs.ErrPermission) || errors.As(err, &refusal) && refusal.Name == "org.freedesktop.DBus.Error.AccessDenied"
}

// connect returns the connection to the bus, a new one if there is none that works.
func (d *detector) connect() (*dbus.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.New("the agent has ended")
	}
	if d.bus == nil || !d.bus.Connected() {
		bus, err := dbus.ConnectSystemBus()
		if err != nil {
			return nil, fmt.Errorf("connecting to the system's D-Bus: %w", err)
		}
		d.bus = bus
	}
	return d.bus, nil
}

// close ends the connection to the bus for good. A round may still be at it: its
// calls then end with an error, and it makes no new connection.
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
