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

package fleet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// guests are streams in a crowd, in the order in which they came.
type guests struct {
	*crowd
	ctx   []context.Context
	leave []func()
}

func (g *guests) come(owners ...string) {
	for _, owner := range owners {
		ctx, leave := g.enter(context.Background(), owner)
		g.ctx, g.leave = append(g.ctx, ctx), append(g.leave, leave)
	}
}

// want checks who has been pushed out, by when they came.
func (g *guests) want(t *testing.T, out ...int) {
	t.Helper()
	want := map[int]bool{}
	for _, i := range out {
		want[i] = true
	}
	for i, ctx := range g.ctx {
		if is := pushedOut(ctx, nil) != nil; is != want[i] {
			t.Errorf("stream %d was pushed out: %t", i, is)
		}
	}
}

func TestCrowdPushesOutTheOldestOfWhoeverHasMost(t *testing.T) {
	g := &guests{crowd: newCrowd(4)}
	g.come("a", "b", "b", "b")
	g.want(t)
	g.come("c")
	g.want(t, 1)
	// a, b, b, c and one more of b.
	g.come("b")
	g.want(t, 1, 2)
	// Of a, b, b and c there is one more of a: it and b have as many, and a came first.
	g.come("a")
	g.want(t, 0, 1, 2)
	// Those that leave make room.
	for _, i := range []int{3, 3, 5, 0} {
		g.leave[i]()
	}
	g.come("d", "e")
	g.want(t, 0, 1, 2)
	if g.present != 4 || len(g.waiting) != 4 {
		t.Errorf("there are %d streams of %d owners, not 4 of 4", g.present, len(g.waiting))
	}
	for _, leave := range g.leave {
		leave()
	}
	if g.present != 0 || len(g.waiting) != 0 {
		t.Errorf("%d streams of %d owners are left", g.present, len(g.waiting))
	}
}

// TestCrowdOfMany: whatever one owner does, it takes no place of others who have
// fewer, and no owner who has one loses it to one who has many.
func TestCrowdOfMany(t *testing.T) {
	g := &guests{crowd: newCrowd(256)}
	for i := range 100 {
		g.come(fmt.Sprint("agent", i))
	}
	for range 10_000 {
		g.come("hostile")
	}
	for i, ctx := range g.ctx[:100] {
		if ctx.Err() != nil {
			t.Errorf("agent %d was pushed out", i)
		}
	}
	if got := len(g.waiting["hostile"]); got != 156 {
		t.Errorf("the hostile one has %d places, not 156", got)
	}
}

func TestAttemptsAreBoundedForEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts(10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin, granted := time.Now(), 0
		for range 1000 {
			if err := a.wait(ctx, "192.0.2.1"); err != nil {
				if status.Code(err) != codes.ResourceExhausted {
					t.Fatal(err)
				}
				break
			}
			granted++
		}
		if granted < 10+authentications-1 || granted > 10+authentications {
			t.Errorf("one address had %d attempts in %s", granted, time.Since(begin))
		}
		other, cancelOther := context.WithTimeout(t.Context(), time.Second)
		defer cancelOther()
		begin = time.Now()
		if err := a.wait(other, "192.0.2.2"); err != nil || time.Since(begin) != 0 {
			t.Errorf("another address waited for %s: %v", time.Since(begin), err)
		}
	})
}

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:1":              "192.0.2.1",
		"[::ffff:192.0.2.1]:1":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:2":      "2001:db8:1:2::/64",
	} {
		resolved, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := sourceOf(peer.NewContext(t.Context(), &peer.Peer{Addr: resolved})); got != want {
			t.Errorf("%s comes from %q, not %q", address, got, want)
		}
	}
	if got := sourceOf(t.Context()); got != "" {
		t.Errorf("a stream without a peer comes from %q", got)
	}
}

// TestThoseWhoGoTakeNothingFromThoseWhoStay: a thousand agents behind one address come at once, and most are pushed out.
func TestThoseWhoGoTakeNothingFromThoseWhoStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts(1)
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { _ = a.wait(gone, "192.0.2.1") })
		}
		synctest.Wait()
		leave()
		all.Wait()
		begin := time.Now()
		if err := a.wait(t.Context(), "192.0.2.1"); err != nil || time.Since(begin) > time.Second/authentications {
			t.Errorf("who stays has waited for %v: %v", time.Since(begin), err)
		}
	})
}
