#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Takes the cluster away; what it is made of stays built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
lock
"$here/take-down.sh"
rm -f "$CLUSTER_DIR/lock"
rmdir --ignore-fail-on-non-empty "$CLUSTER_DIR"
