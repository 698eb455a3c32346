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
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Names that the manifests and the other parts of the server use, too.
const (
	// DefaultName is the name of the Lease.
	DefaultName = "nmstate-apiserver"
	// DefaultConfigMapName is the name of the ConfigMap that remembers the term.
	DefaultConfigMapName = "nmstate-apiserver-ca"
	// TermAnnotation holds the start of the current term as a decimal number.
	TermAnnotation = "nmstate.io/term"
	// ActiveLabel is "true" on the active server's pod and absent elsewhere.
	ActiveLabel = "nmstate.io/active"
	// NameLabel and NameValue select the servers' pods.
	NameLabel = "app.kubernetes.io/name"
	NameValue = "nmstate-apiserver"
)

// The election's times. The holder writes once in 2 s. A standby that can read the
// Lease replaces a crashed holder 10 s after the holder's last write.
const (
	leaseDuration = 10 * time.Second
	renewDeadline = 7 * time.Second
	retryPeriod   = 2 * time.Second
	// fenceAfter is how long this server may act on a renewal, counted from when the
	// renewal was sent. It ends a little before others may take the Lease. It matters
	// when the process was suspended or a request hangs; otherwise client-go gives up
	// first.
	fenceAfter = leaseDuration - retryPeriod/4
	// requestTimeout bounds one request to the Kubernetes API, or a few that belong
	// together. A request that hangs must leave time for a second one.
	requestTimeout = renewDeadline / 2
	// recordTimeout is how long a server tries to record its term. Then another
	// server may try.
	recordTimeout = leaseDuration
	// tidyTimeout bounds the release of the Lease.
	tidyTimeout = 3 * time.Second
)

var (
	// ErrStandby is returned by Announce while this server is not the active one.
	ErrStandby = errors.New("this server is not the active one")
	// ErrLost is the reason why a server had to stop although it was not asked to.
	ErrLost = errors.New("the lease is lost")
)

// Config says who takes part in which election.
type Config struct {
	Client    kubernetes.Interface
	Namespace string
	// Name is the Lease's, DefaultName if empty.
	Name string
	// PodName is this server's pod and its identity. If empty, the identity is
	// made from the host's name, and no pod is labelled.
	PodName string
	// ConfigMapName is DefaultConfigMapName if empty. Only its annotation is
	// written; it is made, without data, if it is not there.
	ConfigMapName string
	// Clock gives new terms the time; the real one if nil.
	Clock clock.PassiveClock
}

// Election is one server's part in the election.
type Election struct {
	config   Config
	identity string
	// highest is the highest term that this process has seen. It is known even after
	// the Lease is deleted.
	highest atomic.Uint64
	// office is set while this server is the active one, otherwise nil.
	office atomic.Pointer[office]
}

// office is one term of this server as the active one.
type office struct {
	ctx context.Context
	// tenure ends when the Lease is lost. If the server was asked to end, ctx ends
	// earlier.
	tenure context.Context
	term   uint64
	// announce is closed when the server wants the traffic; announced is closed when
	// its pod has the label.
	announce, announced chan struct{}
	announceOnce        sync.Once
}

// New returns an Election, which does nothing before Run.
func New(config Config) *Election {
	if config.Name == "" {
		config.Name = DefaultName
	}
	if config.ConfigMapName == "" {
		config.ConfigMapName = DefaultConfigMapName
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	return &Election{config: config, identity: identity(config.PodName)}
}

// identity returns the pod's name: a container that restarts takes up its Lease at
// once. Without a pod it returns a unique name, because two servers may share a
// host.
func identity(podName string) string {
	if podName != "" {
		return podName
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "_" + uuid.NewString()
}

// Identity returns the name of this server as the Lease's holder.
func (e *Election) Identity() string { return e.identity }

// IsActive returns whether this server is the active one: lead has been called
// and has not returned, and the Lease is not lost.
func (e *Election) IsActive() bool {
	o := e.office.Load()
	return o != nil && o.tenure.Err() == nil
}

// active returns the office if this server is the active one and was not asked to
// end, otherwise nil.
func (e *Election) active() *office {
	if o := e.office.Load(); o != nil && o.ctx.Err() == nil {
		return o
	}
	return nil
}

// Run waits until this server is the active one, then calls lead with the
// revision after which the term's resourceVersions begin. The context of lead
// ends when that of Run does or when the Lease is lost; lead must then return
// soon. The Lease is released after lead has returned. The label stays until
// the next active server removes it: meanwhile this server tells clients to try
// again, whereas a Service without any server would refuse their connections.
//
// Run returns nil after ctx has ended, or lead's error. It returns ErrLost, wrapped,
// if the Lease was lost: the process should then exit. Run also ends if lead
// returns by itself. Only one Run may run at a time.
func (e *Election) Run(ctx context.Context, lead func(ctx context.Context, term uint64) error) error {
	if e.config.Namespace == "" {
		return errors.New("leader election: the namespace is not known: give it with --namespace")
	}
	c := newCandidate(ctx, e)
	// The candidacy outlives ctx until lead has returned.
	candidacy, withdraw := context.WithCancel(context.WithoutCancel(ctx))
	defer withdraw()
	elector, err := c.elector()
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { c.watch(candidacy) })
	running.Go(func() { c.campaign(candidacy, elector) })

	select {
	case <-ctx.Done():
	case <-c.elected:
		err = e.serve(ctx, c, lead)
	}
	withdraw()
	running.Wait()
	c.close()
	c.release(ctx)
	return err
}

// serve begins the term, calls lead and returns when lead has returned.
func (e *Election) serve(ctx context.Context, c *candidate, lead func(context.Context, uint64) error) error {
	logger := klog.FromContext(ctx)
	leading, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(c.tenure, func() { end(context.Cause(c.tenure)) })()

	term, err := c.beginTerm(leading)
	if err == nil {
		logger.Info("This server is the active one", "identity", e.identity, "term", term)
		err = e.lead(leading, end, c, term, lead)
		logger.Info("This server is no longer the active one", "identity", e.identity, "term", term)
	} else if ctx.Err() != nil {
		err = nil
	}
	lost := context.Cause(c.tenure)
	if lost == nil {
		return err
	}
	lost = fmt.Errorf("lease %s: %w", c.Describe(), lost)
	if err == nil || errors.Is(err, ErrLost) || errors.Is(err, context.Canceled) {
		return lost
	}
	return errors.Join(lost, err)
}

func (e *Election) lead(ctx context.Context, end context.CancelCauseFunc, c *candidate, term uint64, lead func(context.Context, uint64) error) error {
	o := &office{ctx: ctx, tenure: c.tenure, term: term, announce: make(chan struct{}), announced: make(chan struct{})}
	e.office.Store(o)
	defer e.office.Store(nil)
	var keepers sync.WaitGroup
	keepers.Go(func() { c.keepTerm(ctx, term) })
	keepers.Go(func() { e.keepLabels(ctx, o) })
	err := lead(ctx, term)
	end(nil)
	keepers.Wait()
	return err
}

// insist repeats do until it succeeds, ctx ends or the Lease is lost, and returns
// its last error. A request that hangs is given up and made again.
func insist(ctx context.Context, do func(context.Context) error) error {
	var last error
	pace := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.1, Cap: time.Second, Steps: 10}
	err := pace.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		last = do(try)
		return last == nil || errors.Is(last, ErrLost), nil
	})
	if last == nil {
		return err
	}
	return last
}
