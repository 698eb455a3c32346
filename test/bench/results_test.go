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

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// measurement is one line of the results.
type measurement struct {
	// Suite tells make bench from make bench-scale.
	Suite string `json:"suite"`
	// What was done, by which Form of those that are compared, with how many Nodes.
	What  string `json:"what"`
	Form  string `json:"form"`
	Nodes int    `json:"nodes,omitempty"`
	// Samples is how many times there are; P50 and P99 are seconds.
	Samples int     `json:"samples,omitempty"`
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
	// CPU are seconds of processor time and Bytes those that clients were sent and EtcdBytes those that were written to etcd, for each
	// operation; RSS are MB at the end. CPU and RSS are by process.
	CPU       map[string]float64 `json:"cpu,omitempty"`
	RSS       map[string]int     `json:"rss,omitempty"`
	Bytes     int64              `json:"bytes,omitempty"`
	EtcdBytes int64              `json:"etcdBytes,omitempty"`
	Note      string             `json:"note,omitempty"`
}

// of returns the measurement with these times.
func (m measurement) of(times samples) measurement {
	if len(times) > 0 {
		m.Samples, m.P50, m.P99 = len(times), times.at(.5).Seconds(), times.at(.99).Seconds()
	}
	return m
}

// output is the variable of the environment that names the file to which results are added, one JSON object a line.
const output = "BENCH_OUTPUT"

// keep prints a measurement and adds it to the results.
func keep(b *testing.B, m measurement) {
	b.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Println(string(text))
	name := os.Getenv(output)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(slices.Concat(text, []byte("\n"))); err != nil {
		b.Fatal(err)
	}
}
