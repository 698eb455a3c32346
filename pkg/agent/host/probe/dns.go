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
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// resolvConf has the node's DNS servers, of which as many as maxServers count, as in resolv.conf(5).
	resolvConf = "/etc/resolv.conf"
	maxServers = 3
	dnsPort    = "53"
	// maxAnswer is the size of an answer over UDP without EDNS; a larger one comes over TCP.
	maxAnswer = 512
)

// resolve asks DNS servers for the addresses of a name. The questions are its own, not
// those of Go's resolver: that one looks into /etc/hosts first, appends search domains, and
// reads /etc/resolv.conf only every five seconds.
func resolve(ctx context.Context, probe *v1alpha1.DNSProbe) error {
	name, err := dnsmessage.NewName(strings.TrimSuffix(probe.Name, ".") + ".")
	if err != nil || probe.Name == "" {
		return fmt.Errorf("%q is no DNS name", probe.Name)
	}
	servers := []string{serverAddress(probe.Server)}
	if probe.Server == "" {
		if servers, err = nodeServers(); err != nil {
			return err
		}
	}
	if len(servers) == 0 {
		return errors.New("the node has no DNS server in " + resolvConf)
	}
	_, err = first(ctx, servers, func(ctx context.Context, server string) error { return lookUp(ctx, name, server) })
	return err
}

// serverAddress returns the address of a DNS server with a port.
func serverAddress(server string) string {
	if address, err := netip.ParseAddr(strings.Trim(server, "[]")); err == nil {
		return net.JoinHostPort(address.String(), dnsPort)
	}
	return server
}

// nodeServers returns the node's DNS servers as they are now.
func nodeServers() ([]string, error) {
	text, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, fmt.Errorf("reading the node's DNS servers: %w", err)
	}
	var servers []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan() && len(servers) < maxServers; {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && fields[0] == "nameserver" {
			servers = append(servers, serverAddress(fields[1]))
		}
	}
	return servers, nil
}

// lookUp asks one server for the IPv4 and the IPv6 addresses of a name; one of either will do.
func lookUp(ctx context.Context, name dnsmessage.Name, server string) error {
	return either(ctx,
		func(ctx context.Context) error { return query(ctx, name, dnsmessage.TypeA, server) },
		func(ctx context.Context) error { return query(ctx, name, dnsmessage.TypeAAAA, server) })
}

// query asks one server for one kind of addresses, over UDP, and over TCP if the answer is too long.
func query(ctx context.Context, name dnsmessage.Name, kind dnsmessage.Type, server string) error {
	start := time.Now()
	request := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: kind, Class: dnsmessage.ClassINET}},
	}
	answer, err := exchange(ctx, "udp", server, request)
	if err == nil && answer.Truncated {
		answer, err = exchange(ctx, "tcp", server, request)
	}
	if err != nil {
		return explain(err, server, start)
	}
	shown := strings.TrimSuffix(name.String(), ".")
	switch answer.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return fmt.Errorf("%s knows no name %s", server, shown)
	default:
		return fmt.Errorf("%s does not resolve %s: %s", server, shown, strings.TrimPrefix(answer.RCode.String(), "RCode"))
	}
	for _, resource := range answer.Answers {
		if resource.Header.Type == kind {
			return nil
		}
	}
	return fmt.Errorf("%s knows no address of %s", server, shown)
}

// exchange sends a request to a server and returns the answer. Over UDP it sends the
// request again each second.
func exchange(ctx context.Context, network, server string, request dnsmessage.Message) (dnsmessage.Message, error) {
	var none dnsmessage.Message
	packet, err := request.Pack()
	if err != nil {
		return none, err
	}
	conn, err := dial(ctx, new(net.Dialer), network, server)
	if err != nil {
		return none, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if network == "tcp" {
		answer, err := overTCP(conn, packet, request)
		return answer, ended(ctx, err)
	}
	for ctx.Err() == nil {
		if _, err := conn.Write(packet); err != nil {
			return none, ended(ctx, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(retransmit)); err != nil {
			return none, ended(ctx, err)
		}
		answer, err := overUDP(conn, request)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return answer, ended(ctx, err)
		}
	}
	return none, ctx.Err()
}

// ended returns the error of ctx if ctx has ended, which closes the connection, else err.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// overUDP reads packets until one is the answer to the request.
func overUDP(conn net.Conn, request dnsmessage.Message) (dnsmessage.Message, error) {
	packet := make([]byte, maxAnswer)
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return dnsmessage.Message{}, err
		}
		if answer, ok := answerTo(request, packet[:n]); ok {
			return answer, nil
		}
	}
}

// overTCP sends a request and reads the answer, each after its length, as in RFC 1035, 4.2.2.
func overTCP(conn net.Conn, packet []byte, request dnsmessage.Message) (dnsmessage.Message, error) {
	var none dnsmessage.Message
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		return none, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return none, err
	}
	text := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, text); err != nil {
		return none, err
	}
	answer, ok := answerTo(request, text)
	if !ok {
		return none, errors.New("the answer is to another question")
	}
	return answer, nil
}

// answerTo returns the answer in a packet, if it is the answer to the request.
func answerTo(request dnsmessage.Message, packet []byte) (dnsmessage.Message, bool) {
	var answer dnsmessage.Message
	if err := answer.Unpack(packet); err != nil {
		return answer, false
	}
	asked := request.Questions[0]
	same := answer.Response && answer.ID == request.ID && len(answer.Questions) == 1 &&
		answer.Questions[0].Type == asked.Type && strings.EqualFold(answer.Questions[0].Name.String(), asked.Name.String())
	return answer, same
}
