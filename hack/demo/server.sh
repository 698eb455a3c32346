#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo's API server: server.sh start|stop|kill. start returns when it is ready.
set -euo pipefail
# shellcheck source=hack/demo/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
pidfile=$DEMO_DIR/server.pid

ready() { curl -fsS --cacert "$DEMO_DIR/state/ca.crt" "https://127.0.0.1:$DEMO_PORT/readyz"; }

start() {
	if ! alive "$pidfile"; then
		launch "$pidfile" "$DEMO_DIR/server.log" "$bin/apiserver" --standalone \
			--state-dir "$DEMO_DIR/state" --kubeconfig-out "$kubeconfig" --bind-address 127.0.0.1 --secure-port "$DEMO_PORT" \
			--agent-bind-address 127.0.0.1 --agent-port "$AGENT_PORT" --agent-san 192.0.2.1
	fi
	await 60 "the API server, see $DEMO_DIR/server.log" ready
}

case $1 in
start) start ;;
stop) end "$pidfile" ;;
kill) end "$pidfile" KILL ;;
*) exit 2 ;;
esac
