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
	"slices"

	"github.com/tidwall/gjson"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// reader makes states of what libnmstate returns. It decodes only the interfaces that have changed since the last state: nearly all of a
// state are interfaces, and few change at once.
type reader struct {
	// keepVeths shows the veths that NetworkManager leaves alone, too. They are pods'.
	keepVeths bool
	// known are the interfaces of the last state, by the texts that libnmstate returned.
	known map[string]*readInterface
}

// readInterface is an interface of a state.
type readInterface struct {
	// text is the interface without noise.
	text              []byte
	name, kind, state string
}

// isPods tells whether the interface is a veth that NetworkManager leaves alone.
func (i *readInterface) isPods() bool { return i.kind == "veth" && i.state == "ignore" }

// parseState makes a state of what libnmstate returned.
func parseState(raw string, keepVeths bool) (*state, error) {
	return (&reader{keepVeths: keepVeths}).read(raw)
}

// read makes a state of what libnmstate returned.
func (r *reader) read(raw string) (*state, error) {
	interfaces, rest, err := r.split(raw)
	if err != nil {
		return nil, err
	}
	full, err := encodeState(interfaces, rest)
	if err != nil {
		return nil, err
	}
	s := &state{full: full, shown: v1alpha1.NewState(full), veths: map[string]bool{}}
	shown := make([]*readInterface, 0, len(interfaces))
	hidden := map[string]bool{}
	for _, iface := range interfaces {
		if !r.keepVeths && iface.isPods() {
			hidden[iface.name] = true
			continue
		}
		shown = append(shown, iface)
		s.note(iface)
	}
	if len(hidden) == 0 {
		return s, nil
	}
	hideRoutes(rest, hidden)
	text, err := encodeState(shown, rest)
	s.shown = v1alpha1.NewState(text)
	return s, err
}

// note counts an interface that is shown.
func (s *state) note(iface *readInterface) {
	if iface.kind == "veth" {
		s.veths[iface.name] = true
	}
	s.count.Total++
	if iface.state == "up" {
		s.count.Up++
	}
}

// interfacesKey is the field of a state that lists its interfaces.
const interfacesKey = "interfaces"

// split returns the interfaces of a state, and the rest of the state, both without noise. The rest has an empty list in their place.
func (r *reader) split(raw string) (interfaces []*readInterface, rest map[string]any, err error) {
	if !gjson.Valid(raw) {
		return nil, nil, errors.New("what libnmstate returned is no JSON")
	}
	list := gjson.Get(raw, interfacesKey)
	if !list.IsArray() {
		rest, err = decodeQuiet(raw)
		return nil, rest, err
	}
	known := make(map[string]*readInterface, len(r.known))
	interfaces = []*readInterface{}
	list.ForEach(func(_, item gjson.Result) bool {
		iface, ok := r.known[item.Raw]
		if !ok {
			iface, err = readOne(item.Raw)
		}
		known[item.Raw] = iface
		interfaces = append(interfaces, iface)
		return err == nil
	})
	if err != nil {
		return nil, nil, err
	}
	r.known = known
	rest, err = decodeQuiet(raw[:list.Index] + "[]" + raw[list.Index+len(list.Raw):])
	return interfaces, rest, err
}

// readOne decodes an interface.
func readOne(raw string) (*readInterface, error) {
	fields, err := decodeQuiet(raw)
	if err != nil {
		return nil, err
	}
	text, err := tree.Encode(fields)
	return &readInterface{text: text, name: tree.StringAt(fields, "name"), kind: tree.StringAt(fields, "type"), state: tree.StringAt(fields, "state")}, err
}

// decodeQuiet decodes a JSON object and takes noise out.
func decodeQuiet(raw string) (map[string]any, error) {
	fields, err := tree.Decode([]byte(raw))
	if err == nil {
		dropNoise(fields)
	}
	return fields, err
}

// encodeState puts a state together again. The texts of the interfaces are parts of it then: there is one copy of them.
func encodeState(interfaces []*readInterface, rest map[string]any) ([]byte, error) {
	frame, err := tree.Encode(rest)
	if err != nil || len(interfaces) == 0 {
		return frame, err
	}
	size := len(frame) + len(interfaces)
	for _, iface := range interfaces {
		size += len(iface.text)
	}
	begin := gjson.GetBytes(frame, interfacesKey).Index + len("[")
	text := append(make([]byte, 0, size), frame[:begin]...)
	for i, iface := range interfaces {
		if i > 0 {
			text = append(text, ',')
		}
		at := len(text)
		text = append(text, iface.text...)
		iface.text = text[at:len(text):len(text)]
	}
	return append(text, frame[begin:]...), nil
}

// hideRoutes takes the routes over interfaces out of a state.
func hideRoutes(rest map[string]any, interfaces map[string]bool) {
	routes := tree.Object(rest["routes"])
	for _, kind := range []string{"running", "config"} {
		if items := tree.List(routes, kind); items != nil {
			routes[kind] = slices.DeleteFunc(items, func(item any) bool { return interfaces[tree.StringAt(tree.Object(item), "next-hop-interface")] })
		}
	}
}
