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
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// listen opens a TCP listener on the host.
func (h *neighbourHost) listen(address string) net.Listener {
	h.t.Helper()
	var listener net.Listener
	var err error
	h.do(func() { listener, err = net.Listen("tcp", address) })
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { listener.Close() })
	return listener
}

// serve starts an HTTP or HTTPS server on the host.
func (h *neighbourHost) serve(address string, secure bool, handler http.HandlerFunc) {
	server := &httptest.Server{Listener: h.listen(address), Config: &http.Server{Handler: handler}}
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	h.t.Cleanup(server.Close)
}

func TestTCP(t *testing.T) {
	h := newNeighbourHost(t)
	h.listen("192.0.2.1:443")
	h.listen("[2001:db8::1]:443")
	h.listen("[fe80::1%gw0]:443")
	for _, address := range []string{"192.0.2.1:443", "[2001:db8::1]:443", "[fe80::1%up0]:443"} {
		if err := connect(within(t, patience), address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, want := range map[string]string{
		"192.0.2.1:444":      "connection refused by 192.0.2.1:444",
		"[2001:db8::1]:444":  "connection refused by [2001:db8::1]:444",
		"198.51.100.1:443":   "no answer from 198.51.100.1:443 within 200ms",
		"203.0.113.1:443":    "cannot reach 203.0.113.1:443: network is unreachable",
		"192.0.2.77:443":     "no answer from 192.0.2.77:443 within 200ms",
		"no-such-name.:443":  "cannot resolve no-such-name.: ",
		"192.0.2.1:no-port!": "cannot resolve tcp/no-port!: unknown port",
	} {
		err := connect(within(t, haste), address)
		if err == nil || !sameButTime(err.Error(), want) && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
}

func TestHTTP(t *testing.T) {
	h := newNeighbourHost(t)
	h.serve("192.0.2.1:80", false, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/unavailable", http.StatusFound)
		case "/unavailable":
			http.Error(w, "secret", http.StatusServiceUnavailable)
		case "/private":
			if _, password, _ := r.BasicAuth(); password != "hunter2" {
				http.Error(w, "no", http.StatusUnauthorized)
			}
		case "/endless":
			for {
				if _, err := fmt.Fprintln(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
		case "/silent":
			<-r.Context().Done()
		}
	})
	h.serve("[2001:db8::1]:443", true, func(http.ResponseWriter, *http.Request) {})
	status := func(code int32) *int32 { return &code }
	verify := false
	for name, test := range map[string]struct {
		probe v1alpha1.HTTPProbe
		want  string
	}{
		"answers":             {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/"}},
		"redirects":           {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/moved"}},
		"wanted status":       {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/unavailable", Status: status(503)}},
		"other status":        {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/", Status: status(204)}, want: "status 200 instead of 204 from 192.0.2.1"},
		"bad status":          {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/unavailable"}, want: "status 503 instead of 200 to 399 from 192.0.2.1"},
		"user":                {probe: v1alpha1.HTTPProbe{URL: "http://joe:hunter2@192.0.2.1/private"}},
		"endless body":        {probe: v1alpha1.HTTPProbe{URL: "http://192.0.2.1/endless"}},
		"secret, refused":     {probe: v1alpha1.HTTPProbe{URL: "http://joe:hunter2@192.0.2.1:81/t0ken?key=k3y"}, want: "connection refused by 192.0.2.1:81"},
		"secret, bad status":  {probe: v1alpha1.HTTPProbe{URL: "http://joe:hunter3@192.0.2.1/private?key=k3y"}, want: "status 401 instead of 200 to 399 from 192.0.2.1"},
		"secret, no URL":      {probe: v1alpha1.HTTPProbe{URL: "http://joe:hunter2%@192.0.2.1/"}, want: "the URL is not one of http or https"},
		"secret, other kind":  {probe: v1alpha1.HTTPProbe{URL: "ftp://joe:hunter2@192.0.2.1/"}, want: "the URL is not one of http or https"},
		"secret, silent":      {probe: v1alpha1.HTTPProbe{URL: "http://joe:hunter2@192.0.2.1/silent"}, want: "no answer from 192.0.2.1 within 200ms"},
		"certificate":         {probe: v1alpha1.HTTPProbe{URL: "https://[2001:db8::1]/"}},
		"certificate, verify": {probe: v1alpha1.HTTPProbe{URL: "https://[2001:db8::1]/", InsecureSkipTLSVerify: &verify}, want: "the certificate of [2001:db8::1] is not accepted: it is for another name"},
		"no TLS":              {probe: v1alpha1.HTTPProbe{URL: "https://192.0.2.1:80/"}, want: "no valid answer from 192.0.2.1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := patience
			if strings.HasPrefix(test.want, "no answer") {
				timeout = haste
			}
			switch err := get(within(t, timeout), &test.probe); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !sameButTime(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// An answer over a connection of before the change would prove nothing.
func TestHTTPUsesNewConnections(t *testing.T) {
	h := newNeighbourHost(t)
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:81")
	var mu sync.Mutex
	from := map[string]bool{}
	h.serve("192.0.2.1:80", false, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	for range 3 {
		if err := get(within(t, patience), &v1alpha1.HTTPProbe{URL: "http://192.0.2.1/"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(from) != 3 {
		t.Errorf("3 requests came from %v", from)
	}
}

// nameServer is a DNS server on the host that knows example.org, and has its answer cut
// for long.example.org over UDP. It ignores the first ignore requests over UDP.
type nameServer struct {
	ignore atomic.Int64
}

// serveDNS starts a DNS server on the host.
func (h *neighbourHost) serveDNS(address string) *nameServer {
	h.t.Helper()
	s := &nameServer{}
	var packets net.PacketConn
	var err error
	h.do(func() { packets, err = net.ListenPacket("udp", address) })
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { packets.Close() })
	go func() {
		buffer := make([]byte, maxAnswer)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			if s.ignore.Add(-1) >= 0 {
				continue
			}
			packets.WriteTo([]byte("no DNS"), from)
			packets.WriteTo(s.answer(buffer[:n], true), from)
		}
	}()
	listener := h.listen(address)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var request [maxAnswer]byte
			n, _ := conn.Read(request[:])
			answer := s.answer(request[2:n], false)
			conn.Write([]byte{0, byte(len(answer))})
			conn.Write(answer)
			conn.Close()
		}
	}()
	return s
}

// answer returns the answer to a request.
func (s *nameServer) answer(request []byte, udp bool) []byte {
	var message dnsmessage.Message
	if err := message.Unpack(request); err != nil {
		return nil
	}
	question := message.Questions[0]
	message.Response = true
	ip4 := []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}},
	}}
	ip6 := []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}},
	}}
	switch name := question.Name.String(); {
	case name == "long.example.org." && udp:
		message.Truncated = true
	case (name == "example.org." || name == "long.example.org.") && question.Type == dnsmessage.TypeA:
		message.Answers = ip4
	case name == "six.example.org." && question.Type == dnsmessage.TypeAAAA:
		message.Answers = ip6
	case name == "broken.example.org.":
		message.RCode = dnsmessage.RCodeServerFailure
	case name == "nothing.example.org.":
		message.RCode = dnsmessage.RCodeNameError
	}
	packet, _ := message.Pack()
	return packet
}

func TestDNS(t *testing.T) {
	h := newNeighbourHost(t)
	h.serveDNS("192.0.2.1:53")
	h.serveDNS("[2001:db8::1]:5353")
	if err := os.WriteFile("/etc/hosts", []byte("192.0.2.1 nothing.example.org\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		probe v1alpha1.DNSProbe
		want  string
	}{
		"IPv4":               {probe: v1alpha1.DNSProbe{Name: "example.org", Server: "192.0.2.1"}},
		"IPv4, with a dot":   {probe: v1alpha1.DNSProbe{Name: "example.org.", Server: "192.0.2.1:53"}},
		"IPv6 only":          {probe: v1alpha1.DNSProbe{Name: "six.example.org", Server: "[2001:db8::1]:5353"}},
		"long":               {probe: v1alpha1.DNSProbe{Name: "long.example.org", Server: "192.0.2.1"}},
		"unknown to DNS":     {probe: v1alpha1.DNSProbe{Name: "nothing.example.org", Server: "192.0.2.1"}, want: "192.0.2.1:53 knows no name nothing.example.org"},
		"without addresses":  {probe: v1alpha1.DNSProbe{Name: "empty.example.org", Server: "192.0.2.1"}, want: "192.0.2.1:53 knows no address of empty.example.org"},
		"broken":             {probe: v1alpha1.DNSProbe{Name: "broken.example.org", Server: "192.0.2.1"}, want: "192.0.2.1:53 does not resolve broken.example.org: ServerFailure"},
		"refused":            {probe: v1alpha1.DNSProbe{Name: "example.org", Server: "192.0.2.1:54"}, want: "connection refused by 192.0.2.1:54"},
		"silent":             {probe: v1alpha1.DNSProbe{Name: "example.org", Server: "198.51.100.1"}, want: "no answer from 198.51.100.1:53 within 200ms"},
		"silent IPv6":        {probe: v1alpha1.DNSProbe{Name: "example.org", Server: "2001:db8:ff::1"}, want: "no answer from [2001:db8:ff::1]:53 within 200ms"},
		"no name":            {probe: v1alpha1.DNSProbe{Server: "192.0.2.1"}, want: `"" is no DNS name`},
		"no servers at node": {probe: v1alpha1.DNSProbe{Name: "example.org"}, want: "the node has no DNS server in /etc/resolv.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := patience
			if strings.HasPrefix(test.want, "no answer") {
				timeout = haste
			}
			switch err := resolve(within(t, timeout), &test.probe); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !sameButTime(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A change may change the DNS servers: those count that the node has at the moment.
func TestDNSServersAreReadAnew(t *testing.T) {
	h := newNeighbourHost(t)
	h.serveDNS("192.0.2.1:53")
	h.listen("192.0.2.1:443")
	probe := &v1alpha1.DNSProbe{Name: "example.org"}
	set := func(servers ...string) {
		var text string
		for _, server := range servers {
			text += "nameserver " + server + "\n"
		}
		if err := os.WriteFile("/etc/resolv.conf", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { set() })
	for range 2 {
		set("198.51.100.1")
		if err := resolve(within(t, haste), probe); err == nil {
			t.Error("a silent server has answered")
		}
		if err := connect(within(t, haste), "example.org:443"); err == nil {
			t.Error("a silent server has given an address")
		}
		set("198.51.100.1", "192.0.2.1") // one that answers is enough
		if err := resolve(within(t, patience), probe); err != nil {
			t.Error(err)
		}
		set("192.0.2.1")
		if err := connect(within(t, patience), "example.org:443"); err != nil {
			t.Error(err)
		}
	}
}

// One lost packet is no failure.
func TestDNSSendsAgain(t *testing.T) {
	h := newNeighbourHost(t)
	h.serveDNS("192.0.2.1:53").ignore.Store(2)
	if err := resolve(within(t, patience), &v1alpha1.DNSProbe{Name: "example.org", Server: "192.0.2.1"}); err != nil {
		t.Error(err)
	}
}

// Each of two servers answers only when the other has been asked, too: probes run at the same time.
func TestRunAsksAllAtTheSameTime(t *testing.T) {
	h := newNeighbourHost(t)
	var asked sync.WaitGroup
	asked.Add(2)
	for _, address := range []string{"192.0.2.1:81", "192.0.2.1:82"} {
		h.serve(address, false, func(http.ResponseWriter, *http.Request) {
			asked.Done()
			asked.Wait()
		})
	}
	netns.Run(t, "ip", "route", "add", "default", "via", "192.0.2.1")
	attempts := Run(t.Context(), []v1alpha1.Probe{
		{Name: "b", HTTP: &v1alpha1.HTTPProbe{URL: "http://192.0.2.1:81"}},
		{Name: "a", HTTP: &v1alpha1.HTTPProbe{URL: "http://192.0.2.1:82"}},
		{Name: "gateway", Ping: &v1alpha1.PingProbe{}},
		{Name: "node", Node: &v1alpha1.NodeProbe{Name: "node2"}},
		{Name: "other", Node: &v1alpha1.NodeProbe{Name: "node3"}},
		{Name: "later"},
	}, map[string][]string{"node2": {"192.0.2.1", "2001:db8::77"}})
	var got []string
	for _, attempt := range attempts {
		got = append(got, fmt.Sprintf("%s %v %s", attempt.Name, attempt.Passed, attempt.Message))
	}
	want := []string{
		"b true ", "a true ", "gateway true ", "node true ",
		`other false no address of the node "node3" is known: the cluster has no such node, or it has no InternalIP`,
		"later false this agent does not know this kind of probe",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

// A probe ends when its caller has no more time, whatever its own timeout is.
func TestRunEndsWithItsContext(t *testing.T) {
	newNeighbourHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, attempt := range Run(ctx, []v1alpha1.Probe{
		{Name: "ping", Ping: &v1alpha1.PingProbe{Address: "198.51.100.1"}},
		{Name: "tcp", TCP: &v1alpha1.TCPProbe{Address: "198.51.100.1:80"}},
		{Name: "http", HTTP: &v1alpha1.HTTPProbe{URL: "http://198.51.100.1"}},
		{Name: "dns", DNS: &v1alpha1.DNSProbe{Name: "example.org", Server: "198.51.100.1"}},
	}, nil) {
		if attempt.Passed || attempt.Message == "" {
			t.Errorf("got %+v", attempt)
		}
	}
}
