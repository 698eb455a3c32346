#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three nodes as namespaces, an API server, an agent on each node. What runs already is left running, what is dead or was
# built anew is started again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/demo/lib.sh
source "$here/lib.sh"
lock

built=$(sha256sum "$bin/apiserver" "$bin/node-agent")
if [[ ! -f $DEMO_DIR/built || $(<"$DEMO_DIR/built") != "$built" ]]; then
	"$here/server.sh" stop
	for entry in "${nodes[@]}"; do
		"$here/agent.sh" stop "${entry%% *}"
	done
fi

"$here/server.sh" check
"$root/hack/nodes/packages.sh"
"$root/hack/nodes/hub.sh" up "$AGENT_PORT"
"$here/server.sh" start
for entry in "${nodes[@]}"; do
	read -r name number backend _ <<<"$entry"
	"$root/hack/nodes/node.sh" up "$name" "$number" "$backend"
	"$here/agent.sh" start "$name"
done
echo "$built" >"$DEMO_DIR/built"

export KUBECONFIG=$kubeconfig
present() { [[ $("$bin/kubectl" get nns -o name | wc -l) == "${#nodes[@]}" ]]; }
await 30 "the nodes to join" present
"$bin/kubectl" wait --for=condition=Available nns --all --timeout=60s >/dev/null

shown=$(realpath --relative-to="$PWD" "$kubeconfig")
cat <<TEXT

Three nodes are up: node01 and node02 with NetworkManager, node03 with the kernel alone.

  export KUBECONFIG=$shown PATH=\$PWD/$(realpath --relative-to="$PWD" "$bin"):\$PATH

Things to try:

  kubectl get nodenetworkstates -o wide
  kubectl nmstate show node01
  kubectl nmstate watch                       # in another terminal: each change as it happens
  kubectl nmstate diff -f docs/examples/linux-bridge.yaml
  kubectl nmstate apply -f docs/examples/linux-bridge.yaml
  kubectl nmstate history node01
  kubectl nmstate undo node01
  kubectl explain nns.spec.desiredState

make demo-down takes it all away.
TEXT
