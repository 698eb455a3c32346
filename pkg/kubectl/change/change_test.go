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

package change

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// node is a node whose story a test tells.
type node struct {
	t       *testing.T
	clients *fake.Clientset
	mu      sync.Mutex
	stages  []string
	// seen gets a value for each report.
	seen chan struct{}
}

var resource = v1alpha1.SchemeGroupVersion.WithResource("nodenetworkstates")

// newNode returns a node whose last change is the given one.
func newNode(t *testing.T, last *v1alpha1.LastApply) *node {
	object := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node01"}}
	object.Status.LastApply = last
	return &node{t: t, clients: fake.NewSimpleClientset(object), seen: make(chan struct{}, 100)}
}

// becomes makes the change the node's last one, and returns the object.
func (n *node) becomes(last v1alpha1.LastApply) *v1alpha1.NodeNetworkState {
	n.t.Helper()
	return n.becomesAt("", last)
}

// becomesAt is becomes for an object of this resourceVersion.
func (n *node) becomesAt(version string, last v1alpha1.LastApply) *v1alpha1.NodeNetworkState {
	n.t.Helper()
	object := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node01", ResourceVersion: version}}
	object.Status.LastApply = &last
	if err := n.clients.Tracker().Update(resource, object, ""); err != nil {
		n.t.Error(err)
	}
	return object
}

// watched returns once the node is watched: of the fake, what happens between a list and a watch is lost.
func (n *node) watched() {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if slices.ContainsFunc(n.clients.Actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "watch" }) {
			return
		}
	}
	n.t.Error("the node is not watched")
}

// shown returns once a stage was reported.
func (n *node) shown(stage string) {
	n.t.Helper()
	for {
		n.mu.Lock()
		is := slices.Contains(n.stages, stage)
		n.mu.Unlock()
		if is {
			return
		}
		select {
		case <-n.seen:
		case <-time.After(10 * time.Second):
			n.t.Errorf("stage %s is not shown, but %v", stage, n.stages)
			return
		}
	}
}

func (n *node) report(p Progress) {
	n.mu.Lock()
	if len(n.stages) == 0 || n.stages[len(n.stages)-1] != p.Stage {
		n.stages = append(n.stages, p.Stage)
	}
	n.mu.Unlock()
	n.seen <- struct{}{}
}

// make makes the change that send is, and expects these stages.
func (n *node) make(ctx context.Context, send func(context.Context) (*v1alpha1.NodeNetworkState, error), decide func(context.Context) Decision, stages ...string) Result {
	n.t.Helper()
	maker := &Maker{Clients: n.clients, Report: n.report, Decide: func(ctx context.Context, _ string, _ *v1alpha1.LastApply) Decision { return decide(ctx) }}
	result := maker.Make(ctx, Request{Node: "node01", Manager: "kubectl", Send: send})
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.stages, stages) {
		n.t.Errorf("the stages are %v, want %v", n.stages, stages)
	}
	return result
}

func never(context.Context) Decision { panic("nobody is to be asked") }

var (
	earlier   = &v1alpha1.LastApply{ID: "earlier", Manager: "kubectl", Outcome: v1alpha1.ApplyCommitted}
	applying  = v1alpha1.LastApply{ID: "mine", Manager: "kubectl", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageApplying}
	waiting   = v1alpha1.LastApply{ID: "mine", Manager: "kubectl", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageAwaitingConfirmation, ConfirmBefore: &metav1.Time{Time: time.Now().Add(time.Hour)}}
	committed = v1alpha1.LastApply{ID: "mine", Manager: "kubectl", Outcome: v1alpha1.ApplyCommitted}
	undone    = v1alpha1.LastApply{ID: "mine", Manager: "kubectl", Outcome: v1alpha1.ApplyRolledBack, Reason: v1alpha1.ReasonNotConfirmed, Message: "nobody"}
)

func status(code int32, reason metav1.StatusReason, seconds int32) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "why",
		Details: &metav1.StatusDetails{Kind: "nodenetworkstates", Name: "node01", RetryAfterSeconds: seconds}}}
}

func TestCommitted(t *testing.T) {
	n := newNode(t, earlier)
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		n.watched()
		n.becomes(applying)
		n.shown("Applying")
		return n.becomes(committed), nil
	}, never, StageSending, "Applying")
	if result.Error != nil || result.Unchanged || result.LastApply.ID != "mine" {
		t.Errorf("it is %+v", result)
	}
}

func TestUnchanged(t *testing.T) {
	n := newNode(t, earlier)
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) { return n.becomes(*earlier), nil }, never, StageSending)
	if result.Error != nil || !result.Unchanged {
		t.Errorf("it is %+v", result)
	}
}

// TestBusy: the change is made once the other one has ended, and the other one's stages are not shown as its own.
func TestBusy(t *testing.T) {
	n := newNode(t, earlier)
	asked := 0
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		if asked++; asked == 1 {
			n.watched()
			n.becomes(v1alpha1.LastApply{ID: "others", Manager: "other", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageApplying})
			go func() {
				n.shown(StageWaiting)
				n.becomes(v1alpha1.LastApply{ID: "others", Manager: "other", Outcome: v1alpha1.ApplyCommitted})
			}()
			return nil, status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 3600)
		}
		return n.becomes(committed), nil
	}, never, StageSending, StageWaiting)
	if result.Error != nil || asked != 2 {
		t.Errorf("it is %+v, asked %d times", result, asked)
	}
}

// TestTimeout: a request that is answered before the change has ended is not its end.
func TestTimeout(t *testing.T) {
	for _, end := range []v1alpha1.LastApply{committed, undone} {
		n := newNode(t, earlier)
		result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
			n.watched()
			n.becomes(applying)
			n.shown("Applying")
			go func() {
				n.becomes(v1alpha1.LastApply{ID: "mine", Manager: "kubectl", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageConfirming})
				n.shown("Confirming")
				n.becomes(end)
			}()
			return nil, status(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0)
		}, never, StageSending, "Applying", "Confirming")
		if result.LastApply == nil || result.LastApply.Outcome != end.Outcome {
			t.Fatalf("it is %+v", result)
		}
		if want := map[v1alpha1.ApplyOutcome]fault.Code{v1alpha1.ApplyCommitted: fault.Done, v1alpha1.ApplyRolledBack: fault.Failed}[end.Outcome]; codeOf(result) != want {
			t.Errorf("%s ends with %d, want %d", end.Outcome, codeOf(result), want)
		}
	}
}

func codeOf(result Result) fault.Code {
	if result.Error == nil {
		return fault.Done
	}
	return result.Error.Code
}

// TestRefused: what the API says is the user's, with the story of the change if the node has one.
func TestRefused(t *testing.T) {
	n := newNode(t, earlier)
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		return nil, status(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, 0)
	}, never, StageSending)
	if codeOf(result) != fault.Refused || result.LastApply != nil {
		t.Errorf("it is %+v", result)
	}
}

// leaves tells the request's trace, as net/http does, that there is a connection to send it over.
func leaves(ctx context.Context) {
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
}

// TestConnectionLost: nobody is told that nothing was changed if it is not known, and nobody that it is not known if nothing was sent.
func TestConnectionLost(t *testing.T) {
	lost := &url.Error{Op: "Patch", URL: "https://x", Err: io.ErrUnexpectedEOF}
	n := newNode(t, earlier)
	result := n.make(t.Context(), func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
		leaves(ctx)
		return nil, lost
	}, never, StageSending)
	if codeOf(result) != fault.Undecided || !strings.Contains(result.Error.Remedy, "history node01") {
		t.Errorf("nothing is known: %+v", result.Error)
	}
	n = newNode(t, earlier)
	result = n.make(t.Context(), func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
		leaves(ctx)
		n.becomes(committed)
		return nil, lost
	}, never, StageSending)
	if result.Error != nil || result.LastApply.ID != "mine" {
		t.Errorf("the node knows: %+v", result)
	}
	for _, err := range []error{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, x509.UnknownAuthorityError{}} {
		n = newNode(t, earlier)
		result = n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
			return nil, &url.Error{Op: "Patch", URL: "https://x", Err: err}
		}, never, StageSending)
		if codeOf(result) != fault.Unreachable {
			t.Errorf("nothing was sent: %+v", result.Error)
		}
	}
}

// TestSomebodyOnTheWay: what is answered by somebody else than the node says nothing of the change.
func TestSomebodyOnTheWay(t *testing.T) {
	n := newNode(t, earlier)
	away := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, Message: "broken"}}
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) { return nil, away }, never, StageSending)
	if codeOf(result) != fault.Undecided || result.Error.Node != "node01" {
		t.Errorf("it is %+v", result.Error)
	}
	n = newNode(t, earlier)
	result = n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		n.becomes(undone)
		return nil, away
	}, never, StageSending)
	if codeOf(result) != fault.Failed {
		t.Errorf("the node knows: %+v", result.Error)
	}
}

// TestInterrupted: whoever interrupts the command hears what goes on.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		name string
		sent bool
		last *v1alpha1.LastApply
		want string
	}{
		{"applying", true, &applying, "change mine goes on by itself (Applying)"},
		{"waiting", true, &waiting, "is in effect and waits for a confirmation until"},
		{"ended", true, &committed, "change mine has ended as Committed"},
		{"not begun", true, nil, "the node has not told of the change yet"},
		{"not sent", false, nil, "interrupted: nothing was changed"},
	} {
		n := newNode(t, earlier)
		ctx, interrupt := context.WithCancel(t.Context())
		stages := []string{StageSending}
		if c.last != nil && c.last.Stage != "" {
			stages = append(stages, string(c.last.Stage))
		}
		result := n.make(ctx, func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
			n.watched()
			if c.sent {
				leaves(ctx)
			}
			if c.last != nil {
				n.becomes(*c.last)
			}
			for _, stage := range stages {
				n.shown(stage)
			}
			interrupt()
			<-ctx.Done()
			return nil, ctx.Err()
		}, never, stages...)
		if codeOf(result) != fault.Interrupted || !strings.Contains(result.Error.Message, c.want) {
			t.Errorf("%s: %+v, want %q", c.name, result.Error, c.want)
		}
	}
}

// TestNoNode: a node that there is not is not waited for.
func TestNoNode(t *testing.T) {
	n := newNode(t, earlier)
	n.clients = fake.NewSimpleClientset()
	begun := time.Now()
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		return nil, status(http.StatusNotFound, metav1.StatusReasonNotFound, 0)
	}, never, StageSending)
	if codeOf(result) != fault.Refused || time.Since(begun) >= firstWait {
		t.Errorf("it is %+v, after %v", result.Error, time.Since(begun))
	}
}

// TestNoRightToWatch: who may change a node and not watch it is shown nothing meanwhile, and the change is made.
func TestNoRightToWatch(t *testing.T) {
	n := newNode(t, earlier)
	n.clients.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, status(http.StatusForbidden, metav1.StatusReasonForbidden, 0)
	})
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) { return n.becomes(committed), nil }, never, StageSending)
	if result.Error != nil || result.LastApply.ID != "mine" {
		t.Errorf("it is %+v", result)
	}
}
