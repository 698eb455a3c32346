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

package rtnetlink

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// SetMAC sets a link's MAC address. Some drivers take one only while the link is down (IFF_LIVE_ADDR_CHANGE of
// include/linux/netdevice.h), and a bond hands its own on to its ports: these go down, too, and all come up again.
func SetMAC(name string, mac net.HardwareAddr) error {
	l, err := LinkByName(name)
	if err != nil {
		return err
	}
	change := Change{Index: l.Index, MAC: mac}
	if err := change.Do(); !errors.Is(err, unix.EBUSY) {
		return err
	}
	all, err := Links()
	if err != nil {
		return err
	}
	var lowered []int
	for _, one := range all {
		if one.Is(unix.IFF_UP) && (one.Index == l.Index || l.Kind == "bond" && one.Controller == l.Index) {
			lowered = append(lowered, one.Index)
		}
	}
	return whileDown(lowered, change.Do)
}

// whileDown does something while links are down, and puts back what the kernel forgets meanwhile.
func whileDown(links []int, do func() error) error {
	held, err := Hold()
	if err != nil {
		return err
	}
	var errs []error
	for _, index := range links {
		errs = append(errs, Change{Index: index, Mask: unix.IFF_UP}.Do())
	}
	errs = append(errs, do())
	for _, index := range links {
		errs = append(errs, Change{Index: index, Mask: unix.IFF_UP, Flags: unix.IFF_UP}.Do())
	}
	return errors.Join(append(errs, held.PutBack(func(string) bool { return true }))...)
}
