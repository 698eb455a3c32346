#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the nodes that up.sh has booted, without anything of this project in them: what commands give back, callers that are
# killed, and what a reboot and a power cut leave. It ends with the first that fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
trap 'echo "vm: the check failed at line $LINENO: $BASH_COMMAND" >&2' ERR
name=${1:-${nodes[0]}}
in_node() { "$here/node.sh" exec "$name" "$@"; }
ok() { echo "ok: $*"; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

status=0
# shellcheck disable=SC2016
in_node bash -c 'echo "$1"; echo "$2" >&2; exit 7' - 'a  b' "it's" >"$scratch/out" 2>"$scratch/err" || status=$?
[[ $status == 7 && $(<"$scratch/out") == 'a  b' && $(<"$scratch/err") == "it's" ]]
ok "arguments reach a command; its output, its errors and its status come back"

head -c 200000 /dev/urandom >"$scratch/sent"
"$here/node.sh" exec -i "$name" cat <"$scratch/sent" >"$scratch/received"
cmp "$scratch/sent" "$scratch/received"
ok "input goes in, and long output comes out, to the last byte"

"$here/node.sh" exec -i "$name" wc -c <"$scratch/sent" >"$scratch/size"
[[ $(<"$scratch/size") == 200000 && $(timeout "$(patiently 60)" "$here/node.sh" exec "$name" echo next) == next ]]
ok "a console that took long input serves the next caller"

# As many callers as there are consoles, killed with all that they wait for; each console serves the next one.
callers=()
for _ in {1..4}; do
	"$here/node.sh" exec "$name" sleep 1000 &
	callers+=($!)
done
connected() { pgrep -P "$caller" -x socat; }
for caller in "${callers[@]}"; do
	await "$(patiently 30)" "the caller to connect" connected
	kill -KILL "$caller"
done
wait "${callers[@]}" 2>/dev/null || true
callers=()
for _ in {1..4}; do
	timeout "$(patiently 60)" "$here/node.sh" exec "$name" true &
	callers+=($!)
done
for caller in "${callers[@]}"; do
	wait "$caller"
done
ok "a console whose caller was killed serves the next caller"

[[ $(in_node ls /sys/class/net | grep -cxE 'mgmt0|eth[123]') == 4 ]]
[[ $(in_node stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]
manager=$(in_node pgrep -c -x NetworkManager) || true
[[ $(backend "$name") == networkmanager && $manager == 1 || $(backend "$name") == kernel && $manager == 0 ]]
ok "links, control groups of version 2, NetworkManager where it belongs"

boot_id() { in_node cat /proc/sys/kernel/random/boot_id; }
before=$(boot_id)
in_node bash -c 'echo kept >/etc/check; echo kept >/var/lib/check'
"$here/node.sh" reboot "$name"
[[ $(boot_id) != "$before" && $(in_node cat /etc/check /var/lib/check) == kept$'\n'kept ]]
ok "a reboot keeps /etc and /var"

before=$(boot_id)
in_node bash -c 'echo synced >/etc/check; sync; sysctl -qw vm.dirty_writeback_centisecs=0; echo lost >/var/lib/check-lost'
"$here/node.sh" power-cut "$name"
"$here/node.sh" up "$name"
[[ $(boot_id) != "$before" && $(in_node cat /etc/check) == synced && $(in_node cat /var/lib/check-lost 2>/dev/null || true) != lost ]]
ok "a power cut keeps what was synced, and no more"
