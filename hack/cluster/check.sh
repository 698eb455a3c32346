#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the cluster that up.sh has made, without anything of this project in it: pods of two kinds, the network between
# them, Services, logs and exec, and what a killed component or kubelet does to them. It ends with the first that fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
trap 'echo "cluster: the check failed at line $LINENO: $BASH_COMMAND" >&2' ERR
"$here/load-image.sh" "$built/images/hello.tar"
trap 'kubectl delete namespace cluster-check --timeout="$(limit 60)s" >/dev/null' EXIT

kubectl apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: cluster-check}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: cluster-check}
spec:
  replicas: 2
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: hello, image: "localhost/hello:dev", imagePullPolicy: Never, readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: hello}}}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: cluster-check}
spec: {selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: guest, namespace: cluster-check}
spec:
  selector: {matchLabels: {app: guest}}
  template:
    metadata: {labels: {app: guest}}
    spec:
      hostNetwork: true
      hostPID: true
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers:
      - name: guest
        image: localhost/hello:dev
        imagePullPolicy: Never
        securityContext: {privileged: true}
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: bus, mountPath: /run/dbus, mountPropagation: HostToContainer}]
      volumes: [{name: bus, hostPath: {path: /run/dbus, type: Directory}}]
YAML
in_check() { kubectl -n cluster-check "$@"; }
ok() { echo "ok: $*"; }

in_check rollout status deployment/hello daemonset/guest --timeout="$(limit 120)s" >/dev/null
ok "pods with a network of their own and with the node's are ready"

service=$(in_check get service hello -o jsonpath='{.spec.clusterIP}')
mapfile -t backends < <(in_check get pods -l app=hello -o name | cut -d/ -f2)
# reached NODE tells whether the Service has been answered there by both pods; it picks one at random.
reached() {
	local _ seen
	seen=$(for _ in {1..20}; do "$here/node.sh" exec "$1" curl -fsS --max-time "$(limit 2)" "http://$service"; done | sort -u)
	[[ $seen == "$(printf '%s\n' "${backends[@]}" | sort)" ]]
}
for name in "${nodes[@]}"; do
	await 20 "the Service in $name" reached "$name"
	"$here/node.sh" exec "$name" curl -fsSk --max-time "$(limit 2)" https://10.96.0.1/version >/dev/null
done
ok "every node reaches both pods of a Service, and the API server by its Service"

[[ $(in_check exec deploy/hello -- /hello here) == here ]]
[[ $(in_check logs -l app=hello --tail=-1) == *"asked for"* ]]
[[ $(in_check get --raw /api/v1/namespaces/cluster-check/services/hello:80/proxy/) == hello-* ]]
ok "logs, exec and the API server's way to a pod"

links=$(for name in "${nodes[@]}"; do "$here/node.sh" exec "$name" nmcli -t -f DEVICE,STATE device; done)
[[ $(grep -c '^mgmt0:connected' <<<"$links") == "${#nodes[@]}" ]]
# One letter for each pod with a network of its own, the project's too if there are some.
pods=$(kubectl get pods -A -o go-template='{{range .items}}{{if not .spec.hostNetwork}}p{{end}}{{end}}')
[[ $(grep -c '^veth.*:unmanaged$' <<<"$links") == "${#pods}" && $(grep -c '^veth' <<<"$links") == "${#pods}" ]]
ok "NetworkManager runs and leaves the pods' links alone"

for component in "${components[@]}"; do
	"$here/component.sh" kill "$component"
	"$here/component.sh" start "$component"
done
# Each in another node, if there are as many.
for i in "${!node_programs[@]}"; do
	victim=${nodes[i % ${#nodes[@]}]}
	"$here/node.sh" kill "$victim" "${node_programs[i]}"
	"$here/node.sh" start "$victim" "${node_programs[i]}"
done
in_check delete pod --all --wait=false >/dev/null
replaced() { local pods; pods=$(in_check get pods -o name) && [[ $pods != *"${backends[0]}"* ]]; }
await 60 "the pods to be replaced" replaced
in_check rollout status deployment/hello daemonset/guest --timeout="$(limit 120)s" >/dev/null
mapfile -t backends < <(in_check get pods -l app=hello -o name | cut -d/ -f2)
for name in "${nodes[@]}"; do
	await 20 "the Service in $name" reached "$name"
done
ok "all of that after each component and each of a node's programs was killed and started again"
