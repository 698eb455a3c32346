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

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/scheme"
)

const (
	// repeats is how many times the median is of. Each is the mean of inRepeat writes or reads: processor time is told in ticks.
	repeats, inRepeat = 5, 40
	// owned is how many nodes BenchmarkOwned lists.
	owned = 20
)

// vlans returns a desired state of 20 kB: 80 VLANs on a device, the first one with this MTU.
func vlans(device string, mtu int) string {
	var interfaces []string
	for i := range 80 {
		interfaces = append(interfaces, fmt.Sprintf(`{"name":"%s.%d","type":"vlan","state":"up","mtu":%d,"description":"storage of rack %d",`+
			`"vlan":{"base-iface":"%s","id":%d},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.%d","prefix-length":24}]},"ipv6":{"enabled":false}}`,
			device, i, mtu, i, device, i+1, i))
		mtu = 1500
	}
	return `{"interfaces":[` + strings.Join(interfaces, ",") + `]}`
}

// write sends a patch of a node whose spec.desiredState is state.
func (s *site) write(b *testing.B, node string, patch types.PatchType, manager, state string) {
	b.Helper()
	body := fmt.Sprintf(`{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","spec":{"desiredState":%s}}`, state)
	err := s.rest.Patch(patch).Resource("nodenetworkstates").Name(node).
		VersionedParams(&metav1.PatchOptions{FieldManager: manager}, scheme.ParameterCodec).Body([]byte(body)).Do(b.Context()).Error()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkServerSideApply measures the processor time that the server takes for a write of a desired state of 20 kB, from the
// request to the answer, with all that it does besides: checks, merge, the messages to the agent and from it, and the watch
// cache. The nodes are in memory. A merge patch is what a write costs without ownership.
func BenchmarkServerSideApply(b *testing.B) {
	const apply = types.ApplyYAMLPatchType
	cases := []struct {
		name   string
		before [][2]string
		patch  types.PatchType
		state  func(n int) string
	}{
		{"a merge patch, one interface changed", nil, types.MergePatchType, func(n int) string { return vlans("eth1", 1400+n%2) }},
		{"the same again", [][2]string{{"one", vlans("eth1", 1400)}}, apply, func(int) string { return vlans("eth1", 1400) }},
		{"one interface changed", [][2]string{{"one", vlans("eth1", 1401)}}, apply, func(n int) string { return vlans("eth1", 1400+n%2) }},
		{"one interface changed, beside another manager's 20 kB", [][2]string{{"two", vlans("eth2", 1500)}, {"one", vlans("eth1", 1401)}}, apply,
			func(n int) string { return vlans("eth1", 1400+n%2) }},
	}
	s := newSite(b)
	s.startFakes(b, len(cases), realistic)
	s.await(b, len(cases))
	node := func(i int) string { return fmt.Sprintf("node%03d", i) }
	for i, one := range cases {
		for _, before := range one.before {
			s.write(b, node(i), apply, before[0], before[1])
		}
	}
	took, allocated := make([]samples, len(cases)), make([]float64, len(cases))
	for range repeats {
		for i, one := range cases {
			before := s.measured(b)
			took[i] = append(took[i], s.processor(b, one.name, func(n int) { s.write(b, node(i), one.patch, "one", one.state(n)) }))
			allocated[i] += (s.measured(b)["go_memstats_alloc_bytes_total"] - before["go_memstats_alloc_bytes_total"]) / repeats / inRepeat
		}
	}
	for i, one := range cases {
		fmt.Printf("server-side apply of 20 kB, %s: p50 %v of server CPU, ratio to a merge patch %.2f, %.1f MB allocated\n",
			one.name, took[i].at(.5), ratio(took[i], took[0]), allocated[i]/1e6)
		keep(b, measurement{Suite: "apply", What: one.name, CPU: map[string]float64{"server": took[i].at(.5).Seconds()}, Samples: repeats})
	}
}

// BenchmarkOwned compares the processor time of reads of nodes whose desired states of 20 kB have owners with that of the same nodes without owners.
func BenchmarkOwned(b *testing.B) {
	var sites []*site
	for range 2 {
		s := newSite(b)
		s.startFakes(b, owned, realistic)
		s.await(b, owned)
		sites = append(sites, s)
	}
	for i := range owned {
		node := fmt.Sprintf("node%03d", i)
		for _, s := range sites {
			s.write(b, node, types.ApplyYAMLPatchType, "one", vlans("eth1", 1500))
		}
		err := sites[1].rest.Patch(types.MergePatchType).Resource("nodenetworkstates").Name(node).
			Body([]byte(`{"metadata":{"managedFields":[{}]}}`)).Do(b.Context()).Error()
		if err != nil {
			b.Fatal(err)
		}
	}
	clients := []rest.Interface{sites[0].uncompressed(b), sites[1].uncompressed(b)}
	for _, read := range []struct {
		what string
		read func(rest.Interface)
	}{
		{"GET", func(client rest.Interface) {
			if err := client.Get().Resource("nodenetworkstates").Name("node000").Do(b.Context()).Error(); err != nil {
				b.Fatal(err)
			}
		}},
		{fmt.Sprintf("LIST of %d nodes, live", owned), func(client rest.Interface) { readAll(b, client, asJSON, metav1.ListOptions{}) }},
		{fmt.Sprintf("LIST of %d nodes from the cache", owned), func(client rest.Interface) { readAll(b, client, asJSON, metav1.ListOptions{ResourceVersion: "0"}) }},
	} {
		took := make([]samples, 2)
		for range repeats {
			for i, s := range sites {
				took[i] = append(took[i], s.processor(b, fmt.Sprint(read.what, i), func(int) { read.read(clients[i]) }))
			}
		}
		fmt.Printf("%s, desired states with owners: p50 %v of server CPU; without %v, ratio %.2f\n", read.what, took[0].at(.5), took[1].at(.5), ratio(took[0], took[1]))
	}
}

// processor returns the processor time that the server takes for one of inRepeat calls. It saves a profile, if the environment says where.
func (s *site) processor(b *testing.B, name string, once func(n int)) time.Duration {
	b.Helper()
	once(1)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		if dir := os.Getenv(profiles); dir != "" {
			text, _ := s.rest.Get().AbsPath("/debug/pprof/profile").Param("seconds", "1").DoRaw(b.Context())
			name := strings.ReplaceAll(name, " ", "-")
			_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.cpu", name, time.Now().UnixMilli())), text, 0o600)
		}
	}()
	before := processorTicks(b, s.server)
	for n := range inRepeat {
		once(n)
	}
	spent := processorTicks(b, s.server) - before
	<-saved
	return time.Duration(spent) * tick / inRepeat
}
