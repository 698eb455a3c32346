#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds _output/nmstatectl/bin/nmstatectl, which the benchmarks compare with.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/_output/nmstatectl
version=2.2.62
[[ -x $root/bin/nmstatectl && $("$root/bin/nmstatectl" --version) == *"$version"* ]] && exit 0
CARGO_TARGET_DIR=$root/target cargo install --quiet --locked --root "$root" --version "$version" nmstatectl
