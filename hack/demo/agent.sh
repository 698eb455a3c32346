#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent of one of the demo's nodes: agent.sh start|stop|kill NODE. start returns when the process runs.
set -euo pipefail
# shellcheck source=hack/demo/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=$2
pidfile=$DEMO_DIR/agent-$name.pid

runs() {
	local parent
	read -r parent _ <"$pidfile"
	pgrep -s "$parent" -x node-agent
}

start() {
	local entry entry_name backend labels
	for entry in "${nodes[@]}"; do
		read -r entry_name _ backend labels <<<"$entry"
		[[ $entry_name == "$name" ]] && break
	done
	if ! alive "$pidfile"; then
		# It enters the node's processes by a fork: what is noted is the agent's parent, and they are a session.
		launch "$pidfile" "$DEMO_DIR/agent-$name.log" "$root/hack/nodes/node.sh" exec "$name" \
			"$NODE_AGENT" --node-name "$name" --server "192.0.2.1:$AGENT_PORT" \
			--ca-file "$DEMO_DIR/state/ca.crt" --join-token-file "$DEMO_DIR/state/join-token" \
			--state-dir /var/lib/nmstate-agent --backend "$backend" \
			--node-labels "kubernetes.io/hostname=$name,node-role.kubernetes.io/worker=,$labels" "${agent_flags[@]}"
	fi
	await 10 "the agent of $name, see $DEMO_DIR/agent-$name.log" runs
}

case $1 in
start) start ;;
stop) end_session "$pidfile" ;;
kill) end_session "$pidfile" KILL ;;
*) exit 2 ;;
esac
