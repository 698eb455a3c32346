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
	"regexp"
	"sync"
	"testing"
	"time"
)

// pageSize is how many nodes a page of a list has; kubectl asks for as many.
const pageSize = 500

// measureReads measures lists and GETs.
func (s *subject) measureReads(b *testing.B, nodes int) {
	client := s.client(b)
	for _, one := range []struct{ what, query, accept string }{
		{"LIST live", "", asJSON},
		{"LIST from the cache", "?resourceVersion=0", asJSON},
		{"LIST as a table, live", "", asTable},
		{"LIST as a table, from the cache", "?resourceVersion=0", asTable},
	} {
		s.repeat(b, nodes, one.what, rounds, func(int) (int64, error) {
			size, _, err := s.read(b.Context(), client, one.query, one.accept)
			return size, err
		})
	}
	s.repeat(b, nodes, fmt.Sprintf("LIST in pages of %d", pageSize), rounds, func(int) (int64, error) {
		return s.readPages(b.Context(), client)
	})
	s.repeat(b, nodes, "GET", gets, func(i int) (int64, error) {
		size, _, err := s.read(b.Context(), client, "/"+nodeName(i%nodes), asJSON)
		return size, err
	})
}

// repeat measures what read does, once it was done once.
func (s *subject) repeat(b *testing.B, nodes int, what string, times int, read func(i int) (int64, error)) {
	b.Helper()
	if _, err := read(0); err != nil {
		b.Fatal(err)
	}
	m := s.meter(b, nodes, what)
	var took samples
	for i := range times {
		begin := time.Now()
		size, err := read(i)
		if err != nil {
			b.Fatal(err)
		}
		m.bytes.Add(size)
		took = append(took, time.Since(begin))
	}
	m.keep(times, took, "")
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

// storms are how many informers list at the same time. As a CRD 1,000 nodes take kube-apiserver 200 MB for each of them: so
// there are 100 only where that is little.
func (s *subject) storms(nodes int) []int {
	const few, bearable = 20, 100
	if s.form == stored && nodes > bearable {
		return []int{few}
	}
	return []int{few, clientsAtOnce}
}

// measureStorm has many informers list at the same time.
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
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	m.keep(informers, times, "")
}
