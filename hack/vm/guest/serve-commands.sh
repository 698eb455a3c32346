#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands that come in over a console, with no network: serve-commands CONSOLE. A request is COMMAND:INPUT, both in
# base64. It comes in lines, TAG more PART, each of which is answered by answer TAG more, and a last one, TAG end PART. The answer to that
# is answer TAG STATUS :OUT :ERR, OUT and ERR in base64. A request that comes while a command runs is that of the next caller:
# the caller before has gone, and its command ends.
console=$1
exec <>"$console" >&0 2>/dev/null
stty raw -echo
place=/run/${console##*/}
mkdir -p "$place"
job='' request='' caller=''

answer() {
	local status
	base64 -d <<<"${2#*:}" >"$place/in"
	setsid bash -c "$(base64 -d <<<"${2%%:*}")" <"$place/in" >"$place/out" 2>"$place/err" &
	echo $! >"$place/pid"
	wait $!
	status=$?
	rm "$place/pid"
	echo "answer $1 $status :$(base64 -w0 "$place/out") :$(base64 -w0 "$place/err")"
}

while true; do
	read -r tag kind part || { sleep 1; continue; }
	[[ -n $kind ]] || continue
	[[ $tag == "$caller" ]] || request=
	caller=$tag request+=$part
	if [[ $kind == more ]]; then
		echo "answer $tag more"
		continue
	fi
	if [[ -f $place/pid ]]; then
		kill "$job"
		kill -KILL -- "-$(<"$place/pid")"
	fi
	[[ -z $job ]] || wait "$job" # two answers at a time would be one in the other
	answer "$tag" "$request" &
	job=$!
done
