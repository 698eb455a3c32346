#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A virtual machine as a node of the cluster that hack/cluster runs, on which the API server is deployed. No kubelet runs in it, so its
# Node is never Ready, and the DaemonSet leaves it alone: its label says that pods do not run there. The pod that is made instead is
# never started either. It stands for the agent in the machine, whose token is bound to it. It has not the labels that the DaemonSet
# selects, or the DaemonSet would adopt it, and delete it.
#
#   member.sh add NODE      make its Node and the pod; the agent's address, CA and token are in VM_DIR/members/NODE
#   member.sh remove NODE
set -euo pipefail
# shellcheck source=hack/vm/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=$2
keys=$VM_DIR/members/$name
namespace=nmstate-system
account=nmstate-node-agent

ours() { cluster --namespace "$namespace" "$@"; }

objects() {
	cat <<-OBJECTS
		apiVersion: v1
		kind: Node
		metadata:
		  name: $name
		  labels:
		    kubernetes.io/hostname: $name
		    kubernetes.io/os: linux
		    node-role.kubernetes.io/worker: ""
		    type: virtual-kubelet
		spec:
		  unschedulable: true
		---
		apiVersion: v1
		kind: Pod
		metadata:
		  name: $account-$name
		  namespace: $namespace
		spec:
		  nodeName: $name
		  serviceAccountName: $account
		  automountServiceAccountToken: false
		  tolerations:
		  - operator: Exists
		  containers:
		  - name: node-agent
		    image: $account
	OBJECTS
}

add() {
	[[ -f $kubeconfig ]] || { echo "vm: there is no cluster: run make cluster-up cluster-sync" >&2; exit 1; }
	objects | cluster apply --filename - >/dev/null
	mkdir -p "$keys"
	umask 077
	ours get service nmstate-apiserver --output 'jsonpath={.spec.clusterIP}:{.spec.ports[?(@.name=="agents")].port}' >"$keys/server"
	ours get configmap nmstate-apiserver-ca --output 'jsonpath={.data.ca\.crt}' >"$keys/ca.crt"
	# The token holds as long as the pod does: the same pod gets no other.
	local pod
	pod=$(ours get pod "$account-$name" --output 'jsonpath={.metadata.uid}')
	[[ ! -f $keys/pod || $(<"$keys/pod") != "$pod" ]] || return 0
	ours create token "$account" --audience agents.nmstate.io --duration 720h \
		--bound-object-kind Pod --bound-object-name "$account-$name" --bound-object-uid "$pod" >"$keys/token"
	echo "$pod" >"$keys/pod"
}

remove() {
	ours delete pod "$account-$name" --ignore-not-found --force >/dev/null 2>&1 || true
	cluster delete node "$name" --ignore-not-found >/dev/null || true
	rm -rf "$keys"
}

case $1 in
add) add ;;
remove) remove ;;
*) exit 2 ;;
esac
