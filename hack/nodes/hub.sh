#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hub that the nodes are plugged into, a network namespace with bridges: mgmt, 192.0.2.0/24, on which it is .1, and
# data1 to data3, each shared by the nodes' ports of that number. A node that bridges two of its ports makes no loop, and
# when two nodes do, spanning tree breaks it: a broadcast storm would take the whole machine. What connects to its PORT on mgmt reaches the same port on the machine's loopback:
# the API server runs there, and nothing is ever made in the machine's own network.
#
#   hub.sh up PORT
#   hub.sh down
set -euo pipefail
# shellcheck source=hack/nodes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The two halves of the relay meet at a socket in the file system, which is no part of any network.
relay() {
	local port=$1 socket=$NODES_DIR/relay.sock
	if ! alive "$NODES_DIR/relay-near.pid"; then
		rm -f "$socket"
		setsid socat "UNIX-LISTEN:$socket,fork" "TCP:127.0.0.1:$port" >"$NODES_DIR/relay-near.log" 2>&1 </dev/null &
		note $! "$NODES_DIR/relay-near.pid"
	fi
	await 5 "the relay" test -S "$socket"
	if ! alive "$NODES_DIR/relay-far.pid"; then
		setsid nsenter --net="/run/netns/$hub" socat "TCP-LISTEN:$port,fork,reuseaddr" "UNIX-CONNECT:$socket" \
			>"$NODES_DIR/relay-far.log" 2>&1 </dev/null &
		note $! "$NODES_DIR/relay-far.pid"
	fi
}

up() {
	mkdir -p "$NODES_DIR"
	if ! has_netns "$hub"; then
		ip netns add "$hub"
		ip netns exec "$hub" ip link set lo up
		local bridge
		ip netns exec "$hub" ip link add mgmt type bridge
		for bridge in data1 data2 data3; do
			ip netns exec "$hub" ip link add "$bridge" type bridge stp_state 1 forward_delay 200 hello_time 100 max_age 600
		done
		for bridge in mgmt data1 data2 data3; do
			ip netns exec "$hub" ip link set "$bridge" up
		done
		ip netns exec "$hub" ip addr add 192.0.2.1/24 dev mgmt
	fi
	relay "$1"
}

# Each connection has a process of its own in either half's session.
end_session() {
	local leader
	alive "$1" || return 0
	read -r leader _ <"$1"
	pkill -TERM -s "$leader" 2>/dev/null || true
	end "$1"
}

down() {
	end_session "$NODES_DIR/relay-far.pid"
	end_session "$NODES_DIR/relay-near.pid"
	rm -f "$NODES_DIR"/relay*
	if has_netns "$hub"; then
		ip netns del "$hub"
	fi
}

case $1 in
up) up "$2" ;;
down) down ;;
*) exit 2 ;;
esac
