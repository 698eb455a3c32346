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

package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
	"github.com/nmstate/kubernetes-nmstate/pkg/hostid"
)

var _ agent.Confirmer = &Uplink{}

const (
	// confirmTimeout bounds one question, so that whoever asks again and again can do so.
	confirmTimeout = 5 * time.Second
	// aliveTimeout is how long the server has to answer over a stream's connection.
	aliveTimeout = time.Second
)

// Confirm implements agent.Confirmer. It asks over a connection of its own: another
// socket, another TLS handshake, credentials that are read again. If the change has been made and
// the server can be reached, the stream must be up, too, or a new one is made at once.
func (u *Uplink) Confirm(ctx context.Context, question agent.Question) (agent.Testimony, error) {
	asked, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	testimony, err := u.ask(asked, question)
	if err != nil {
		return agent.Testimony{}, fmt.Errorf("asking the API server %s over a new connection: %w", u.config.Server, err)
	}
	if !question.Rehearsal {
		go u.Reconnect(context.WithoutCancel(ctx))
	}
	return testimony, nil
}

// ask asks the question over a connection of its own.
func (u *Uplink) ask(ctx context.Context, question agent.Question) (agent.Testimony, error) {
	own, err := hostid.Current()
	if err != nil {
		return agent.Testimony{}, err
	}
	conn, err := u.dial(&ends{})
	if err != nil {
		return agent.Testimony{}, err
	}
	defer conn.Close()
	answer, err := agentpb.NewFleetClient(conn).Confirm(ctx, &agentpb.ConfirmRequest{
		Node: u.config.Node, Host: own,
		Transaction: question.Transaction, StateHash: question.StateHash, Rehearsal: question.Rehearsal,
	})
	if status.Code(err) == codes.Unimplemented {
		return u.askedOlder()
	}
	if err != nil {
		return agent.Testimony{}, err
	}
	testimony := agent.Testimony{
		Server:   agent.Word(answer.GetServer()),
		SameHost: answer.GetHost() != "" && answer.GetHost() == own || answer.GetNode() != "" && answer.GetNode() == u.config.Node,
	}
	if testimony.SameHost {
		testimony.Outside = agent.Word(answer.GetOutside())
	}
	return testimony, nil
}

// errNoConfirmation is returned when a server cannot confirm that is none of protocol 0.
var errNoConfirmation = errors.New("the API server is older than the one before and cannot confirm changes: update it")
