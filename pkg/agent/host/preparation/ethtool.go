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

package preparation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/safchain/ethtool"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// setEthtool sets what the driver of an interface has: features, rings, coalescing and pause frames.
func (p *planner) setEthtool(e *entry) error {
	wanted := tree.Object(e.fields["ethtool"])
	has := tree.Object(e.current["ethtool"])
	for _, part := range []struct {
		name string
		set  func(tool *ethtool.Ethtool, link string, fields map[string]any) error
	}{{"feature", setFeatures}, {"ring", setRing}, {"coalesce", setCoalesce}, {"pause", setPause}} {
		fields := differingFields(tree.Object(wanted[part.name]), tree.Object(has[part.name]))
		if len(fields) == 0 {
			continue
		}
		text := ""
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			text += " " + name + "=" + plain(fields[name])
		}
		p.step("set ethtool "+part.name+" of "+e.name+":"+text, func() error {
			tool, err := ethtool.NewEthtool()
			if err != nil {
				return err
			}
			defer tool.Close()
			return part.set(tool, e.name, fields)
		})
	}
	return nil
}

// differingFields returns the fields that are not so already.
func differingFields(wanted, has map[string]any) map[string]any {
	found := map[string]any{}
	for name, value := range wanted {
		if value != nil && !tree.SameValue(value, has[name]) {
			found[name] = value
		}
	}
	return found
}

// featureNames are the names of features in the command ethtool, which nmstate takes, too, with the kernel's.
var featureNames = map[string]string{
	"rx": "rx-checksum", "rx-checksumming": "rx-checksum", "ufo": "tx-udp-fragmentation", "gso": "tx-generic-segmentation",
	"generic-segmentation-offload": "tx-generic-segmentation", "tso": "tx-tcp-segmentation", "tcp-segmentation-offload": "tx-tcp-segmentation",
	"gro": "rx-gro", "generic-receive-offload": "rx-gro", "lro": "rx-lro",
	"large-receive-offload": "rx-lro", "rxvlan": "rx-vlan-hw-parse", "rx-vlan-offload": "rx-vlan-hw-parse", "txvlan": "tx-vlan-hw-insert",
	"tx-vlan-offload": "tx-vlan-hw-insert", "ntuple": "rx-ntuple-filter", "ntuple-filters": "rx-ntuple-filter", "rxhash": "rx-hashing",
	"receive-hashing": "rx-hashing",
}

// kernelsFeature returns the kernel's name of a feature.
func kernelsFeature(name string) string { return cmp.Or(featureNames[name], name) }

func setFeatures(tool *ethtool.Ethtool, link string, fields map[string]any) error {
	change := map[string]bool{}
	for name, value := range fields {
		on, err := boolean(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		change[kernelsFeature(name)] = on
	}
	return tool.Change(link, change)
}

// numbers sets the numbers that are given.
func numbers(fields map[string]any, to map[string]*uint32) error {
	var errs []error
	for name, value := range fields {
		number := to[name]
		if number == nil {
			errs = append(errs, fmt.Errorf("%s cannot be set", name))
			continue
		}
		set, err := integer(value)
		if on, no := boolean(value); err != nil && no == nil {
			set, err = 0, nil
			if on {
				set = 1
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		*number = uint32(set)
	}
	return errors.Join(errs...)
}

func setRing(tool *ethtool.Ethtool, link string, fields map[string]any) error {
	ring, err := tool.GetRing(link)
	if err != nil {
		return err
	}
	if err := numbers(fields, map[string]*uint32{
		"rx": &ring.RxPending, "rx-mini": &ring.RxMiniPending, "rx-jumbo": &ring.RxJumboPending, "tx": &ring.TxPending,
		"rx-max": &ring.RxMaxPending, "rx-mini-max": &ring.RxMiniMaxPending, "rx-jumbo-max": &ring.RxJumboMaxPending, "tx-max": &ring.TxMaxPending,
	}); err != nil {
		return err
	}
	_, err = tool.SetRing(link, ring)
	return err
}

func setPause(tool *ethtool.Ethtool, link string, fields map[string]any) error {
	pause, err := tool.GetPause(link)
	if err != nil {
		return err
	}
	if err := numbers(fields, map[string]*uint32{"autoneg": &pause.Autoneg, "rx": &pause.RxPause, "tx": &pause.TxPause}); err != nil {
		return err
	}
	_, err = tool.SetPause(link, pause)
	return err
}

func setCoalesce(tool *ethtool.Ethtool, link string, fields map[string]any) error {
	c, err := tool.GetCoalesce(link)
	if err != nil {
		return err
	}
	if err := numbers(fields, map[string]*uint32{
		"adaptive-rx": &c.UseAdaptiveRxCoalesce, "adaptive-tx": &c.UseAdaptiveTxCoalesce,
		"pkt-rate-high": &c.PktRateHigh, "pkt-rate-low": &c.PktRateLow, "sample-interval": &c.RateSampleInterval,
		"stats-block-usecs": &c.StatsBlockCoalesceUsecs,
		"rx-frames":         &c.RxMaxCoalescedFrames, "rx-frames-irq": &c.RxMaxCoalescedFramesIrq,
		"rx-frames-high": &c.RxMaxCoalescedFramesHigh, "rx-frames-low": &c.RxMaxCoalescedFramesLow,
		"rx-usecs": &c.RxCoalesceUsecs, "rx-usecs-irq": &c.RxCoalesceUsecsIrq,
		"rx-usecs-high": &c.RxCoalesceUsecsHigh, "rx-usecs-low": &c.RxCoalesceUsecsLow,
		"tx-frames": &c.TxMaxCoalescedFrames, "tx-frames-irq": &c.TxMaxCoalescedFramesIrq,
		"tx-frames-high": &c.TxMaxCoalescedFramesHigh, "tx-frames-low": &c.TxMaxCoalescedFramesLow,
		"tx-usecs": &c.TxCoalesceUsecs, "tx-usecs-irq": &c.TxCoalesceUsecsIrq,
		"tx-usecs-high": &c.TxCoalesceUsecsHigh, "tx-usecs-low": &c.TxCoalesceUsecsLow,
	}); err != nil {
		return err
	}
	_, err = tool.SetCoalesce(link, c)
	return err
}
