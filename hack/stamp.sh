#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tells what has to be made again; sourced, not run.

# stale PATH INPUT… tells whether what is at PATH has to be made again: the stamp beside it is not that of these files.
stale() {
	local path=$1
	shift
	stamp=$(cat "$@" | sha256sum)
	[[ ! -f $path.stamp || $(<"$path.stamp") != "$stamp" ]]
}

# made PATH notes that it was made of what stale was asked about last.
made() { echo "$stamp" >"$1.stamp"; }
