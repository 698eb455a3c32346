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

package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// TestAnswersFillRecords: an answer over HTTP/2 is the text that was written, in TLS records that are full but for the last one.
func TestAnswersFillRecords(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	server := httptest.NewUnstartedServer(inRecords(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n, err := w.Write(want); n != len(want) || err != nil {
			t.Errorf("%d bytes were written, %v", n, err)
		}
		w.(http.Flusher).Flush() // A watch needs it.
	})))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{DynamicRecordSizingDisabled: true}
	server.StartTLS()
	defer server.Close()
	seen := &records{}
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return tapped{conn, seen}, err
	}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.ProtoMajor != 2 || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes over HTTP/%d, %v", len(got), response.ProtoMajor, err)
	}
	// A record has 17 bytes beside its content, a full one 16 KiB of that. The first frame shares records with the headers.
	// The end of the stream and what acknowledges settings are records of 9 bytes; each of 18 frames that was split would leave another one.
	sizes := seen.sizes()
	if full := count(sizes, 16<<10+17); full < len(want)/(16<<10)-1 || count(sizes, 9+17) > 4 {
		t.Errorf("%d of the records are full: %v", full, sizes)
	}
}

func count(sizes []int, size int) int {
	return len(sizes) - len(slices.DeleteFunc(slices.Clone(sizes), func(one int) bool { return one == size }))
}

// records are what came over a connection.
type records struct {
	mu   sync.Mutex
	text []byte
}

// sizes returns the size of each TLS record.
func (r *records) sizes() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	const header = 5
	var sizes []int
	for left := r.text; len(left) >= header; {
		size := int(binary.BigEndian.Uint16(left[3:]))
		sizes = append(sizes, size)
		left = left[min(header+size, len(left)):]
	}
	return sizes
}

// tapped is a connection whose input is recorded.
type tapped struct {
	net.Conn
	seen *records
}

// Read implements net.Conn.
func (c tapped) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	c.seen.text = append(c.seen.text, into[:n]...)
	return n, err
}
