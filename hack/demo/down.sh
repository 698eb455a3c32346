#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Takes away all that up.sh has made, whatever of it is there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/demo/lib.sh
source "$here/lib.sh"
lock
for entry in "${nodes[@]}"; do
	name=${entry%% *}
	"$here/agent.sh" stop "$name"
	"$root/hack/nodes/node.sh" down "$name"
done
"$here/server.sh" stop
"$root/hack/nodes/hub.sh" down
rm -rf "$DEMO_DIR"
