#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A cluster: a control plane in the hub's network and three nodes. What runs already is left running, what is dead is started
# again; when the components were built anew, or the hub is gone, all is made anew.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
lock

stamps=$(cat "$built"/{debian,programs}.stamp)
whole() { has_netns "$hub" && [[ -f $NODES_DIR/hub-ready && -f $run/built && $(<"$run/built") == "$stamps" ]]; }
if ! whole; then
	"$here/take-down.sh"
	mkdir -p "$run"
	echo "$stamps" >"$run/built"
fi

"$root/hack/nodes/packages.sh"
"$here/pki.sh" cluster
"$root/hack/nodes/hub.sh" up
in_hub sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.mgmt.send_redirects=0
"$root/hack/nodes/hub.sh" reach "$CLUSTER_PORT" "$control_plane:6443"
each_node() {
	local name job jobs=()
	for name in "${nodes[@]}"; do
		"$here/node.sh" "$1" "$name" &
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do
		wait "$job"
	done
}
each_node prepare &
prepared=$!
"$here/component.sh" start etcd
"$here/component.sh" start kube-apiserver
wait "$prepared"
each_node up &
joined=$!
"$here/component.sh" start kube-controller-manager
"$here/component.sh" start kube-scheduler
wait "$joined"

kubectl label nodes --all --overwrite node-role.kubernetes.io/worker= >/dev/null
kubectl wait --for=condition=Ready nodes --all --timeout="$(limit 60)s" >/dev/null

cat <<TEXT

Kubernetes is up, with ${#nodes[@]} nodes:

  export KUBECONFIG=$(realpath --relative-to="$PWD" "$kubeconfig") PATH=\$PWD/$(realpath --relative-to="$PWD" "$root/_output/bin"):\$PATH
  kubectl get nodes -o wide

make cluster-down takes it away.
TEXT
