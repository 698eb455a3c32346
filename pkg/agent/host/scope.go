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

// scope is what an apply may change of the network, and so what may have to be
// put back. All else is others': links and addresses that come and go
// meanwhile, such as those of pods, are none of its business.
type scope struct {
	// all means everything, links that are not named included.
	all bool
	// links are those that the state names, and those that hang on them.
	links map[string]bool
	// rules, dns and hostname tell whether the state has such a section.
	rules, dns, hostname bool
}

// everything is the scope of a whole network.
var everything = scope{all: true, rules: true, dns: true, hostname: true}

// has tells whether a link is in the scope.
func (s scope) has(link string) bool { return s.all || s.links[link] }

// references are the fields in which an interface names others.
var references = []string{"name", "peer", "controller", "base-iface", "next-hop-interface"}

// scopeOf returns the scope of the desired state on a network that is full.
func scopeOf(desired, full []byte) (scope, error) {
	wanted, err := decode(desired)
	if err != nil {
		return scope{}, err
	}
	there, err := decode(full)
	if err != nil {
		return scope{}, err
	}
	s := scope{links: map[string]bool{}}
	_, s.rules = wanted["route-rules"]
	_, s.dns = wanted["dns-resolver"]
	_, s.hostname = wanted["hostname"]
	// A route that goes nowhere, such as a blackhole, is over no link.
	_, s.links[""] = wanted["routes"]
	for _, section := range []string{"interfaces", "routes"} {
		s.name(wanted[section])
	}
	for _, item := range list(wanted, "interfaces") {
		// One that is found by its MAC or PCI address may be any.
		if fields, _ := item.(map[string]any); fields["identifier"] != nil && fields["identifier"] != "name" {
			s.all = true
		}
	}
	s.hangOn(list(there, "interfaces"))
	return s, nil
}

// name adds every interface that something in node names, ports as texts included.
func (s scope) name(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, key := range references {
			if link, ok := node[key].(string); ok && link != "" {
				s.links[link] = true
			}
		}
		for _, key := range []string{"port", "ports"} {
			for _, port := range list(node, key) {
				if link, ok := port.(string); ok {
					s.links[link] = true
				}
			}
		}
		for _, child := range node {
			s.name(child)
		}
	case []any:
		for _, child := range node {
			s.name(child)
		}
	}
}

// hangOn adds the interfaces that hang on one in the scope: they are named by it
// or name it.
func (s scope) hangOn(interfaces []any) {
	for grown := true; grown; {
		grown = false
		for _, item := range interfaces {
			mine := scope{links: map[string]bool{}}
			mine.name(item)
			touched := false
			for link := range mine.links {
				touched = touched || s.links[link]
			}
			for link := range mine.links {
				if touched && !s.links[link] {
					s.links[link], grown = true, true
				}
			}
		}
	}
}
