#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Takes away all that up.sh has made, whatever of it is there; for those who hold the lock.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"

# Nodes that were added count, and those of which a run that was broken off has left a part.
names() {
	{
		printf '%s\n' "${nodes[@]}"
		find "$NODES_DIR" -mindepth 1 -maxdepth 1 -type d -name 'node*' -printf '%f\n' 2>/dev/null || true
		ip netns list | awk -v prefix="$NODES_PREFIX" 'index($1, prefix "node") == 1 {print substr($1, length(prefix) + 1)}'
	} | sort -u
}

jobs=()
for name in $(names); do
	"$here/node.sh" down "$name" &
	jobs+=($!)
done
# What cannot be taken away does not keep the rest.
failed=0
for job in "${jobs[@]}"; do
	wait "$job" || failed=1
done
for component in "${components[@]}"; do
	"$here/component.sh" kill "$component" # there is nothing to be saved
done
"$root/hack/nodes/hub.sh" down
((failed == 0)) || { echo "cluster: a node was not taken away whole, see above: run make cluster-down again" >&2; exit 1; }
rm -rf "$run" "$kubeconfig"
