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
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// SettleTime is how long NetworkManager is given, when nothing changes any more, to finish what a rollback of
// its checkpoint started; it says nothing when it has.
const SettleTime = 5 * time.Second

// quietLooks is how many looks, each 100 ms after the one before, must find the same: NetworkManager then does no more. For
// each look NetworkManager answers a question, so that a busy machine gives it more time.
const quietLooks = 8

// restore makes the network what it was when the snapshot was taken, as far as the kernel
// has it. Without NetworkManager libnmstate cannot undo a change. With it, libnmstate
// restores only what NetworkManager has configured.
func (s *snapshot) restore(ctx context.Context, apply Apply) {
	for _, step := range []func(context.Context, *snapshot, Apply) error{
		s.removeLinks, s.makeLinks, s.mendLinks, s.mendLinks, s.mendDrivers, s.mendFiles, s.mendAddresses, s.mendRoutes, s.mendRules, s.mendNeighbours,
	} {
		now, err := s.lookAgain()
		if err == nil {
			err = step(ctx, now, apply)
		}
		if err != nil {
			// The comparison that follows finds and reports what this step has left.
			klog.FromContext(ctx).Error(s.withoutSecrets(err), "Putting the network back")
		}
	}
}

// lookAgain returns the network as it is now, and takes note of what happened to
// the links since the snapshot: undoing, too, makes the kernel flush routes.
func (s *snapshot) lookAgain() (*snapshot, error) {
	now, err := takeSnapshot(s.scope, nil)
	return now, errors.Join(err, s.disturbances.look())
}

// withoutSecrets returns the error without the secrets of the state before, which
// libnmstate may quote.
func (s *snapshot) withoutSecrets(err error) error {
	return errors.New(secret.Scrub(err.Error(), s.full))
}

// settle waits until NetworkManager has made the network what it was, or until it does no more:
// NetworkManager does not restore the rest. It does not wait for
// daemons' routes, which NetworkManager does not make: nobody has looked for
// disturbances yet, so none of them is owed.
func (s *snapshot) settle(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var left, seen []string
	looks, heard := 0, time.Now()
	_ = wait.PollUntilContextCancel(limited, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		asking, cancel := context.WithTimeout(ctx, SettleTime)
		defer cancel()
		states, err := deviceStates(asking, s.scope)
		if err != nil { // a NetworkManager that does not answer puts nothing back
			return time.Since(heard) >= SettleTime, nil
		}
		heard = time.Now()
		now, err := takeSnapshot(s.scope, nil)
		if err != nil {
			return false, nil
		}
		left = append(s.differences(now), s.movedMetrics(now)...)
		if found := slices.Concat(left, states); !slices.Equal(found, seen) {
			seen, looks = found, 0
		}
		looks++
		return len(left) == 0 || looks >= quietLooks, nil
	})
	if len(left) > 0 {
		klog.FromContext(ctx).Info("NetworkManager has not put this back; the agent does", "left", left)
	}
}

// removeLinks removes the links that were not there, and those that can become what they were only if they are made again.
func (s *snapshot) removeLinks(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	gone := surplus(s.links, now.links)
	for name, is := range now.links {
		if was, there := s.links[name]; there && !is.Detail.canStay(was.Detail) {
			gone[name] = is
		}
	}
	for name := range gone {
		l, err := netlink.LinkByName(name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			continue // the other end of a veth that was removed
		}
		if err == nil {
			err = netlink.LinkDel(l)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("removing link %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// makeLinks makes the links again that are gone: as they were where their details are noted, else by nmstate, which knows
// how each kind is made.
func (s *snapshot) makeLinks(ctx context.Context, now *snapshot, apply Apply) error {
	missing, failed := s.remake(owed(s, now, s.links, now.links))
	if len(missing) == 0 {
		return failed
	}
	return errors.Join(failed, s.makeByState(ctx, missing, apply))
}

func (s *snapshot) makeByState(ctx context.Context, missing map[string]link, apply Apply) error {
	root, err := tree.Decode(s.full)
	if err != nil {
		return err
	}
	var gone []any
	for _, item := range tree.List(root, "interfaces") {
		iface, _ := item.(map[string]any)
		name, _ := iface["name"].(string)
		// A link that was made with a mask as its secret would not be what it was.
		if _, is := missing[name]; is && !secret.HasMask(iface) {
			if !s.scope.managed {
				// They come later, one by one; libnmstate cannot make leases.
				delete(iface, "ipv4")
				delete(iface, "ipv6")
			}
			gone = append(gone, item)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	state, err := json.Marshal(map[string]any{"interfaces": gone})
	if err != nil {
		return err
	}
	return apply(ctx, state)
}

// mendLinks sets what is different of the links that are there.
func (s *snapshot) mendLinks(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	// What stands on others, and what names others, comes later. The second time a bond has its ports.
	names := slices.SortedFunc(maps.Keys(s.links), func(a, b string) int { return s.indexes[a] - s.indexes[b] })
	for _, name := range names { // first what is a port and was none: a bridge numbers its ports as they come
		if is, there := now.links[name]; there && is.Master != "" && is.Master != s.links[name].Master {
			if l, err := netlink.LinkByName(name); err == nil {
				errs = append(errs, netlink.LinkSetNoMaster(l))
			}
		}
	}
	for _, name := range names {
		was := s.links[name]
		is, there := now.links[name]
		if !there || is.same(was) {
			continue
		}
		if is.isGivenMAC(was) || s.getsMAC(name, now) {
			is.MAC = was.MAC
		}
		if err := errors.Join(mendLink(name, is, was), mendDetail(name, was.Detail)); err != nil {
			errs = append(errs, fmt.Errorf("putting link %s back: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func mendLink(name string, is, was link) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	var errs []error
	if is.Master != was.Master {
		errs = append(errs, setMaster(l, was.Master))
		if l, err = netlink.LinkByName(name); err != nil { // its controller may have set it up or down
			return err
		}
		is.Up = l.Attrs().Flags&unix.IFF_UP != 0
	}
	if is.MTU != was.MTU {
		errs = append(errs, netlink.LinkSetMTU(l, was.MTU))
	}
	if is.MAC != was.MAC {
		mac, err := net.ParseMAC(was.MAC)
		if err == nil {
			err = rtnetlink.SetMAC(name, mac)
		}
		errs = append(errs, err)
	}
	if was.Up && !is.Up {
		errs = append(errs, netlink.LinkSetUp(l))
	}
	if !was.Up && is.Up {
		errs = append(errs, netlink.LinkSetDown(l))
	}
	before, now := strings.Fields(was.Aliases), strings.Fields(is.Aliases)
	for _, alias := range now {
		if !slices.Contains(before, alias) {
			errs = append(errs, netlink.LinkDelAltName(l, alias))
		}
	}
	for _, alias := range before {
		if !slices.Contains(now, alias) {
			errs = append(errs, netlink.LinkAddAltName(l, alias))
		}
	}
	return errors.Join(errs...)
}

func setMaster(l netlink.Link, master string) error {
	if master == "" {
		return netlink.LinkSetNoMaster(l)
	}
	m, err := netlink.LinkByName(master)
	if err != nil {
		return err
	}
	if m.Type() == "bond" { // takes no links that are up
		if err := netlink.LinkSetDown(l); err != nil {
			return err
		}
	}
	return netlink.LinkSetMaster(l, m)
}

// mendAddresses makes the addresses of each link what they were.
func (s *snapshot) mendAddresses(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	for title, was := range s.addresses {
		is, there := now.addresses[title]
		if !there || len(was.differences(title, is)) == 0 {
			continue
		}
		if err := was.mend(is); err != nil {
			errs = append(errs, fmt.Errorf("putting %s back: %w", title, err))
		}
	}
	return errors.Join(errs...)
}

// mendRoutes removes the routes that were not there and adds those that were:
// first those without a next hop, over which the others' next hops are reached.
func (s *snapshot) mendRoutes(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	for key, one := range surplus(s.routes, now.routes) {
		if len(one.MultiPath) > 0 && one.Family == netlink.FAMILY_V6 {
			one.Protocol = unix.RTPROT_UNSPEC // each next hop has its own, and the kernel shows one of them
		}
		if err := netlink.RouteDel(&one.Route); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("removing route %s: %w", key, err))
		}
	}
	missing := owed(s, now, s.routes, now.routes)
	for _, viaHop := range []bool{false, true} {
		for key, one := range missing {
			if hasHop := len(one.Gw) > 0 || len(one.MultiPath) > 0; hasHop != viaHop {
				continue
			}
			err := one.add()
			if errors.Is(err, unix.EEXIST) && len(one.MultiPath) > 0 && one.Family == netlink.FAMILY_V4 { // some of its next hops have its place
				err = one.set(netlink.RouteReplace)
			}
			if err != nil && !errors.Is(err, unix.EEXIST) {
				errs = append(errs, fmt.Errorf("adding route %s: %w", key, err))
			}
		}
	}
	return errors.Join(append(errs, s.mendMetrics(now))...)
}

func (r route) add() error { return r.set(netlink.RouteAdd) }

// set does what sets a route, over the links of the same names.
func (r route) set(do func(*netlink.Route) error) error {
	r.Flags &^= unix.RTNH_F_LINKDOWN | unix.RTNH_F_DEAD
	if r.link != "" {
		l, err := netlink.LinkByName(r.link)
		if err != nil {
			return err
		}
		r.LinkIndex = l.Attrs().Index
	}
	for i, hop := range r.MultiPath {
		l, err := netlink.LinkByName(r.hops[i])
		if err != nil {
			return err
		}
		hop.LinkIndex = l.Attrs().Index
	}
	return do(&r.Route)
}

// mendRules removes the rules that were not there and adds those that were.
func (s *snapshot) mendRules(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	for _, one := range surplus(s.rules, now.rules) {
		errs = append(errs, netlink.RuleDel(&one.Rule))
	}
	for _, one := range owed(s, now, s.rules, now.rules) {
		errs = append(errs, rtnetlink.AddRule(&one.Rule))
	}
	return errors.Join(errs...)
}

// mendHostname gives NetworkManager, whose checkpoints don't cover it, the
// hostname that was configured.
func (s *snapshot) mendHostname(ctx context.Context, apply Apply) error {
	now, err := takeSnapshot(s.scope, nil)
	if err != nil || !s.scope.hostname || s.hostname == now.hostname && !slices.Contains(s.differingFiles(now), "file "+HostnameFile) {
		return err
	}
	root, err := tree.Decode(s.full)
	if err != nil {
		return err
	}
	state, err := tree.Encode(map[string]any{"hostname": root["hostname"]})
	if err != nil {
		return err
	}
	return apply(ctx, state)
}
