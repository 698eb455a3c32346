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

// Package probe asks targets in the network for an answer: by ICMP, TCP, HTTP and
// DNS, and the default gateway by ARP or neighbour discovery, too.
//
// A change to a node's network is committed only if the targets that answered before
// it answer after it. So each attempt uses new sockets and reads the configuration
// anew: an answer that was given before the change must not pass for one after it.
// An attempt ends with the answer. Everything happens in the network namespace of
// the process.
package probe

import (
	"context"
	"sync"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// defaultTimeout is how long an answer may take if the probe does not say, and how
	// long the default gateway's may take.
	defaultTimeout = 5 * time.Second
	// retransmit is the interval at which a request is sent again where the protocol does
	// not do that: a single lost packet is no failure.
	retransmit = time.Second
	// DefaultName is the name of the probe of a spec that has none.
	DefaultName = "default-gateway"
)

// Attempt is how one try of a probe went.
type Attempt struct {
	// Name of the probe.
	Name string
	// Passed tells that the answer came in time and is as wanted.
	Passed bool
	// Took is how long the attempt took.
	Took time.Duration
	// Message says why the attempt failed.
	Message string
}

// OrDefault returns the probes of a spec, or, if it has none, the one that counts
// then: a ping of the default gateway.
func OrDefault(probes []v1alpha1.Probe) []v1alpha1.Probe {
	if len(probes) > 0 {
		return probes
	}
	return []v1alpha1.Probe{{Name: DefaultName, Ping: &v1alpha1.PingProbe{}}}
}

// Run tries each probe once, all at the same time, and returns the attempts in the
// order of the probes. An attempt ends after the timeout of its probe at the latest, or
// when ctx ends. addresses has the InternalIPs of nodes by the names of the nodes.
func Run(ctx context.Context, probes []v1alpha1.Probe, addresses map[string][]string) []Attempt {
	attempts := make([]Attempt, len(probes))
	var all sync.WaitGroup
	for i := range probes {
		all.Go(func() { attempts[i] = try(ctx, &probes[i], addresses) })
	}
	all.Wait()
	return attempts
}

// try tries one probe.
func try(ctx context.Context, probe *v1alpha1.Probe, addresses map[string][]string) Attempt {
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(probe))
	defer cancel()
	start := time.Now()
	err := ask(ctx, probe, addresses)
	attempt := Attempt{Name: probe.Name, Passed: err == nil, Took: time.Since(start)}
	if err != nil {
		attempt.Message = shortened(err.Error())
	}
	return attempt
}

// timeoutOf returns how long the answer to a probe may take.
func timeoutOf(probe *v1alpha1.Probe) time.Duration {
	if probe.Timeout == nil || probe.Timeout.Duration <= 0 {
		return defaultTimeout
	}
	return min(probe.Timeout.Duration, v1alpha1.MaxProbeTimeout)
}

// ask asks the target of a probe. The error is the message of the attempt.
func ask(ctx context.Context, probe *v1alpha1.Probe, addresses map[string][]string) error {
	switch {
	case probe.Ping != nil && probe.Ping.Address == "":
		return pingGateway(ctx)
	case probe.Ping != nil:
		return ping(ctx, probe.Ping.Address)
	case probe.TCP != nil:
		return connect(ctx, probe.TCP.Address)
	case probe.HTTP != nil:
		return get(ctx, probe.HTTP)
	case probe.DNS != nil:
		return resolve(ctx, probe.DNS)
	case probe.Node != nil:
		return pingNode(ctx, probe.Node.Name, addresses[probe.Node.Name])
	}
	return errNoKind
}

// Merge returns the results of probes from the attempts before a change and the last
// attempts after it. after is nil if the probes were not tried after the change.
func Merge(before, after []Attempt, probes []v1alpha1.Probe) []v1alpha1.ProbeResult {
	results := make([]v1alpha1.ProbeResult, 0, len(probes))
	for i, probe := range probes {
		result := v1alpha1.ProbeResult{Name: probe.Name}
		if i < len(before) {
			result.Before = outcome(before[i])
			result.Required = before[i].Passed && (probe.Required == nil || *probe.Required)
			result.Milliseconds, result.Message = before[i].Took.Milliseconds(), before[i].Message
		}
		if i < len(after) {
			result.After = outcome(after[i])
			result.Milliseconds, result.Message = after[i].Took.Milliseconds(), after[i].Message
		}
		results = append(results, result)
	}
	return results
}

// outcome returns how an attempt went, as the API says it.
func outcome(attempt Attempt) v1alpha1.ProbeOutcome {
	if attempt.Passed {
		return v1alpha1.ProbePassed
	}
	return v1alpha1.ProbeFailed
}

// Failed returns the names of the probes that a change depends on and that failed
// after it, or were not tried. The change may be committed if there are none.
func Failed(results []v1alpha1.ProbeResult) []string {
	var names []string
	for _, result := range results {
		if result.Required && result.After != v1alpha1.ProbePassed {
			names = append(names, result.Name)
		}
	}
	return names
}
