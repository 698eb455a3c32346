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

package host

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/lldp"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/witness"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/hostid"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

var _ agent.Agent = &Host{}

// Config says how a Host works.
type Config struct {
	// StateDir is the folder of the agent's record; it is made if it is not there.
	StateDir string
	// Backend says what carries out changes.
	Backend BackendChoice
	// KeepUnmanagedVeths shows the veths that NetworkManager leaves alone, too.
	KeepUnmanagedVeths bool
	// Confirmer is asked whether this node can be reached through a network that was changed.
	Confirmer agent.Confirmer
	// Restored, if it is not nil, is called when the network was put back after a change, which may have cut the node off.
	Restored func(context.Context)
	// Server is the API server's address for agents, HOST:PORT. A dry run warns of what a
	// change does to the way there; it does not if the address is empty.
	Server string
	// ApplyTimeout is how long nmstate may take to apply and verify a change; 0 means the default.
	ApplyTimeout time.Duration
	// LLDP makes the agent hear what neighbours say of themselves by LLDP. It sends nothing.
	LLDP bool

	// adjust lets tests change how transactions are made.
	adjust func(*transaction.Config)
}

// Host is the agent of the network namespace that it runs in, usually the host's.
type Host struct {
	config Config
	store  *store
	feed   *agent.Feed
	rounds *agent.Rounds
	// events gets something when the kernel has reported a change of the network, reports has something in it when NetworkManager has.
	events   chan struct{}
	reports  chan struct{}
	detector detector
	witness  *witness.Witness
	// answers are NetworkManager's of the last read; a round at a time uses them.
	answers nmstate.Answers
	// dryRuns bounds the dry runs that have a worker at the same time.
	dryRuns *semaphore.Weighted
	// dryRunWait is how long a dry run waits for its turn.
	dryRunWait time.Duration
	// applies are the changes that are under way; Run waits for them at its end.
	applies sync.WaitGroup
	// runner carries the changes out. pending tells that an earlier agent has left it something to do.
	runner  *transaction.Runner
	pending bool
	// kernel identifies the running kernel and network namespace.
	kernel string
	// showLimit is how long a change that has ended waits for the network to be read.
	showLimit time.Duration
	// boot is what was seen of a boot since the desired state was committed.
	boot boot
	// leftovers tells settles that something could not be put back.
	leftovers chan struct{}
	// published tells reapplies that an object was published.
	published chan struct{}
	// portReads are the reads of what the kernel tells of the ports, and lldp listens to their neighbours; nil if it does not.
	portReads *portReads
	lldp      *lldp.Listener

	mu   sync.Mutex
	view view
	// outcome is what the change that is under way leads to, from when that is written down until the change has ended.
	outcome *outcome
	// ending tells that Run ends: no change is taken any more.
	ending bool
	// unrehearsed tells that the agent's own next change is made although the API server cannot be reached.
	unrehearsed bool
	// turns counts how often a change has made the network what it leads to, or what it was before. known is what it was when
	// the last read of the network began. reread is the read that has begun after the last turn, and turned is the change if
	// it was applied then.
	turns, known int
	reread       *agent.Round
	turned       *underWay
	// readAt is when the network was read last.
	readAt metav1.Time
	// unpublished tells that view may differ from the object that was published last.
	unpublished bool
	// reader has made view.state.
	reader reader
	// compared are the two states that view.difference was computed from.
	compared struct {
		desired *v1alpha1.State
		state   *state
	}
}

// New returns the agent of this host. It reads the record that an earlier agent has kept.
func New(config Config) (*Host, error) {
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the agent's state folder: %w", err)
	}
	h := &Host{
		config:     config,
		store:      newStore(config.StateDir),
		feed:       agent.NewFeed(),
		detector:   detector{choice: config.Backend},
		dryRuns:    semaphore.NewWeighted(maxDryRuns),
		dryRunWait: dryRunWait,
		showLimit:  showLimit,
		events:     make(chan struct{}),
		reports:    make(chan struct{}, 1),
		reader:     reader{keepVeths: config.KeepUnmanagedVeths},
		leftovers:  make(chan struct{}, 1),
		published:  make(chan struct{}, 1),
	}
	tell := func() { put(h.reports) }
	h.detector.signals.Tell = tell
	var err error
	if h.witness, err = witness.New(&h.detector, nmstate.CanKeepAnswers(), tell); err != nil {
		return nil, err
	}
	h.rounds = agent.NewRounds(h.read)
	h.portReads = newPortReads(h.readPorts)
	if config.LLDP {
		h.lldp = lldp.New(h.shows)
	}
	h.view.nmstateVersion = nmstate.Version()
	if h.kernel, err = hostid.Current(); err != nil {
		// Then nothing is applied again after a boot, and a change that a boot has overtaken is undone.
		klog.Background().Error(err, "A boot of the node will not be noticed")
	}
	if h.runner, h.pending, err = transaction.Open(h.transactions()); err != nil {
		return nil, err
	}
	if h.pending {
		h.view.change = &underWay{}
		h.view.change.enter(v1alpha1.StageRecovering)
		if left := h.runner.Left(); left != nil {
			h.view.change.story = *left
		}
	} else {
		h.store.sweep()
		h.store.unstage()
	}
	h.view.record, h.view.damage = h.store.load()
	h.boot = boot{limit: bootTime, isFresh: h.kernel != "" && h.view.record.Kernel != "" && h.view.record.Kernel != h.kernel}
	if !h.pending {
		h.interrupt()
		h.noteUnsettled()
	}
	return h, nil
}

// Run reads the network, and again whenever the kernel reports a change, until ctx
// ends. It then waits for an apply that is under way.
func (h *Host) Run(ctx context.Context) error {
	reports, err := rtnetlink.Follow(rtnetlink.Groups()...)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		reports.Close()
		return ctx.Err()
	})
	group.Go(func() error { return listen(ctx, reports, h.events) })
	group.Go(func() error {
		if h.pending {
			if err := h.recover(ctx); err != nil {
				return err
			}
		}
		return h.reapplies(ctx)
	})
	group.Go(func() error { return h.settles(ctx) })
	if h.lldp != nil {
		group.Go(func() error { return h.lldp.Run(ctx) })
	}
	group.Go(func() error {
		if err := h.round(ctx); err != nil {
			return err
		}
		return h.follow(ctx, reports)
	})
	err = group.Wait()
	h.drain()
	h.runner.Close()
	h.detector.close()
	h.witness.Close()
	h.answers.Close()
	return err
}

// Watch implements agent.Agent.
func (h *Host) Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error {
	return h.feed.Watch(ctx, deliver)
}

// Barrier implements agent.Agent. It reads, unless nothing can have changed
// since the last read.
func (h *Host) Barrier(ctx context.Context) (read bool, err error) {
	if read, err = h.join(ctx); err != nil {
		return read, err
	}
	return read, h.feed.Settled(ctx)
}

// round waits for a round that begins after the call. The error is ctx's, or says why
// no object could be published.
func (h *Host) round(ctx context.Context) error {
	_, err := h.join(ctx)
	return err
}

// join is round, and tells whether the network was read in it. If a change was applied or undone during the round, what was
// read may show the middle of it: join then waits for the read that has begun after it, so that its caller sees what has
// come of the change.
func (h *Host) join(ctx context.Context) (read bool, err error) {
	for round := h.rounds.Join(); ; {
		reads, err := h.await(ctx, round)
		read = read || reads
		h.mu.Lock()
		round = h.reread
		overtaken := h.known != h.turns
		h.mu.Unlock()
		if err != nil || !overtaken {
			return read, err
		}
	}
}

// await waits until a round has ended, and tells whether the network was read in it.
func (h *Host) await(ctx context.Context, round *agent.Round) (read bool, err error) {
	select {
	case <-round.Done():
		return round.Result()
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// read reads the network, or what of it is not proved unchanged, and publishes the object if it has changed. What was read and the
// difference that comes of it are seen by others at one moment: an agent that has booted else takes no difference yet for
// none. A network that cannot be read is no error: the object says so.
func (h *Host) read() (read bool, err error) {
	h.mu.Lock()
	turns := h.turns
	h.mu.Unlock()
	readAt := now()
	with := h.detector.detect()
	proved, ask := h.proved(with)
	var raw string
	var readErr error
	if !proved {
		raw, readErr = h.retrieve(with, ask)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !proved {
		h.view.backend = with
		readErr = h.look(raw, readErr)
	}
	if readErr == nil {
		h.readAt = readAt
	}
	if h.known = turns; proved && !h.unpublished {
		return false, nil
	}
	return !proved, h.publish()
}

// look puts what libnmstate returned, or why it did not, into the view. The caller holds the lock.
func (h *Host) look(raw string, err error) error {
	if err == nil {
		var next *state
		if next, err = h.reader.read(raw); err == nil && next != h.view.state {
			h.view.state = next
			h.lldp.Recheck()
		}
	}
	h.view.readError = ""
	if err != nil {
		h.witness.Forget()
		h.view.state = nil
		h.view.readError = secret.Scrub("reading the network: "+err.Error(), h.desired())
	}
	return err
}

// desired is the desired state with its secrets. The caller holds the lock.
func (h *Host) desired() []byte {
	if desired := h.view.shown().Desired; desired != nil {
		return desired.Raw
	}
	return nil
}

// publish publishes the object if it has changed. It does nothing while the last read began before
// a change was applied or undone: the next read publishes. The caller holds the lock.
func (h *Host) publish() error {
	h.unpublished = true
	if h.known != h.turns {
		return nil
	}
	h.compare()
	last := h.feed.Last()
	next, err := compose(h.view, last)
	if err != nil {
		return &agent.Error{Kind: agent.Failed, Message: "making the node's object: " + err.Error()}
	}
	h.unpublished = false
	if sameObject(last, next) {
		return nil
	}
	if h.view.state != nil {
		next.Status.LastSuccessfulUpdateTime = h.readAt.DeepCopy()
	}
	h.feed.Publish(next)
	put(h.published)
	return nil
}

// compare computes the difference, unless it did for the same states. The
// secrets are masked on both sides. The caller holds the lock.
func (h *Host) compare() {
	desired := h.view.shown().Desired
	if h.compared.desired == desired && h.compared.state == h.view.state {
		return
	}
	h.compared.desired, h.compared.state = desired, h.view.state
	h.view.difference, h.view.differenceError = nil, ""
	if desired == nil || h.view.state == nil {
		return
	}
	var err error
	if h.view.difference, err = differenceOf(desired, h.view.state, h.view.backend.name); err != nil {
		h.view.differenceError = secret.Scrub(err.Error(), desired.Raw)
	}
}

// save writes the record and remembers whether that went well. As long as the outcome of an earlier change is not written, no
// newer record is: after a crash, the next agent would write the older one over it. The caller holds the lock.
func (h *Host) save(r record) error {
	err := h.runner.Owes()
	if err == nil {
		err = h.store.save(r)
	}
	h.noteWritable(err)
	return err
}

// noteWritable remembers whether the record could be written. The caller holds the lock.
func (h *Host) noteWritable(err error) {
	h.view.notWritable = ""
	if err != nil {
		h.view.notWritable = err.Error()
		klog.Background().Error(err, "The agent cannot keep its record")
	}
}
