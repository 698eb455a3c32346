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

package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// maxPacket is the size of a read: echo replies are small.
const maxPacket = 1500

// ping asks an IP address for an ICMP echo. A link-local address has its zone.
func ping(ctx context.Context, address string) error {
	target, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("%q is no IP address", address)
	}
	return echo(ctx, target.Unmap())
}

// echo asks for an ICMP echo, again each second until the answer comes. It gives up
// early when the kernel reports that the target cannot be reached.
func echo(ctx context.Context, target netip.Addr) error {
	start := time.Now()
	e, err := newEcho(target)
	if err != nil {
		return fmt.Errorf("cannot ping %s: %w", target, err)
	}
	defer e.conn.Close()
	defer context.AfterFunc(ctx, func() { e.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for ctx.Err() == nil {
		if err := e.send(); err != nil {
			return fmt.Errorf("cannot ping %s: %w", target, errnoOf(err))
		}
		err := e.receive(ctx, time.Now().Add(retransmit))
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("cannot ping %s: %w", target, errnoOf(err))
		}
	}
	return fmt.Errorf("no echo reply from %s within %s", target, elapsed(start))
}

// echoConn is an ICMP socket that is connected to one target.
type echoConn struct {
	conn connectedSocket
	// message is the request. Its data are random, so that the answer to another
	// program's ping is not taken for its answer.
	message  icmp.Message
	request  icmp.Echo
	protocol int
	reply    icmp.Type
}

// connectedSocket is a socket that is connected, and receives whole packets.
type connectedSocket interface {
	net.PacketConn
	syscall.Conn
	Write(packet []byte) (int, error)
}

// newEcho opens a socket for pings of a target.
//
// The socket is connected, and has the option RECVERR, so that the kernel reports when
// the target cannot be reached.
func newEcho(target netip.Addr) (*echoConn, error) {
	e := &echoConn{protocol: unix.IPPROTO_ICMP, reply: ipv4.ICMPTypeEchoReply}
	network, level, option := "ip4:icmp", unix.IPPROTO_IP, unix.IP_RECVERR
	e.message.Type = ipv4.ICMPTypeEcho
	if target.Is6() {
		e.protocol, e.reply, e.message.Type = unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoReply, ipv6.ICMPTypeEchoRequest
		network, level, option = "ip6:ipv6-icmp", unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	target = zoneIndex(target)
	var conn connectedSocket
	conn, err := net.DialIP(network, nil, &net.IPAddr{IP: target.AsSlice(), Zone: target.Zone()})
	if errors.Is(err, unix.EPERM) {
		conn, err = dialPing(target, e.protocol)
	}
	if err != nil {
		return nil, errnoOf(err)
	}
	e.conn = conn
	if err := setOption(conn, level, option); err != nil {
		conn.Close()
		return nil, err
	}
	e.request.Data = make([]byte, 32)
	rand.Read(e.request.Data) // never fails
	e.request.ID = int(binary.BigEndian.Uint16(e.request.Data))
	e.message.Body = &e.request
	return e, nil
}

// dialPing opens one of the kernel's ping sockets, which need no CAP_NET_RAW, unlike raw
// ones, but a group in net.ipv4.ping_group_range. The zone of the target is an index.
func dialPing(target netip.Addr, protocol int) (connectedSocket, error) {
	family, address := unix.AF_INET6, unix.Sockaddr(nil)
	if target.Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Addr: target.As4()}
	} else {
		zone, _ := strconv.ParseUint(target.Zone(), 10, 32) // 0 if there is none
		address = &unix.SockaddrInet6{Addr: target.As16(), ZoneId: uint32(zone)}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if errors.Is(err, unix.EACCES) {
		return nil, errors.New("the agent has neither CAP_NET_RAW nor a group in net.ipv4.ping_group_range")
	}
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "ping")
	defer file.Close() // FilePacketConn makes a copy
	if err := unix.Connect(fd, address); err != nil {
		return nil, err
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// setOption switches an option of a socket on.
func setOption(conn syscall.Conn, level, option int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(err, failed)
}

// send sends the next request.
func (e *echoConn) send() error {
	e.request.Seq++
	packet, err := e.message.Marshal(nil) // the kernel computes the checksum of ICMPv6
	if err != nil {
		return err
	}
	_, err = e.conn.Write(packet)
	return err
}

// receive waits for the answer to any request that was sent, until the deadline.
func (e *echoConn) receive(ctx context.Context, deadline time.Time) error {
	if err := e.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	if ctx.Err() != nil { // the deadline may have replaced the one that ctx's end has set
		return os.ErrDeadlineExceeded
	}
	packet := make([]byte, maxPacket)
	for {
		// ReadFrom, unlike Read, takes the IPv4 header off.
		n, _, err := e.conn.ReadFrom(packet)
		if err != nil {
			return err
		}
		if e.answeredBy(packet[:n]) {
			return nil
		}
	}
}

// answeredBy tells whether a packet is the answer to a request. The identifier does not
// matter: a ping socket has one of its own.
func (e *echoConn) answeredBy(packet []byte) bool {
	message, err := icmp.ParseMessage(e.protocol, packet)
	if err != nil || message.Type != e.reply {
		return false
	}
	body, ok := message.Body.(*icmp.Echo)
	return ok && bytes.Equal(body.Data, e.request.Data)
}

// errnoOf returns the kernel's error in err, without what Go says around it.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
