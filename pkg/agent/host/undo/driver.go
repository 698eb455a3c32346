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

	"github.com/safchain/ethtool"
)

// driver is what the driver of a link has of what ethtool(8) sets. What the driver does not have is nil.
type driver struct {
	// Features are those that can be switched, as somebody wants them. What they are may depend on others.
	Features map[string]bool `json:"features,omitempty"`
	// The others are noted only where the state says something of drivers: some drivers show other numbers while the link
	// negotiates, or by its load.
	Ring     *ethtool.Ring     `json:"ring,omitempty"`
	Coalesce *ethtool.Coalesce `json:"coalesce,omitempty"`
	Pause    *ethtool.Pause    `json:"pause,omitempty"`
}

// driverOf reads what the driver of a link has; all is more than its features.
func driverOf(tool *ethtool.Ethtool, link string, all bool) *driver {
	d := &driver{}
	if features, err := tool.FeaturesWithState(link); err == nil {
		for name, is := range features {
			if !is.Available {
				continue
			}
			if d.Features == nil {
				d.Features = map[string]bool{}
			}
			d.Features[name] = is.Requested
		}
	}
	if !all {
		return d
	}
	if ring, err := tool.GetRing(link); err == nil {
		d.Ring = &ring
	}
	if coalesce, err := tool.GetCoalesce(link); err == nil {
		d.Coalesce = &coalesce
	}
	if pause, err := tool.GetPause(link); err == nil {
		d.Pause = &pause
	}
	return d
}

// same tells whether the driver has what it had. What changes by itself is no difference, nor is what only one of them has.
func (d *driver) same(other *driver) bool {
	if d == nil || other == nil {
		return true
	}
	return len(d.differing(other)) == 0 && (d.Ring == nil || other.Ring == nil || *d.Ring == *other.Ring) &&
		(d.Coalesce == nil || other.Coalesce == nil || steadyCoalesce(*d.Coalesce) == steadyCoalesce(*other.Coalesce)) &&
		(d.Pause == nil || other.Pause == nil || steadyPause(*d.Pause) == steadyPause(*other.Pause))
}

// differing are the features of d that the other has otherwise.
func (d *driver) differing(other *driver) map[string]bool {
	found := maps.Clone(d.Features)
	maps.DeleteFunc(found, func(name string, on bool) bool {
		is, there := other.Features[name]
		return !there || is == on
	})
	return found
}

// steadyCoalesce leaves out what the driver changes by the load.
func steadyCoalesce(c ethtool.Coalesce) ethtool.Coalesce {
	if c.UseAdaptiveRxCoalesce != 0 {
		c.RxCoalesceUsecs, c.RxMaxCoalescedFrames = 0, 0
	}
	if c.UseAdaptiveTxCoalesce != 0 {
		c.TxCoalesceUsecs, c.TxMaxCoalescedFrames = 0, 0
	}
	return c
}

// steadyPause leaves out what comes of the negotiation with the other end.
func steadyPause(p ethtool.Pause) ethtool.Pause {
	if p.Autoneg != 0 {
		p.RxPause, p.TxPause = 0, 0
	}
	return p
}

// mendDrivers sets what the drivers of the links that are there have not as they had.
func (s *snapshot) mendDrivers(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	for name, is := range now.links {
		if was := s.links[name]; was.Detail != nil && is.Detail != nil {
			errs = append(errs, was.Detail.Driver.mend(name, is.Detail.Driver))
		}
	}
	return errors.Join(errs...)
}

// mend sets what the driver, which is as it is, has not as it had.
func (d *driver) mend(link string, is *driver) error {
	if d == nil || is == nil {
		return nil
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	var errs []error
	failed := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("putting the %s of link %s back: %w", what, link, err))
		}
	}
	if features := d.differing(is); len(features) > 0 {
		failed("features", tool.Change(link, features))
	}
	if d.Ring != nil && is.Ring != nil && *d.Ring != *is.Ring {
		_, err := tool.SetRing(link, *d.Ring)
		failed("rings", err)
	}
	if d.Coalesce != nil && is.Coalesce != nil && *d.Coalesce != *is.Coalesce {
		_, err := tool.SetCoalesce(link, *d.Coalesce)
		failed("coalescing", err)
	}
	if d.Pause != nil && is.Pause != nil && *d.Pause != *is.Pause {
		_, err := tool.SetPause(link, *d.Pause)
		failed("pause frames", err)
	}
	return errors.Join(errs...)
}
