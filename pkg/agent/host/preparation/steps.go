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
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// Step is one thing that is made, set or taken away.
type Step struct {
	text string
	do   func() error
	// lenient is for what is kept although nobody asked for it: its failure is no error.
	lenient bool
}

// String tells what the step does, such as "attach eth1 to bond0".
func (s Step) String() string { return s.text }

// Do carries the plan out. It stops at the first step that fails, and says which that is.
func (p *Plan) Do(ctx context.Context) error {
	for _, step := range p.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step.do(); err != nil && !step.lenient {
			return fmt.Errorf("preparing the links for libnmstate: to %s: %w", step.text, err)
		}
	}
	return errors.Join(p.noteLinkLocals(), p.noteLoopback(), p.hold())
}

func wrap(e *entry, err error) error { return fmt.Errorf("interface %s: %w", e.name, err) }

// described writes settings in one line.
func described(list []setting) string {
	texts := make([]string, 0, len(list))
	for _, s := range list {
		texts = append(texts, s.String())
	}
	return strings.Join(texts, " ")
}

// attributes returns the attributes of settings, with the indexes that links have now.
func attributes(list []setting) (rtnetlink.Attributes, error) {
	found := rtnetlink.Attributes{}
	for _, s := range list {
		found[s.attribute] = s.value
		if s.link == "" {
			continue
		}
		l, err := rtnetlink.LinkByName(s.link)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		found[s.attribute] = width(uint64(l.Index), 4)
	}
	return found, nil
}

// apply sets what a link does not have already, for the link itself, or for it as a port.
func apply(name string, list []setting, asPort bool) error {
	l, err := rtnetlink.LinkByName(name)
	if err != nil {
		return err
	}
	wanted, err := attributes(list)
	if err != nil {
		return err
	}
	has := l.Data
	if asPort {
		has = l.PortData
	}
	change := rtnetlink.Attributes{}
	for number, value := range wanted {
		if !sameValue(has, number, value) {
			change[number] = value
		}
	}
	if len(change) == 0 {
		return nil
	}
	if asPort {
		return rtnetlink.Change{Index: l.Index, PortKind: l.PortKind, PortData: change}.Do()
	}
	return l.Set(change)
}

// setFlag sets or clears a flag of a link.
func setFlag(name string, flag uint32, on bool) error {
	l, err := rtnetlink.LinkByName(name)
	if err != nil || l.Is(flag) == on {
		return err
	}
	change := rtnetlink.Change{Index: l.Index, Mask: flag}
	if on {
		change.Flags = flag
	}
	return change.Do()
}

// setController makes a link a port, or no port if controller is "". A bond takes only links that are down.
func setController(name, controller string, down bool) error {
	l, err := rtnetlink.LinkByName(name)
	if err != nil {
		return err
	}
	index := 0
	if controller != "" {
		c, err := rtnetlink.LinkByName(controller)
		if err != nil {
			return err
		}
		index = c.Index
	}
	if l.Controller == index {
		return nil
	}
	if down && l.Is(unix.IFF_UP) {
		if err := setFlag(name, unix.IFF_UP, false); err != nil {
			return err
		}
	}
	return rtnetlink.Change{Index: l.Index, Controller: &index}.Do()
}

// remove removes a link, unless it went with another one.
func remove(name string) error {
	l, err := rtnetlink.LinkByName(name)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	return rtnetlink.Remove(l.Index)
}
