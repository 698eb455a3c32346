#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds apiserver and node-agent of the last commit before the protocol had versions, into _output/skew/before, unless they
# are there. They are linked with the libnmstate that is there now. LDFLAGS is go's. In a clone that lacks the history nothing
# is built; the file no-history then says why.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/_output/skew/before
rm -f "$out/no-history"
mkdir -p "$out"
# By what it did, not by its name: a name does not outlive a rebase.
first=$(git -C "$root" log --format=%H --reverse -S'uint32 protocol = 4' -- pkg/agent/agent.proto | sed -n 1p)
if [[ -z $first ]] || ! commit=$(git -C "$root" rev-parse --verify --quiet "$first^{commit}^"); then
	echo "the commit before the protocol had versions is not in this clone: get the whole history, for example with git fetch --unshallow" |
		tee "$out/no-history" >&2
	exit 0
fi
[[ -f $out/commit && $(<"$out/commit") == "$commit" ]] && exit 0
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git -C "$root" archive "$commit" | tar x -C "$source"
cd "$source"
CGO_ENABLED=0 go build -ldflags "${LDFLAGS:-}" -o "$out/apiserver" ./cmd/apiserver
go build -ldflags "${LDFLAGS:-}" -o "$out/node-agent" ./cmd/node-agent
echo "$commit" >"$out/commit"
