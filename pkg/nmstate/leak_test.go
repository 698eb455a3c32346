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

package nmstate

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

const (
	// A window is windowCalls calls of a function, or what windowTime lets it do,
	// and windowLeast at least.
	windowCalls = 2000
	windowTime  = 400 * time.Millisecond
	windowLeast = 20
	// After leastWindows, that is 10,000 calls of a fast function, the heap must
	// stop growing; it has mostWindows to find its size. Only a leak makes it grow
	// for ever, by more than leakLimit bytes a window: the shortest piece that
	// malloc gives, leaked by each call of a fast function, is ten times that, and
	// of a slow one all that goes in and comes out is long.
	leastWindows = 5
	mostWindows  = 20
	leakLimit    = 6 << 10
)

func TestMain(m *testing.M) { netns.Main(m) }

// padding makes a state some 4 kB long, where that makes no other difference.
var padding = `"description":"` + strings.Repeat("x", 4000) + `"`

// calls are all functions as they can be called without NetworkManager, each so
// that it succeeds and so that it fails.
func calls(t *testing.T) map[string]func() error {
	var answers Answers
	current := retrieve(t)
	state := []byte(`{` + padding + `,"interfaces":[{"name":"lo","type":"loopback","state":"up"}]}`)
	policy := []byte(`{"desiredState":` + string(state) + `}`)
	refused := []byte(`{` + padding + `,"interfaces":[{"name":"v","type":"veth","state":"up"}]}`)
	bad := []byte(`{` + padding + `,"interfaces":[{"name":"v","type":"veth","state":"up","veth":1}]}`)
	result := func(_ []byte, _ string, err error) error { return err }
	texts := func(_, _ string, err error) error { return err }
	noLog := func(_ []byte, err error) error { return err }
	onlyLog := func(_ string, err error) error { return err }
	all := map[string]func() error{
		"RetrieveNetState":             func() error { return result(RetrieveNetState(KernelOnly)) },
		"RetrieveNetState/fails":       func() error { return result(RetrieveNetState(0)) },
		"Answers":                      func() error { return texts(answers.RetrieveNetState(KernelOnly, AskMeanwhile)) },
		"Answers/fails":                func() error { return texts(answers.RetrieveNetState(0, Hold)) },
		"Answers/asks meanwhile/fails": func() error { return texts(answers.RetrieveNetState(0, AskMeanwhile)) },
		"ApplyNetState":                func() error { return onlyLog(ApplyNetState(KernelOnly, state, 0)) },
		"ApplyNetState/fails":          func() error { return onlyLog(ApplyNetState(KernelOnly, bad, 0)) },
		"ApplyNetState/refused/fails":  func() error { return onlyLog(ApplyNetState(KernelOnly, refused, 0)) },
		"CommitCheckpoint/fails":       func() error { return onlyLog(CommitCheckpoint(strings.Repeat("x", 4000))) },
		"RollbackCheckpoint/fails":     func() error { return onlyLog(RollbackCheckpoint(strings.Repeat("x", 4000))) },
		"GenerateConfigurations":       func() error { return result(GenerateConfigurations(state)) },
		"GenerateConfigurations/fails": func() error { return result(GenerateConfigurations(bad)) },
		"NetStateFromPolicy":           func() error { return result(NetStateFromPolicy(policy, current)) },
		"NetStateFromPolicy/fails":     func() error { return result(NetStateFromPolicy(bad, current)) },
		"GenerateDifferences":          func() error { return noLog(GenerateDifferences([]byte(veth), current)) },
		"GenerateDifferences/fails":    func() error { return noLog(GenerateDifferences(bad, current)) },
		"FormatNetState":               func() error { return noLog(FormatNetState(state)) },
		"FormatNetState/fails":         func() error { return noLog(FormatNetState(bad)) },
		"GenerateRevert":               func() error { return noLog(GenerateRevert([]byte(veth), current)) },
		"GenerateRevert/fails":         func() error { return noLog(GenerateRevert(bad, current)) },
		"GenerateRevert/refused/fails": func() error { return noLog(GenerateRevert(refused, current)) },
	}
	if !CanGenerateRevert() {
		delete(all, "GenerateRevert") // it always fails
	}
	return all
}

// TestAStateThatCannotBeReadDoesNotKeepTheLog: all later calls would leak theirs.
func TestAStateThatCannotBeReadDoesNotKeepTheLog(t *testing.T) {
	_, err := ApplyNetState(KernelOnly, []byte(`{"interfaces":1}`), 0)
	if failure := wantKind(t, err, InvalidArgument); failure.Op != "nmstate_net_state_apply" {
		t.Errorf("error is %v", failure)
	}
	_, _, err = GenerateConfigurations([]byte(`{"interfaces":1}`))
	wantKind(t, err, InvalidArgument)
	if grown, made := growth(t, func() { _, _ = CommitCheckpoint("none") }); grown > leakLimit {
		t.Errorf("afterwards %d calls go on to grow C's heap by %d bytes", made, grown)
	}
}

// TestCallsDoNotLeak: of no function, whether it succeeds or fails. Validate is
// by itself, see TestWhatValidateLeaks.
func TestCallsDoNotLeak(t *testing.T) {
	for name, call := range calls(t) {
		t.Run(name, func(t *testing.T) {
			if err := call(); (err != nil) != strings.HasSuffix(name, "/fails") {
				t.Fatal(err)
			}
			grown, made := growth(t, func() { _ = call() })
			t.Logf("%d calls: %d bytes", made, grown)
			if grown > leakLimit {
				t.Errorf("%d calls go on to grow C's heap by %d bytes", made, grown)
			}
		})
	}
}

// TestWhatValidateLeaks holds the leak to what is said of it in Validate.
func TestWhatValidateLeaks(t *testing.T) {
	current := retrieve(t)
	for name, state := range map[string]string{
		"valid":   veth,
		"invalid": `{"interfaces":[{"name":"b","type":"linux-bridge","mtu":"big"}]}`,
		"refused": `{"interfaces":[{"name":"t9","type":"veth","state":"up"}]}`,
		"policy":  `{"desiredState":` + veth + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			grown, made := growth(t, func() { _ = Validate([]byte(state), current) })
			t.Logf("%d calls: %d bytes, %d a call", made, grown, grown/made)
			leaks := name == "invalid" || name == "refused"
			if grown > leakLimit && !leaks || grown > 500*made {
				t.Errorf("Validate leaks %d bytes a call: if that is the library's, say so in its documentation", grown/made)
			}
		})
	}
}

// TestAReadLeavesItsThreadNothing: malloc keeps pieces for each thread that has allocated, and an agent reads on many.
func TestAReadLeavesItsThreadNothing(t *testing.T) {
	if !CanKeepAnswers() {
		t.Skip("a system's libnmstate reads on the caller's thread")
	}
	const threads, most = 16, 512 << 10
	var answers Answers
	ask := func() {
		if _, _, err := answers.RetrieveNetState(KernelOnly, AskLast); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		ask()
	}
	before := heap(t)
	done, end := make(chan struct{}), make(chan struct{})
	for range threads {
		go func() {
			runtime.LockOSThread()
			ask()
			done <- struct{}{}
			<-end // or the thread would end, and give back what it has
		}()
		<-done
	}
	if grown := heap(t) - before; grown > most {
		t.Errorf("after reads on %d threads C's heap is %d bytes larger, at most %d are its own", threads, grown, most)
	}
	close(end)
}

// growth is by how much the calls of one window grow C's heap, and how many those
// are: of the last two windows the one in which it grows more. Those are the
// first two that stay within the limit, if any do.
func growth(t *testing.T, call func()) (bytes, calls int) {
	t.Helper()
	// Each thread keeps a few of the pieces that were freed on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	last, before := 0, heap(t)
	for window := range mostWindows {
		calls = 0
		for start := time.Now(); calls < windowCalls && (calls < windowLeast || time.Since(start) < windowTime); calls++ {
			call()
		}
		now := heap(t)
		bytes, last, before = max(last, now-before), now-before, now
		if window+1 >= leastWindows && bytes <= leakLimit {
			break
		}
	}
	return bytes, calls
}

// heap is how much of C's heap is in use, as the kernel sees it: Go's is elsewhere.
func heap(t *testing.T) int {
	t.Helper()
	settle()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(maps), " [heap]\n")
	_, after, rss := strings.Cut(after, "\nRss:")
	if !found || !rss {
		t.Fatal("this process has no heap")
	}
	kB, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
