#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Takes away all that up.sh has made, whatever of it is there; the image stays.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
lock
for node in "$NODES_DIR"/vm*/; do
	[[ ! -d $node ]] || "$here/node.sh" down "$(basename "$node")"
done
"$root/hack/demo/server.sh" stop
"$root/hack/nodes/hub.sh" down
rm -rf "$VM_DIR"
