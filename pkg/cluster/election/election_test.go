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

package election

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	clienttesting "k8s.io/client-go/testing"
)

func TestReleaseHandsOverAtOnce(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		first := g.awaitLeader(atOnce)
		b := g.start("b")
		synctest.Wait()
		if !a.IsActive() || b.IsActive() {
			t.Errorf("active: a %t, b %t", a.IsActive(), b.IsActive())
		}
		g.leaseIs("a", first.term)
		// Some way into the standby's pause between two attempts.
		time.Sleep(aWhile)

		a.stop()
		second := g.awaitLeader(atOnce)
		if err := g.awaitEnd(a, atOnce); err != nil {
			t.Errorf("Run of a: %v", err)
		}
		if second.name != "b" || a.IsActive() || !b.IsActive() {
			t.Errorf("%s leads; active: a %t, b %t", second.name, a.IsActive(), b.IsActive())
		}
		g.leaseIs("b", second.term)
	})
}

// TestShutdownOrder: lead returns, then the Lease goes; the label is the next one's to take.
func TestShutdownOrder(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.createPod("a", nil)
		a := g.start("a", func(_ *Config, s *server) { s.hold = make(chan struct{}) })
		term := g.awaitLeader(atOnce).term
		g.announce(a)

		a.stop()
		// However long lead takes, the Lease is kept meanwhile.
		time.Sleep(aWhile)
		if !a.IsActive() {
			t.Error("not active any more, before lead has returned")
		}
		g.leaseIs("a", term)
		g.labelled("a")

		a.client.ClearActions()
		close(a.hold)
		if err := g.awaitEnd(a, atOnce); err != nil {
			t.Errorf("Run: %v", err)
		}
		var writes []string
		for _, action := range a.client.Actions() {
			if verb := action.GetVerb(); verb == "patch" || verb == "update" {
				writes = append(writes, verb+" "+action.GetResource().Resource)
			}
		}
		if want := []string{"update leases"}; !slices.Equal(writes, want) {
			t.Errorf("writes %q, want %q", writes, want)
		}
		g.leaseIs("", term)
		g.labelled("a")
	})
}

// TestCrash: the holder renews for a while, then no more.
func TestCrash(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.setLease(hold("dead"))
		g.start("a")
		for range 20 {
			time.Sleep(retryPeriod)
			g.admin.setLease(hold("dead"))
		}
		last := time.Now()
		g.awaitLeader(leaseDuration + atOnce)
		if took := time.Since(last); took < leaseDuration {
			t.Errorf("the lease was taken %s after its renewal", took)
		}
	})
}

// TestRestartedContainer: the same pod need not wait for itself.
func TestRestartedContainer(t *testing.T) {
	run(t, func(_ *testing.T, g *group) {
		g.admin.setLease(hold("a"))
		g.start("b")
		synctest.Wait()
		g.start("a")
		if l := g.awaitLeader(atOnce); l.name != "a" {
			g.t.Errorf("%s leads", l.name)
		}
	})
}

// TestCutOff: the active server stops before the standby starts, whether its
// requests fail or are never answered.
func TestCutOff(t *testing.T) {
	for name, cut := range map[string]func(*client){
		"down":    func(c *client) { c.down.Store(true) },
		"hanging": func(c *client) { c.hanging.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				a := g.start("a")
				first := g.awaitLeader(atOnce)
				g.start("b")
				time.Sleep(aWhile)
				cut(a.client)
				second := g.awaitLeader(15 * time.Second)
				if second.name != "b" || second.term < first.term+termDistance {
					t.Errorf("%+v after %+v", second, first)
				}
				if err := g.awaitEnd(a, 15*time.Second); !errors.Is(err, ErrLost) {
					t.Errorf("Run: %v", err)
				}
				g.leaseIs("b", second.term)
			})
		})
	}
}

// TestOutage: a standby that could not see renewals does not take their absence
// for a crash. The server that was active is again, with the label that it has,
// unless it stays away.
func TestOutage(t *testing.T) {
	for name, want := range map[string]string{"comes back": "a", "stays away": "b"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				a := g.start("a")
				g.awaitLeader(atOnce)
				b := g.start("b")
				time.Sleep(aWhile)
				a.client.down.Store(true)
				b.client.down.Store(true)
				if err := g.awaitEnd(a, 15*time.Second); !errors.Is(err, ErrLost) {
					t.Errorf("Run: %v", err)
				}
				time.Sleep(aWhile)
				a.client.down.Store(false)
				b.client.down.Store(false)
				time.Sleep(leaseDuration / 2)
				if leaders := g.leaders(); len(leaders) > 0 {
					t.Errorf("%v leads before the other one had time to come back", leaders)
				}
				if want == "a" {
					g.restart(a)
				}
				if l := g.awaitLeader(leaseDuration); l.name != want {
					t.Errorf("%s leads, not %s", l.name, want)
				}
				time.Sleep(aWhile)
				if leaders := g.leaders(); !slices.Equal(leaders, []string{want}) {
					t.Errorf("%v lead in the end", leaders)
				}
			})
		})
	}
}

// TestStuck: no request has to return for a server to know that its time is up,
// as when the process was suspended.
func TestStuck(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		g.awaitLeader(atOnce)
		g.start("b")
		time.Sleep(aWhile)
		stuck := make(chan struct{})
		a.client.stuck.Store(&stuck)
		if l := g.awaitLeader(leaseDuration + atOnce); l.name != "b" || a.IsActive() {
			t.Errorf("%s leads; a is active: %t", l.name, a.IsActive())
		}
		close(stuck)
		if err := g.awaitEnd(a, leaseDuration); !errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestLeaseTaken: whoever holds the Lease now, the active server yields and
// leaves it alone.
func TestLeaseTaken(t *testing.T) {
	for name, holder := range map[string]string{"by another": "thief", "by nobody": ""} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				a := g.start("a")
				term := g.awaitLeader(atOnce).term
				time.Sleep(aWhile)
				g.admin.setLease(hold(holder))
				if err := g.awaitEnd(a, atOnce); !errors.Is(err, ErrLost) {
					t.Errorf("Run: %v", err)
				}
				g.leaseIs(holder, term)
			})
		})
	}
}

// TestLeaseTakenBehindItsBack: client-go would not notice that another server
// has had the Lease between two renewals.
func TestLeaseTakenBehindItsBack(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		g.awaitLeader(atOnce)
		time.Sleep(aWhile)
		a.client.deaf.Store(true)
		g.admin.setLease(hold("b"))
		g.admin.setLease(func(lease *coordinationv1.Lease) { *lease.Spec.HolderIdentity = "" })
		if err := g.awaitEnd(a, retryPeriod+atOnce); !errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestLeaseDeleted: the active server makes it anew and goes on.
func TestLeaseDeleted(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		term := g.awaitLeader(atOnce).term
		for range 10 {
			time.Sleep(4700 * time.Millisecond)
			g.admin.deleteLease()
			synctest.Wait()
			g.leaseIs("a", term)
		}
		time.Sleep(aWhile)
		g.leaseIs("a", term)
		if !a.IsActive() {
			t.Error("not active")
		}
	})
}

// TestLeaseDeletedBetweenTwo: one of them is active in the end, the other not,
// and the terms are in order, as the group checks.
func TestLeaseDeletedBetweenTwo(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.setMayOverlap(true)
		servers := map[string]*server{"a": g.start("a"), "b": g.start("b")}
		for range 30 {
			time.Sleep(4700 * time.Millisecond)
			g.admin.deleteLease()
			g.await("one leads and has the lease", atOnce, func() bool {
				leaders := g.leaders()
				return len(leaders) == 1 && holder(g.admin.lease()) == leaders[0] && servers[leaders[0]].IsActive()
			})
			for _, s := range servers {
				select {
				case err := <-s.done:
					if !errors.Is(err, ErrLost) {
						t.Errorf("Run: %v", err)
					}
					g.restart(s)
				default:
				}
			}
		}
	})
}

func TestLeadFails(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		broken := errors.New("the port is taken")
		a := g.start("a", func(_ *Config, s *server) { s.fail = broken })
		term := g.awaitLeader(atOnce).term
		if err := g.awaitEnd(a, atOnce); !errors.Is(err, broken) || errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
		g.leaseIs("", term)
	})
}

func TestStandbyStops(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.start("a")
		term := g.awaitLeader(atOnce).term
		b := g.start("b")
		time.Sleep(aWhile)
		b.stop()
		if err := g.awaitEnd(b, atOnce); err != nil {
			t.Errorf("Run: %v", err)
		}
		g.leaseIs("a", term)
	})
}

// TestStoppedWhileElected: whatever was under way, the Lease is not left behind.
func TestStoppedWhileElected(t *testing.T) {
	for _, verb := range []string{"get", "create", "update", "patch"} {
		t.Run(verb, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				g.admin.createConfigMap("")
				var a *server
				started := make(chan struct{})
				a = g.start("a", func(_ *Config, s *server) {
					s.client.intercept(func(action clienttesting.Action) error {
						if action.GetVerb() == verb {
							<-started
							a.stop()
						}
						return nil
					})
				})
				close(started)
				if err := g.awaitEnd(a, leaseDuration); err != nil {
					t.Errorf("Run: %v", err)
				}
				if got := g.admin.holder(); got != "" {
					t.Errorf("lease is held by %q", got)
				}
			})
		})
	}
}

// TestRequests: the election is light on etcd.
func TestRequests(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		g.awaitLeader(atOnce)
		b := g.start("b")
		synctest.Wait()
		a.client.ClearActions()
		b.client.ClearActions()
		time.Sleep(10 * time.Minute)
		if got := len(a.client.Actions()); got > 310 {
			t.Errorf("the active server made %d requests in 10 min", got)
		}
		if got := len(b.client.Actions()); got > 310 || b.client.count("get", "leases") != got {
			t.Errorf("the standby made %d requests in 10 min, %d of them reads of the lease", got, b.client.count("get", "leases"))
		}
	})
}

func TestNamespaceIsNeeded(t *testing.T) {
	err := New(Config{Client: newAPI().client()}).Run(t.Context(), func(context.Context, uint64) error { return nil })
	if err == nil {
		t.Error("Run without a namespace succeeds")
	}
}

func TestIdentity(t *testing.T) {
	if got := New(Config{PodName: "a"}).Identity(); got != "a" {
		t.Errorf("identity %q, want the pod's name", got)
	}
	if one, two := New(Config{}).Identity(), New(Config{}).Identity(); one == two || one == "" {
		t.Errorf("identities %q and %q on one host", one, two)
	}
}
