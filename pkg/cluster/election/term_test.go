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
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

func (a admin) holder() string {
	a.t.Helper()
	lease, err := a.CoordinationV1().Leases(namespace).Get(a.t.Context(), DefaultName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	a.must(err)
	return holder(lease)
}

// TestTerm: what begins where, and is recorded in both places.
func TestTerm(t *testing.T) {
	const clock = 1_800_000_000_000_000 // µs, in 2027
	const ahead = clock + 5*termDistance
	for _, test := range []struct {
		name             string
		lease, configMap string
		memory           uint64
		clock            int64
		want             uint64
	}{
		{name: "first", clock: clock, want: clock},
		{name: "long after the last", lease: "1000", configMap: "1000", clock: clock, want: clock},
		{name: "soon after the last", lease: strconv.Itoa(clock - 1), clock: clock, want: clock - 1 + termDistance},
		{name: "the clock is behind the Lease", lease: strconv.Itoa(ahead), clock: clock, want: ahead + termDistance},
		{name: "the Lease was deleted", configMap: strconv.Itoa(ahead), clock: clock, want: ahead + termDistance},
		{name: "both were deleted", memory: ahead, clock: clock, want: ahead + termDistance},
		{name: "the Lease is highest", lease: strconv.Itoa(ahead + 2), configMap: strconv.Itoa(ahead), memory: ahead + 1, clock: clock, want: ahead + 2 + termDistance},
		{name: "the ConfigMap is highest", lease: strconv.Itoa(ahead), configMap: strconv.Itoa(ahead + 2), memory: ahead + 1, clock: clock, want: ahead + 2 + termDistance},
		{name: "the memory is highest", lease: strconv.Itoa(ahead), configMap: strconv.Itoa(ahead + 1), memory: ahead + 2, clock: clock, want: ahead + 2 + termDistance},
		{name: "garbage in the Lease", lease: "garbage", configMap: strconv.Itoa(ahead), clock: clock, want: ahead + termDistance},
		{name: "garbage in the ConfigMap", lease: strconv.Itoa(ahead), configMap: "-1", clock: clock, want: ahead + termDistance},
		{name: "garbage everywhere", lease: "1e9", configMap: "", clock: clock, want: clock},
		{name: "a term that no next one fits behind", lease: "4611686018427387905", configMap: "garbage", clock: clock, want: clock},
		{name: "a clock before 1970", clock: -clock, want: termDistance},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				g.admin.setLease(func(lease *coordinationv1.Lease) {
					if test.lease != "" {
						setTerm(lease, test.lease)
					}
				})
				g.admin.createConfigMap(test.configMap)
				g.start("a", withClock(clocktesting.NewFakePassiveClock(time.UnixMicro(test.clock))), withMemory(test.memory))
				if got := g.awaitLeader(atOnce).term; got != test.want {
					t.Errorf("term %d, want %d", got, test.want)
				}
				g.leaseIs("a", test.want)
				configMap := g.admin.configMap()
				if got := configMap.Annotations[TermAnnotation]; got != strconv.FormatUint(test.want, 10) {
					t.Errorf("ConfigMap says %q, want %d", got, test.want)
				}
				if configMap.Data["ca.crt"] != "PEM" {
					t.Errorf("data of the ConfigMap is now %v", configMap.Data)
				}
			})
		})
	}
}

// TestConfigMapIsMade when it is not there.
func TestConfigMapIsMade(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.start("a")
		term := g.awaitLeader(atOnce).term
		configMap := g.admin.configMap()
		if got := configMap.Annotations[TermAnnotation]; got != strconv.FormatUint(term, 10) || len(configMap.Data) > 0 {
			t.Errorf("ConfigMap has term %q and data %v", got, configMap.Data)
		}
	})
}

// TestStandbyRemembers: a term outlives both of its records.
func TestStandbyRemembers(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a", func(_ *Config, s *server) { s.hold = make(chan struct{}) })
		first := g.awaitLeader(atOnce)
		g.start("b", withClock(clocktesting.NewFakePassiveClock(time.UnixMicro(1))))
		time.Sleep(aWhile)
		// It is on its way out and makes nothing anew, but has not returned yet.
		a.stop()
		synctest.Wait()
		g.setMayOverlap(true)
		g.admin.must(g.admin.CoreV1().ConfigMaps(namespace).Delete(g.ctx, DefaultConfigMapName, metav1.DeleteOptions{}))
		g.admin.deleteLease()
		second := g.awaitLeader(atOnce)
		if second.name != "b" || second.term != first.term+termDistance {
			t.Errorf("%+v after %+v", second, first)
		}
		close(a.hold)
		g.mustEnd(a, nil)
		g.leaseIs("b", second.term)
	})
}

// TestTermIsWrittenAnew when somebody damages it while the server is active.
func TestTermIsWrittenAnew(t *testing.T) {
	for _, damage := range []string{"garbage", "0", "17"} {
		t.Run(damage, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				g.start("a")
				term := g.awaitLeader(atOnce).term
				time.Sleep(aWhile)
				g.admin.setLease(func(lease *coordinationv1.Lease) { setTerm(lease, damage) })
				synctest.Wait()
				g.leaseIs("a", term)
			})
		})
	}
}

// TestHigherTerm: another has begun a term that this server did not see.
func TestHigherTerm(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		a := g.start("a")
		term := g.awaitLeader(atOnce).term
		g.admin.setLease(func(lease *coordinationv1.Lease) { setTerm(lease, strconv.FormatUint(term+1, 10)) })
		if err := g.awaitEnd(a, atOnce); !errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
		g.restart(a)
		if got := g.awaitLeader(atOnce).term; got < term+1+termDistance {
			t.Errorf("term %d after %d", got, term+1)
		}
	})
}

// TestLeaseLostWhileRecording: no term without the Lease.
func TestLeaseLostWhileRecording(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		g.admin.createConfigMap("1")
		stolen := false
		a := g.start("a", func(_ *Config, s *server) {
			s.client.deaf.Store(true)
			s.client.intercept(func(action clienttesting.Action) error {
				if action.Matches("patch", "configmaps") && !stolen {
					stolen = true
					g.admin.setLease(func(lease *coordinationv1.Lease) {
						hold("thief")(lease)
						setTerm(lease, "42")
					})
				}
				return nil
			})
		})
		if err := g.awaitEnd(a, atOnce); !errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
		select {
		case l := <-g.leading:
			t.Errorf("%+v", l)
		default:
		}
		g.leaseIs("thief", 42)
	})
}

// TestTermIsRecordedWithoutRaces: what changes between reading and writing
// counts, and repeated attempts use one term.
func TestTermIsRecordedWithoutRaces(t *testing.T) {
	const ahead = 1 << 60
	for name, change := range map[string]struct {
		do   func(admin)
		want uint64
	}{
		"another term":      {func(a admin) { a.setConfigMapTerm(strconv.Itoa(ahead)) }, ahead + termDistance},
		"something else":    {func(a admin) { a.setConfigMapTerm("2") }, 1_000_000_000_000},
		"the Lease renewed": {func(a admin) { a.setLease(hold("a")) }, 1_000_000_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, g *group) {
				g.admin.createConfigMap("1")
				changes := 3
				g.start("a", withClock(clocktesting.NewFakePassiveClock(time.UnixMicro(1_000_000_000_000))), func(_ *Config, s *server) {
					s.client.intercept(func(action clienttesting.Action) error {
						if action.Matches("patch", "configmaps") && changes > 0 {
							changes--
							change.do(g.admin)
						}
						return nil
					})
				})
				if got := g.awaitLeader(time.Second).term; got != change.want {
					t.Errorf("term %d, want %d", got, change.want)
				}
			})
		})
	}
}

// TestTermCannotBeRecorded: the server lets another try.
func TestTermCannotBeRecorded(t *testing.T) {
	run(t, func(t *testing.T, g *group) {
		forbidden := apierrors.NewForbidden(configMapResource.GroupResource(), DefaultConfigMapName, nil)
		a := g.start("a", func(_ *Config, s *server) {
			s.client.intercept(func(action clienttesting.Action) error {
				if action.GetResource() == configMapResource {
					return forbidden
				}
				return nil
			})
		})
		synctest.Wait()
		g.start("b")
		if l := g.awaitLeader(recordTimeout + atOnce); l.name != "b" {
			t.Errorf("%s leads", l.name)
		}
		if err := g.awaitEnd(a, atOnce); !apierrors.IsForbidden(err) || errors.Is(err, ErrLost) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestTermsOverManyChanges: the group checks the order of the terms and that
// nobody leads beside another.
func TestTermsOverManyChanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	run(t, func(t *testing.T, g *group) {
		servers := map[string]*server{}
		for i := range 3 {
			offset := time.Duration(random.Int64N(int64(200 * time.Hour)))
			clock := clocktesting.NewFakePassiveClock(time.Now().Add(-offset))
			servers[podName(i)] = g.start(podName(i), withClock(clock))
		}
		for range 120 {
			leader := servers[g.awaitLeader(leaseDuration+time.Second).name]
			time.Sleep(time.Duration(random.Int64N(int64(5 * time.Second))))
			if random.IntN(3) == 0 {
				g.admin.setConfigMapTerm([]string{"garbage", "", "1", strconv.FormatUint(1<<63, 10)}[random.IntN(4)])
			}
			switch random.IntN(4) {
			case 0: // Its process is started again.
				leader.stop()
				g.mustEnd(leader, nil)
				g.restart(leader)
			case 1: // It is another process, which remembers nothing.
				leader.stop()
				g.mustEnd(leader, nil)
				delete(servers, leader.Identity())
				next := g.start(leader.Identity(), withClock(leader.config.Clock))
				servers[next.Identity()] = next
			case 2: // It is cut off.
				leader.client.down.Store(true)
				g.mustEnd(leader, ErrLost)
				leader.client.down.Store(false)
				g.restart(leader)
			case 3: // Its Lease disappears just before it can release it.
				leader.client.intercept(func(action clienttesting.Action) error {
					if update, isUpdate := action.(clienttesting.UpdateAction); isUpdate {
						if lease, isLease := update.GetObject().(*coordinationv1.Lease); isLease && holder(lease) == "" {
							g.admin.deleteLease()
						}
					}
					return nil
				})
				leader.stop()
				g.mustEnd(leader, nil)
				leader.client.before.Store(nil)
				g.restart(leader)
			}
		}
	})
}

// mustEnd checks how Run of a server ends that has every reason to.
func (g *group) mustEnd(s *server, want error) {
	g.t.Helper()
	if err := g.awaitEnd(s, 20*time.Second); !errors.Is(err, want) {
		g.t.Errorf("Run of %s: %v, want %v", s.Identity(), err, want)
	}
}
