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

package certificates

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// Names of what is kept and published.
const (
	SecretName     = "nmstate-apiserver-certificates"
	ConfigMapName  = "nmstate-apiserver-ca"
	ConfigMapKey   = "ca.crt"
	APIServiceName = "v1alpha1.nmstate.io"
)

// Annotations of the Secret.
const (
	// RotateAnnotation asks for a rotation: "ca" or "serving".
	RotateAnnotation = "nmstate.io/rotate"
	// PhaseAnnotation tells the phase of a CA's rotation: Stable, Publishing or
	// Retiring. It is for people; what is in the Secret decides.
	PhaseAnnotation = "nmstate.io/phase"
	// SinceAnnotation is since when the next CA is published, or the CA before
	// signs no more (RFC 3339).
	SinceAnnotation = "nmstate.io/phase-since"
)

// Times are how long certificates last and overlap.
type Times struct {
	// CAValidity is how long a CA lasts; it is rotated when 4/5 are over.
	CAValidity time.Duration
	// ServingValidity is how long a serving certificate lasts; it is rotated
	// when 2/3 are over.
	ServingValidity time.Duration
	// PublishOverlap is how long a new CA is published before it signs. The
	// kubelet may take two minutes to show agents a ConfigMap's change.
	PublishOverlap time.Duration
	// RetireOverlap is how long the old CA stays published after the new one
	// has signed the serving certificate.
	RetireOverlap time.Duration
}

// DefaultTimes returns the times that suit any cluster.
func DefaultTimes() Times {
	const day = 24 * time.Hour
	return Times{CAValidity: 2 * 365 * day, ServingValidity: 30 * day, PublishOverlap: 10 * time.Minute, RetireOverlap: time.Hour}
}

// AddFlags adds flags with the present values as defaults.
func (t *Times) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&t.CAValidity, "ca-validity", t.CAValidity, "How long the self-signed CA lasts; it is rotated when 4/5 of it are over.")
	flags.DurationVar(&t.ServingValidity, "serving-cert-validity", t.ServingValidity, "How long a serving certificate of the self-signed CA lasts; it is rotated when 2/3 of it are over.")
	flags.DurationVar(&t.PublishOverlap, "ca-publish-overlap", t.PublishOverlap, "How long a new CA is published before it signs the serving certificate; more than the two minutes that a kubelet may take to show agents a ConfigMap's change.")
	flags.DurationVar(&t.RetireOverlap, "ca-retire-overlap", t.RetireOverlap, "How long the old CA stays published after the new one has signed the serving certificate.")
}

// Validate returns what is wrong with the times: a rotation must fit, with room
// for delays, into what is left of a CA's life when it begins.
func (t Times) Validate() error {
	var errs []error
	if t.ServingValidity < time.Minute {
		errs = append(errs, fmt.Errorf("--serving-cert-validity is %s: give at least a minute", t.ServingValidity))
	}
	if t.CAValidity < t.ServingValidity {
		errs = append(errs, fmt.Errorf("--ca-validity is %s: give at least --serving-cert-validity, %s", t.CAValidity, t.ServingValidity))
	}
	if t.PublishOverlap < 0 || t.RetireOverlap < 0 {
		errs = append(errs, errors.New("--ca-publish-overlap and --ca-retire-overlap can't be negative"))
	}
	if t.PublishOverlap+t.RetireOverlap > t.CAValidity/10 {
		errs = append(errs, fmt.Errorf("--ca-publish-overlap and --ca-retire-overlap, %s and %s, are together more than a tenth of --ca-validity, %s",
			t.PublishOverlap, t.RetireOverlap, t.CAValidity))
	}
	return errors.Join(errs...)
}

// Config is what a Keeper needs.
type Config struct {
	Times
	// Namespace and Service are where clients reach the API server.
	Namespace, Service string
	Client             kubernetes.Interface
	// Dynamic is for the APIService.
	Dynamic dynamic.Interface
	// Clock is the real one if nil.
	Clock clock.WithTicker
}

// Hosts returns the names of the serving certificate; the first one is what
// kube-apiserver and agents check.
func (c Config) Hosts() []string {
	name := c.Service + "." + c.Namespace
	return []string{name + ".svc", name, "localhost"}
}
