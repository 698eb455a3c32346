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

package agent

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// hostileSize is the size of a hostile object: as much as a message carries.
const hostileSize = 15 << 20

// mostAllocated is what decoding one message may allocate: the text of the message a
// few times over, as each part of it is copied once at most at each level of decoding.
const mostAllocated = 4 * MaxMessageSize

// kind begins each object.
const kind = `{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1alpha1",`

// repeated returns an object in whose middle the item stands as often as fits.
func repeated(before, item, after string) string {
	count := (hostileSize - len(before) - len(after)) / len(item)
	return kind + before + strings.TrimSuffix(strings.Repeat(item, count), ",") + after
}

// numberedKeys returns entries of a JSON object, each with a key of its own.
func numberedKeys() string {
	var text strings.Builder
	for i := 0; text.Len() < hostileSize; i++ {
		fmt.Fprintf(&text, `"%x":"",`, i)
	}
	return strings.TrimSuffix(text.String(), ",")
}

// hostile are texts that are small on the stream and would be large in memory.
func hostile() map[string]string {
	const (
		moment  = `"2026-01-02T03:04:05Z"`
		perhaps = `"status":{"currentState":{}}}`
	)
	return map[string]string{
		"ownerReferences":             repeated(`"metadata":{"ownerReferences":[`, `{},`, `]},`+perhaps),
		"finalizers":                  repeated(`"metadata":{"finalizers":[`, `"",`, `]},`+perhaps),
		"labels":                      kind + `"metadata":{"labels":{` + numberedKeys() + `}}}`,
		"annotations":                 kind + `"metadata":{"annotations":{` + numberedKeys() + `}}}`,
		"managedFields":               repeated(`"metadata":{"managedFields":[`, `{},`, `]}}`),
		"managedFields, of nothing":   repeated(`"metadata":{"managedFields":[`, `null,`, `]}}`),
		"managedFields, again":        repeated(`"metadata":{`, `"managedFields":[{}],`, `}}`),
		"times in managedFields":      repeated(`"metadata":{"managedFields":[{`, `"time":`+moment+`,`, `}]}}`),
		"creationTimestamp, again":    repeated(`"metadata":{`, `"creationTimestamp":`+moment+`,`, `}}`),
		"conditions":                  repeated(`"status":{"conditions":[`, `{},`, `]}}`),
		"conditions, again":           repeated(`"status":{`, `"conditions":[{}],`, `}}`),
		"times in conditions":         repeated(`"status":{"conditions":[{`, `"lastTransitionTime":`+moment+`,`, `}]}}`),
		"lastApply, again":            repeated(`"status":{`, `"lastApply":{"finishTime":`+moment+`},`, `}}`),
		"probes in lastApply":         repeated(`"status":{"lastApply":{"probes":[`, `{},`, `]}}}`),
		"probes":                      repeated(`"spec":{"probes":[`, `{},`, `]}}`),
		"probes, again":               repeated(`"spec":{`, `"probes":[{}],`, `}}`),
		"confirmation, again":         repeated(`"spec":{`, `"confirmation":{"timeout":"5s"},`, `}}`),
		"times in lastApply":          repeated(`"status":{"lastApply":{`, `"finishTime":`+moment+`,`, `}}}`),
		"lastSuccessfulUpdateTime":    repeated(`"status":{`, `"lastSuccessfulUpdateTime":`+moment+`,`, `}}`),
		"deep nesting":                kind + `"status":{"currentState":{"a":` + strings.Repeat("[", hostileSize),
		"deep nesting, with its end":  kind + `"status":{"currentState":{"a":` + strings.Repeat("[", hostileSize/2) + strings.Repeat("]", hostileSize/2) + `}}}`,
		"nesting in what is not ours": repeated(`"metadata":{"more":[`, `[[[[[[[[]]]]]]]],`, `]}}`),
		"lists in currentState":       repeated(`"status":{"currentState":{"interfaces":[`, `[],`, `]}}}`),
		"lists in difference":         repeated(`"status":{"difference":{"interfaces":[`, `[],`, `]}}}`),
		"lists in desiredState":       repeated(`"spec":{"desiredState":{"interfaces":[`, `{},`, `]}}}`),
		"currentState, again":         repeated(`"status":{`, `"currentState":{},`, `}}`),
		"unknown fields":              kind + numberedKeys() + `}`,
	}
}

// TestHostileObjectsCostNoMoreThanTheirSize measures what is allocated, not how long it takes.
func TestHostileObjectsCostNoMoreThanTheirSize(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			message := []byte(text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			obj, err := DecodeObject(message, "node01")
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mostAllocated {
				t.Errorf("decoding %d bytes allocated %d", len(message), allocated)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			runtime.KeepAlive(obj)
		})
	}
}

// TestHostileHistoriesCostNoMoreThanTheirSize: as with objects.
func TestHostileHistoriesCostNoMoreThanTheirSize(t *testing.T) {
	many := func(before, item, after string) string {
		return before + strings.TrimSuffix(strings.Repeat(item, (maxHistory-len(before)-len(after))/len(item)), ",") + after
	}
	for name, text := range map[string]string{
		"entries":        many(`{"entries":[`, `{},`, `]}`),
		"entries, again": many(`{`, `"entries":[{}],`, `"more":0}`),
		"probes":         many(`{"entries":[{"probes":[`, `{},`, `]}]}`),
		"probes, again":  many(`{"entries":[{`, `"probes":[{}],`, `"more":0}]}`),
		"nesting":        many(`{"entries":[{"revert":{"interfaces":[`, `[],`, `]}}]}`),
		"specs, again":   many(`{"entries":[{`, `"previousSpec":{"probes":[{}]},`, `"more":0}]}`),
		"spec's probes":  many(`{"entries":[{"previousSpec":{"probes":[`, `{},`, `]}}]}`),
		"spec's state":   many(`{"entries":[{"previousSpec":{"desiredState":{"interfaces":[`, `[],`, `]}}}]}`),
		"too large":      `{"entries":[` + strings.Repeat(" ", maxHistory) + `]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		history, err := DecodeHistory([]byte(text))
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mostAllocated {
			t.Errorf("%s: decoding %d bytes allocated %d", name, len(text), allocated)
		}
		if err == nil && len(history.Entries) > maxEntries {
			t.Errorf("%s: %d entries were taken", name, len(history.Entries))
		}
	}
}

// TestHostilePortsCostNoMoreThanTheirSize: as with objects.
func TestHostilePortsCostNoMoreThanTheirSize(t *testing.T) {
	many := func(before, item, after string) string {
		return before + strings.TrimSuffix(strings.Repeat(item, (maxPortsText-len(before)-len(after))/len(item)), ",") + after
	}
	for name, text := range map[string]string{
		"ports":            many(`{"ports":[`, `{},`, `]}`),
		"ports, again":     many(`{`, `"ports":[{}],`, `"more":0}`),
		"names":            many(`{"ports":[{`, `"name":"a",`, `"more":0}]}`),
		"negotiated":       many(`{"ports":[{`, `"autoNegotiation":true,"autoNegotiation":null,`, `"more":0}]}`),
		"readTime":         many(`{`, `"readTime":"2026-01-02T03:04:05.000000Z",`, `"more":0}`),
		"metadata":         many(`{"metadata":{"ownerReferences":[`, `{},`, `]}}`),
		"lldp, again":      many(`{"ports":[{`, `"lldp":{"neighbors":[{}]},`, `"more":0}]}`),
		"neighbors":        many(`{"ports":[{"lldp":{"neighbors":[`, `{},`, `]}}]}`),
		"neighbors, again": many(`{"ports":[{"lldp":{`, `"neighbors":[{}],`, `"more":0}}]}`),
		"times":            many(`{"ports":[{"lldp":{"neighbors":[{`, `"lastHeardTime":"2026-01-02T03:04:05Z",`, `"more":0}]}}]}`),
		"addresses":        many(`{"ports":[{"lldp":{"neighbors":[{"managementAddresses":[`, `"",`, `]}]}}]}`),
		"VLANs":            many(`{"ports":[{"lldp":{"neighbors":[{"namedVLANs":[`, `{},`, `]}]}}]}`),
		"capabilities":     many(`{"ports":[{"lldp":{"neighbors":[{"capabilities":[`, `"",`, `]}]}}]}`),
		"a few of many":    many(`{"ports":[`, `{"lldp":{"neighbors":[{"namedVLANs":[{},{},{},{}]},{"managementAddresses":["","",""]}]}},`, `]}`),
		"too large":        `{"ports":[` + strings.Repeat(" ", maxPortsText) + `]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ports, err := DecodePorts([]byte(text))
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mostAllocated {
			t.Errorf("%s: decoding %d bytes allocated %d", name, len(text), allocated)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
		if err == nil && len(ports.Ports) > maxPorts {
			t.Errorf("%s: %d ports were taken", name, len(ports.Ports))
		}
	}
}

// TestPortsThatClientsCannotDecode are refused, and what is too long is cut.
func TestPortsThatClientsCannotDecode(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"ports":{}}`, `{"ports":[{"counters":{"rxBytes":1e999}}]}`, `{"ports":[{"lldp":[]}]}`,
		`{"readTime":"9999-12-31T23:59:59.000000-14:00","ports":[]}`,
		`{"ports":[{"lldp":{"neighbors":[{"lastHeardTime":"9999-12-31T23:59:59-14:00"}]}}]}`,
		`{"ports":[{"lldp":{"neighbors":[{},{},{},{},{},{},{},{},{}]}}]}`,
	} {
		if ports, err := DecodePorts([]byte(text)); err == nil {
			t.Errorf("%s was taken for %+v", text, ports)
		}
	}
	long := strings.Repeat("n", maxText) + "\x1b[2J"
	text, err := EncodePorts(&v1alpha1.NodeNetworkPorts{Ports: []v1alpha1.NetworkPort{{Name: long, Driver: "\x1b[2J" + long, LLDP: &v1alpha1.PortLLDP{
		Message: long, Neighbors: []v1alpha1.LLDPNeighbor{{ChassisID: long, SystemDescription: "one\ntwo\x1b"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	ports, err := DecodePorts(text)
	if err != nil || len(ports.Ports) != 1 {
		t.Fatalf("got %+v, %v", ports, err)
	}
	p := ports.Ports[0]
	if n := p.LLDP.Neighbors[0]; len(p.Name) > maxWord || len(p.Driver) > maxWord || len(n.ChassisID) > maxNeighborText || len(p.LLDP.Message) > maxText ||
		n.SystemDescription != "one\ntwo" || strings.Contains(p.Driver, "\x1b") {
		t.Errorf("the texts of %+v were not cut", p)
	}
}

// TestTooManyPortsAreAnErrorThatSaysSo: they are not sent.
func TestTooManyPortsAreAnErrorThatSaysSo(t *testing.T) {
	_, err := EncodePorts(&v1alpha1.NodeNetworkPorts{Ports: make([]v1alpha1.NetworkPort, maxPorts+1)})
	if KindOf(err) != Failed || !strings.Contains(err.Error(), "at most 8192 ports") {
		t.Errorf("the error is %v", err)
	}
}

// TestHistoriesThatClientsCannotDecode are refused, and what is too long in one is cut.
func TestHistoriesThatClientsCannotDecode(t *testing.T) {
	for _, text := range []string{
		`{"entries":[{"startTime":"9999-12-31T23:59:59-14:00"}]}`,
		`{"entries":[{"difference":[]}]}`,
		`{"entries":[{"revert":{"a":1e999}}]}`,
		`{"entries":[{"previousSpec":[]}]}`,
		`{"entries":[{"previousSpec":{"desiredState":{"a":1e999}}}]}`,
		`{"entries":[{"previousSpec":{"confirmation":{"timeout":7}}}]}`,
		`{"entries":[{"previousSpec":{"removal":"` + strings.Repeat("r", maxWord+1) + `"}}]}`,
		`{"entries":{}}`,
		`[]`,
	} {
		if history, err := DecodeHistory([]byte(text)); err == nil {
			t.Errorf("%s was taken for %+v", text, history)
		}
	}
	long := &v1alpha1.NodeNetworkStateHistory{Entries: []v1alpha1.HistoryEntry{{LastApply: v1alpha1.LastApply{
		ID: strings.Repeat("i", hostileSize/1024), Message: "\x1b[2J" + strings.Repeat("m", 2*maxText)}}}}
	text, err := EncodeHistory(long)
	if err != nil {
		t.Fatal(err)
	}
	history, err := DecodeHistory(text)
	if err != nil || len(history.Entries) != 1 {
		t.Fatalf("got %+v, %v", history, err)
	}
	if e := history.Entries[0]; len(e.ID) > maxWord || len(e.Message) > maxText || strings.Contains(e.Message, "\x1b") {
		t.Errorf("the texts of %+v were not cut", e)
	}
}

// TestWhatHasNoBoundIsNotDecodedAtOnce: a field of the spec or the status that is a list, a
// map, a pointer to more or a time must be text in received, and be decoded with a limit.
func TestWhatHasNoBoundIsNotDecodedAtOnce(t *testing.T) {
	late := map[string]bool{}
	for _, part := range []reflect.Type{reflect.TypeFor[receivedSpec](), reflect.TypeFor[receivedStatus]()} {
		for field := range part.Fields() {
			late[field.Name] = true
		}
	}
	for _, whole := range []reflect.Type{reflect.TypeFor[v1alpha1.NodeNetworkStateSpec](), reflect.TypeFor[v1alpha1.NodeNetworkStateStatus]()} {
		for field := range whole.Fields() {
			switch kind := field.Type.Kind(); {
			case late[field.Name], kind == reflect.String, kind == reflect.Int64:
			case field.Type == reflect.TypeFor[*v1alpha1.State](), field.Type == reflect.TypeFor[*v1alpha1.InterfaceCount]():
			default:
				t.Errorf("%s.%s is a %s: let received keep it as text, and decode it with a limit", whole.Name(), field.Name, field.Type)
			}
		}
	}
}
