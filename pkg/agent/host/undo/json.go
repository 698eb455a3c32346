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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// formatVersion is the version of what a Before is in JSON. An agent may read what the
// agent before it, of another version, has written.
const formatVersion = 1

// beforeJSON is what a Before is in JSON.
type beforeJSON struct {
	Version int       `json:"version"`
	Scope   scopeJSON `json:"scope"`
	// Current is the network in nmstate's format.
	Current     json.RawMessage      `json:"current,omitempty"`
	Links       map[string]link      `json:"links,omitempty"`
	Indexes     map[string]int       `json:"indexes,omitempty"`
	Controllers map[string]int       `json:"controllers,omitempty"`
	Addresses   map[string]addresses `json:"addresses,omitempty"`
	Routes      map[string]route     `json:"routes,omitempty"`
	Rules       map[string]notedRule `json:"rules,omitempty"`
	Neighbours  map[string]neighbour `json:"neighbours,omitempty"`
	Subnets     map[string]route     `json:"subnets,omitempty"`
	Files       map[string]file      `json:"files,omitempty"`
	Hostname    string               `json:"hostname,omitempty"`
	Uncovered   []string             `json:"uncovered,omitempty"`
	Databases   json.RawMessage      `json:"databases,omitempty"`
	Manager     *Manager             `json:"manager,omitempty"`
	Outside     *outside             `json:"outside,omitempty"`
}

// scopeJSON is what a scope is in JSON.
type scopeJSON struct {
	All      bool             `json:"all,omitempty"`
	Links    map[string]bool  `json:"links,omitempty"`
	Meant    map[string]bool  `json:"meant,omitempty"`
	Routes   []map[string]any `json:"routes,omitempty"`
	Rules    []map[string]any `json:"rules,omitempty"`
	DNS      bool             `json:"dns,omitempty"`
	Hostname bool             `json:"hostname,omitempty"`
	Files    []string         `json:"files,omitempty"`
	Managed  bool             `json:"managed,omitempty"`
	Drivers  bool             `json:"drivers,omitempty"`
	Foreign  map[string]bool  `json:"foreign,omitempty"`
}

// MarshalJSON returns all of a Before but the watch. It has secrets.
func (b *Before) MarshalJSON() ([]byte, error) {
	if b == nil || b.was == nil {
		return nil, errors.New("nothing was noted of the network before")
	}
	s := b.was
	document := beforeJSON{
		Version: formatVersion,
		Scope: scopeJSON{
			All: s.scope.all, Links: s.scope.links, Meant: s.scope.meant, Routes: s.scope.routes, Rules: s.scope.rules,
			DNS: s.scope.dns, Hostname: s.scope.hostname, Files: s.scope.files, Managed: s.scope.managed,
			Foreign: s.scope.foreign, Drivers: s.scope.drivers,
		},
		Current: s.full, Links: s.links, Indexes: s.indexes, Controllers: s.controllers, Addresses: s.addresses,
		Routes: s.routes, Rules: s.rules, Neighbours: s.neighbours, Subnets: s.subnets, Files: s.files, Hostname: s.hostname, Uncovered: s.uncovered, Databases: b.databases,
	}
	if s.scope.managed {
		document.Manager, document.Outside = &b.Manager, b.outside
	}
	return json.Marshal(document)
}

// UnmarshalJSON reads what MarshalJSON has written, by this process or another. There is
// no watch then, see Watch. Without one, a daemon's route that is gone is put back.
func (b *Before) UnmarshalJSON(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var document beforeJSON
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("reading the network before: %w", err)
	}
	if document.Version != formatVersion {
		return fmt.Errorf("reading the network before: its format has version %d, and this agent reads version %d", document.Version, formatVersion)
	}
	if document.Scope.Managed != (document.Manager != nil) {
		return errors.New("reading the network before: NetworkManager's part is missing, or too much")
	}
	if o := document.Outside; o != nil && (!document.Scope.Managed || o.Before == nil || !o.Before.was.scope.managed || o.Before.outside != nil) {
		return errors.New("reading the network before: what is outside of the change is not as it was written")
	}
	in := document.Scope
	s := newSnapshot(scope{
		all: in.All, links: map[string]bool{}, meant: map[string]bool{}, routes: in.Routes, rules: in.Rules, absentRoutes: overAnyLink(in.Routes),
		dns: in.DNS, hostname: in.Hostname, files: in.Files, managed: in.Managed, foreign: in.Foreign, drivers: in.Drivers,
	}, document.Current)
	for _, name := range in.Files {
		if !isWritten(name) {
			return fmt.Errorf("reading the network before: nmstate does not write %s", name)
		}
	}
	fill(&s.scope.links, in.Links)
	fill(&s.scope.meant, in.Meant)
	fill(&s.links, document.Links)
	fill(&s.indexes, document.Indexes)
	fill(&s.controllers, document.Controllers)
	fill(&s.addresses, document.Addresses)
	fill(&s.routes, document.Routes)
	fill(&s.rules, document.Rules)
	fill(&s.neighbours, document.Neighbours)
	fill(&s.subnets, document.Subnets)
	fill(&s.files, document.Files)
	s.hostname, s.uncovered = document.Hostname, document.Uncovered
	*b = Before{was: s, databases: document.Databases, outside: document.Outside}
	if document.Manager != nil {
		b.Manager = *document.Manager
	}
	return nil
}

// fill sets a map unless there is none: a map that things are noted in is never nil.
func fill[T any](to *map[string]T, from map[string]T) {
	if from != nil {
		*to = from
	}
}

// isWritten tells whether a file is one that nmstate writes. Undoing touches no other file,
// whatever it has read.
func isWritten(name string) bool {
	folder, base := filepath.Split(name)
	if link := filepath.Base(folder); folder != "" && slices.Contains(sysctlsOf(link), name) {
		return true
	}
	switch folder {
	case linkFiles + "/":
		return strings.HasPrefix(base, linkFilePrefix)
	case scriptFiles + "/":
		return strings.HasPrefix(base, scriptPrefix)
	}
	return name == ResolvConf || name == HostnameFile
}

// managerJSON is what a Manager is in JSON.
type managerJSON struct {
	// GlobalDNS is written as GVariant's text.
	GlobalDNS   string             `json:"globalDNS,omitempty"`
	Checkpoints []dbus.ObjectPath  `json:"checkpoints,omitempty"`
	Profiles    map[string]profile `json:"profiles,omitempty"`
	Devices     map[string]device  `json:"devices,omitempty"`
	Known       []string           `json:"known,omitempty"`
}

// MarshalJSON writes what UnmarshalJSON reads.
func (m Manager) MarshalJSON() ([]byte, error) {
	document := managerJSON{Checkpoints: m.Checkpoints, Profiles: m.profiles, Devices: m.devices, Known: m.known}
	if len(m.GlobalDNS) > 0 {
		document.GlobalDNS = dbus.MakeVariant(m.GlobalDNS).String()
		back, err := parseVariants(document.GlobalDNS)
		if err == nil && !reflect.DeepEqual(back, m.GlobalDNS) {
			err = fmt.Errorf("%s is read back as something else", document.GlobalDNS)
		}
		if err != nil {
			return nil, fmt.Errorf("writing NetworkManager's global DNS down: %w", err)
		}
	}
	return json.Marshal(document)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (m *Manager) UnmarshalJSON(raw []byte) error {
	var document managerJSON
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	*m = Manager{
		GlobalDNS: map[string]dbus.Variant{}, Checkpoints: document.Checkpoints,
		profiles: document.Profiles, devices: document.Devices, known: document.Known,
	}
	for _, one := range m.profiles {
		if one.Content != nil && !slices.Contains(profileFolders, filepath.Dir(one.File)) {
			return fmt.Errorf("NetworkManager keeps no profile in %s", one.File)
		}
	}
	if document.GlobalDNS == "" {
		return nil
	}
	var err error
	if m.GlobalDNS, err = parseVariants(document.GlobalDNS); err == nil {
		_, err = m.MarshalJSON() // what cannot be written was not written by an agent
	}
	if err != nil {
		return fmt.Errorf("reading NetworkManager's global DNS: %w", err)
	}
	return nil
}

// parseVariants reads GVariant's text of a map of variants.
func parseVariants(text string) (map[string]dbus.Variant, error) {
	parsed, err := dbus.ParseVariant(text, dbus.SignatureOf(map[string]dbus.Variant{}))
	if err != nil {
		return nil, err
	}
	variants, is := parsed.Value().(map[string]dbus.Variant)
	if !is {
		return nil, fmt.Errorf("%T is not a map of variants", parsed.Value())
	}
	return variants, nil
}
