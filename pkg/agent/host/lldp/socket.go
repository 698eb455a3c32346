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

package lldp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

const (
	// maxFrame is how long a frame may be. LLDP's fit an Ethernet frame without jumbo frames; a longer one is passed over.
	maxFrame = 2048
	// receiveBuffer is how many bytes of frames wait to be read, as the kernel counts them; it drops what comes beyond.
	receiveBuffer = 16 << 10
	// Of a port so many frames are read a second, and so many in a row: a neighbour sends one in 30 s, and four when it begins.
	frameRate  = 20
	frameBurst = 20
	// vlanID are the bits of a VLAN's tag that are its number.
	vlanID = 0xfff
	// multicastPrefix begins the addresses that LLDP's frames are sent to.
	multicastPrefix = 0x0180c200
)

// multicastSuffixes end these addresses: the nearest bridge, the nearest one that is no relay of two ports, and the nearest
// customer's bridge (IEEE 802.1AB, table 7-1).
var multicastSuffixes = []uint32{0x000e, 0x0003, 0x0000}

// listen opens a socket that gets LLDP's frames of one link. Unless it is tapped, other frames do not pass the socket at all.
// The file's reads wait for frames, and end when it is closed.
func listen(index int, tapped bool) (*os.File, error) {
	// With protocol 0 nothing is received until the socket is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket, for which CAP_NET_RAW is needed: %w", err)
	}
	if err := prepare(fd, index, tapped); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "lldp"), nil
}

// prepare gives the socket its filter, has the link receive the frames, and binds the socket to it.
func prepare(fd, index int, tapped bool) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer/2); err != nil {
		return fmt.Errorf("limiting the socket's buffer: %w", err)
	}
	program, err := filter()
	if err != nil {
		return err
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program); err != nil {
		return fmt.Errorf("setting the socket's filter: %w", err)
	}
	for _, suffix := range multicastSuffixes {
		membership := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
			Address: [8]uint8{0x01, 0x80, 0xc2, 0x00, uint8(suffix >> 8), uint8(suffix)}}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &membership); err != nil {
			return fmt.Errorf("having the interface receive LLDP's frames: %w", err)
		}
	}
	protocol := uint16(etherType)
	if tapped {
		protocol = unix.ETH_P_ALL
		// Kernels before 4.20 lack it: there the filter sees what is sent, too.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return fmt.Errorf("leaving out what is sent: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: index}); err != nil {
		return fmt.Errorf("binding to the interface: %w", err)
	}
	return nil
}

// bigEndian returns a number as a network has it.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// filter returns the program that lets LLDP's frames pass, whole, and nothing else. The kernel takes a VLAN's tag out of a
// frame; LLDP's have none, or one that is only a priority. A tap sees the tag; to others the kernel says that the frame is
// for another host.
func filter() (*unix.SockFprog, error) {
	last := len(multicastSuffixes)
	instructions := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: vlanID},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: uint8(last + 5)},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherType, SkipTrue: uint8(last + 3)},
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: multicastPrefix, SkipTrue: uint8(last + 1)},
		bpf.LoadAbsolute{Off: 4, Size: 2},
	}
	for i, suffix := range multicastSuffixes {
		instructions = append(instructions, bpf.JumpIf{Cond: bpf.JumpEqual, Val: suffix, SkipTrue: uint8(last - i)})
	}
	instructions = append(instructions, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 1 << 16})
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, fmt.Errorf("assembling the socket's filter: %w", err)
	}
	program := make([]unix.SockFilter, 0, len(raw))
	for _, i := range raw {
		program = append(program, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}, nil
}

// receive calls heard for each frame that comes, until the socket is closed.
func receive(socket *os.File, heard func(frame []byte)) {
	conn, err := socket.SyscallConn()
	if err != nil {
		return // it is closed
	}
	limit := rate.NewLimiter(frameRate, frameBurst)
	buffer := make([]byte, maxFrame)
	for {
		length, received := 0, false
		err := conn.Read(func(fd uintptr) bool {
			var from unix.Sockaddr
			var err error
			length, from, err = unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			// Any other error is the link's, which went down; when it is up again, frames come again.
			link, ok := from.(*unix.SockaddrLinklayer)
			received = err == nil && ok && link.Pkttype == unix.PACKET_MULTICAST
			return true
		})
		if err != nil {
			return
		}
		if received && length <= len(buffer) {
			heard(buffer[:length])
		}
		// The wait is short, and the socket's buffer is small: what comes faster is dropped by the kernel.
		_ = limit.Wait(context.Background())
	}
}
