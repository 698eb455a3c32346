#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that a virtual machine joins the cluster that hack/cluster runs, keeps what is set on it through kube-apiserver over a
# reboot, and leaves the cluster without a trace.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export VM_CLUSTER=yes VM_NODES=vm01
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
trap 'echo "vm: the check failed at line $LINENO: $BASH_COMMAND" >&2' ERR
trap '"$here/down.sh"' EXIT

"$here/up.sh" >/dev/null
echo "ok: it has joined"

cluster patch nns vm01 --type merge --patch-file /dev/stdin <<-PATCH
	spec:
	  reapply: OnBoot
	  desiredState:
	    interfaces:
	    - name: bond0
	      type: bond
	      state: up
	      link-aggregation:
	        mode: active-backup
	        port: [eth1, eth2]
	    - name: bond0.100
	      type: vlan
	      state: up
	      vlan: {base-iface: bond0, id: 100}
PATCH
"$here/node.sh" reboot vm01
timeout "$(patiently 120)" "$here/node.sh" exec vm01 bash -c 'until ip -d link show bond0.100 | grep "802.1Q id 100"; do sleep 0.1; done'
cluster wait nns/vm01 --for=condition=InSync --timeout="$(patiently 60)s"
echo "ok: what was set through kube-apiserver is there after a reboot"

"$here/down.sh"
cluster wait --for=delete node/vm01 nns/vm01 --timeout="$(patiently 60)s"
echo "ok: it has left"
