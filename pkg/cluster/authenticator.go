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

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

var _ fleet.Authenticator = &Authenticator{}

// AgentAudience is the audience that an agent's token must be bound to: one
// that was made for somebody else is of no use here, nor this one elsewhere.
const AgentAudience = "agents.nmstate.io"

// Authenticator admits the agents whose token the cluster confirms: one of the
// agents' service account, for our audience, bound to a pod that exists, whose
// node is the one that the agent may speak for (KEP-4193: the claim
// authentication.kubernetes.io/node-name).
type Authenticator struct {
	reviews authenticationclient.TokenReviewInterface
	user    string
}

// NewAuthenticator returns an Authenticator of agents that run as the given
// service account. It needs to create tokenreviews.
func NewAuthenticator(reviews authenticationclient.TokenReviewInterface, namespace, serviceAccount string) *Authenticator {
	return &Authenticator{reviews: reviews, user: serviceaccount.MakeUsername(namespace, serviceAccount)}
}

// Authenticate implements fleet.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context) (*fleet.Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	token := ""
	if values := md.Get(agent.TokenKey); len(values) > 0 {
		token, _ = strings.CutPrefix(values[0], "Bearer ")
	}
	if token == "" {
		return nil, errors.New("no token: give the agent one of its service account with --token-file")
	}
	review, err := a.reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{AgentAudience}},
	}, metav1.CreateOptions{})
	if err != nil {
		klog.FromContext(ctx).Error(err, "A token could not be reviewed")
		return nil, status.Error(codes.Unavailable, "the cluster cannot say now whose the token is: try again")
	}
	node, err := a.nodeOf(&review.Status)
	if err != nil {
		return nil, err
	}
	speaks := func(name string) error {
		if name != node {
			return fmt.Errorf("the token is that of an agent on node %q, it does not speak for node %q", node, name)
		}
		return nil
	}
	return &fleet.Identity{Name: node, Speaks: speaks, Claim: func(_ context.Context, hello *agentpb.Hello) error {
		return speaks(hello.GetNode())
	}}, nil
}

// nodeOf returns the node that a reviewed token speaks for.
func (a *Authenticator) nodeOf(review *authenticationv1.TokenReviewStatus) (string, error) {
	switch {
	case !review.Authenticated:
		return "", errors.New("the cluster does not accept the token: it is expired, not for audience " + AgentAudience + ", or its pod is gone")
	case !slices.Contains(review.Audiences, AgentAudience):
		return "", errors.New("the token is not for audience " + AgentAudience)
	case review.User.Username != a.user:
		return "", fmt.Errorf("the token is that of %q, agents run as %q", review.User.Username, a.user)
	}
	nodes, pods := review.User.Extra[serviceaccount.NodeNameKey], review.User.Extra[serviceaccount.PodNameKey]
	if len(nodes) != 1 || nodes[0] == "" || len(pods) != 1 {
		return "", errors.New("the token names no pod and node: it must be bound to the agent's pod, by a projected volume")
	}
	return nodes[0], nil
}
