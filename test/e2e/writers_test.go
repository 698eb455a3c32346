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
	"fmt"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func (s *suite) writerSpecs() {
	const node = "node03"
	const away = `{"interfaces":[{"name":"race0","type":"linux-bridge","state":"absent"},{"name":"race1","type":"linux-bridge","state":"absent"}]}`

	It("one of two with the same resourceVersion wins, the other gets 409", NodeTimeout(long), func(ctx SpecContext) {
		s.desireAfterwards(node, away)
		for range 5 {
			s.desire(ctx, node, away)
			start := s.get(ctx, node)
			var results [2]error
			var writers sync.WaitGroup
			for i := range results {
				writers.Go(func() {
					mine := start.DeepCopy()
					mine.Spec.DesiredState = v1alpha1.NewState(fmt.Appendf(nil, `{"interfaces":[{"name":"race%d","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}`, i))
					_, results[i] = s.nns().Update(ctx, mine, metav1.UpdateOptions{})
				})
			}
			writers.Wait()
			winner, loser := 0, 1
			if results[0] != nil {
				winner, loser = 1, 0
			}
			Expect(results[winner]).NotTo(HaveOccurred())
			Expect(apierrors.IsConflict(results[loser])).To(BeTrue(), "the loser got %v", results[loser])

			obj := s.get(ctx, node)
			Expect(string(obj.Spec.DesiredState.Raw)).To(ContainSubstring("race%d", winner))
			Expect(string(obj.Spec.DesiredState.Raw)).NotTo(ContainSubstring("race%d", loser))
			Expect(obj.Generation).To(Equal(start.Generation + 1))
			links := s.must(ctx, node, "ip -br link")
			Expect(links).To(ContainSubstring("race%d", winner))
			Expect(links).NotTo(ContainSubstring("race%d", loser))
		}
	})
}
