#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hub that the nodes are plugged into, a network namespace with bridges: mgmt, 192.0.2.0/24, on which it is .1, and
# data1 to data3, each shared by the nodes' ports of that number. A node that bridges two of its ports makes no loop, and
# when two nodes do, spanning tree breaks it: a broadcast storm would take the whole machine. Relays join it to the
# machine's loopback, and nothing is ever made in the machine's own network.
#
#   hub.sh up [PORT]            make it; what connects to its PORT on mgmt reaches the same port on the machine's loopback
#   hub.sh reach PORT ADDRESS   what connects to PORT on the machine's loopback reaches ADDRESS, HOST:PORT as the hub sees it
#   hub.sh exec COMMAND…        run something in it
#   hub.sh down
set -euo pipefail
# shellcheck source=hack/nodes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# relay NAME LISTENER-IN LISTEN CONNECTOR-IN CONNECT carries connections from one network to the other, the machine's or the
# hub's, each given by what enters it. The two halves meet at a socket in the file system, which is no part of any network.
# A relay stands for a wire: without nodelay it would hold small messages back for 40 ms, which no wire does.
relay() {
	local near=$NODES_DIR/$1-near far=$NODES_DIR/$1-far socket=$NODES_DIR/$1.sock
	local -n from=$2 to=$4
	if ! alive "$near.pid"; then
		rm -f "$socket"
		launch "$near.pid" "$near.log" "${to[@]}" socat "UNIX-LISTEN:$socket,fork" "$5"
	fi
	await 5 "the relay" test -S "$socket"
	if ! alive "$far.pid"; then
		launch "$far.pid" "$far.log" "${from[@]}" socat "$3" "UNIX-CONNECT:$socket"
	fi
}
# shellcheck disable=SC2034
in_machine=(env) in_hub=(nsenter "--net=/run/netns/$hub")

up() {
	mkdir -p "$NODES_DIR"
	if ! has_netns "$hub" || [[ ! -f $NODES_DIR/hub-ready ]]; then
		# None, or one that was left half made. Nodes that were plugged into it have to be made again, too.
		down
		rm -f "$NODES_DIR"/*/ready
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
		: >"$NODES_DIR/hub-ready"
	fi
	if [[ -n ${1:-} ]]; then
		relay relay in_hub "TCP-LISTEN:$1,fork,reuseaddr,nodelay" in_machine "TCP:127.0.0.1:$1,nodelay"
	fi
}

reach() { relay "relay-$1" in_machine "TCP-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr,nodelay" in_hub "TCP:$2,nodelay"; }

# Each connection has a process of its own in either half's session.
down() {
	local half
	for half in "$NODES_DIR"/relay*.pid; do
		end_session "$half"
	done
	rm -f "$NODES_DIR"/relay* "$NODES_DIR/hub-ready"
	if has_netns "$hub"; then
		ip netns del "$hub"
	fi
}

case $1 in
up) up "${2:-}" ;;
reach) reach "$2" "$3" ;;
exec)
	shift
	exec ip netns exec "$hub" "$@"
	;;
down) down ;;
*) exit 2 ;;
esac
