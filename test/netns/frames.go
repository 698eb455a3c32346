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

package netns

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// SendFrame sends an Ethernet frame over an interface. namespace is the file of the interface's network namespace; if it is
// empty, it is the caller's own.
func SendFrame(namespace, name string, frame []byte) error {
	result := make(chan error)
	go func() {
		// The thread of another network ends with this goroutine.
		runtime.LockOSThread()
		result <- sendFrame(namespace, name, frame)
		if namespace == "" {
			runtime.UnlockOSThread()
		}
	}()
	return <-result
}

func sendFrame(namespace, name string, frame []byte) error {
	if namespace != "" {
		file, err := os.Open(namespace)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering %s: %w", namespace, err)
		}
	}
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
}

// LLDPFrame returns a frame of LLDP in which a switch of that name says that it is there for so many seconds; for none, that
// it ends. Its port is swp7.
func LLDPFrame(name string, seconds byte) []byte {
	header := []byte{0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 7, 0x88, 0xcc}
	text := func(kind byte, before, text string) []byte {
		return slices.Concat([]byte{kind << 1, byte(len(before) + len(text))}, []byte(before), []byte(text))
	}
	frame := slices.Concat(header, text(1, "\x07", name), text(2, "\x05", "swp7"), []byte{3 << 1, 2, 0, seconds}, text(5, "", name), []byte{0, 0})
	return append(frame, make([]byte, max(0, 60-len(frame)))...)
}
