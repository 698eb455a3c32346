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
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// onNode is, in the environment, the folder of the benchmarks where they run on a node that has a NetworkManager.
const onNode = "NMSTATE_BENCH_NODE"

// BenchmarkManagedGet is BenchmarkGet on a node with NetworkManager, all of whose interfaces have a profile. A change may be one
// that NetworkManager has no part in, or one of a profile.
func BenchmarkManagedGet(b *testing.B) {
	if os.Getenv(onNode) == "" {
		runOnNode(b, "^BenchmarkManagedGet$")
		return
	}
	compareManagedGets(b, "NetworkManager", manage)
}

// BenchmarkSwitchedGet is BenchmarkManagedGet with an Open vSwitch that forwards by itself, without the kernel's part. Every second interface
// is a port of its bridge, as pods' are, and has no profile.
func BenchmarkSwitchedGet(b *testing.B) {
	if os.Getenv(onNode) == "" {
		runOnNode(b, "^BenchmarkSwitchedGet$")
		return
	}
	netns.Run(b, "sh", "-ec", startSwitch)
	compareManagedGets(b, "NetworkManager and Open vSwitch", func(b *testing.B, first, last int) {
		plug(b, (first+1)/2, last/2)
		manage(b, (first+2)/2, (last+1)/2)
	})
}

// compareManagedGets compares GETs with nmstatectl and with the library, with more and more interfaces. grow makes those with these numbers.
func compareManagedGets(b *testing.B, with string, grow func(b *testing.B, first, last int)) {
	b.Helper()
	netns.Run(b, "ip", "netns", "add", "far")
	made := 0
	for _, interfaces := range []int{3, 50, 500} {
		b.Run(fmt.Sprintf("interfaces=%d", interfaces), func(b *testing.B) {
			grow(b, made+1, interfaces)
			made = interfaces
			compareManagedGet(b, with, interfaces)
		})
	}
}

// compareManagedGet compares GETs with nmstatectl and with the library.
func compareManagedGet(b *testing.B, with string, interfaces int) {
	b.Helper()
	s := newSite(b)
	s.agentWith(b, "networkmanager")
	get := func() error { _, err := s.nns.Get(b.Context(), "node", metav1.GetOptions{}); return err }
	n := 0
	outside := func() error {
		n++
		return exec.Command("ip", "addr", "replace", fmt.Sprintf("198.18.%d.%d/32", n/250, n%250+1), "dev", "l1").Run()
	}
	profile := func() error {
		n++
		// nmcli asks for all profiles at once, which the bus refuses if there are more than 128.
		return errors.Join(writeProfile(1, n), exec.Command("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.NetworkManager",
			"/org/freedesktop/NetworkManager/Settings", "org.freedesktop.NetworkManager.Settings.LoadConnections", "array:string:"+profilePath(1)).Run())
	}
	times := interleave(b, max(10, 300/interfaces),
		func() error { return exec.Command(nmstatectl, "show").Run() },
		func() error { return exec.Command(nmstatectl, "show", "--kernel").Run() },
		func() error { _, _, err := nmstate.RetrieveNetState(0); return err },
		get, get, outside, get, get, profile, get) // the GET in between ends what the agent reads by itself after the change before
	show, kernel, library, unchanged, afterOutside, afterProfile := times[0], times[1], times[2], times[4], times[6], times[9]
	fmt.Printf("GET, %s, %d interfaces, %d samples: p50 %v; nmstatectl show %v, ratio %.3f; nmstatectl show --kernel %v; library %v, ratio %.2f\n",
		with, interfaces, len(show), unchanged.at(.5), show.at(.5), ratio(unchanged, show), kernel.at(.5), library.at(.5), ratio(unchanged, library))
	fmt.Printf("GET right after a change, %s, %d interfaces: of the kernel's p50 %v, of a profile's %v; nmstatectl show --kernel ratio %.2f and %.2f\n",
		with, interfaces, afterOutside.at(.5), afterProfile.at(.5), ratio(afterOutside, kernel), ratio(afterProfile, kernel))
	compare(b, fmt.Sprintf("GET, %s, %d interfaces", with, interfaces), part{"the API", unchanged}, part{"nmstatectl show", show}, part{"the library", library})
	compare(b, fmt.Sprintf("GET right after a change of a profile, %s, %d interfaces", with, interfaces),
		part{"the API", afterProfile}, part{"nmstatectl show --kernel", kernel}, part{"the library", library})
	most := .1
	if interfaces == 500 {
		most = .05
	}
	target(ratio(unchanged, show) <= most, "GET p50 with %s at %d interfaces is %.3f of nmstatectl show (at most %v)", with, interfaces, ratio(unchanged, show), most)
	targetAfter("a change of a profile", afterProfile, library)
	target(ratio(afterProfile, kernel) <= 3, "that is %.2f of nmstatectl show --kernel (at most 3)", ratio(afterProfile, kernel))
}

// startSwitch starts Open vSwitch, with a bridge for which it needs nothing of the kernel but taps.
const startSwitch = `mkdir -p /run/openvswitch
	ovsdb-tool create /run/openvswitch/conf.db
	ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile --detach --no-chdir --log-file=/dev/null /run/openvswitch/conf.db
	ovs-vsctl --no-wait init
	/usr/lib/openvswitch-switch/ovs-vswitchd --pidfile --detach --no-chdir --log-file=/dev/null
	ovs-vsctl add-br switch -- set bridge switch datapath_type=netdev`

// plug makes links, to a network of their own, and plugs them into the bridge.
func plug(b *testing.B, first, last int) {
	b.Helper()
	links, ends := &strings.Builder{}, &strings.Builder{}
	var ports []string
	for n := first; n <= last; n++ {
		fmt.Fprintf(links, "link add o%[1]d up type veth peer name p%[1]d netns far\n", n)
		fmt.Fprintf(ends, "link set p%d up\n", n)
		ports = append(ports, "--", "add-port", "switch", fmt.Sprint("o", n))
	}
	batch(b, links.String())
	batch(b, ends.String(), "-n", "far")
	netns.Run(b, "ovs-vsctl", ports...)
}

// batch has ip carry out lines.
func batch(b *testing.B, lines string, args ...string) {
	b.Helper()
	cmd := exec.Command("ip", append(args, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// manage makes links, to a network of their own, each with a profile, and waits until NetworkManager has activated these.
func manage(b *testing.B, first, last int) {
	b.Helper()
	links, ends := &strings.Builder{}, &strings.Builder{}
	for n := first; n <= last; n++ {
		if err := writeProfile(n, 1); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(links, "link add l%[1]d type veth peer name e%[1]d netns far\n", n)
		fmt.Fprintf(ends, "link set e%d up\n", n)
	}
	netns.Run(b, "nmcli", "connection", "reload")
	batch(b, links.String())
	batch(b, ends.String(), "-n", "far")
	err := wait.PollUntilContextTimeout(b.Context(), time.Second, 15*time.Minute, true, func(ctx context.Context) (bool, error) {
		devices, err := exec.CommandContext(ctx, "nmcli", "-t", "-f", "DEVICE,STATE", "device").Output()
		return strings.Count(string(devices), ":connected\n") >= last, err
	})
	if err != nil {
		b.Fatal("waiting for NetworkManager to activate the profiles: ", err)
	}
}

func profilePath(n int) string {
	return fmt.Sprintf("/etc/NetworkManager/system-connections/p%d.nmconnection", n)
}

// writeProfile writes the profile of link n, with a priority for its DNS.
func writeProfile(n, priority int) error {
	profile := fmt.Sprintf("[connection]\nid=p%[1]d\nuuid=00000000-0000-4000-8000-%012[1]d\ntype=ethernet\ninterface-name=l%[1]d\n"+
		"[ipv4]\nmethod=manual\naddress1=10.%[2]d.%[3]d.1/24\ndns-priority=%[4]d\n[ipv6]\nmethod=disabled\n", n, n/250, n%250, priority)
	return os.WriteFile(profilePath(n), []byte(profile), 0o600)
}

// runOnNode runs benchmarks of this binary on a node with NetworkManager, a set of namespaces.
func runOnNode(b *testing.B, which string) {
	b.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	script := func(name string, args ...string) error {
		// Nodes are made from the machine's files and namespaces, not from those of the benchmarks.
		outside := []string{"-t", fmt.Sprint(os.Getppid()), "-m", "-n", "-u", filepath.Join(root, "hack/nodes", name)}
		cmd := exec.Command("nsenter", append(outside, args...)...)
		cmd.Env = append(os.Environ(), "NODES_DIR="+dir, fmt.Sprintf("NODES_PREFIX=bench-%d-", os.Getpid()), onNode+"="+filepath.Join(root, "test/bench"))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		return cmd.Run()
	}
	b.Cleanup(func() {
		if err := script("node.sh", "down", "nm"); err != nil {
			b.Error(err)
		}
		if err := script("hub.sh", "down"); err != nil {
			b.Error(err)
		}
	})
	for _, step := range [][]string{{"hub.sh", "up"}, {"node.sh", "up", "nm", "1", "networkmanager"},
		{"node.sh", "exec", "nm", self, "-test.run=^$", "-test.bench=" + which, "-test.benchtime=1x", "-test.timeout=50m"}} {
		if err := script(step[0], step[1:]...); err != nil {
			b.Fatalf("%v: %v", step, err)
		}
	}
}
