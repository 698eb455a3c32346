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
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// noteSubnet notes a route to the subnet of an address, if NetworkManager has made it: the kernel's own ones
// are different, they have no metric or a fixed one.
//
// NetworkManager gives the routes of a device the next metric that is free when it activates the device: 100 to
// the first Ethernet device, 101 to the second. A rollback activates devices again, in any order, and a device that
// is activated again comes after all that are active. What NetworkManager has reserved
// cannot be changed without activating other devices, so the routes are changed in the kernel. NetworkManager
// takes that for somebody's wish and respects it, until the device is activated or reapplied.
func (s *snapshot) noteSubnet(r netlink.Route, names map[int]string) {
	if !s.scope.managed || r.Protocol != unix.RTPROT_KERNEL || r.Priority == 0 || r.Type != unix.RTN_UNICAST || !s.hasRoute(r, names) {
		return
	}
	key := fmt.Sprintf("%s dev %s table %d", r.Dst, names[r.LinkIndex], r.Table)
	if _, twice := s.subnets[key]; twice {
		r.Priority = 0 // which of them another one corresponds to is not known
	}
	s.subnets[key] = route{Route: r, link: names[r.LinkIndex]}
}

// moved names the routes to subnets whose metric is another one than before.
func (s *snapshot) moved(now *snapshot) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(s.subnets)) {
		was, is := s.subnets[key].Priority, now.subnets[key].Priority
		if was != 0 && is != 0 && was != is {
			found = append(found, key)
		}
	}
	return found
}

// mendMetrics gives routes to subnets the metric that they had.
func (s *snapshot) mendMetrics(now *snapshot) error {
	var errs []error
	for _, key := range s.moved(now) {
		is := now.subnets[key]
		mended := is
		mended.Priority = s.subnets[key].Priority
		err := mended.add()
		if err == nil || errors.Is(err, unix.EEXIST) {
			err = netlink.RouteDel(&is.Route)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("setting the metric of route %s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// movedMetrics tells which metrics are not as they were.
func (s *snapshot) movedMetrics(now *snapshot) []string {
	var found []string
	for _, key := range s.moved(now) {
		found = append(found, fmt.Sprintf("route %s has metric %d instead of %d", key, now.subnets[key].Priority, s.subnets[key].Priority))
	}
	return found
}
