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
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

func shown(s *server) string {
	cert, _ := s.Provider().CurrentCertKeyContent()
	return string(cert)
}

// awaitShown awaits that the servers show the certificate of the Secret.
func (c *cluster) awaitShown(servers ...*server) {
	c.t.Helper()
	c.await("all show the Secret's certificate", func() bool {
		want := string(c.secret().Data[servingCert])
		for _, s := range servers {
			if want == "" || shown(s) != want {
				return false
			}
		}
		return true
	})
}

func TestAStandbyMakesTheFirstButPublishesNothing(t *testing.T) {
	c := newCluster(t)
	s := c.start()
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitShown(s)
	if configMap, apiService := c.bundles(); configMap != "" || apiService != "" {
		t.Error("a standby has published")
	}
	s.activate()
	c.awaitPublished()
}

func TestOfTwoThatStartOneWins(t *testing.T) {
	for range 10 {
		c := newCluster(t)
		servers := []*server{c.startActive(), c.start(), c.start(), c.start()}
		for _, s := range servers {
			if err := s.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.awaitShown(servers...)
		c.awaitPublished()
		made := 0
		for _, a := range c.client.Actions() {
			if a.Matches("update", "secrets") {
				t.Error("one has overwritten what another made")
			}
			if a.Matches("create", "secrets") {
				made++
			}
		}
		t.Logf("%d tried to make it", made)
		for _, s := range servers {
			s.stop()
		}
	}
}

func TestAnEmptySecretIsFilled(t *testing.T) {
	c := newCluster(t)
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretName, Namespace: namespace}}
	if _, err := c.client.CoreV1().Secrets(namespace).Create(t.Context(), empty, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s := c.startActive()
	c.awaitPublished()
	c.awaitShown(s)
}

func TestADeletedSecretIsMadeAnew(t *testing.T) {
	c := newCluster(t)
	s := c.startActive()
	c.awaitPublished()
	old := c.state().ca
	if err := c.client.CoreV1().Secrets(namespace).Delete(t.Context(), SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitPublished()
	c.awaitShown(s)
	if configMap, _ := c.bundles(); strings.Contains(configMap, string(old.PEM())) {
		t.Error("the CA that was thrown away is still published")
	}
}

func TestADamagedSecretStays(t *testing.T) {
	c := newCluster(t)
	s := c.startActive()
	c.awaitPublished()
	before := shown(s)
	c.edit(func(secret *corev1.Secret) { secret.Data[caKey] = []byte("x") })
	damaged := c.secret()

	another := c.startActive()
	k := c.keeper()
	_, problem := k.pass(t.Context())
	k.serving.report(problem)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := k.Wait(ctx)
	for _, says := range []string{namespace + "/" + SecretName, "ca.key", "delete secret", "left as it is"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "PRIVATE") {
		t.Error(err)
	}
	if now := c.secret(); now.ResourceVersion != damaged.ResourceVersion {
		t.Error("it was overwritten")
	}
	if shown(s) != before {
		t.Error("the one that had a certificate shows another")
	}
	// Deleting it helps, as the error says.
	if err := c.client.CoreV1().Secrets(namespace).Delete(t.Context(), SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitShown(s, another)
}

// TestRestartsGoOn: in each phase the active server dies, and another goes on.
func TestRestartsGoOn(t *testing.T) {
	c := newCluster(t)
	s := c.startActive()
	c.awaitPublished()
	first := c.state().ca
	replace := func() {
		s.stop()
		s = c.startActive()
		c.awaitShown(s)
	}
	replace()
	c.ask(rotateCA)
	c.awaitPhase(publishing)
	since := c.state().since
	if c.state().request != "" {
		t.Error("the request stays")
	}
	c.clock.Step(times().PublishOverlap - time.Second)
	replace()
	c.awaitPublished()
	if got := c.state(); got.phase() != publishing || !got.since.Equal(since) || !bytes.Equal(got.ca.PEM(), first.PEM()) {
		t.Errorf("after a restart: %s since %s, before: since %s", got.phase(), got.since, since)
	}
	next := c.state().next
	s.stop()
	c.clock.Step(time.Second)
	s = c.startActive()
	c.awaitPhase(retiring)
	if got := c.state(); !bytes.Equal(got.ca.PEM(), next.PEM()) || !got.previous.Equal(first.Certificate()) {
		t.Error("it is not the next CA that signs, or not the first that retires")
	}
	c.awaitShown(s)
	replace()
	c.clock.Step(times().RetireOverlap - time.Second)
	replace()
	c.awaitPublished()
	if c.phase() != retiring {
		t.Error("it retired early")
	}
	c.clock.Step(time.Second)
	c.awaitPhase(stable)
	c.awaitPublished()
	if configMap, _ := c.bundles(); configMap != string(next.PEM()) {
		t.Error("what is published is not the new CA alone")
	}
}

// TestNotPublishedNotUsed: without a publication the overlap does not begin, and
// what breaks it makes it begin anew.
func TestNotPublishedNotUsed(t *testing.T) {
	c := newCluster(t)
	var refuse atomic.Bool
	tried := make(chan struct{}, 1)
	c.client.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !refuse.Load() {
			return false, nil, nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return true, nil, apierrors.NewForbidden(corev1.Resource("configmaps"), ConfigMapName, nil)
	})
	s := c.startActive()
	c.awaitPublished()
	refuse.Store(true)
	c.ask(rotateCA)
	for range 5 {
		<-tried
		c.clock.Step(times().PublishOverlap)
		c.touch()
	}
	if got := c.state(); got.phase() != publishing || !got.since.IsZero() {
		t.Errorf("%s since %s", got.phase(), got.since)
	}
	// The serving certificate is renewed all the same.
	before := shown(s)
	c.clock.Step(times().ServingValidity)
	c.touch()
	c.await("another certificate", func() bool { return shown(s) != before })
	refuse.Store(false)
	c.touch()
	c.awaitPhase(publishing)

	s.stop()
	c.clock.Step(times().PublishOverlap - time.Second)
	emptied := c.configMap()
	emptied.Data = nil
	c.updateConfigMap(emptied)
	c.clock.Step(time.Hour)
	c.startActive()
	c.await("the overlap begins anew", func() bool { return c.state().since.Equal(c.clock.Now()) })
	if c.phase() != publishing {
		t.Errorf("phase %s, but agents may have missed the next CA", c.phase())
	}
	c.awaitPublished()
}

// touch has the Keepers look: after an error they may wait for time to pass that
// has passed already.
func (c *cluster) touch() {
	c.t.Helper()
	c.edit(func(secret *corev1.Secret) {
		metav1.SetMetaDataLabel(&secret.ObjectMeta, "touched", secret.ResourceVersion)
	})
}

func (c *cluster) configMap() *corev1.ConfigMap {
	c.t.Helper()
	configMap, err := c.client.CoreV1().ConfigMaps(namespace).Get(context.Background(), ConfigMapName, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return configMap
}

func (c *cluster) updateConfigMap(configMap *corev1.ConfigMap) {
	c.t.Helper()
	if _, err := c.client.CoreV1().ConfigMaps(namespace).Update(context.Background(), configMap, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func TestWhatOthersMakeOfItIsPutRight(t *testing.T) {
	c := newCluster(t)
	c.startActive()
	c.awaitPublished()
	editAPIService := func(change func(spec map[string]any)) func() {
		return func() {
			object, err := c.apiService().Get(t.Context(), APIServiceName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			change(object.Object["spec"].(map[string]any))
			if _, err := c.apiService().Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	editConfigMap := func(change func(*corev1.ConfigMap)) func() {
		return func() {
			configMap := c.configMap()
			change(configMap)
			c.updateConfigMap(configMap)
		}
	}
	for name, tamper := range map[string]func(){
		"ConfigMap emptied": editConfigMap(func(m *corev1.ConfigMap) { m.Data = nil }),
		"ConfigMap edited": editConfigMap(func(m *corev1.ConfigMap) {
			maps.Copy(m.Data, map[string]string{ConfigMapKey: "x", "more": "y"})
		}),
		"ConfigMap binary": editConfigMap(func(m *corev1.ConfigMap) {
			m.Data, m.BinaryData = nil, map[string][]byte{ConfigMapKey: []byte("x")}
		}),
		"ConfigMap deleted": func() {
			if err := c.client.CoreV1().ConfigMaps(namespace).Delete(t.Context(), ConfigMapName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		},
		"APIService emptied": editAPIService(func(spec map[string]any) { delete(spec, "caBundle") }),
		"APIService edited":  editAPIService(func(spec map[string]any) { spec["caBundle"] = "eA==" }),
		"APIService insecure": editAPIService(func(spec map[string]any) {
			delete(spec, "caBundle")
			spec["insecureSkipTLSVerify"] = true
		}),
		"APIService deleted and made anew": func() {
			if err := c.apiService().Delete(t.Context(), APIServiceName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			c.createAPIService(service)
		},
	} {
		tamper()
		c.awaitPublished()
		c.clock.Step(time.Minute) // more than the limiter's pace
		t.Log(name)
	}
	object, err := c.apiService().Get(t.Context(), APIServiceName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, there, _ := unstructured.NestedBool(object.Object, "spec", "insecureSkipTLSVerify"); there {
		t.Error("the API refuses insecureSkipTLSVerify beside a bundle")
	}
}

func TestAnAPIServiceOfAnotherIsLeftAlone(t *testing.T) {
	c := newCluster(t)
	if err := c.apiService().Delete(t.Context(), APIServiceName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.createAPIService("another")
	c.startActive()
	c.await("publication to agents", func() bool { configMap, _ := c.bundles(); return configMap != "" })
	// It is no reason not to rotate.
	c.ask(rotateCA)
	c.awaitPhase(publishing)
	c.clock.Step(times().PublishOverlap)
	c.awaitPhase(retiring)
	if _, apiService := c.bundles(); apiService != "" {
		t.Error("our CA is in it")
	}
}

// TestAConflictIsTriedAgain: somebody writes between our reading and our writing.
func TestAConflictIsTriedAgain(t *testing.T) {
	c := newCluster(t)
	var conflicts atomic.Int32
	c.client.PrependReactor("update", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		ours := a.(clienttesting.UpdateAction).GetObject().(*corev1.Secret)
		if ours.Annotations[RotateAnnotation] == "" && conflicts.Add(1) <= 2 {
			return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), SecretName, nil)
		}
		return false, nil, nil
	})
	c.startActive()
	c.awaitPublished()
	c.ask(rotateCA)
	c.awaitPhase(publishing)
	if conflicts.Load() < 3 {
		t.Errorf("%d conflicts", conflicts.Load())
	}
}

func TestNewWantsAllItNeeds(t *testing.T) {
	if _, err := New(Config{Times: DefaultTimes(), Namespace: namespace}); err == nil || !strings.Contains(err.Error(), "--service-name") {
		t.Error(err)
	}
	if _, err := New(Config{Namespace: namespace, Service: service}); err == nil {
		t.Error("certificates without validity")
	}
}
