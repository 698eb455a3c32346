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
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pageSize is how many nodes a page of a list has; kubectl asks for as many.
const pageSize = 500

// measureReads measures lists and GETs, of several subjects in turn: so noise hits all alike.
func measureReads(b *testing.B, nodes int, subjects ...*subject) {
	for _, one := range []struct{ what, query, accept string }{
		{"LIST live", "", asJSON},
		{"LIST from the cache", "?resourceVersion=0", asJSON},
		{"LIST as a table, live", "", asTable},
		{"LIST as a table, from the cache", "?resourceVersion=0", asTable},
	} {
		repeat(b, nodes, one.what, rounds, subjects, func(s *subject, client *http.Client, _ int) (int64, error) {
			size, _, err := s.read(b.Context(), client, one.query, one.accept)
			return size, err
		})
	}
	repeat(b, nodes, fmt.Sprintf("LIST in pages of %d", pageSize), rounds, subjects, func(s *subject, client *http.Client, _ int) (int64, error) {
		return s.readPages(b.Context(), client)
	})
	repeat(b, nodes, "kubectl get", rounds, subjects, func(s *subject, _ *http.Client, _ int) (int64, error) { return 0, s.kubectlGet(b.Context()) })
	repeat(b, nodes, "GET", gets, subjects, func(s *subject, client *http.Client, i int) (int64, error) {
		size, _, err := s.read(b.Context(), client, "/"+nodeName(i%nodes), asJSON)
		return size, err
	})
}

// repeat measures what read does, once it was done once.
func repeat(b *testing.B, nodes int, what string, times int, subjects []*subject, read func(*subject, *http.Client, int) (int64, error)) {
	b.Helper()
	var meters []*meter
	var clients []*http.Client
	took := make([]samples, len(subjects))
	for _, s := range subjects {
		clients = append(clients, s.client(b))
		if _, err := read(s, clients[len(clients)-1], 0); err != nil {
			b.Fatal(err)
		}
		meters = append(meters, s.meter(b, nodes, what))
	}
	for i := range times {
		for j, s := range subjects {
			meters[j].start()
			begin := time.Now()
			size, err := read(s, clients[j], i)
			if err != nil {
				b.Fatal(err)
			}
			took[j] = append(took[j], time.Since(begin))
			meters[j].stop()
			meters[j].bytes.Add(size)
		}
	}
	for j, m := range meters {
		m.keep(times, took[j], "")
	}
}

// continueToken is where the next page begins.
var continueToken = regexp.MustCompile(`"continue":"([^"]+)"`)

// readPages reads all pages of a list.
func (s *subject) readPages(ctx context.Context, client *http.Client) (int64, error) {
	var size int64
	query := fmt.Sprintf("?limit=%d", pageSize)
	for token := ""; ; {
		n, ends, err := s.read(ctx, client, query+"&continue="+url.QueryEscape(token), asJSON)
		if err != nil {
			return 0, err
		}
		size += n
		found := continueToken.FindSubmatch(ends)
		if found == nil {
			return size, nil
		}
		token = string(found[1])
	}
}

// kubectlGet lists all nodes as kubectl does: the whole program, which asks for pages of a table and prints it.
func (s *subject) kubectlGet(ctx context.Context) error {
	parts := strings.Split(s.path, "/") // /apis/GROUP/VERSION/RESOURCE
	get := exec.CommandContext(ctx, bin+"kubectl", "--kubeconfig", s.kubeconfig, "--cache-dir", s.kubeconfig+".cache", "get", parts[4]+"."+parts[3]+"."+parts[2])
	var said strings.Builder
	get.Stderr = &said
	if err := get.Run(); err != nil {
		return fmt.Errorf("kubectl: %w: %s", err, said.String())
	}
	return nil
}

// storms are how many informers list at the same time. As a CRD 1,000 nodes take kube-apiserver 200 MB for each of them: so
// they are fewer with many nodes, 4 GB in all.
func (s *subject) storms(nodes int) []int {
	const few, bearable = 20, 20_000
	if s.form == stored && nodes*clientsAtOnce > bearable {
		return []int{min(few, bearable/nodes)}
	}
	return []int{few, clientsAtOnce}
}

// measureStorm has many informers list at the same time. kube-apiserver ends requests that take longer than a minute.
func (s *subject) measureStorm(b *testing.B, nodes, informers int) {
	m := s.meter(b, nodes, fmt.Sprintf("%d informers list at once", informers))
	var all sync.WaitGroup
	times, errs := make(samples, informers), make([]error, informers)
	for i := range informers {
		client := s.client(b)
		all.Go(func() {
			begin := time.Now()
			size, _, err := s.read(b.Context(), client, "?resourceVersion=0", asJSON)
			m.bytes.Add(size)
			times[i], errs[i] = time.Since(begin), err
		})
	}
	all.Wait()
	m.stop()
	note := ""
	if failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(failed) > 0 {
		note = fmt.Sprintf("%d of %d lists failed: %v", len(failed), informers, failed[0])
	}
	m.keep(informers, times, note)
}
