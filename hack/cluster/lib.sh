#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the cluster's scripts share; sourced, not run. CLUSTER_DIR, CLUSTER_PORT and NODES_PREFIX set apart several clusters
# at a time; what they are made of is built once for all. CLUSTER_NODES names the nodes that up.sh makes, and CLUSTER_KERNEL_NODES
# those of them that have no NetworkManager.
#
#   192.0.2.0/24    the nodes' management network: the control plane is .1, node01 is .11
#   10.96.0.0/16    Services, made by kube-proxy on every node
#   10.244.0.0/16   pods: node01 has 10.244.1.0/24; the control plane's namespace routes between the nodes and to them
# shellcheck disable=SC2034
CLUSTER_DIR=$(realpath -m "${CLUSTER_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../_output/cluster}")
CLUSTER_PORT=${CLUSTER_PORT:-16543}
run=$CLUSTER_DIR/run # all that a cluster makes is here, but for its kubeconfig
export NODES_DIR=$run/nodes
export NODES_PREFIX=${NODES_PREFIX:-nnc-}
# shellcheck source=hack/nodes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes/lib.sh"
built=$root/_output/cluster
kubeconfig=$CLUSTER_DIR/kubeconfig
pki=$run/pki
control_plane=192.0.2.1
server=https://$control_plane:6443
services=10.96.0.0/16
pods=10.244.0.0/16
components=(etcd kube-apiserver kube-controller-manager kube-scheduler)
read -ra nodes <<<"${CLUSTER_NODES:-node01 node02 node03}"
node_programs=(containerd kubelet kube-proxy)
proxy_mode=${CLUSTER_PROXY_MODE:-nftables} # or iptables, which the machine then has to have

# number NODE is the number in its name, from which its addresses follow.
number() { echo $((10#${1#node})); }

# backend NODE is what the node has beside the kernel: networkmanager, or kernel if nothing.
backend() { if [[ " ${CLUSTER_KERNEL_NODES:-} " == *" $1 "* ]]; then echo kernel; else echo networkmanager; fi; }

# pods_of NODE is the network of its pods.
pods_of() { echo "10.244.$(number "$1").0/24"; }

# cgroup_version prints which version of control groups the machine uses, by the same test as runc and the kubelet. A machine
# that uses version 1 may have mounted a version 2 without controllers beside it.
cgroup_version() { [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]] && echo 2 || echo 1; }

# each_cgroup prints where the machine has mounted its hierarchies of control groups; version 2 has one hierarchy.
each_cgroup() {
	if [[ $(cgroup_version) == 2 ]]; then
		echo /sys/fs/cgroup
	else
		awk '$3 == "cgroup" {print $2}' /proc/mounts
	fi
}

# asks makes a request with the rights of an administrator, from the control plane's network.
asks() { in_hub curl --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" "$@"; }

# patiently is for curl: to be asked over and over by new processes would take the time of those who are to answer.
patiently=(
	--fail --silent --retry "$(limit 60)" --retry-max-time "$(limit 60)" --retry-delay 1 --retry-all-errors --output /dev/null
)

in_hub() { nsenter --net="/run/netns/$hub" "$@"; }

kubectl() { command "$root/_output/bin/kubectl" --kubeconfig "$kubeconfig" --cache-dir "$run/kubectl" "$@"; }

# lock makes the caller, and what it starts but for what stays, the only ones at work on this cluster.
lock() { lock_folder "$CLUSTER_DIR" cluster; }
