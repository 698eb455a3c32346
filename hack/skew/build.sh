#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds apiserver and node-agent of the commit that hack/skew/base names, the last one of the protocol before, into
# _output/skew/COMMIT, unless they are there. They are linked with the libnmstate that is there now. LDFLAGS is go's.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
commit=$(<"$root/hack/skew/base")
out=$root/_output/skew/$commit
[[ -x $out/apiserver && -x $out/node-agent ]] && exit 0
if ! git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null; then
	echo "skew: commit $commit is not in this clone: get the whole history, for example with git fetch --unshallow" >&2
	exit 1
fi
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git -C "$root" archive "$commit" | tar x -C "$source"
mkdir -p "$out"
cd "$source"
# The last one is there only if both are whole.
CGO_ENABLED=0 go build -ldflags "${LDFLAGS:-}" -o "$out/apiserver" ./cmd/apiserver
go build -ldflags "${LDFLAGS:-}" -o "$out/node-agent.part" ./cmd/node-agent
mv "$out/node-agent.part" "$out/node-agent"
