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

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/keyutil"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// inHub makes a socket in the control plane's network: what a socket is made in
// stays its network.
func inHub[T any](c *cluster, open func() (T, error)) (socket T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine, which never unlocks it.
		runtime.LockOSThread()
		var hub *os.File
		if hub, err = os.Open("/run/netns/" + c.prefix() + "hub"); err != nil {
			return
		}
		defer hub.Close()
		if err = unix.Setns(int(hub.Fd()), unix.CLONE_NEWNET); err == nil {
			socket, err = open()
		}
	}()
	<-done
	return socket, err
}

func (c inCluster) dial(address string) (net.Conn, error) {
	return inHub(c.cluster, func() (net.Conn, error) { return net.DialTimeout("tcp", address, long) })
}

// knock says who it is at the agents' door and returns what it is told.
func (c inCluster) knock(ctx context.Context, address, token, node string, creds credentials.TransportCredentials) error {
	GinkgoHelper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return c.dial(address) }))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	stream, err := agentpb.NewFleetClient(conn).Connect(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: node}}})
	_, err = stream.Recv()
	return err
}

// agentPod returns the name and uid of a node's agent's pod.
func (c inCluster) agentPod(ctx context.Context, node string) (name, uid string) {
	GinkgoHelper()
	out := c.do(ctx, "", "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/name=nmstate-node-agent",
		"--field-selector", "spec.nodeName="+node, "-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}")
	name, uid, _ = strings.Cut(out, " ")
	return name, uid
}

// refusals are agents that were sent away.
const refusals = "nmstate_agent_events_total refused"

func (c inCluster) door(ctx SpecContext) {
	_, ip, _ := c.activeServer(ctx)
	address := ip + ":6444"
	ca := c.do(ctx, "", "-n", namespace, "get", "configmap", "nmstate-apiserver-ca", "-o", `jsonpath={.data.ca\.crt}`)
	file := GinkgoT().TempDir() + "/ca.crt"
	Expect(os.WriteFile(file, []byte(ca), 0o600)).To(Succeed())
	tls, err := credentials.NewClientTLSFromFile(file, serverName)
	Expect(err).NotTo(HaveOccurred())
	token := func(account string, args ...string) string {
		GinkgoHelper()
		return strings.TrimSpace(c.do(ctx, "", append([]string{"-n", namespace, "create", "token", account}, args...)...))
	}
	pod2, uid2 := c.agentPod(ctx, "node02")
	bound := func(pod, uid string) []string {
		return []string{"--audience=agents.nmstate.io", "--bound-object-kind=Pod", "--bound-object-name=" + pod, "--bound-object-uid=" + uid}
	}
	pod3, uid3 := c.agentPod(ctx, "node03")
	deleted := token("nmstate-node-agent", bound(pod3, uid3)...)
	c.do(ctx, "", "-n", namespace, "delete", "pod", pod3, "--wait=true")

	pod1, uid1 := c.agentPod(ctx, "node01")
	expired := c.expired(token("nmstate-node-agent", bound(pod1, uid1)...))

	before := c.measure(ctx)
	knocks := 0
	for what, knock := range map[string]struct {
		token, node string
		code        codes.Code
	}{
		"no token":                  {"", "node01", codes.Unauthenticated},
		"no token at all but words": {"let-me-in", "node01", codes.Unauthenticated},
		"another audience":          {token("nmstate-node-agent", "--audience=other"), "node01", codes.Unauthenticated},
		"bound to no pod":           {token("nmstate-node-agent", "--audience=agents.nmstate.io"), "node01", codes.Unauthenticated},
		"another service account":   {token("nmstate-apiserver", "--audience=agents.nmstate.io"), "node01", codes.Unauthenticated},
		"the pod of another node":   {token("nmstate-node-agent", bound(pod2, uid2)...), "node01", codes.PermissionDenied},
		"a pod that was deleted":    {deleted, "node03", codes.Unauthenticated},
		"expired":                   {expired, "node01", codes.Unauthenticated},
	} {
		err := c.knock(ctx, address, knock.token, knock.node, tls)
		Expect(status.Code(err)).To(Equal(knock.code), "%s: %v", what, err)
		if knock.token != "" {
			Expect(err.Error()).NotTo(ContainSubstring(knock.token))
		}
		knocks++
	}
	Expect(c.measure(ctx)[refusals]-before[refusals]).To(BeNumerically("==", knocks), "each is counted")

	By("plain HTTP/2, and 10,000 connections that say nothing or garbage")
	Expect(status.Code(c.knock(ctx, address, "", "node01", insecure.NewCredentials()))).To(Equal(codes.Unavailable))
	var idle []net.Conn
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for range 10_000 {
		conn, err := c.dial(address)
		if err != nil {
			break // this process may not have as many
		}
		idle = append(idle, conn)
	}
	AddReportEntry("idle connections", len(idle))
	Expect(len(idle)).To(BeNumerically(">", 1000))
	for i, conn := range idle[:100] {
		_, _ = fmt.Fprintf(conn, "%d\x00\xffgarbage", i)
	}
	for range 10 {
		Expect(c.knock(ctx, address, "let-me-in", "node01", tls)).To(HaveOccurred())
		all, err := c.nns().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Items).To(HaveLen(3))
	}
	c.allAvailable(ctx)
	const strangers = "nmstate_agent_events_total no-greeting"
	Eventually(func() float64 { return c.measure(ctx)[strangers] - before[strangers] }).WithContext(ctx).WithTimeout(long).
		Should(BeNumerically(">", len(idle)), "each of those is counted, too")
}

// expired returns the same token as the cluster would have issued it for a time
// that is over.
func (c inCluster) expired(token string) string {
	GinkgoHelper()
	parts := strings.Split(token, ".")
	Expect(parts).To(HaveLen(3))
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	Expect(err).NotTo(HaveOccurred())
	claims := map[string]any{}
	Expect(json.Unmarshal(text, &claims)).To(Succeed())
	hourAgo := time.Now().Add(-time.Hour).Unix()
	claims["iat"], claims["nbf"], claims["exp"] = hourAgo-600, hourAgo-600, hourAgo
	text, err = json.Marshal(claims)
	Expect(err).NotTo(HaveOccurred())
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)

	key, err := keyutil.PrivateKeyFromFile(c.dir + "/run/pki/service-account.key")
	Expect(err).NotTo(HaveOccurred())
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), hash[:])
	Expect(err).NotTo(HaveOccurred())
	// RFC 7518, 3.4: ES256 is both numbers, of 32 bytes each.
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
