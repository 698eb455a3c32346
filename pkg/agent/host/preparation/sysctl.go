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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// sysctl is a setting of a link that only a file below /proc/sys takes.
type sysctl struct {
	e                    *entry
	family, name, wanted string
}

func (p *planner) sysctl(e *entry, family, name string, on bool) {
	value := "0"
	if on {
		value = "1"
	}
	path := sysctlPath(family, e.name, name)
	p.sysctls = append(p.sysctls, sysctl{e, family, name, value})
	p.step(fmt.Sprintf("set %s of %s: %s", name, e.name, value), func() error { return writeSysctl(path, value) })
}

func sysctlPath(family, link, name string) string {
	return filepath.Join("/proc/sys/net", family, "conf", link, name)
}

func readSysctl(path string) (string, error) {
	value, err := os.ReadFile(path)
	return strings.TrimSpace(string(value)), err
}

// writeSysctl writes a value where it is another one. A kernel without IPv6 has no such file, and nothing to switch off.
func writeSysctl(path, value string) error {
	is, err := readSysctl(path)
	if errors.Is(err, fs.ErrNotExist) && value == "1" {
		return nil
	}
	if err != nil || is == value {
		return err
	}
	return os.WriteFile(path, []byte(value), 0o644)
}

// holds tells whether the setting is as wanted, or will be: a new link begins with the default.
func (s sysctl) holds() bool {
	link := s.e.name
	if s.e.is == nil {
		link = "default"
	}
	is, err := readSysctl(sysctlPath(s.family, link, s.name))
	return errors.Is(err, fs.ErrNotExist) || is == s.wanted
}

// SysctlRefusals names what of a desired state only a file below /proc/sys takes, where the agent can write none: in a container
// without privileges they are read-only.
func SysctlRefusals(root *field.Path, desired, current []byte) (field.ErrorList, error) {
	why := unix.Access(sysctlPath("ipv4", "all", "forwarding"), unix.W_OK)
	if why == nil {
		return nil, nil
	}
	links, err := rtnetlink.Links()
	if err != nil {
		return nil, err
	}
	plan, err := New(desired, current, links)
	if err != nil {
		plan = &Plan{} // what is wrong with the state is said when it is applied
	}
	var faults field.ErrorList
	for _, s := range plan.sysctls {
		if s.holds() {
			continue
		}
		set := "enabled"
		switch s.name {
		case "forwarding":
			set = s.name
		case "accept_ra", "autoconf":
			set = "autoconf"
		}
		path := root.Child("interfaces").Key("name="+tree.StringAt(s.e.fields, "name")).Child(s.family, set)
		faults = append(faults, field.Forbidden(path, fmt.Sprintf("without NetworkManager this cannot be set on this node: its agent cannot write "+
			"%s (%v); it would need a container with privileges", sysctlPath(s.family, s.e.name, s.name), why)))
	}
	return faults, nil
}
