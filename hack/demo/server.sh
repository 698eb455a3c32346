#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo's API server: server.sh check|start|stop|kill. check tells whether it can start, start returns when it is ready.
set -euo pipefail
# shellcheck source=hack/demo/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
pidfile=$DEMO_DIR/server.pid

ready() { curl -fsS --cacert "$DEMO_DIR/state/ca.crt" "https://127.0.0.1:$DEMO_PORT/readyz"; }

# check tells which port the server cannot have. A server of this demo that runs has its ports already.
check() {
	alive "$pidfile" && return
	local port listener
	for port in "$DEMO_PORT" "$AGENT_PORT"; do
		# Listeners on other addresses do not matter.
		listener=$(ss -Hltnp "sport = :$port" | awk '$4 ~ /^(127\.0\.0\.1|0\.0\.0\.0|\*):/ {print $4, $6; exit}')
		if [[ -n $listener ]]; then
			echo "demo: port $port is taken ($listener): set DEMO_PORT to another one; the demo uses that port and the next" >&2
			return 1
		fi
	done
}

ready_or_ended() { ready || ! alive "$pidfile"; }

start() {
	if ! alive "$pidfile"; then
		check
		launch "$pidfile" "$DEMO_DIR/server.log" "$APISERVER" --standalone \
			--state-dir "$DEMO_DIR/state" --kubeconfig-out "$kubeconfig" --bind-address 127.0.0.1 --secure-port "$DEMO_PORT" \
			--agent-bind-address 127.0.0.1 --agent-port "$AGENT_PORT" --agent-san 192.0.2.1
	fi
	await 60 "the API server, see $DEMO_DIR/server.log" ready_or_ended
	alive "$pidfile" || { echo "demo: the API server has ended: $(tail -n 1 "$DEMO_DIR/server.log")" >&2; return 1; }
}

case $1 in
check) check ;;
start) start ;;
stop) end "$pidfile" ;;
kill) end "$pidfile" KILL ;;
*) exit 2 ;;
esac
