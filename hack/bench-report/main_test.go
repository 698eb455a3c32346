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

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `{"suite":"scale","what":"LIST live","form":"standalone","nodes":100,"samples":5,"p50":0.1,"p99":0.2,"cpu":{"server":0.01},"rss":{"server":70},"bytes":2000000}
{"suite":"scale","what":"LIST live","form":"aggregated","nodes":100,"samples":5,"p50":0.2,"p99":0.3,"cpu":{"server":0.01,"kube-apiserver":0.01},"rss":{"server":70},"bytes":2000000}
{"suite":"scale","what":"LIST live","form":"CRD","nodes":100,"samples":5,"p50":0.4,"p99":0.5,"cpu":{"etcd":0.01,"kube-apiserver":0.07},"rss":{"etcd":70,"kube-apiserver":400},"bytes":2000000,"etcdBytes":500}
{"suite":"scale","what":"WATCH by 100, 1 % of the nodes change each second","form":"standalone","nodes":100,"samples":5,"p50":0.04,"p99":0.5,"note":"11 changes in 10s"}
{"suite":"bench","what":"GET, kernel, 3 interfaces","form":"the API","samples":5,"p50":0.002,"p99":0.003}
{"suite":"bench","what":"GET, kernel, 3 interfaces","form":"nmstatectl show --kernel","samples":5,"p50":0.02,"p99":0.03}
`

// TestReport makes a report twice: the second replaces the first, and what stands around it stays.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	document, measured := filepath.Join(dir, "benchmarks.md"), filepath.Join(dir, "scale.json")
	if err := os.WriteFile(document, []byte("before\n"+beginMark+"\n"+endMark+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(measured, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	var reports []string
	for range 2 {
		if err := run(document, []string{measured, filepath.Join(dir, "absent.json")}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, string(text))
	}
	if reports[0] != reports[1] {
		t.Errorf("the second report differs:\n%s\n%s", reports[0], reports[1])
	}
	for _, want := range []string{
		"before\n" + beginMark, endMark + "\nafter\n", "### 100 nodes",
		"| LIST live | 100 ms / 200 ms | 200 ms / 300 ms | 400 ms / 500 ms | 0.50 |",
		"20 ms (kube-apiserver 10 ms, server 10 ms) | 80 ms (etcd 10 ms, kube-apiserver 70 ms) | 0.25 |",
		"2.0 MB, 500 B to etcd, etcd 70 MB, kube-apiserver 400 MB",
		"standalone: 11 changes in 10s.",
		"| GET, kernel, 3 interfaces | nmstatectl show --kernel | 20 ms | 30 ms | 0.100 of this |",
		"](benchmarks/reads-time-100.svg)",
	} {
		if !strings.Contains(reports[0], want) {
			t.Errorf("the report lacks %q:\n%s", want, reports[0])
		}
	}
	plots, err := filepath.Glob(filepath.Join(dir, "benchmarks", "*.svg"))
	if err != nil || len(plots) != 4 {
		t.Errorf("got plots %v, %v", plots, err)
	}
}

// TestReportNeedsItsPlace: a document that does not say where the tables go is left as it is.
func TestReportNeedsItsPlace(t *testing.T) {
	document := filepath.Join(t.TempDir(), "other.md")
	if err := os.WriteFile(document, []byte("text\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(document, nil); err == nil {
		t.Error("no error")
	}
	if text, err := os.ReadFile(document); err != nil || string(text) != "text\n" {
		t.Errorf("it has become %q, %v", text, err)
	}
}
