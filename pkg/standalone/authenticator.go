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

package standalone

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

var _ fleet.Authenticator = &Authenticator{}

// Authenticator admits the agents of the nodes that have joined, by their keys,
// and lets further nodes join with a join token.
type Authenticator struct {
	// shared is the shared join token; empty means that there is none.
	shared string
	tokens *JoinTokens
	nodes  *Nodes
}

// NewAuthenticator returns an Authenticator that lets nodes join with one of the
// tokens, or with the shared one unless it is empty.
func NewAuthenticator(shared string, tokens *JoinTokens, nodes *Nodes) *Authenticator {
	return &Authenticator{shared: shared, tokens: tokens, nodes: nodes}
}

// minKey is the least length of an agent's own key, 128 bit in hexadecimal.
const minKey = 32

// Authenticate implements fleet.Authenticator. A node that has joined is known by
// its key: its agent needs no valid join token any more.
func (a *Authenticator) Authenticate(ctx context.Context) (*fleet.Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	key := first(md, agent.NodeKey)
	if len(key) < minKey {
		return nil, errors.New("the agent has no key of its own")
	}
	applicant := applicant{keyHash: hashOf(key), source: source(ctx)}
	var tokenErr error
	known := a.nodes.knowsKey(applicant.keyHash)
	if applicant.token, tokenErr = a.token(ctx, md); tokenErr != nil && !known {
		return nil, tokenErr
	}
	speaks := func(node string) error { return a.nodes.speaks(node, applicant.keyHash) }
	return &fleet.Identity{Name: applicant.identity(known), Speaks: speaks, Claim: func(ctx context.Context, hello *agentpb.Hello) error {
		if problems := validation.IsDNS1123Subdomain(hello.GetNode()); len(problems) > 0 {
			return fmt.Errorf("%q is no name for a node: %s", hello.GetNode(), strings.Join(problems, "; "))
		}
		if err := checkLabels(hello.GetLabels()); err != nil {
			return fmt.Errorf("labels of node %q: %w", hello.GetNode(), err)
		}
		readmitted, err := a.nodes.readmit(ctx, hello.GetNode(), applicant.keyHash, hello.GetLabels())
		if readmitted || err != nil {
			return err
		}
		if tokenErr != nil {
			return tokenErr
		}
		if err := a.join(ctx, applicant, hello); err != nil {
			return fmt.Errorf("node %q: %w", hello.GetNode(), err)
		}
		return nil
	}}, nil
}

// maxLabels is how many labels a node may have.
const maxLabels = 256

// checkLabels returns the first thing that is wrong with a node's labels. A text that
// has all takes a second of processor time for a thousand labels.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("there are %d, and may be at most %d", len(labels), maxLabels)
	}
	if errs := metav1validation.ValidateLabels(labels, field.NewPath("labels")); len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// token returns the join token that an agent has shown, if it is good.
func (a *Authenticator) token(ctx context.Context, md metadata.MD) (JoinToken, error) {
	token, isBearer := strings.CutPrefix(first(md, agent.TokenKey), "Bearer ")
	if !isBearer {
		return JoinToken{}, errors.New("no join token: give the agent one of the server's with --join-token-file")
	}
	if a.shared != "" && subtle.ConstantTimeCompare([]byte(token), []byte(a.shared)) == 1 {
		return JoinToken{ID: sharedID}, nil
	}
	return a.tokens.find(ctx, token)
}

// join makes the applicant the agent of a new node.
func (a *Authenticator) join(ctx context.Context, applicant applicant, hello *agentpb.Hello) error {
	if err := a.tokens.mayJoin(ctx, applicant.token, hello.GetNode()); err != nil {
		return err
	}
	if err := a.nodes.join(ctx, hello.GetNode(), applicant, hello.GetLabels()); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Node joined", "node", hello.GetNode(), "source", applicant.source,
		"joinToken", applicant.token.ID, "forThisNode", applicant.token.Node != "")
	return nil
}

// source returns the address that an agent connects from.
func source(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	address, _ := netip.ParseAddrPort(p.Addr.String())
	return address.Addr().Unmap().WithZone("")
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
