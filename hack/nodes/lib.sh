#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of the nodes share; sourced, not run. NODES_DIR keeps the set's files, NODES_PREFIX begins the names of
# its network namespaces: sets with different ones live side by side. PATIENCE multiplies all time limits, for slow machines.
# shellcheck disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NODES_DIR=$(realpath -m "${NODES_DIR:-$root/_output/nodes}")
NODES_PREFIX=${NODES_PREFIX:-nns-}
hub=${NODES_PREFIX}hub

# limit SECONDS prints a time limit for this machine.
limit() { echo $(($1 * ${PATIENCE:-1})); }

# alive PIDFILE tells whether the process that was noted in it runs; start times tell it from a later one with its number.
alive() {
	local pid started
	[[ -f $1 ]] || return 1
	read -r pid started <"$1"
	[[ -n $started && -r /proc/$pid/stat && $(start_time "$pid") == "$started" ]]
}

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# note PID PIDFILE notes a process that was started.
note() { echo "$1 $(start_time "$1")" >"$2"; }

# lock_folder FOLDER WHAT makes the caller, and what it starts but for what stays, the only ones at work in the folder.
lock_folder() {
	while true; do
		mkdir -p "$1"
		exec 9>"$1/lock"
		flock -n 9 || echo "$2: waiting for another run in $1" >&2
		flock -w 300 9 || { echo "$2: another run is at work in $1" >&2; exit 1; }
		# It is nobody's lock if the folder was taken away meanwhile.
		[[ $1/lock -ef /proc/self/fd/9 ]] && return
	done
}

# launch PIDFILE LOG COMMAND… starts a command in a session of its own. The process notes itself before it becomes the
# command: whenever the caller is killed, none runs that nobody knows of. A lock, file 9, it keeps until then.
launch() {
	local pidfile=$1 log=$2
	shift 2
	rm -f "$pidfile"
	# shellcheck disable=SC2016
	setsid bash -c 'source "$1"; note $$ "$2"; shift 2; exec 9>&-; exec "$@"' - "$root/hack/nodes/lib.sh" "$pidfile" "$@" \
		>>"$log" 2>&1 </dev/null &
	await 10 "a process to start, see $log" test -s "$pidfile"
}

# end PIDFILE [SIGNAL] ends the noted process, if it still runs, and returns when it is gone.
end() {
	local pid
	if alive "$1"; then
		read -r pid _ <"$1"
		kill "-${2:-TERM}" "$pid" 2>/dev/null || true
		local i
		for ((i = 0; i < 200; i++)); do
			alive "$1" || break
			((i == 100)) && kill -KILL "$pid" 2>/dev/null
			sleep 0.05
		done
	fi
	rm -f "$1"
}

# end_session PIDFILE [SIGNAL] ends all that runs in the session of the noted process, and returns when it is gone.
end_session() {
	local leader i
	if alive "$1"; then
		read -r leader _ <"$1"
		for ((i = 0; i < 200; i++)); do
			case $i in
			0) pkill "-${2:-TERM}" -s "$leader" || break ;;
			100) pkill -KILL -s "$leader" || break ;;
			*) pgrep -s "$leader" >/dev/null || break ;;
			esac
			sleep 0.05
		done
	fi
	rm -f "$1"
}

# await SECONDS WHAT COMMAND… runs the command until it succeeds.
await() {
	local deadline=$((SECONDS + $(limit "$1"))) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || { echo "nodes: timed out waiting for $what" >&2; return 1; }
		sleep 0.05
	done
}

has_netns() { ip netns list | awk -v name="$1" '$1 == name { found = 1 } END { exit !found }'; }
