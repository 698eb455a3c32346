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
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	artifacts = "../../artifacts"
	namespace = "nmstate-system"
)

// object is a manifest.
type object map[string]any

// at returns what is at a path of names and indices, nil if there is nothing.
func (o object) at(path ...any) any {
	var value any = map[string]any(o)
	for _, step := range path {
		switch at := step.(type) {
		case string:
			fields, _ := value.(map[string]any)
			value = fields[at]
		case int:
			items, _ := value.([]any)
			if at >= len(items) {
				return nil
			}
			value = items[at]
		}
	}
	return value
}

// id names an object: group and version, kind, namespace, name.
func (o object) id() string {
	return fmt.Sprintf("%v %v %v/%v", o["apiVersion"], o["kind"], o.at("metadata", "namespace"), o.at("metadata", "name"))
}

// isHook tells whether Helm only makes the object to run something.
func (o object) isHook() bool { return o.at("metadata", "annotations", "helm.sh/hook") != nil }

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(filepath.Join(artifacts, "chart"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryRender renders a chart with Helm's own engine, as helm template does.
func tryRender(c *chart.Chart, in, values string) (map[string]string, error) {
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "nmstate", Namespace: in, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// render returns the objects of the chart with the given values, by their ids, and its notes.
func render(t *testing.T, c *chart.Chart, in, values string) (map[string]object, string) {
	t.Helper()
	rendered, err := tryRender(c, in, values)
	if err != nil {
		t.Fatalf("with %s: %v", values, err)
	}
	objects := map[string]object{}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for id, o := range parse(t, name, rendered[name]) {
			if objects[id] != nil {
				t.Errorf("%s is rendered twice", id)
			}
			objects[id] = o
		}
	}
	return objects, rendered[c.Name()+"/templates/NOTES.txt"]
}

// parse returns the objects of a text of several documents, by their ids.
func parse(t *testing.T, name, text string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o object
		// The line's end before the separator belongs to the document: a text may end with it.
		if err := yaml.UnmarshalStrict([]byte(document+"\n"), &o); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		if len(o) > 0 {
			objects[o.id()] = o
		}
	}
	return objects
}

// variants are values that together turn everything on, off, and into each of its forms.
var variants = map[string]string{
	"defaults":                      "{}",
	"cert-manager":                  "tls: {type: cert-manager}",
	"cert-manager's other issuer":   "tls: {type: cert-manager, certManager: {existingIssuer: {enabled: true, kind: ClusterIssuer, name: corp}, duration: 2160h, renewBefore: 360h}}",
	"a given certificate":           "tls: {type: secret, existingSecret: mine, caBundle: \"-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----\\n\"}",
	"monitored":                     "{serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, additionalLabels: {release: prometheus}, relabelings: [{action: drop, sourceLabels: [a]}], metricRelabelings: [{action: keep, regex: b}]}, prometheusRule: {enabled: true, additionalLabels: {release: prometheus}, disabled: [BarrierSlow], for: {NodeNetworkUnavailable: 1m}}, dashboards: {enabled: true, namespace: grafana}}",
	"with all that is optional":     everything,
	"with nothing that can be left": nothing,
	"with nulls":                    "{affinity: null, nodeSelector: null, tolerations: null, resources: null, podLabels: null, deploymentLabels: null, commonLabels: null, service: {labels: null}, agent: {affinity: null, nodeSelector: null, labels: null, podLabels: null, resources: null}}",
	"with architectures":            "agent: {architectures: {amd64: {}, arm64: {tag: v2-arm64, pullPolicy: Always}, riscv64: null}}",
	"on the hosts' network":         "{hostNetwork: {enabled: true}, containerPorts: {https: 16443, agents: 16444}}",
}

const everything = `
replicas: 3
image: {repository: r/a, digest: "sha256:0123456789012345678901234567890123456789012345678901234567890123", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
commonLabels: {team: network}
commonAnnotations: {contact: network}
deploymentLabels: {a: b}
deploymentAnnotations: {a: b}
podLabels: {a: b}
podAnnotations: {a: b}
serviceAccount: {name: server, annotations: {a: b}}
apiService: {annotations: {a: b}}
logLevel: 4
args: [--max-node-reads=20]
env: [{name: A, value: b}]
resources: {limits: {cpu: 2, memory: 2Gi}}
goMemoryLimit: 1800MiB
historyBytes: 512Mi
service: {type: NodePort, labels: {a: b}, annotations: {a: b}}
updateStrategy: {type: Recreate, rollingUpdate: null}
revisionHistoryLimit: 0
schedulerName: mine
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app.kubernetes.io/name: nmstate-apiserver}}}]
extraVolumes: [{name: audit, configMap: {name: audit}}]
extraVolumeMounts: [{name: audit, mountPath: /etc/audit}]
podDisruptionBudget: {minAvailable: 50%}
uninstall: {resources: {requests: {cpu: 10m}}}
agent:
  image: {repository: r/b, tag: t, pullPolicy: IfNotPresent}
  backend: networkmanager
  logLevel: 2
  args: [--include-unmanaged-veths]
  env: [{name: A, value: b}]
  labels: {a: b}
  annotations: {a: b}
  podLabels: {a: b}
  podAnnotations: {a: b}
  serviceAccount: {name: agent, annotations: {a: b}}
  revisionHistoryLimit: 3
  extraVolumes: [{name: more, emptyDir: {}}]
  extraVolumeMounts: [{name: more, mountPath: /more}]
dashboards: {enabled: true, annotations: {grafana_folder: Network}}
`

const nothing = `
serviceAccount: {create: false}
rbac: {create: false, userRoles: false}
apiService: {create: false}
goMemoryLimit: ""
resources: {requests: null, limits: null}
priorityClassName: ""
startupProbe: null
livenessProbe: null
readinessProbe: null
podDisruptionBudget: {enabled: false}
networkPolicy: {enabled: false}
flowSchema: {enabled: false}
podPolicy: {enabled: false}
resourceQuota: {enabled: false}
agent: {serviceAccount: {create: false}, priorityClassName: ""}
uninstall: {enabled: false}
`

// TestNothingIsNull: a null in a manifest is dropped by one client, refused by another, and taken for a value by a third.
func TestNothingIsNull(t *testing.T) {
	c := loadChart(t)
	for name, values := range variants {
		objects, notes := render(t, c, namespace, values)
		for id, o := range objects {
			for _, path := range nulls("", map[string]any(o)) {
				t.Errorf("%s: %s has nothing at %s", name, id, path)
			}
		}
		if strings.Contains(notes, "<nil>") || strings.Contains(notes, "<no value>") || !strings.Contains(notes, "kubectl get nodenetworkstates") {
			t.Errorf("%s: the notes are %s", name, notes)
		}
	}
}

// nulls returns the paths of values that are null, and of maps and lists without anything where there was to be something.
func nulls(path string, value any) []string {
	var found []string
	switch value := value.(type) {
	case nil:
		return []string{path}
	case map[string]any:
		for key, item := range value {
			found = append(found, nulls(path+"."+key, item)...)
		}
	case []any:
		if len(value) == 0 {
			return []string{path}
		}
		for i, item := range value {
			found = append(found, nulls(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	case string:
		if strings.Contains(value, "<nil>") || strings.Contains(value, "<no value>") || value == "null" {
			return []string{path}
		}
	}
	return found
}
