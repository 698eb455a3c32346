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
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// how is by which way a step writes.
type how int

const (
	applying how = iota
	forcing
	// trying is a dry run of an apply.
	trying
	mergePatching
	jsonPatching
	putting
	// kubectlApplying is what kubectl apply does without --server-side.
	kubectlApplying
)

// ownerStep is what a field manager writes to a node's object, and what comes of it.
type ownerStep struct {
	manager string
	how     how
	// body is a desired state in YAML, or a patch of the object.
	body string
	// says are words of the error that the step has to end with, and nothing changes then. conflict is whether it is one between
	// field managers.
	says     []string
	conflict bool
	// spec is the desired state that is there then, by meaning and with lists in any order; empty if it does not matter.
	spec string
	// shows is what a command on the node prints then, as a regular expression; hides is what it does not print.
	on, shows, hides string
}

// ownerCase is a case of ownership: what several field managers write one after another. @a to @d are names of interfaces that no other case
// has.
type ownerCase struct {
	name  string
	steps []ownerStep
}

// ownershipSpecs are the conformance of ownership, with a real server, agent and libnmstate.
func (s *suite) ownershipSpecs() {
	for i, c := range ownerCases {
		It(c.name, Label("ownership"), NodeTimeout(long), func(ctx SpecContext) { s.ownership(ctx, s.kernelOnly(), fmt.Sprintf("o%02d", i), c) })
	}
	for i, c := range ownerCases[:3] {
		It(c.name+", with NetworkManager", Label("ownership"), NodeTimeout(long), func(ctx SpecContext) {
			s.ownership(ctx, "node01", fmt.Sprintf("n%02d", i), c)
		})
	}
	It("an object of a server that knew of no entries", Label("ownership"), NodeTimeout(long), s.ownershipOfBefore)
	It("a secret stays when others apply", Label("ownership"), NodeTimeout(long), s.ownershipOfSecrets)
}

// ownership carries out a case. names begins the names of its interfaces, all of which are removed afterwards.
func (s *suite) ownership(ctx SpecContext, node, names string, c ownerCase) {
	s.desire(ctx, node, "null") // nobody owns anything yet
	var made []string
	for _, letter := range "abcd" {
		made = append(made, fmt.Sprintf("{name: %s%c, state: absent}", names, letter))
	}
	DeferCleanup(func(ctx SpecContext) {
		away, err := yaml.YAMLToJSON([]byte("{interfaces: [" + strings.Join(made, ", ") + "], routes: {config: [{state: absent, next-hop-interface: " + names + "a}]}, " +
			"route-rules: {config: [{state: absent, route-table: 215}]}, dns-resolver: {config: {}}}"))
		Expect(err).NotTo(HaveOccurred())
		s.desire(ctx, node, string(away))
	}, NodeTimeout(long))
	named := strings.NewReplacer("@", names)
	for i, step := range c.steps {
		what := fmt.Sprintf("step %d, %s", i, step.manager)
		before := s.get(ctx, node)
		obj, err := s.write(ctx, node, step.manager, step.how, named.Replace(step.body))
		if len(step.says) > 0 {
			Expect(err).To(HaveOccurred(), what)
			Expect(apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)).To(Equal(step.conflict), "%s: %v", what, err)
			for _, word := range step.says {
				Expect(err.Error()).To(ContainSubstring(named.Replace(word)), what)
			}
			now := s.get(ctx, node)
			Expect(now.Spec).To(Equal(before.Spec), what)
			Expect(now.ManagedFields).To(Equal(before.ManagedFields), what)
		} else {
			Expect(err).NotTo(HaveOccurred(), what)
		}
		if step.spec != "" {
			if obj == nil {
				obj = s.get(ctx, node)
			}
			Expect(ordered(obj.Spec.DesiredState)).To(Equal(ordered(v1alpha1.NewState(fromYAML(named.Replace(step.spec))))), what)
		}
		if step.on != "" {
			shown := s.must(ctx, node, named.Replace(step.on))
			if step.shows != "" {
				Expect(shown).To(MatchRegexp(named.Replace(step.shows)), what)
			}
			if step.hides != "" {
				Expect(shown).NotTo(MatchRegexp(named.Replace(step.hides)), what)
			}
		}
	}
}

// write writes to a node's object as a field manager does.
func (s *suite) write(ctx context.Context, node, manager string, by how, body string) (*v1alpha1.NodeNetworkState, error) {
	GinkgoHelper()
	kind, force := types.ApplyPatchType, by == forcing
	options := metav1.PatchOptions{FieldManager: manager}
	data := fmt.Appendf(nil, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":%q},"spec":{"desiredState":%s}}`, node, fromYAML(body))
	switch by {
	case applying, forcing:
		options.Force = &force
	case trying:
		options.DryRun = []string{metav1.DryRunAll}
	case mergePatching:
		kind = types.MergePatchType
	case jsonPatching:
		kind, data = types.JSONPatchType, fromYAML(body)
	case putting:
		obj := s.get(ctx, node)
		obj.Spec.DesiredState = v1alpha1.NewState(fromYAML(body))
		return s.nns().Update(ctx, obj, metav1.UpdateOptions{FieldManager: manager})
	case kubectlApplying:
		out, err := s.kubectl(ctx, string(data), "apply", "-f", "-")
		Expect(err).NotTo(HaveOccurred(), out)
		return s.get(ctx, node), nil
	}
	return s.nns().Patch(ctx, node, kind, data, options)
}

func fromYAML(text string) []byte {
	GinkgoHelper()
	data, err := yaml.YAMLToJSON([]byte(text))
	Expect(err).NotTo(HaveOccurred(), text)
	return data
}

// ordered returns a state with its lists in an order of their own.
func ordered(state *v1alpha1.State) string {
	GinkgoHelper()
	var value any
	if state != nil {
		Expect(json.Unmarshal(state.Raw, &value)).To(Succeed())
	}
	return inOrder(value)
}

// ownershipOfBefore has a manager give up, and another one have a conflict, where a server of before has noted a manager of all
// interfaces. Such an object is what the agent has in its record.
func (s *suite) ownershipOfBefore(ctx SpecContext) {
	if _, ok := s.environment.(*standalone); !ok {
		Skip("the agent's record is changed by hand, with the agent stopped")
	}
	node := s.kernelOnly()
	s.desire(ctx, node, "null")
	_, err := s.write(ctx, node, "one", applying, "{interfaces: [{name: ob1, type: linux-bridge, state: up, mtu: 1400}, {name: ob2, type: linux-bridge, state: up}]}")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		s.desire(ctx, node, `{"interfaces":[{"name":"ob1","state":"absent"},{"name":"ob2","state":"absent"},{"name":"ob3","state":"absent"}]}`)
	}, NodeTimeout(long))
	Expect(s.killAgent(ctx, node)).To(Succeed())
	s.changeRecord(ctx, node, func(record map[string]any) {
		managed := record["managedFields"].([]any)
		managed[0].(map[string]any)["fieldsV1"] = map[string]any{"f:spec": map[string]any{"f:desiredState": map[string]any{"f:interfaces": map[string]any{}}}}
	})
	Expect(s.startAgent(ctx, node)).To(Succeed())
	obj := s.waitFor(ctx, node, "", long, isTrue(v1alpha1.ConditionAvailable))
	Expect(obj.ManagedFields[0].FieldsV1.GetRawString()).To(ContainSubstring(`"f:interfaces":{}`))

	_, err = s.write(ctx, node, "two", applying, "{interfaces: [{name: ob1, type: linux-bridge, mtu: 1300}]}")
	Expect(apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)).To(BeTrue(), "%v", err)
	Expect(err).To(MatchError(ContainSubstring(`conflict with "one": .spec.desiredState.interfaces[name="ob1",type="linux-bridge"].mtu`)))
	obj, err = s.write(ctx, node, "two", applying, "{interfaces: [{name: ob3, type: linux-bridge, state: up}]}")
	Expect(err).NotTo(HaveOccurred())
	for _, entry := range obj.ManagedFields {
		Expect(entry.FieldsV1.GetRawString()).NotTo(ContainSubstring(`"f:interfaces":{}`), entry.Manager)
	}
	obj, err = s.write(ctx, node, "one", applying, "{interfaces: [{name: ob2, type: linux-bridge, state: up}]}")
	Expect(err).NotTo(HaveOccurred())
	Expect(ordered(obj.Spec.DesiredState)).To(Equal(ordered(v1alpha1.NewState(fromYAML(
		"{interfaces: [{name: ob2, type: linux-bridge, state: up}, {name: ob3, type: linux-bridge, state: up}]}")))))
}

// record is the file in which an agent keeps a node's object.
const record = "/var/lib/nmstate-agent/record.json"

// changeRecord changes the record of an agent that does not run.
func (s *suite) changeRecord(ctx context.Context, node string, change func(record map[string]any)) {
	GinkgoHelper()
	var file struct {
		Format int             `json:"format"`
		SHA256 string          `json:"sha256"`
		Record json.RawMessage `json:"record"`
	}
	Expect(json.Unmarshal([]byte(s.must(ctx, node, "cat "+record)), &file)).To(Succeed())
	var content map[string]any
	Expect(json.Unmarshal(file.Record, &content)).To(Succeed())
	change(content)
	var err error
	file.Record, err = json.Marshal(content)
	Expect(err).NotTo(HaveOccurred())
	sum := sha256.Sum256(file.Record)
	file.SHA256 = hex.EncodeToString(sum[:])
	text, err := json.Marshal(file)
	Expect(err).NotTo(HaveOccurred())
	s.must(ctx, node, "echo "+base64.StdEncoding.EncodeToString(text)+" | base64 -d >"+record)
}

// ownershipOfSecrets: a secret is masked when it is read, and others merge with the mask. It stays on the node, also when
// its manager applies what it has read.
func (s *suite) ownershipOfSecrets(ctx SpecContext) {
	node := s.kernelOnly()
	s.desire(ctx, node, "null")
	DeferCleanup(func(ctx SpecContext) {
		s.desire(ctx, node, `{"interfaces":[{"name":"os2","type":"linux-bridge","state":"absent"}]}`)
	}, NodeTimeout(long))
	kept := func() string {
		GinkgoHelper()
		return s.must(ctx, node, "cat "+record)
	}
	// nmstate drops what an interface has that is to be absent; the agent keeps it like any other.
	const secret, masked = "802.1x: {identity: me, password: s3cret-15}", "802.1x: {identity: me, password: <_password_hid_by_nmstate>}"
	first := func(x string) string { return "{interfaces: [{name: os1, type: ethernet, state: absent, " + x + "}]}" }
	obj, err := s.write(ctx, node, "one", applying, first(secret))
	Expect(err).NotTo(HaveOccurred())
	Expect(ordered(obj.Spec.DesiredState)).To(Equal(ordered(v1alpha1.NewState(fromYAML(first(masked))))))
	_, err = s.write(ctx, node, "two", applying, "{interfaces: [{name: os2, type: linux-bridge, state: up}]}")
	Expect(err).NotTo(HaveOccurred())
	Expect(kept()).To(ContainSubstring("s3cret-15"))
	_, err = s.write(ctx, node, "one", applying, first(masked))
	Expect(err).NotTo(HaveOccurred())
	Expect(kept()).To(ContainSubstring("s3cret-15"))
	_, err = s.write(ctx, node, "two", applying, first("802.1x: {identity: me, password: s3cret-16}"))
	Expect(apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)).To(BeTrue(), "%v", err)
	Expect(err).To(MatchError(And(ContainSubstring(`conflict with "one"`), ContainSubstring("802.1x.password"), Not(ContainSubstring("s3cret")))))
	obj, err = s.write(ctx, node, "one", applying, "{}")
	Expect(err).NotTo(HaveOccurred())
	Expect(bytes.Contains(obj.Spec.DesiredState.Raw, []byte("802.1x"))).To(BeFalse())
	Expect(kept()).NotTo(ContainSubstring("s3cret"))
	Expect(time.Since(obj.ManagedFields[0].Time.Time)).To(BeNumerically("<", long))
}

// inOrder returns a value as text, with the entries of each list in an order of their own.
func inOrder(value any) string {
	switch value := value.(type) {
	case map[string]any:
		fields := map[string]json.RawMessage{}
		for name, field := range value {
			fields[name] = json.RawMessage(inOrder(field))
		}
		text, _ := json.Marshal(fields)
		return string(text)
	case []any:
		var entries []string
		for _, entry := range value {
			entries = append(entries, inOrder(entry))
		}
		slices.Sort(entries)
		return "[" + strings.Join(entries, ",") + "]"
	}
	text, _ := json.Marshal(value)
	return string(text)
}
