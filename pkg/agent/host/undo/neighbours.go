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
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// neighbour is an entry that somebody has set, with the names of the links: a link that was made again has another index. Kind is
// the link's kind, and Controller the name of the controller whose database has the entry.
type neighbour struct {
	rtnetlink.Neighbour
	Name       string `json:"name"`
	Kind       string `json:"kind,omitempty"`
	Over       string `json:"over,omitempty"`
	Controller string `json:"controller,omitempty"`
}

// Neighbours come and go by the hands of network plugins, too. One that is gone is put back only if the kernel has flushed it.
func (neighbour) ownedBy() owner { return daemons }

func (n neighbour) over() []string {
	return slices.DeleteFunc([]string{n.Name, n.Over}, func(name string) bool { return name == "" })
}

// noteNeighbours notes the neighbours and the entries of forwarding databases of the links in the scope.
func (s *snapshot) noteNeighbours(links []rtnetlink.Link) error {
	found, err := rtnetlink.Neighbours(links)
	if err != nil {
		return err
	}
	byIndex := map[int]rtnetlink.Link{}
	for _, l := range links {
		byIndex[l.Index] = l
	}
	for _, one := range found {
		l := byIndex[one.Link]
		if noted, is := s.links[l.Name]; !is || noted.Owner == pods {
			continue
		}
		noted := neighbour{Neighbour: one, Name: l.Name, Kind: l.Kind, Over: byIndex[one.Via].Name}
		if one.OfController {
			noted.Controller = byIndex[l.Controller].Name
		}
		s.neighbours[noted.String()] = noted
	}
	return nil
}

// String names a neighbour as the commands ip and bridge do.
func (n neighbour) String() string {
	mac, to := net.HardwareAddr(n.Data[unix.NDA_LLADDR]).String(), net.IP(n.Data[unix.NDA_DST]).String()
	text := fmt.Sprintf("%s lladdr %s dev %s", to, mac, n.Name)
	if n.Family == unix.AF_BRIDGE {
		text = fmt.Sprintf("%s dev %s", mac, n.Name)
		if n.Controller != "" {
			text += " master " + n.Controller
		}
		if n.Data[unix.NDA_DST] != nil {
			text += " dst " + to
		}
	}
	if n.Over != "" {
		text += " via " + n.Over
	}
	for _, number := range slices.Sorted(maps.Keys(n.Data)) {
		if number != unix.NDA_DST && number != unix.NDA_LLADDR {
			text += fmt.Sprintf(" attribute %d %x", number, n.Data[number])
		}
	}
	return fmt.Sprintf("%s state %#x flags %#x", text, n.State, n.Flags)
}

// mayStay tells whether an entry has a meaning for the link as it is now.
func (n neighbour) mayStay(now link) bool {
	return now.Up && now.Kind == n.Kind && (n.Controller == "" || now.Master == n.Controller)
}

// add sets the neighbour, over the links of the same names.
func (n neighbour) add() error {
	l, err := rtnetlink.LinkByName(n.Name)
	if err != nil {
		return err
	}
	n.Link = l.Index
	if n.Over != "" {
		if l, err = rtnetlink.LinkByName(n.Over); err != nil {
			return err
		}
		n.Via = l.Index
	}
	return n.Neighbour.Add()
}

// mendNeighbours sets the neighbours that the change has made the kernel flush.
func (s *snapshot) mendNeighbours(_ context.Context, now *snapshot, _ Apply) error {
	var errs []error
	for text, one := range owed(s, now, s.neighbours, now.neighbours) {
		if err := one.add(); err != nil {
			errs = append(errs, fmt.Errorf("putting neighbour %s back: %w", text, err))
		}
	}
	return errors.Join(errs...)
}
