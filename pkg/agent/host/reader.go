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
	"bytes"
	"crypto/sha256"
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
	// last is the last state, and known are its interfaces, by the hashes of the texts that libnmstate returned.
	last  *state
	known map[textHash]*readInterface
	// scratch is room for the text that is hashed.
	scratch []byte
}

type textHash [sha256.Size]byte

func (r *reader) hash(text string) textHash {
	r.scratch = append(r.scratch[:0], text...)
	return sha256.Sum256(r.scratch)
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

// read makes a state of what libnmstate returned: the last one, if it is the same but for noise.
func (r *reader) read(raw string) (*state, error) {
	interfaces, rest, err := r.split(raw)
	if err != nil {
		return nil, err
	}
	full, texts, err := encodeState(interfaces, rest)
	if err != nil {
		return nil, err
	}
	if r.last != nil && bytes.Equal(full, r.last.full) {
		return r.last, nil
	}
	for i, iface := range interfaces {
		iface.text = texts[i] // there is one copy of it
	}
	s, err := makeState(full, interfaces, rest, r.keepVeths)
	if err == nil {
		r.last = s
	}
	return s, err
}

// makeState makes a state of its text and of its parts.
func makeState(full []byte, interfaces []*readInterface, rest map[string]any, keepVeths bool) (*state, error) {
	s := &state{full: full, shown: v1alpha1.NewState(full), veths: map[string]bool{}}
	shown := make([]*readInterface, 0, len(interfaces))
	hidden := map[string]bool{}
	for _, iface := range interfaces {
		if !keepVeths && iface.isPods() {
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
	text, _, err := encodeState(shown, rest)
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

// split returns the interfaces of a state, and the rest of the state, both without noise. The rest has an empty list in their place. Each
// interface is decoded, now or when it was seen first, and so is the rest. What is between them is not looked at: libnmstate writes it.
func (r *reader) split(raw string) (interfaces []*readInterface, rest map[string]any, err error) {
	list := gjson.Get(raw, interfacesKey)
	if !list.IsArray() {
		rest, err = decodeQuiet(raw)
		return nil, rest, err
	}
	known := make(map[textHash]*readInterface, len(r.known))
	interfaces = []*readInterface{}
	list.ForEach(func(_, item gjson.Result) bool {
		text := r.hash(item.Raw)
		iface, ok := r.known[text]
		if !ok {
			iface, err = readOne(item.Raw)
		}
		known[text] = iface
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

// encodeState puts a state together again. It also returns the interfaces' texts as parts of it.
func encodeState(interfaces []*readInterface, rest map[string]any) (text []byte, texts [][]byte, err error) {
	frame, err := tree.Encode(rest)
	if err != nil || len(interfaces) == 0 {
		return frame, nil, err
	}
	size := len(frame) + len(interfaces)
	for _, iface := range interfaces {
		size += len(iface.text)
	}
	begin := gjson.GetBytes(frame, interfacesKey).Index + len("[")
	text = append(make([]byte, 0, size), frame[:begin]...)
	texts = make([][]byte, len(interfaces))
	for i, iface := range interfaces {
		if i > 0 {
			text = append(text, ',')
		}
		at := len(text)
		text = append(text, iface.text...)
		texts[i] = text[at:len(text):len(text)]
	}
	return append(text, frame[begin:]...), texts, nil
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
