#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Takes away all that up.sh has made, whatever of it is there; the image stays.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
lock
for node in "$NODES_DIR"/vm*/; do
	[[ -d $node ]] || continue
	"$here/node.sh" down "$(basename "$node")"
	[[ $VM_CLUSTER != yes ]] || "$here/member.sh" remove "$(basename "$node")"
done
if [[ $VM_CLUSTER != yes ]]; then
	"$root/hack/demo/server.sh" stop
	"$root/hack/nodes/hub.sh" down
fi
rm -rf "$VM_DIR"
