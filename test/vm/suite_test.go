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

// Package vm tries each kind of configuration on nodes that are virtual machines with a whole kernel, with
// NetworkManager and without: the cases of the folder cases, in the steps of the package table.
//
//	go test ./test/vm -timeout=10h -ginkgo.timeout=10h                                 all cases on both nodes
//	go test ./test/vm -timeout=10h -ginkgo.timeout=10h -backend=Kernel -cases='^bond'  some of them on one
//
// What came of each case is kept in the folder that -results names, also when the nodes are taken away; -matrix=FILE writes the
// document from it, which with -cases='^$' is all that is done.
package vm

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// patience is how long anything may take on an emulated node that an event or a look can tell of. settling is
// how long the network may take to be as before after a change has ended.
const (
	patience = 10 * time.Minute
	settling = time.Minute
)

var (
	backendFlag = flag.String("backend", "", "the only backend to try: NetworkManager or Kernel")
	casesFlag   = flag.String("cases", "", "a regular expression of the cases to try, by type and name, such as 'bond: balance'")
	sampleFlag  = flag.Bool("sample", false, "try only the cases of the small run")
	batchFlag   = flag.Int("batch", 12, "how many interfaces the cases that are tried together may have")
	rebootFlag  = flag.Int("reboots", 1000, "how many batches are rebooted at most, on each node")
	resultsFlag = flag.String("results", "_output/vm", "folder that keeps what came of each case, one file a backend")
	matrixFlag  = flag.String("matrix", "", "file to write the matrix to")
)

// suite is what the specs share.
type suite struct {
	scripts
	cases   []*table.Case
	results *table.Results
}

// machines are the nodes, by their backend.
var machines = map[v1alpha1.Backend]string{v1alpha1.BackendNetworkManager: "vm01", v1alpha1.BackendKernel: "vm02"}

func TestVM(t *testing.T) {
	RegisterFailHandler(Fail)
	klog.SetLogger(GinkgoLogr)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := table.Load(root, "test/vm/cases")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{scripts: newScripts(root), cases: chosen(t, all)}
	if s.results, err = table.LoadResults(s.resultsFile(table.Backends[0]), s.resultsFile(table.Backends[1])); err != nil {
		t.Fatal(err)
	}
	BeforeSuite(func(ctx SpecContext) { Expect(s.up(ctx)).To(Succeed()) }, NodeTimeout(30*time.Minute))
	for _, backend := range table.Backends {
		if *backendFlag == "" || *backendFlag == string(backend) {
			Describe("with "+string(backend), Label(string(backend)), func() { s.specs(backend) })
		}
	}
	RunSpecs(t, "Each kind of configuration, on virtual machines")
	if *matrixFlag != "" {
		if err := s.writeMatrix(all); err != nil {
			t.Error(err)
		}
	}
}

// writeMatrix writes the document of all cases. A run for the other backend may have added results meanwhile, so it reads them again.
func (s *suite) writeMatrix(all []*table.Case) error {
	results, err := table.LoadResults(s.resultsFile(table.Backends[0]), s.resultsFile(table.Backends[1]))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.root, *matrixFlag), []byte(table.Matrix(all, results)), 0o644)
}

// chosen returns the cases that the flags leave.
func chosen(t *testing.T, all []*table.Case) []*table.Case {
	pattern, err := regexp.Compile(*casesFlag)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *table.Case) bool {
		return !pattern.MatchString(c.Title()) || *sampleFlag && !c.Sample
	})
}

// resultsFile keeps the results of a backend, so that a run for each can go on at the same time.
func (s *suite) resultsFile(backend v1alpha1.Backend) string {
	return filepath.Join(s.root, *resultsFlag, "results-"+string(backend)+".json")
}

// up starts the nodes that are to be tried; those that run stay.
func (s *suite) up(ctx context.Context) error {
	nodes := ""
	for _, backend := range table.Backends {
		if *backendFlag == "" || *backendFlag == string(backend) {
			nodes += " " + machines[backend]
		}
	}
	if os.Getenv("VM_NODES") == "" {
		s.variables = append(s.variables, "VM_NODES="+nodes[1:])
	}
	_, err := s.run(ctx, "hack/vm/up.sh")
	return err
}

// specs has one spec for each case. Cases are tried in batches: the first spec of a batch tries all of it.
func (s *suite) specs(backend v1alpha1.Backend) {
	m := &machine{suite: s, name: machines[backend], backend: backend}
	prepare := sync.OnceValue(func() error { return m.prepare(context.Background()) })
	if backend == v1alpha1.BackendNetworkManager && !*sampleFlag && regexp.MustCompile(*casesFlag).MatchString(titleOwners) {
		ownersSpec(m, prepare)
	}
	for _, batch := range table.Batches(s.cases, backend, *batchFlag) {
		try := sync.OnceValue(func() map[*table.Case]*table.Result { return m.try(context.Background(), batch) })
		for _, c := range batch {
			It(c.Title(), Label(c.Type), NodeTimeout(3*time.Hour), func(SpecContext) {
				if err := prepare(); err != nil {
					Fail(err.Error())
				}
				result := try()[c]
				if err := result.Err(); err != nil {
					Fail(err.Error())
				}
				if result.Lacks != "" {
					Skip(m.name + " has no " + result.Lacks)
				}
			})
		}
	}
}
