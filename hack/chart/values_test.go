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
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestWrongValuesAreRefused: each is named, and nothing is rendered.
func TestWrongValuesAreRefused(t *testing.T) {
	c := loadChart(t)
	for values, want := range map[string]string{
		"replica: 3":                                          "replica",
		"replicas: two":                                       "/replicas",
		"replicas: -1":                                        "/replicas",
		"image: {name: x}":                                    "name",
		"image: {digest: latest}":                             "/image/digest",
		"image: {pullPolicy: always}":                         "/image/pullPolicy",
		"logLevel: 11":                                        "/logLevel",
		"args: [v=4]":                                         "/args/0",
		"resources: {limits: {memory: lots}}":                 "/resources/limits/memory",
		"goMemoryLimit: 900Mi":                                "/goMemoryLimit",
		"containerPorts: {https: 70000}":                      "/containerPorts/https",
		"tls: {type: selfsigned}":                             "/tls/type",
		"tls: {type: secret}":                                 "tls.existingSecret must name the Secret",
		"tls: {type: secret, existingSecret: a}":              "tls.caBundle must have the CA",
		"tls: {existingSecret: a}":                            "only with tls.type secret, and it is self-signed",
		"tls: {type: secret, existingSecret: a, caBundle: b}": "/tls/caBundle",
		"tls: {type: cert-manager, certManager: {existingIssuer: {enabled: true}}}": "existingIssuer.name must name the issuer",
		"agent: {backend: NetworkManager}":                                          "/agent/backend",
		"agent: {architectures: [amd64]}":                                           "/agent/architectures",
		"agent: {architectures: {amd64: {name: x}}}":                                "name",
		"agents: {}": "agents",
		"podDisruptionBudget: {maxUnavailable: half}":                   "/podDisruptionBudget/maxUnavailable",
		"prometheusRule: {enabled: true, disabled: [NodeNetworkDrift]}": "names the alert NodeNetworkDrift, and there is none: there are NodeNetworkUnavailable, ",
		"prometheusRule: {enabled: true, for: {NodeNetworkDrift: 1m}}":  "names the alert NodeNetworkDrift",
		"prometheusRule: {enabled: true, for: {NodeNetworkDrifted: 1}}": "/prometheusRule/for/NodeNetworkDrifted",
		"serviceMonitor: {interval: often}":                             "/serviceMonitor/interval",
	} {
		if _, err := tryRender(c, namespace, values); err == nil {
			t.Errorf("%s is not refused", values)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error has no %q: %v", values, want, err)
		}
	}
}

// TestTheSchemaHasAllValues, and no others: what values.yaml has can be set, and what can be set is in values.yaml.
func TestTheSchemaHasAllValues(t *testing.T) {
	c := loadChart(t)
	var schema map[string]any
	if err := json.Unmarshal(c.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	properties := schema["properties"].(map[string]any)
	delete(properties, "global") // Helm's own
	definitions := schema["definitions"].(map[string]any)
	var check func(path string, schema, value any)
	check = func(path string, schema, value any) {
		s := schema.(map[string]any)
		if reference, ok := s["$ref"].(string); ok {
			s = definitions[strings.TrimPrefix(reference, "#/definitions/")].(map[string]any)
		}
		fields, isMap := value.(map[string]any)
		known, closed := s["properties"].(map[string]any)
		if !closed || strings.HasSuffix(path, "resources") {
			return
		}
		if !isMap || s["additionalProperties"] != false {
			t.Errorf("%s: the schema has fields, and values.yaml has none, or others may be set", path)
			return
		}
		if got, want := slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(known)); !slices.Equal(got, want) {
			t.Errorf("%s: values.yaml has %v, the schema %v", path, got, want)
			return
		}
		for key, field := range fields {
			check(path+"."+key, known[key], field)
		}
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(findFile(c.Raw, "values.yaml").Data, &values); err != nil {
		t.Fatal(err)
	}
	check("values", map[string]any{"properties": properties, "additionalProperties": schema["additionalProperties"]}, values)
}

const (
	deployment = "apps/v1 Deployment nmstate-system/nmstate-apiserver"
	daemonSet  = "apps/v1 DaemonSet nmstate-system/nmstate-node-agent"
	service    = "v1 Service nmstate-system/nmstate-apiserver"
	apiService = "apiregistration.k8s.io/v1 APIService <nil>/v1alpha1.nmstate.io"
	budget     = "policy/v1 PodDisruptionBudget nmstate-system/nmstate-apiserver"
	monitor    = "monitoring.coreos.com/v1 ServiceMonitor nmstate-system/nmstate-apiserver"
	rule       = "monitoring.coreos.com/v1 PrometheusRule nmstate-system/nmstate-apiserver"
)

// pod is the way to a pod's spec, container that to its first container.
var (
	pod       = []any{"spec", "template", "spec"}
	container = []any{"spec", "template", "spec", "containers", 0}
)

func under(path []any, steps ...any) []any { return append(slices.Clone(path), steps...) }

// TestValuesDoWhatTheySay: where each ends up.
func TestValuesDoWhatTheySay(t *testing.T) {
	c := loadChart(t)
	const ca = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
	for _, test := range []struct {
		values, id string
		path       []any
		want       any
	}{
		{everything, deployment, []any{"spec", "replicas"}, 3.},
		{everything, deployment, []any{"metadata", "labels", "team"}, "network"},
		{everything, apiService, []any{"metadata", "annotations"}, map[string]any{"a": "b", "contact": "network"}},
		{everything, deployment, under(container, "image"), "r/a@sha256:0123456789012345678901234567890123456789012345678901234567890123"},
		{everything, deployment, under(container, "imagePullPolicy"), "Always"},
		{everything, deployment, under(pod, "imagePullSecrets"), []any{map[string]any{"name": "registry"}}},
		{everything, deployment, under(pod, "serviceAccountName"), "server"},
		{everything, deployment, under(pod, "schedulerName"), "mine"},
		{everything, deployment, under(pod, "topologySpreadConstraints", 0, "topologyKey"), "zone"},
		{everything, deployment, []any{"spec", "revisionHistoryLimit"}, 0.},
		{everything, deployment, []any{"spec", "strategy"}, map[string]any{"type": "Recreate"}},
		{everything, deployment, under(container, "args", 6), "--agent-service-account=agent"},
		{everything, deployment, under(container, "args", 7), "--history-bytes=512Mi"},
		{everything, deployment, under(container, "args", 8), "--v=4"},
		{everything, deployment, under(container, "args", 9), "--max-node-reads=20"},
		{everything, deployment, under(container, "resources"), map[string]any{"requests": map[string]any{"cpu": "50m", "memory": "256Mi"}, "limits": map[string]any{"cpu": 2., "memory": "2Gi"}}},
		{everything, deployment, under(container, "env", 5), map[string]any{"name": "GOMEMLIMIT", "value": "1800MiB"}},
		{everything, deployment, under(container, "volumeMounts", 0, "name"), "audit"},
		{everything, budget, []any{"spec"}, map[string]any{"minAvailable": "50%", "selector": map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": "nmstate-apiserver"}}}},
		{everything, service, []any{"spec", "type"}, "NodePort"},
		{everything, daemonSet, under(container, "image"), "r/b:t"},
		{everything, daemonSet, under(container, "args", 6), "--backend=networkmanager"},
		{everything, daemonSet, under(container, "args", 7), "--v=2"},
		{everything, daemonSet, under(container, "args", 8), "--include-unmanaged-veths"},
		{everything, "rbac.authorization.k8s.io/v1 ClusterRoleBinding <nil>/nmstate-apiserver", []any{"subjects", 0, "name"}, "server"},
		{everything, "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy <nil>/nmstate-apiserver-pods", []any{"spec", "matchConditions", 0, "expression"},
			"request.userInfo.username == 'system:serviceaccount:nmstate-system:server'"},
		{variants["on the hosts' network"], deployment, under(pod, "hostNetwork"), true},
		{variants["on the hosts' network"], deployment, under(container, "args", 3), "--secure-port=16443"},
		{variants["on the hosts' network"], deployment, under(container, "ports", 1, "containerPort"), 16444.},
		{variants["with architectures"], daemonSet + "-amd64", under(container, "image"), "localhost/nmstate/nmstate-node-agent:v0.0.0"},
		{variants["with architectures"], daemonSet + "-arm64", under(container, "image"), "localhost/nmstate/nmstate-node-agent:v2-arm64"},
		{variants["with architectures"], daemonSet + "-arm64", under(pod, "nodeSelector"), map[string]any{"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}},
		{variants["with architectures"], daemonSet, nil, map[string]any(nil)},
		{variants["a given certificate"], apiService, []any{"spec", "caBundle"}, base64.StdEncoding.EncodeToString([]byte(ca))},
		{variants["a given certificate"], "v1 ConfigMap nmstate-system/nmstate-apiserver-ca", []any{"data", "ca.crt"}, ca},
		{variants["a given certificate"], deployment, under(pod, "volumes", 0, "secret", "secretName"), "mine"},
		{variants["a given certificate"], deployment, under(container, "args", 6), "--cert-mode=files"},
		{variants["cert-manager's other issuer"], "cert-manager.io/v1 Certificate nmstate-system/nmstate-apiserver", []any{"spec", "issuerRef"}, map[string]any{"kind": "ClusterIssuer", "name": "corp"}},
		{variants["cert-manager's other issuer"], "cert-manager.io/v1 Issuer nmstate-system/nmstate-apiserver", nil, map[string]any(nil)},
		{variants["monitored"], monitor, []any{"spec", "endpoints", 0, "interval"}, "30s"},
		{variants["monitored"], monitor, []any{"metadata", "labels", "release"}, "prometheus"},
		{variants["monitored"], rule, []any{"spec", "groups", 0, "rules", 0, "for"}, "1m"},
		{variants["monitored"], rule, []any{"spec", "groups", 0, "rules", 1, "for"}, "15m"},
		{variants["monitored"], rule, []any{"spec", "groups", 1, "rules", 2}, nil}, // BarrierSlow
		{variants["monitored"], "v1 ConfigMap grafana/nmstate-dashboard", []any{"metadata", "labels", "grafana_dashboard"}, "1"},
		{nothing, deployment, under(container, "resources"), nil},
		{nothing, deployment, under(container, "env", 5), nil},
	} {
		objects, _ := render(t, c, namespace, test.values)
		got := objects[test.id].at(test.path...)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v is %#v, want %#v", test.id, test.path, got, test.want)
		}
	}
	objects, _ := render(t, c, namespace, nothing)
	if len(objects) != 3 {
		t.Errorf("with nothing that can be left off there are still %v", slices.Sorted(maps.Keys(objects)))
	}
}

// TestUninstalling: the hooks run in order, with no more rights than they need, and by what uninstall says.
func TestUninstalling(t *testing.T) {
	objects, _ := render(t, loadChart(t), namespace, "image: {tag: v9}")
	hooks := map[string][]object{}
	for _, o := range objects {
		if o.isHook() {
			when := o.at("metadata", "annotations", "helm.sh/hook").(string)
			hooks[when] = append(hooks[when], o)
		}
	}
	for when, part := range map[string]string{"pre-delete": "apiservice", "post-delete": "made"} {
		slices.SortFunc(hooks[when], func(a, b object) int {
			return weight(t, a) - weight(t, b)
		})
		var kinds []string
		for _, o := range hooks[when] {
			kinds = append(kinds, strings.TrimPrefix(o["kind"].(string), "Cluster"))
			if o.at("metadata", "annotations", "helm.sh/hook-delete-policy") != "before-hook-creation,hook-succeeded" {
				t.Errorf("%s is left behind", o.id())
			}
		}
		if !slices.Equal(kinds, []string{"ServiceAccount", "Role", "RoleBinding", "Job"}) {
			t.Fatalf("%s makes %v", when, kinds)
		}
		job := objects["batch/v1 Job nmstate-system/nmstate-uninstall-"+part]
		if got := job.at(under(container, "args")...); !reflect.DeepEqual(got, []any{"uninstall", part, "--namespace=nmstate-system"}) {
			t.Errorf("%s runs %v", when, got)
		}
		if got := job.at(under(container, "image")...); got != "localhost/nmstate/nmstate-apiserver:v9" {
			t.Errorf("%s runs the image %v", when, got)
		}
	}
}

// weight is a hook's place in the order.
func weight(t *testing.T, hook object) int {
	t.Helper()
	weight, err := strconv.Atoi(hook.at("metadata", "annotations", "helm.sh/hook-weight").(string))
	if err != nil {
		t.Fatal(err)
	}
	return weight
}
