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

package removal

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// needed tells which interfaces that are to be removed others need: entries that stay, or what others have made on the node.
func (l *leaving) needed(root *field.Path) field.ErrorList {
	var faults field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(l.gone)) {
		who := slices.Concat(l.entriesThatNeed(key), l.othersThatNeed(key))
		if len(who) == 0 {
			continue
		}
		slices.Sort(who)
		faults = append(faults, field.Forbidden(root.Child("interfaces").Key("name="+l.gone[key].name),
			"it leaves the spec, and spec.removal is Revert, but it is needed by "+enumerate(slices.Compact(who))+
				": keep its entry, let what needs it go with it, or set spec.removal to Orphan"))
	}
	return faults
}

// most is how many names a message has.
const most = 10

// enumerate returns a list of names, shortened.
func enumerate(names []string) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// entriesThatNeed returns the entries of the new desired state that need an interface.
func (l *leaving) entriesThatNeed(key string) []string {
	name := l.gone[key].name
	var who []string
	for _, p := range l.next.interfaces {
		if p.entry == "" || p.whole || p.name == name {
			continue
		}
		ports := slices.ContainsFunc(tree.PortsOf(p.fields), func(port string) bool { return l.kernelName(port) == name })
		peer := tree.StringAt(tree.Object(p.fields["veth"]), "peer")
		if ports || l.kernelName(tree.BaseOf(p.fields)) == name || l.kernelName(tree.StringAt(p.fields, "controller")) == name || l.kernelName(peer) == name {
			who = append(who, "interface "+p.entry)
		}
	}
	for _, e := range l.next.routes.list {
		vrf := l.kernelName(tree.StringAt(e.fields, "vrf-name"))
		if !e.isAbsent() && (e.named["next-hop-interface"] == name || vrf == name) {
			who = append(who, routeKind.named(e.fields))
		}
	}
	config := tree.Object(tree.Object(l.next.settings["dns-resolver"])["config"])
	for _, server := range tree.List(config, "server") {
		if strings.HasSuffix(tree.Text(server), "%"+name) {
			who = append(who, "DNS server "+tree.Text(server))
		}
	}
	return who
}

// kernelName returns the kernel's name of what a state calls an interface.
func (l *leaving) kernelName(name string) string {
	if is := l.Find(name, nil); is != nil {
		return tree.StringAt(is, "name")
	}
	return name
}

// othersThatNeed returns the interfaces of others that stand on an interface, or are its ports. What the entries that leave
// have made its ports is given back.
func (l *leaving) othersThatNeed(key string) []string {
	p := l.gone[key]
	var who []string
	for _, item := range tree.List(l.state, "interfaces") {
		is := tree.Object(item)
		name := tree.StringAt(is, "name")
		other := keyOf(name, is["type"])
		if other == key || l.gone[other] != nil || l.next.interfaces[other] != nil && (l.next.interfaces[other].whole || l.next.interfaces[other].entry != "") {
			continue
		}
		isPort := is["controller"] == p.name && l.was.Interfaces[other] == nil
		isEnd := tree.Object(is["veth"])["peer"] == p.name && l.prev.interfaces[other] == nil
		if isPort || isEnd || !tree.InUserspace(is["type"]) && tree.BaseOf(is) == p.name {
			who = append(who, "interface "+name)
		}
	}
	return who
}
