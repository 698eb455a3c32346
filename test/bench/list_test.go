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
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/scheme"
)

const (
	// many is the variable of the environment that says how many nodes BenchmarkLists and BenchmarkMemory have.
	many = "BENCH_NODES"
	// profiles is the variable of the environment that names a folder for profiles of the server.
	profiles = "BENCH_PROFILES"
	// lists is how many times each LIST is measured.
	lists = 20
	// asJSON and asTable are what clients accept; the table is kubectl's.
	asJSON  = "application/json"
	asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"
)

// BenchmarkLists measures the processor time that a LIST takes at the server, live and from the
// cache, beside upstream's encoding of the same objects. Wall-clock time says little here: the agents
// share the machine.
func BenchmarkLists(b *testing.B) {
	s := newSite(b)
	nodes := s.fakesWith(b, realistic)
	plain := s.uncompressed(b)
	fromCache := metav1.ListOptions{ResourceVersion: "0"}
	upstream := s.upstreamEncoding(b)
	fmt.Printf("upstream's encoding of %d nodes as JSON: %v of CPU\n", nodes, upstream)
	measured := map[string]time.Duration{}
	for _, one := range []struct {
		name, accept string
		client       rest.Interface
		options      metav1.ListOptions
	}{
		{"from the cache", asJSON, plain, fromCache},
		{"live", asJSON, plain, metav1.ListOptions{}},
		{"from the cache, gzip", asJSON, s.rest, fromCache},
		{"as a table from the cache", asTable, plain, fromCache},
		{"as a table, live", asTable, plain, metav1.ListOptions{}},
		{"as a table, live, the first tenth", asTable, plain, metav1.ListOptions{Limit: int64(nodes / 10)}},
	} {
		readAll(b, one.client, one.accept, one.options)
		profiled := s.profileProcessor(b, "lists "+one.name)
		before := processorTicks(b, s.server)
		for range lists {
			readAll(b, one.client, one.accept, one.options)
		}
		cpu := time.Duration(processorTicks(b, s.server)-before) * tick / lists
		profiled()
		measured[one.name] = cpu
		fmt.Printf("LIST of %d nodes %s: %v of server CPU, ratio to upstream's encoding %.2f\n", nodes, one.name, cpu, float64(cpu)/float64(upstream))
	}
	perThousand := time.Duration(nodes) * time.Millisecond / 1000
	target(measured["from the cache"] <= 40*perThousand, "a LIST of %d nodes from the cache takes %v of server CPU (at most %v)", nodes, measured["from the cache"], 40*perThousand)
	target(measured["live"] <= 120*perThousand, "a live LIST of %d nodes takes %v of server CPU (at most %v)", nodes, measured["live"], 120*perThousand)
}

// fakesWith starts agents with such states and returns how many, when all have sent theirs.
func (s *site) fakesWith(b *testing.B, state func(node int) string) int {
	b.Helper()
	nodes := 1000
	if text := os.Getenv(many); text != "" {
		var err error
		if nodes, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	begin := time.Now()
	s.startFakes(b, nodes, state)
	s.awaitObjects(b, nodes)
	fmt.Printf("%d agents with states of %d bytes joined in %v\n", nodes, len(state(0)), time.Since(begin).Round(time.Second/10))
	return nodes
}

// scaled is the number of nodes that the goal for the server's memory is of.
const scaled = 5000

// idle is for how long nobody asks the server for anything before its memory is measured.
const idle = 90 * time.Second

// BenchmarkMemory measures the memory that the server has for each node, with the states of BenchmarkScale, when all were read once and
// nothing has happened for a while.
func BenchmarkMemory(b *testing.B) {
	s := newSite(b)
	empty := residentMB(b, s.server)
	state := func(node int) string { return realisticState(node, scaleInterfaces, "x") }
	nodes := s.fakesWith(b, state)
	readAll(b, s.uncompressed(b), asJSON, metav1.ListOptions{ResourceVersion: "0"})
	busy := residentMB(b, s.server)
	time.Sleep(idle)
	resident := residentMB(b, s.server)
	values := s.measured(b)
	s.saveProfiles(b)
	perNode, most := resident<<10/nodes, 60+2*len(state(0))>>10
	fmt.Printf("server with %d nodes: %d MB resident (%d MB without nodes, %d MB when all had joined and were listed), heap %.0f MB in use after a collection, stacks %.0f MB, %.1f goroutines a node\n",
		nodes, resident, empty, busy, values["go_gc_heap_live_bytes"]/(1<<20), values["go_memstats_stack_inuse_bytes"]/(1<<20), values["go_goroutines"]/float64(nodes))
	if nodes < scaled {
		return // the program itself is most of it
	}
	target(perNode <= most, "the server has %d kB resident for each of %d nodes (at most 60 kB and twice the state, %d kB)", perNode, nodes, most)
}

// saveProfiles saves what the server's memory and goroutines are used for, if the environment says where.
func (s *site) saveProfiles(b *testing.B) {
	b.Helper()
	for name, path := range map[string]string{"heap.pprof": "/debug/pprof/heap", "goroutine.pprof": "/debug/pprof/goroutine", "metrics": "/metrics"} {
		s.save(b, name, path)
	}
}

// profileProcessor begins to save what the server's processor time is used for in the next seconds, if the environment says where.
// What it returns waits until that is saved.
func (s *site) profileProcessor(b *testing.B, name string) (saved func()) {
	b.Helper()
	var all sync.WaitGroup
	all.Go(func() { s.save(b, strings.ReplaceAll(name, " ", "-")+".pprof", "/debug/pprof/profile?seconds=5") })
	return all.Wait
}

// save saves what the server answers, if the environment says where.
func (s *site) save(b *testing.B, name, path string) {
	b.Helper()
	dir := os.Getenv(profiles)
	if dir == "" {
		return
	}
	text, err := s.rest.Get().RequestURI(path).DoRaw(b.Context())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
	}
	if err != nil {
		b.Error(err)
	}
}

// tick is the unit of processorTicks.
const tick = 10 * time.Millisecond

// upstreamEncoding returns the processor time that upstream's serializer takes to encode all nodes once, as they are.
func (s *site) upstreamEncoding(b *testing.B) time.Duration {
	b.Helper()
	list, err := s.nns.List(b.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		b.Fatal(err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(v1alpha1.SchemeGroupVersion.Group, scheme.Scheme, scheme.ParameterCodec, serializer.NewCodecFactory(scheme.Scheme))
	info, _ := apiruntime.SerializerInfoForMediaType(group.NegotiatedSerializer.SupportedMediaTypes(), asJSON)
	encoder := group.NegotiatedSerializer.EncoderForVersion(info.Serializer, v1alpha1.SchemeGroupVersion)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime(b)
	for range lists {
		if err := encoder.Encode(list, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	return (threadTime(b) - begin) / lists
}

// threadTime is the processor time that the thread has used.
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// readAll lists nodes and reads the answer.
func readAll(b *testing.B, client rest.Interface, accept string, options metav1.ListOptions) {
	b.Helper()
	stream, err := client.Get().Resource("nodenetworkstates").SetHeader("Accept", accept).
		VersionedParams(&options, scheme.ParameterCodec).Stream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer stream.Close()
	if _, err := io.Copy(io.Discard, stream); err != nil {
		b.Fatal(err)
	}
}

// uncompressed returns a client that does not ask for compressed answers.
func (s *site) uncompressed(b *testing.B) rest.Interface {
	b.Helper()
	config := *s.config
	config.DisableCompression = true
	return clientsOf(b, &config).NmstateV1alpha1().RESTClient()
}

// realistic returns the state of a node with a dozen interfaces, 15.5 kB.
func realistic(node int) string { return realisticState(node, 13, strings.Repeat("x", 20)) }

// realisticState returns the state of a node with so many interfaces and routes, and a text somewhere in it.
func realisticState(node, size int, text string) string {
	type object = map[string]any
	var interfaces []object
	for i := range size {
		interfaces = append(interfaces, object{
			"name": fmt.Sprintf("eth%d", i), "type": "ethernet", "state": "up", "mtu": 1500, "min-mtu": 68, "max-mtu": 9194,
			"identifier": "name", "profile-name": fmt.Sprintf("eth%d", i), "wait-ip": "any", "accept-all-mac-addresses": false,
			"mac-address": fmt.Sprintf("52:54:00:%02X:%02X:%02X", node/256, node%256, i), "driver": "virtio_net",
			"permanent-mac-address": fmt.Sprintf("52:54:00:%02X:%02X:%02X", node/256, node%256, i),
			"ethernet":              object{"auto-negotiation": true, "speed": 10000, "duplex": "full"},
			"ipv4":                  object{"enabled": true, "dhcp": false, "forwarding": false, "address": []object{{"ip": fmt.Sprintf("10.%d.%d.%d", i, node/256, node%256), "prefix-length": 16}}},
			"ipv6": object{"enabled": true, "autoconf": true, "dhcp": false, "addr-gen-mode": "eui64", "address": []object{
				{"ip": fmt.Sprintf("fe80::5054:ff:fe%02x:%x", node/256, node), "prefix-length": 64}, {"ip": fmt.Sprintf("2001:db8:%x::%x", i, node), "prefix-length": 64}}},
			"lldp": object{"enabled": false}, "mptcp": object{"address-flags": []string{}},
			"ethtool": object{
				"feature": object{"highdma": true, "rx-gro": true, "rx-gro-list": false, "rx-udp-gro-forwarding": false, "tx-checksum-ip-generic": true, "tx-generic-segmentation": true, "tx-nocache-copy": false, "tx-tcp-segmentation": true},
				"ring":    object{"rx": 256, "rx-max": 1024, "tx": 256, "tx-max": 1024}},
		})
	}
	var routes []object
	for i := range size {
		routes = append(routes, object{"destination": fmt.Sprintf("10.%d.0.0/16", i), "next-hop-interface": fmt.Sprintf("eth%d", i), "next-hop-address": "0.0.0.0", "metric": 100 + i, "table-id": 254, "source": fmt.Sprintf("10.%d.%d.%d", i, node/256, node%256)})
	}
	routes = append(routes, object{"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "next-hop-address": "10.0.255.254", "metric": 100, "table-id": 254})
	state, _ := json.Marshal(object{
		"dns-resolver": object{"running": object{"server": []string{"10.0.255.254"}, "search": []string{}}, "config": object{}},
		"route-rules":  object{"config": []object{}}, "routes": object{"running": routes, "config": []object{}},
		"interfaces": interfaces, "hostname": object{"running": fmt.Sprintf("node%05d.%s", node, text), "config": ""},
	})
	return string(state)
}
