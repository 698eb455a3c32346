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
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

const agentUser = "system:serviceaccount:nmstate-system:nmstate-node-agent"

// review is what a cluster says of a good token of node01's agent.
func review() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     []string{AgentAudience},
		User: authenticationv1.UserInfo{
			Username: agentUser,
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/node-name": {"node01"}, "authentication.kubernetes.io/pod-name": {"agent"},
			},
		},
	}
}

// reviewing returns an Authenticator of a cluster that answers so to the token "the-token".
func reviewing(t *testing.T, answer authenticationv1.TokenReviewStatus, failure error) *Authenticator {
	t.Helper()
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		asked := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if asked.Spec.Token != "the-token" || len(asked.Spec.Audiences) != 1 || asked.Spec.Audiences[0] != AgentAudience {
			t.Errorf("the cluster was asked %+v", asked.Spec)
		}
		return true, &authenticationv1.TokenReview{Status: answer}, failure
	})
	return NewAuthenticator(client.AuthenticationV1().TokenReviews(), "nmstate-system", "nmstate-node-agent")
}

func withToken(header string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs(agent.TokenKey, header))
}

func TestATokenSpeaksForItsNodeAlone(t *testing.T) {
	identity, err := reviewing(t, review(), nil).Authenticate(withToken("Bearer the-token"))
	if err != nil {
		t.Fatal(err)
	}
	if identity.Name != "node01" {
		t.Errorf("the agent is taken for %q", identity.Name)
	}
	if err := identity.Claim(t.Context(), &agentpb.Hello{Node: "node01"}); err != nil {
		t.Errorf("its own node: %v", err)
	}
	if own, other := identity.Speaks("node01"), identity.Speaks("node02"); own != nil || other == nil {
		t.Errorf("it speaks for its own node: %v; and for another one: %v", own, other)
	}
	err = identity.Claim(t.Context(), &agentpb.Hello{Node: "node02"})
	if err == nil || !strings.Contains(err.Error(), "node01") || !strings.Contains(err.Error(), "node02") {
		t.Errorf("another node: %v", err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(*authenticationv1.TokenReviewStatus)
		words string
	}{
		"not accepted": {func(r *authenticationv1.TokenReviewStatus) {
			*r = authenticationv1.TokenReviewStatus{Error: "the-token is bad"}
		}, "does not accept"},
		"no audience":  {func(r *authenticationv1.TokenReviewStatus) { r.Audiences = nil }, AgentAudience},
		"another user": {func(r *authenticationv1.TokenReviewStatus) { r.User.Username = "system:serviceaccount:default:x" }, "agents run as"},
		"no node":      {func(r *authenticationv1.TokenReviewStatus) { r.User.Extra = nil }, "names no pod and node"},
		"empty node": {func(r *authenticationv1.TokenReviewStatus) {
			r.User.Extra["authentication.kubernetes.io/node-name"] = authenticationv1.ExtraValue{""}
		}, "names no pod and node"},
		"no pod": {func(r *authenticationv1.TokenReviewStatus) {
			delete(r.User.Extra, "authentication.kubernetes.io/pod-name")
		}, "names no pod and node"},
		"two nodes": {func(r *authenticationv1.TokenReviewStatus) {
			r.User.Extra["authentication.kubernetes.io/node-name"] = authenticationv1.ExtraValue{"a", "b"}
		}, "names no pod and node"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := review()
			test.edit(&answer)
			_, err := reviewing(t, answer, nil).Authenticate(withToken("Bearer the-token"))
			if err == nil || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "the-token") {
				t.Errorf("got %v, want one with %q and without the token", err, test.words)
			}
		})
	}
	for _, header := range []string{"", "Bearer "} {
		if _, err := reviewing(t, review(), nil).Authenticate(withToken(header)); err == nil || !strings.Contains(err.Error(), "--token-file") {
			t.Errorf("header %q: %v", header, err)
		}
	}
}

// TestAClusterThatCannotBeAsked refuses nobody for good.
func TestAClusterThatCannotBeAsked(t *testing.T) {
	_, err := reviewing(t, review(), errors.New("down, says the-token")).Authenticate(withToken("Bearer the-token"))
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "the-token") {
		t.Errorf("got %v", err)
	}
}
