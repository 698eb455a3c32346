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
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
)

// alertSpecs have a real Prometheus watch the server, with the rules of artifacts/mixin.
func (s *suite) alertSpecs() {
	It("name metrics and labels that there are, and wake somebody when an agent is lost", NodeTimeout(3*time.Minute), func(ctx SpecContext) {
		const node = "node03"
		s.allAvailable(ctx)
		p := s.startPrometheus(ctx)

		By("each expression has what it is about")
		// So that there is a change with a reason, one that was committed, and one that waits for a confirmation.
		_, err := s.tryDesire(ctx, node, `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
		Expect(err).To(HaveOccurred())
		p.has(ctx, `nmstate_node_last_apply{node="`+node+`", outcome="Rejected", reason="InvalidArgument"}`)
		m := s.manual(ctx, node, "2m")
		DeferCleanup(func(ctx SpecContext) { m.decide(ctx, "rollback", m.id) }, NodeTimeout(long))
		p.has(ctx, `nmstate_node_confirm_before_timestamp_seconds{node="`+node+`"} > time()`)
		panels := s.dashboard()
		expressions := p.rules(ctx)
		for _, panel := range panels {
			expressions = append(expressions, panel.expression)
		}
		Expect(len(expressions)).To(BeNumerically(">", 25))
		for _, expression := range expressions {
			p.check(ctx, expression)
		}
		Expect(m.decide(ctx, "confirm", m.id)).NotTo(ContainSubstring("Error"))
		p.has(ctx, `nmstate_node_last_apply{node="`+node+`", outcome="Committed", reason=""}`)
		p.has(ctx, `nmstate_apiserver_active == 1`)

		By("the alert fires, and ends")
		Expect(p.firing(ctx)).To(BeEmpty())
		Expect(s.killAgent(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(s.startAgent(ctx, node)).To(Succeed())
			s.available(ctx, node)
		}, NodeTimeout(long))
		Eventually(p.firing).WithContext(ctx).WithTimeout(long).WithPolling(time.Second / 4).Should(ConsistOf("NodeNetworkUnavailable " + node))

		By("each panel of the dashboard shows something")
		s.desire(ctx, "node01", `{"interfaces":[{"name":"drift0","type":"linux-bridge","state":"up","mtu":1500,"bridge":{"port":[]}}]}`)
		s.desireAfterwards("node01", `{"interfaces":[{"name":"drift0","type":"linux-bridge","state":"absent"}]}`)
		s.must(ctx, "node01", "ip link set drift0 mtu 1400")
		_, err = s.tryDesire(ctx, "node01", `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
		Expect(err).To(HaveOccurred())
		waits := s.manual(ctx, "node02", "2m")
		Eventually(p.missing).WithContext(ctx).WithArguments(panels).WithTimeout(long).WithPolling(time.Second / 4).Should(BeEmpty())
		Expect(waits.decide(ctx, "rollback", waits.id)).NotTo(ContainSubstring("Error"))

		Expect(s.startAgent(ctx, node)).To(Succeed())
		s.available(ctx, node)
		Eventually(p.firing).WithContext(ctx).WithTimeout(long).WithPolling(time.Second / 4).Should(BeEmpty())
	})
}

// prometheus is one that runs, and evaluates the alerts without waiting for them to last.
type prometheus struct{ address string }

// override is what the page on monitoring tells people to do.
const override = `
local mixin = (import 'artifacts/mixin/mixin.libsonnet') + { _config+:: { unavailableFor: '0s' } };
std.manifestYamlDoc(mixin.prometheusAlerts)`

// startPrometheus starts Debian's Prometheus, which make test-e2e has fetched, and returns when it has scraped the server.
func (s *suite) startPrometheus(ctx context.Context) *prometheus {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	jsonnet := exec.CommandContext(ctx, "go", "tool", "jsonnet", "-S", "-J", s.root, "-e", override)
	jsonnet.Dir = filepath.Join(s.root, "hack/tools")
	rules, err := jsonnet.Output()
	Expect(err).NotTo(HaveOccurred())
	config := s.restConfig()
	Expect(rest.LoadTLSFiles(config)).To(Succeed())
	server, err := url.Parse(config.Host)
	Expect(err).NotTo(HaveOccurred())
	for name, content := range map[string][]byte{
		"rules.yaml": rules, "ca.crt": config.CAData, "client.crt": config.CertData, "client.key": config.KeyData,
		"prometheus.yaml": fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
- job_name: nmstate-apiserver
  scheme: https
  tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}
  static_configs: [{targets: [%q]}]
`, server.Host),
	} {
		Expect(os.WriteFile(filepath.Join(folder, name), content, 0o600)).To(Succeed())
	}
	running, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(running, filepath.Join(s.root, "_output/prometheus/root/usr/bin/prometheus"), "--config.file=prometheus.yaml",
		"--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0")
	cmd.Dir = folder
	log, err := cmd.StderrPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed(), "hack/prometheus/packages.sh fetches it")
	address := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		listens := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if found := listens.FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
		_ = cmd.Wait()
	}()
	DeferCleanup(func() {
		stop()
		<-ended
	})
	p := &prometheus{}
	Eventually(address).WithContext(ctx).WithTimeout(long).Should(Receive(&p.address))
	p.has(ctx, `up{job="nmstate-apiserver"} == 1`)
	return p
}

// ask asks Prometheus' API, and decodes what it answers.
func (p *prometheus) ask(ctx context.Context, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s %v: %s", path, query, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// query returns the labels of the series that an expression has now.
func (p *prometheus) query(ctx context.Context, expression string) ([]map[string]string, error) {
	var data struct {
		Result []struct{ Metric map[string]string }
	}
	err := p.ask(ctx, "query", url.Values{"query": {expression}}, &data)
	var all []map[string]string
	for _, one := range data.Result {
		all = append(all, one.Metric)
	}
	return all, err
}

// has waits until an expression has a series.
func (p *prometheus) has(ctx context.Context, expression string) {
	GinkgoHelper()
	Eventually(p.query).WithContext(ctx).WithArguments(expression).WithTimeout(long).WithPolling(time.Second/4).ShouldNot(BeEmpty(), expression)
}

// rules returns the expressions of the rules that Prometheus has loaded.
func (p *prometheus) rules(ctx context.Context) []string {
	GinkgoHelper()
	var data struct {
		Groups []struct {
			Rules []struct{ Query, Health string }
		}
	}
	evaluated := func(ctx context.Context) ([]string, error) {
		err := p.ask(ctx, "rules", nil, &data)
		var all []string
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return nil, fmt.Errorf("%s is %s", rule.Query, rule.Health)
				}
				all = append(all, rule.Query)
			}
		}
		return all, err
	}
	var all []string
	Eventually(func(ctx context.Context) (err error) {
		all, err = evaluated(ctx)
		return err
	}).WithContext(ctx).WithTimeout(long).WithPolling(time.Second / 4).Should(Succeed())
	return all
}

// firing returns the alerts that fire, each with its node.
func (p *prometheus) firing(ctx context.Context) ([]string, error) {
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	err := p.ask(ctx, "alerts", nil, &data)
	var all []string
	for _, alert := range data.Alerts {
		if alert.State == "firing" {
			all = append(all, strings.TrimSpace(alert.Labels["alertname"]+" "+alert.Labels["node"]))
		}
	}
	return all, err
}

var (
	metricNames = regexp.MustCompile(`\b(?:nmstate|apiserver|process)_[a-z_]+\b(?:\{([^}]*)\})?`)
	matchers    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	groupings   = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
)

// check fails the spec unless Prometheus takes the expression, and each metric and label in it exists.
func (p *prometheus) check(ctx context.Context, expression string) {
	GinkgoHelper()
	_, err := p.query(ctx, expression)
	Expect(err).NotTo(HaveOccurred())
	found := metricNames.FindAllStringSubmatch(expression, -1)
	Expect(found).NotTo(BeEmpty(), expression)
	all := map[string]bool{}
	for _, metric := range found {
		name, _, _ := strings.Cut(metric[0], "{")
		var series []map[string]string
		Expect(p.ask(ctx, "series", url.Values{"match[]": {name}}, &series)).To(Succeed())
		Expect(series).NotTo(BeEmpty(), "%s of %s does not exist", name, expression)
		labels := map[string]bool{}
		for _, one := range series {
			for label := range one {
				labels[label], all[label] = true, true
			}
		}
		for _, matcher := range matchers.FindAllStringSubmatch(metric[1], -1) {
			Expect(labels).To(HaveKey(matcher[1]), "%s has no label %s: %s", name, matcher[1], expression)
		}
	}
	for _, grouping := range groupings.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(grouping[1], ",") {
			Expect(all).To(HaveKey(strings.TrimSpace(label)), "none of %s has the label %s", expression, label)
		}
	}
}
