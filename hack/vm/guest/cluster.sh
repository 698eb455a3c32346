#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the virtual machine of hack/vm/cluster.sh is for: it makes a cluster of one node, deploys, checks the cluster, and takes it away.
set -euo pipefail
failed() {
	echo "vm: failed at line $1: $2"
	tail -n 5 _output/cluster/run/*.log _output/cluster/run/nodes/node01/*.log
}
trap 'failed "$LINENO" "$BASH_COMMAND"' ERR
trap 'echo "vm: status $?"' EXIT
cd /project
# shellcheck source=/dev/null
source environment
# This kernel has no nftables for IPv4.
export CLUSTER_NODES=node01 CLUSTER_PROXY_MODE=iptables KUBECONFIG=/project/_output/cluster/kubeconfig PATH=/project/_output/bin:$PATH
groups=/sys/fs/cgroup/nnc-node01
say() {
	read -r up _ </proc/uptime
	echo "vm: ${up%.*} s: $*"
}

say "Debian $(</etc/debian_version) runs $(</proc/1/comm), Linux $(uname -r)"
[[ $(awk '$3 ~ /^cgroup/ {print $2, $3}' /proc/mounts) == "/sys/fs/cgroup cgroup2" ]]
say "control groups: version 2 alone; this is in$(cut -d: -f3 /proc/self/cgroup | sed 's/^/ /')"

hack/cluster/up.sh
say "the cluster is up"
hack/cluster/load-image.sh _output/images/nmstate-{apiserver,node-agent}.tar
hack/artifacts/deploy.sh up
say "the API server and the agent run"
kubectl get nodes -o wide
kubectl get pods -A -o wide
kubectl get nodenetworkstates -o wide
[[ $(kubectl get nodenetworkstates node01 -o jsonpath='{.status.conditions[?(@.type=="Available")].status}') == True ]]

# Each pod's containers are in groups of the node's, with the limits that their manifests say.
[[ $(<"$groups/cgroup.procs") == "" ]]
limits=$(cat "$groups"/k8s.io/*/memory.max | sort | uniq -c)
say "limits of memory in the node's groups:" "$limits"
grep -q '[0-9]$' <<<"$limits"

hack/cluster/check.sh
say "the cluster has passed its check"
systemctl daemon-reload # systemd looks at all groups then
kubectl wait --for=condition=Ready node/node01 --timeout="$DEPLOY_TIMEOUT"

hack/cluster/down.sh
[[ ! -e $groups ]]
say "the cluster is gone, and its groups with it"
