#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nodes as virtual machines, vm01 and vm02 or those of VM_NODES, and a standalone API server, or with VM_CLUSTER=yes the
# cluster that runs. What is missing is built, what runs already is left running, what is dead or was built anew is started again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
"$here/image.sh"
lock

serve() {
	local built
	built=$(sha256sum "$APISERVER")
	if [[ ! -f $VM_DIR/built || $(<"$VM_DIR/built") != "$built" ]]; then
		"$root/hack/demo/server.sh" stop
	fi
	"$root/hack/demo/server.sh" check
	"$root/hack/nodes/hub.sh" up "$AGENT_PORT"
	"$root/hack/demo/server.sh" start
	echo "$built" >"$VM_DIR/built"
}
if [[ $VM_CLUSTER == yes ]]; then
	for name in "${nodes[@]}"; do
		"$here/member.sh" add "$name"
	done
else
	serve
fi
"$here/programs.sh"
"$here/accelerator.sh" >/dev/null
jobs=()
for name in "${nodes[@]}"; do
	"$here/node.sh" up "$name" &
	jobs+=($!)
done
for job in "${jobs[@]}"; do
	wait "$job"
done

cat <<TEXT

Nodes are up: ${nodes[*]}; odd ones with NetworkManager and Open vSwitch, even ones with the kernel alone.

  export KUBECONFIG=$(realpath --relative-to="$PWD" "$kubeconfig") PATH=\$PWD/$(realpath --relative-to="$PWD" "$bin"):\$PATH
  kubectl get nodenetworkstates -o wide
  hack/vm/node.sh exec ${nodes[0]} ip -d link

make vm-down takes them away.
TEXT
