#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of the virtual machines share; sourced, not run. VM_DIR, DEMO_PORT and NODES_PREFIX set apart several sets
# of them at a time; their image is built once for all. VM_PATIENCE multiplies all time limits, for slow machines. With
# VM_CLUSTER=yes they are nodes of the cluster that hack/cluster runs, and are plugged into its hub.
# shellcheck disable=SC2034
VM_CLUSTER=${VM_CLUSTER:-no}
if [[ $VM_CLUSTER == yes ]]; then
	VM_DIR=${VM_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../_output/vm-cluster-nodes} NODES_PREFIX=${NODES_PREFIX:-nnc-}
fi
VM_DIR=$(realpath -m "${VM_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../_output/vm-run}")
export VM_DIR DEMO_DIR=$VM_DIR
export DEMO_PORT=${DEMO_PORT:-16643} NODES_PREFIX=${NODES_PREFIX:-nnv-}
# shellcheck source=hack/demo/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../demo/lib.sh"
# shellcheck source=hack/stamp.sh
source "$root/hack/stamp.sh"
[[ $VM_CLUSTER != yes ]] || kubeconfig=${CLUSTER_DIR:-$root/_output/cluster}/kubeconfig
image=$root/_output/vm
programs=$NODES_DIR/programs.sqfs # the project's own programs and the keys of this set's server
VM_PATIENCE=${VM_PATIENCE:-1}
read -ra nodes <<<"${VM_NODES:-vm01 vm02}"

# cluster runs kubectl on the API server of these nodes.
cluster() { "$bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

lock() { lock_folder "$VM_DIR" vm; }

# number NODE is the number in its name, from which its addresses follow.
number() { echo $((10#${1#vm})); }

# backend NODE says what carries out changes there: odd nodes have NetworkManager and Open vSwitch, even ones the kernel alone.
backend() { (($(number "$1") % 2)) && echo networkmanager || echo kernel; }

# patiently SECONDS prints a time limit for this machine.
patiently() { echo $(($1 * VM_PATIENCE)); }

# shellcheck disable=SC2054
qemu=("$root/hack/vm/release-exec.sh" usr/bin/qemu-system-x86_64 -L "$image/tools/usr/share/qemu" -L "$image/tools/usr/share/seabios")
