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
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Keeper keeps the certificates of one server.
type Keeper struct {
	config  Config
	rules   rules
	serving *serving
	// wake has an entry when an object may have changed.
	wake chan struct{}
	// limiter bounds the writes if another controller undoes each of them.
	limiter *rate.Limiter
	// active tells whether this server publishes and rotates. Only Run uses it.
	active bool
}

// New returns a Keeper, which does nothing before Run.
func New(config Config) (*Keeper, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Namespace == "" || config.Service == "" {
		return nil, errors.New("certificates need the namespace and the name of the server's Service: give --namespace and --service-name")
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	return &Keeper{
		config:  config,
		rules:   rules{Times: config.Times, hosts: config.Hosts()},
		serving: newServing(),
		wake:    make(chan struct{}, 1),
		limiter: rate.NewLimiter(rate.Every(3*time.Second), 20),
	}, nil
}

// Provider returns the source of the serving certificate for the generic server,
// and tells the server of each new certificate. It has none before Wait returns.
func (k *Keeper) Provider() dynamiccertificates.CertKeyContentProvider { return k.serving }

// Wait returns when there is a serving certificate. That needs no active server.
// If ctx ends first, the error says what is wrong.
func (k *Keeper) Wait(ctx context.Context) error { return k.serving.wait(ctx) }

// Run keeps the certificates until ctx ends. It makes the first ones and follows
// those that other servers make. Once active is closed it also publishes and
// rotates; a server that is no longer active must end ctx. After an error, which
// is logged, Run tries again. Run may be called once.
func (k *Keeper) Run(ctx context.Context, active <-chan struct{}) {
	stop := k.watch(ctx)
	defer stop()
	backoff := newBackoff()
	for ctx.Err() == nil {
		select {
		case <-active:
			k.active, active = true, nil
		default:
		}
		due, err := k.pass(ctx)
		k.serving.report(err)
		if err == nil {
			backoff = newBackoff()
		} else {
			if ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Keeping the certificates failed and is tried again")
			}
			due = k.config.Clock.Now().Add(backoff.Step())
		}
		if k.sleep(ctx, due, k.wake, active) {
			k.active, active = true, nil
		}
		now := k.config.Clock.Now()
		if delay := k.limiter.ReserveN(now, 1).DelayFrom(now); delay > 0 {
			k.sleep(ctx, now.Add(delay), nil, nil)
		}
	}
}

func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 7, Cap: time.Minute}
}

// sleep returns at due, at a wake-up, at the end of ctx, or when active is closed.
// It returns true in the last case.
func (k *Keeper) sleep(ctx context.Context, due time.Time, wake, active <-chan struct{}) bool {
	now := k.config.Clock.Now()
	if !now.Before(due) {
		return false
	}
	timer := k.config.Clock.NewTimer(due.Sub(now))
	defer timer.Stop()
	// The clock may have been set before the timer was made.
	if !k.config.Clock.Now().Before(due) {
		return false
	}
	select {
	case <-active:
		return true
	case <-wake:
	case <-timer.C():
	case <-ctx.Done():
	}
	return false
}

// pass brings the certificates up to date and returns when the next pass is due.
func (k *Keeper) pass(ctx context.Context) (due time.Time, err error) {
	lost := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
	}
	// Another server was faster, or the object was deleted between read and write.
	err = retry.OnError(retry.DefaultBackoff, lost, func() (err error) {
		due, err = k.once(ctx)
		return err
	})
	return due, err
}

func (k *Keeper) once(ctx context.Context) (time.Time, error) {
	now := k.config.Clock.Now()
	secret, s, err := k.read(ctx)
	if err != nil {
		return now, err
	}
	first := s.ca == nil || s.serving == nil
	if !first {
		k.show(ctx, s)
	}
	if !first && !k.active {
		return now.Add(recheck), nil
	}
	did, err := k.rules.renew(s, now)
	if err != nil {
		return now, err
	}
	if len(did) > 0 {
		if secret, err = k.write(ctx, secret, s, strings.Join(did, ", ")); err != nil {
			return now, err
		}
	}
	if !k.active {
		return now.Add(recheck), nil
	}
	if s.request != "" && s.request != rotateCA {
		klog.FromContext(ctx).Error(nil, "The annotation asks for an unknown rotation; set it to ca or serving", "annotation", RotateAnnotation, "value", s.request)
	}
	if secret, err = k.publish(ctx, secret, s, now); err != nil {
		return now, err
	}
	promoted, err := k.rules.promote(s, now)
	if err != nil {
		return now, err
	}
	if promoted {
		if _, err := k.write(ctx, secret, s, "the next CA has signed the serving certificate"); err != nil {
			return now, err
		}
	}
	return k.rules.due(s, now), nil
}

// publish publishes the bundle, and records since when the next CA is in it. If the
// next CA was removed from what is published, the recorded time is cleared first:
// if the server dies before it publishes again, the overlap is not cut short.
func (k *Keeper) publish(ctx context.Context, secret *corev1.Secret, s *state, now time.Time) (*corev1.Secret, error) {
	bundle, err := s.bundle(now)
	if err != nil {
		return nil, err
	}
	repairs, err := k.compare(ctx, bundle)
	if err != nil {
		return nil, err
	}
	next := s.next != nil
	if next && len(repairs) > 0 && !s.since.IsZero() {
		s.since = time.Time{}
		if secret, err = k.write(ctx, secret, s, "the next CA is not published as it was, its overlap begins anew"); err != nil {
			return nil, err
		}
	}
	for _, repair := range repairs {
		if err := repair.do(ctx); err != nil {
			return nil, fmt.Errorf("publishing the CA in the %s: %w", repair.object, err)
		}
		klog.FromContext(ctx).Info("Published the CA", "object", repair.object, "phase", s.phase())
	}
	if next && unknown(s.since, now) {
		s.since = k.config.Clock.Now()
		return k.write(ctx, secret, s, "the next CA is published")
	}
	return secret, nil
}

// read returns the Secret and its state. If there is no Secret it returns one that
// write will create.
func (k *Keeper) read(ctx context.Context) (*corev1.Secret, *state, error) {
	secret, err := k.config.Client.CoreV1().Secrets(k.config.Namespace).Get(ctx, SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: k.objectMeta(SecretName), Type: corev1.SecretTypeOpaque}, &state{}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the Secret %s: %w", SecretName, err)
	}
	s, err := decode(secret)
	return secret, s, err
}

// write writes the state into the Secret and shows the result. It fails if somebody
// else has written the Secret since it was read.
func (k *Keeper) write(ctx context.Context, secret *corev1.Secret, s *state, did string) (*corev1.Secret, error) {
	secret = secret.DeepCopy()
	err := s.encode(secret)
	if err != nil {
		return nil, err
	}
	client := k.config.Client.CoreV1().Secrets(k.config.Namespace)
	if secret.ResourceVersion == "" {
		secret, err = client.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		secret, err = client.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("writing the Secret %s (%s): %w", SecretName, did, err)
	}
	klog.FromContext(ctx).Info("Wrote the certificates", "what", did, "phase", s.phase())
	k.show(ctx, s)
	return secret, nil
}

func (k *Keeper) show(ctx context.Context, s *state) {
	if k.serving.set(s.serving) {
		cert := s.serving.parsed.Leaf
		klog.FromContext(ctx).Info("Serving with another certificate", "serial", cert.SerialNumber, "issuer", cert.Issuer.CommonName, "notAfter", cert.NotAfter)
	}
}

func (k *Keeper) objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: k.config.Namespace, Labels: map[string]string{
		"app.kubernetes.io/name":    "nmstate-apiserver",
		"app.kubernetes.io/part-of": "kubernetes-nmstate",
	}}
}
