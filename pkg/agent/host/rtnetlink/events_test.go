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

package rtnetlink

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// TestEvents: reports are waited for, and an overflow counts as one.
func TestEvents(t *testing.T) {
	events, err := Follow(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() {
		for {
			err := events.Wait()
			waits <- err
			if err != nil {
				return
			}
		}
	}()
	for _, command := range []string{
		"ip addr add 198.18.0.1/32 dev lo",
		"for n in $(seq 20000); do echo link set lo mtu $((1500 + n % 2)); done | ip -batch -", // more than the socket holds
		"ip addr del 198.18.0.1/32 dev lo",
	} {
		netns.Run(t, "sh", "-c", command)
		if err := <-waits; err != nil {
			t.Fatalf("after %s: %v", command, err)
		}
	}
	events.Close()
	for err = range waits {
		if err != nil {
			break
		}
	}
}

// TestDrop: what was reported before is forgotten, what comes later is waited for.
func TestDrop(t *testing.T) {
	events, err := Follow(unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	netns.Run(t, "ip", "addr", "add", "198.18.0.1/32", "dev", "lo")
	if err := events.Drop(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- events.Wait() }()
	select {
	case err := <-waited:
		t.Fatalf("a report that was dropped was waited for: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	netns.Run(t, "ip", "addr", "del", "198.18.0.1/32", "dev", "lo")
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
}
