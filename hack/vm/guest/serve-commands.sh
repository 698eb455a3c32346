#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands that come in over a console, with no network: serve-commands CONSOLE. A request is a line, TAG COMMAND INPUT, an answer
# too: answer TAG STATUS :OUT :ERR; COMMAND, INPUT, OUT and ERR are in base64. A request that comes while a command runs is
# that of the next caller: the caller before has gone, and its command ends.
console=$1
exec <>"$console" >&0 2>/dev/null
stty raw -echo
place=/run/${console##*/}
mkdir -p "$place"
job=

answer() {
	local status
	base64 -d <<<"$3" >"$place/in"
	setsid bash -c "$(base64 -d <<<"$2")" <"$place/in" >"$place/out" 2>"$place/err" &
	echo $! >"$place/pid"
	wait $!
	status=$?
	rm "$place/pid"
	echo "answer $1 $status :$(base64 -w0 "$place/out") :$(base64 -w0 "$place/err")"
}

while true; do
	read -r tag command input || { sleep 1; continue; }
	[[ -n $command ]] || continue
	if [[ -f $place/pid ]]; then
		kill "$job"
		kill -KILL -- "-$(<"$place/pid")"
	fi
	[[ -z $job ]] || wait "$job" # two answers at a time would be one in the other
	answer "$tag" "$command" "$input" &
	job=$!
done
