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

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/time/rate"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/informers/externalversions"
)

const (
	// numberAnnotation holds the number of the last write.
	numberAnnotation = "e2e.nmstate.io/number"
	// perState of the writes in a row share one desired state, so that most are
	// quick and some change the node.
	perState = 5

	readTimeout, writeTimeout = 5 * time.Second, 40 * time.Second
)

// What a write may be told although nothing is wrong.
var (
	errUnreachable = errors.New("the agent is said to be unreachable")
	errConflict    = errors.New("the node's state has changed meanwhile")
)

// ledger is a load of reads of all nodes, and of writes to each, that goes on
// until it is stopped. As each node has one writer, which numbers what it writes,
// the ledger knows what an answer may be, and notes those that may not.
type ledger struct {
	nns      typed.NodeNetworkStateInterface
	accounts []*account
	reader   worker
	informer cache.SharedIndexInformer

	stopping context.Context
	end      func()
	workers  sync.WaitGroup

	mu     sync.Mutex
	wrong  []string
	errors map[string]int
}

// account is what is known of a node. Write number done was made; those after it,
// up to tried, may have been.
type account struct {
	worker
	node       string
	generation int64 // at number 0

	mu          sync.Mutex
	tried, done int
	// denied tells that all answers to write number tried said that it was not made.
	denied bool
}

// worker sends one request after the other, and knows how long it got no answer.
type worker struct {
	pace rate.Limit // requests a second, at most

	felt     sync.Mutex
	requests int
	good     time.Time // when the last request that succeeded was sent
	since    time.Time // when the first one that failed since then was sent
	worst    time.Duration
}

// address is what the desired state gives to a port.
func address(number int) string {
	n := number / perState
	return fmt.Sprintf("198.19.%d.%d", n/250%256, n%250+1)
}

func desired(number int) string {
	return `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up",` +
		`"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"` + address(number) + `","prefix-length":32}]}}]}`
}

// startLedger takes over the nodes' desired states; eth1 has no address when the spec is over.
func (s *suite) startLedger(ctx context.Context) *ledger {
	GinkgoHelper()
	l := &ledger{nns: s.nns(), reader: worker{pace: 20}, errors: map[string]int{}}
	for _, n := range s.nodes() {
		s.desireAfterwards(n.name, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":false}}]}`)
		out, err := s.kubectl(ctx, "", "annotate", "nns", n.name, numberAnnotation+"=0", "--overwrite")
		Expect(err).NotTo(HaveOccurred(), out)
		obj := s.desire(ctx, n.name, desired(0))
		l.accounts = append(l.accounts, &account{node: n.name, generation: obj.Generation, worker: worker{pace: 5}})
	}
	factory := externalversions.NewSharedInformerFactory(s.clients(nil), 0)
	l.informer = factory.Nmstate().V1alpha1().NodeNetworkStates().Informer()
	_, err := l.informer.AddEventHandler(l.informed())
	Expect(err).NotTo(HaveOccurred())
	// Requests are not cut short when it ends: each write is to have an outcome.
	l.stopping, l.end = context.WithCancel(ctx)
	factory.Start(ctx.Done())
	Expect(cache.WaitForCacheSync(ctx.Done(), l.informer.HasSynced)).To(BeTrue())
	l.work(ctx, &l.reader, l.read)
	for _, a := range l.accounts {
		l.work(ctx, &a.worker, func(ctx context.Context) error { return l.write(ctx, a) })
	}
	return l
}

func (l *ledger) work(ctx context.Context, w *worker, do func(context.Context) error) {
	pace := rate.NewLimiter(w.pace, 1)
	l.workers.Go(func() {
		defer GinkgoRecover()
		for pace.Wait(l.stopping) == nil {
			begin := time.Now()
			err := do(ctx)
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, errConflict) {
				continue // no answer to what was asked, and no failure
			}
			w.note(begin, err)
			if err != nil {
				l.mu.Lock()
				l.errors[err.Error()]++
				l.mu.Unlock()
			}
		}
	})
}

func (w *worker) note(begin time.Time, err error) {
	w.felt.Lock()
	defer w.felt.Unlock()
	w.requests++
	if w.since.IsZero() {
		w.since = begin
	}
	if err == nil {
		w.worst = max(w.worst, time.Since(w.since))
		w.good, w.since = begin, time.Time{}
	}
}

// take returns how long the worker has been without an answer since the last call, at most.
func (w *worker) take() time.Duration {
	w.felt.Lock()
	defer w.felt.Unlock()
	worst := w.worst
	w.worst = 0
	return worst
}

func (w *worker) succeededSince(t time.Time) bool {
	w.felt.Lock()
	defer w.felt.Unlock()
	return w.good.After(t)
}

// settle returns when everybody has had an answer to a request sent after it was called.
func (l *ledger) settle(ctx context.Context) {
	GinkgoHelper()
	now := time.Now()
	Eventually(func() bool {
		return l.reader.succeededSince(now) &&
			!slices.ContainsFunc(l.accounts, func(a *account) bool { return !a.succeededSince(now) })
	}).WithContext(ctx).WithTimeout(3*time.Minute).Should(BeTrue(), l.errorTable)
}

// take returns how long reads and writes were without an answer since the last call.
func (l *ledger) take() (reads, writes time.Duration) {
	for _, a := range l.accounts {
		writes = max(writes, a.take())
	}
	return l.reader.take(), writes
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < 20 {
		l.wrong = append(l.wrong, time.Now().Format(time.TimeOnly+" ")+fmt.Sprintf(format, args...))
	}
}

func (l *ledger) errorTable() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for text, times := range l.errors {
		lines = append(lines, fmt.Sprintf("%6d times %s", times, text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (a *account) numbers() (tried, done int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tried, a.done
}

func (l *ledger) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	least, inFlight := map[string]int{}, map[string]bool{}
	for _, a := range l.accounts {
		tried, done := a.numbers()
		least[a.node], inFlight[a.node] = done, tried != done
	}
	all, err := l.nns.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, a := range l.accounts {
		most, _ := a.numbers()
		obj := find(all, a.node)
		if obj == nil {
			l.complain("a list lacks %s", a.node)
			continue
		}
		inFlight[a.node] = inFlight[a.node] || most != least[a.node]
		number, ok := l.check(a, obj, least[a.node], most)
		if ok && !inFlight[a.node] && isTrue(v1alpha1.ConditionAvailable)(obj) &&
			(!shows(obj, address(number)) || number >= perState && shows(obj, address(number-perState))) {
			l.complain("at write %d, with nothing on its way, %s is %+v", number, a.node, obj.Status)
		}
	}
	return nil
}

// check checks all of an answer that does not change by itself. It returns the
// number of the last write that it shows, and whether it is right. What is said
// of a node that a server has not yet heard of may be nothing.
func (l *ledger) check(a *account, obj *v1alpha1.NodeNetworkState, least, most int) (number int, ok bool) {
	text, has := obj.Annotations[numberAnnotation]
	if !has && lost(obj) {
		return least, true
	}
	number, err := strconv.Atoi(text)
	generation := a.generation + int64(number/perState)
	switch {
	case err != nil:
		l.complain("%s has no number: %v", a.node, obj.Annotations)
	case number < least:
		l.complain("%s has write %d although %d was made before: stale, or lost", a.node, number, least)
	case number > most:
		l.complain("%s has write %d although %d was the last one", a.node, number, most)
	case obj.Generation != generation:
		l.complain("%s has generation %d at write %d, not %d: one was lost, or made twice", a.node, obj.Generation, number, generation)
	case !v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(desired(number)))):
		l.complain("%s has at write %d the spec %+v", a.node, number, obj.Spec)
	default:
		return number, true
	}
	return number, false
}

// write makes the next write, or the last one again if it was not made.
func (l *ledger) write(ctx context.Context, a *account) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	obj, err := l.nns.Get(ctx, a.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		l.complain("a GET: %v", err)
	}
	if err != nil {
		return fmt.Errorf("GET: %w", err)
	}
	tried, done := a.numbers()
	number, ok := l.check(a, obj, done, tried)
	switch {
	case !ok:
		return errors.New("a wrong answer")
	case lost(obj):
		return errUnreachable
	}
	if number > done && a.denied {
		l.complain("%s has write %d, which was said not to be made", a.node, number)
	}
	next := number + 1
	a.mu.Lock()
	a.denied = next > tried || a.denied
	a.done, a.tried = number, next
	a.mu.Unlock()
	change := obj.DeepCopy()
	change.Annotations[numberAnnotation] = strconv.Itoa(next)
	change.Spec.DesiredState = v1alpha1.NewState([]byte(desired(next)))
	got, err := l.nns.Update(ctx, change, metav1.UpdateOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsTooManyRequests(err):
		return errConflict
	case apierrors.IsServiceUnavailable(err) && strings.HasPrefix(err.Error(), `node "`):
		return errUnreachable // nothing was sent to it
	case err != nil:
		a.denied = false
		return fmt.Errorf("PUT: %w", err)
	}
	l.check(a, got, next, next)
	a.mu.Lock()
	a.done = next
	a.mu.Unlock()
	return nil
}

// informed checks that an informer never goes back.
func (l *ledger) informed() cache.ResourceEventHandler {
	last := map[string]int{}
	note := func(obj any) {
		state := obj.(*v1alpha1.NodeNetworkState)
		for _, a := range l.accounts {
			if a.node == state.Name {
				most, _ := a.numbers()
				last[a.node], _ = l.check(a, state, last[a.node], most)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    note,
		UpdateFunc: func(_, obj any) { note(obj) },
		DeleteFunc: func(obj any) { l.complain("an informer is told that %T is gone", obj) },
	}
}

// stop ends the load and checks that all is as it was told, and that the informer
// has come to know it.
func (l *ledger) stop(ctx context.Context, s *suite) {
	GinkgoHelper()
	l.settle(ctx)
	l.end()
	l.workers.Wait()
	for _, a := range l.accounts {
		Eventually(func() error { return l.write(ctx, a) }).WithContext(ctx).WithTimeout(long).Should(Succeed())
		Expect(s.must(ctx, a.node, "ip -o addr show to 198.19.0.0/16")).To(And(
			ContainSubstring("eth1"), ContainSubstring(address(a.done)+"/32"), HaveSuffix("\n"), WithTransform(countLines, Equal(1))))
	}
	Eventually(func() error { return l.read(ctx) }).WithContext(ctx).WithTimeout(long).Should(Succeed())
	Eventually(func() ([]v1alpha1.NodeNetworkState, error) {
		all, err := l.nns.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err // a fault that is over may still be felt: no answer is no wrong answer
		}
		return slices.DeleteFunc(all.Items, func(obj v1alpha1.NodeNetworkState) bool {
			known, has, _ := l.informer.GetStore().GetByKey(obj.Name)
			return has && apiequality.Semantic.DeepEqual(known, &obj)
		}), nil
	}).WithContext(ctx).WithTimeout(long).Should(BeEmpty(), "what the informer does not know")
	l.mu.Lock()
	defer l.mu.Unlock()
	Expect(l.wrong).To(BeEmpty(), "wrong answers")
}

func countLines(text string) int { return strings.Count(text, "\n") }

// counts tells how many reads and writes there were.
func (l *ledger) counts() string {
	writes := 0
	for _, a := range l.accounts {
		_, done := a.numbers()
		writes += done
	}
	return fmt.Sprintf("%d lists, %d writes made", l.reader.requests, writes)
}
