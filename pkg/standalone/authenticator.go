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
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

var _ fleet.Authenticator = &Authenticator{}

// Authenticator admits the agents that have the join token. The first that
// claims a node's name has it from then on, by a key of its own.
type Authenticator struct {
	token string
	nodes *Nodes
}

// NewAuthenticator returns an Authenticator that records who joins in nodes.
func NewAuthenticator(token string, nodes *Nodes) *Authenticator {
	return &Authenticator{token: token, nodes: nodes}
}

// minKey is the least length of an agent's own key, 128 bit in hexadecimal.
const minKey = 32

// Authenticate implements fleet.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context) (*fleet.Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	token, isBearer := strings.CutPrefix(first(md, uplink.TokenKey), "Bearer ")
	if !isBearer {
		return nil, errors.New("no join token: give the agent the server's with --join-token-file")
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) != 1 {
		return nil, errors.New("the join token is not this server's")
	}
	key := first(md, uplink.NodeKey)
	if len(key) < minKey {
		return nil, errors.New("the agent has no key of its own")
	}
	sum := sha256.Sum256([]byte(key))
	return &fleet.Identity{Name: hex.EncodeToString(sum[:]), Claim: func(_ context.Context, hello *agentpb.Hello) error {
		if problems := validation.IsDNS1123Subdomain(hello.GetNode()); len(problems) > 0 {
			return fmt.Errorf("%q is no name for a node: %s", hello.GetNode(), strings.Join(problems, "; "))
		}
		if errs := metav1validation.ValidateLabels(hello.GetLabels(), field.NewPath("labels")); len(errs) > 0 {
			return fmt.Errorf("labels of node %q: %w", hello.GetNode(), errs.ToAggregate())
		}
		if err := a.nodes.join(hello.GetNode(), key, hello.GetLabels()); err != nil {
			return fmt.Errorf("node %q: %w", hello.GetNode(), err)
		}
		return nil
	}}, nil
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
