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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

func open(t *testing.T, dir string) *State {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTermsNeverGoBackwards(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now()
	first, err := s.BeginTerm(now)
	if err != nil || first != uint64(now.UnixMicro()) {
		t.Errorf("the first term begins at %d, %v", first, err)
	}
	second, err := s.BeginTerm(now.Add(-time.Hour))
	if err != nil || second != first+termDistance {
		t.Errorf("with a clock that is behind the next begins at %d, %v; the first at %d", second, err, first)
	}
	if err := os.WriteFile(s.path(termFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginTerm(now); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

func TestSecretsStayAndAreForTheOwner(t *testing.T) {
	dir := t.TempDir()
	token, _, err := open(t, dir).SharedJoinToken()
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := open(t, dir).SharedJoinToken(); err != nil || again != token {
		t.Errorf("the token changed: %v", err)
	}
	if _, err := open(t, dir).CA(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{joinTokenFile, caKeyFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestCertificatesAreTheCAs(t *testing.T) {
	dir := t.TempDir()
	first, err := open(t, dir).CA()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := open(t, dir).CA()
	if err != nil || string(ca.PEM()) != string(first.PEM()) {
		t.Fatalf("the CA changed: %v", err)
	}
	serving, err := ca.NewServing([]string{"localhost", "192.0.2.1"}, clock.RealClock{}, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(serving.CurrentCertKeyContent())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.PEM())
	for _, name := range []string{"localhost", "192.0.2.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "192.0.2.2"}); err == nil {
		t.Error("the certificate is good for an address that nobody gave")
	}
}

// TestCertificatesAreMadeAnewInTime: a server may run for longer than they last.
func TestCertificatesAreMadeAnewInTime(t *testing.T) {
	ca, err := open(t, t.TempDir()).CA()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	clock := clocktesting.NewFakeClock(now)
	answers := make(chan error, 2)
	for _, answer := range []error{errors.New("the disk is full"), nil} {
		answers <- answer
	}
	close(answers)
	serving, err := ca.NewServing([]string{"localhost"}, clock, func() error { return <-answers })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serving.Run(ctx)
	}()
	notAfter := func() time.Time {
		pair, err := tls.X509KeyPair(serving.CurrentCertKeyContent())
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.NotAfter
	}
	first := notAfter()
	for len(answers) > 0 {
		for !clock.HasWaiters() {
			time.Sleep(time.Millisecond)
		}
		clock.Step(leafValidity / 3)
	}
	cancel()
	<-ended
	if last := notAfter(); last.Before(first.Add(leafValidity / 2)) {
		t.Errorf("the first certificate lasts until %s, the last one until %s", first, last)
	}
}

func TestKubeconfig(t *testing.T) {
	ca, err := open(t, t.TempDir()).CA()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sub", "kubeconfig")
	if err := ca.WriteKubeconfig(path, "https://127.0.0.1:1", ca.PEM()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil || config.Host != "https://127.0.0.1:1" || len(config.CertData) == 0 {
		t.Errorf("%+v, %v", config, err)
	}
}

func TestADamagedNodeIsNoDeletedNode(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, nodesFolder, "node1"+nodeFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Nodes(Limits{}); err == nil || !strings.Contains(err.Error(), "node1") {
		t.Error(err)
	}
}

// TestWhatACrashLeavesIsSwept: a part of a key beside the key is as secret as it.
func TestWhatACrashLeavesIsSwept(t *testing.T) {
	dir := t.TempDir()
	state, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := []string{".ca.key-1", ".ca.crt-2", ".join-token-3", ".term-4", "nodes/.node01.json-5"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("s3cret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Sweep(); err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}
