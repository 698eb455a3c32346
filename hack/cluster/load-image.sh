#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Imports images, OCI or docker tarballs, into the nodes: load-image.sh [--node NAME]… TARBALL…; without --node into all that
# run. An image of several platforms is taken with that of this machine alone.
set -euo pipefail
# shellcheck source=hack/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
chosen=()
while [[ ${1:-} == --node ]]; do
	chosen+=("$2")
	shift 2
done
if ((${#chosen[@]} == 0)); then
	for prepared in "$NODES_DIR"/*/prepared; do
		chosen+=("$(basename "$(dirname "$prepared")")")
	done
fi
for name in "${chosen[@]}"; do
	for tarball in "$@"; do
		# What it says is that of success, too.
		"$root/hack/nodes/node.sh" exec "$name" ctr -n k8s.io images import - <"$tarball" >/dev/null
	done
done
