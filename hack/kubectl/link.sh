#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Links the machine's own kubectl, if it has one, into the folder that is given; the folder itself may be on the PATH.
set -euo pipefail
bin=$1
elsewhere=$(tr ':' '\n' <<<"$PATH" | grep -vxF "$bin" | paste -sd:)
found=$(PATH=$elsewhere type -P kubectl) || exit 1
[[ $(realpath -m "$found") != "$(realpath -m "$bin")"/* ]] || exit 1
mkdir -p "$bin"
ln -sf "$found" "$bin/kubectl"
