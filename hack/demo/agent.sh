#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent of one of the demo's nodes: agent.sh start|stop|kill NODE. start returns when the process runs.
set -euo pipefail
# shellcheck source=hack/demo/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=$2
pidfile=$DEMO_DIR/agent-$name.pid

child() { grep -q . "/proc/$1/task/$1/children"; }

start() {
	alive "$pidfile" && return
	local entry entry_name backend labels
	for entry in "${nodes[@]}"; do
		read -r entry_name _ backend labels <<<"$entry"
		[[ $entry_name == "$name" ]] && break
	done
	setsid "$root/hack/nodes/node.sh" exec "$name" "$bin/node-agent" --node-name "$name" --server "192.0.2.1:$AGENT_PORT" \
		--ca-file "$DEMO_DIR/state/ca.crt" --join-token-file "$DEMO_DIR/state/join-token" \
		--state-dir /var/lib/nmstate-agent --backend "$backend" \
		--node-labels "kubernetes.io/hostname=$name,node-role.kubernetes.io/worker=,$labels" \
		>>"$DEMO_DIR/agent-$name.log" 2>&1 </dev/null &
	# It enters the node's processes by a fork: the agent is its child.
	await 10 "the agent of $name, see $DEMO_DIR/agent-$name.log" child $!
	note "$(tr -d ' ' <"/proc/$!/task/$!/children")" "$pidfile"
}

case $1 in
start) start ;;
stop) end "$pidfile" ;;
kill) end "$pidfile" KILL ;;
*) exit 2 ;;
esac
