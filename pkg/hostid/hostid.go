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

// Package hostid says which kernel and which network namespace a process runs in.
package hostid

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID is where the kernel says by which id it tells this boot from any other.
const bootID = "/proc/sys/kernel/random/boot_id"

// Current returns the identity of the kernel and the network namespace that this
// process runs in. Two processes have the same one if they share a network. After a
// reboot, and in a network namespace that was made again, it is another one: the cookie of
// a namespace is never given twice, other than the number of its inode.
func Current() (string, error) {
	boot, err := os.ReadFile(bootID)
	if err != nil {
		return "", fmt.Errorf("reading the id of this boot: %w", err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("making a socket to ask for the network namespace: %w", err)
	}
	defer unix.Close(socket)
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return "", fmt.Errorf("asking for the cookie of the network namespace, which takes Linux 5.14: %w", err)
	}
	return fmt.Sprintf("%s/%d", strings.TrimSpace(string(boot)), cookie), nil
}
