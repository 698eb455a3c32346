#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Becomes a program of the nodes' Debian release with that release's libraries, as QEMU or dnsmasq: release-exec.sh PROGRAM
# ARGUMENT…, PROGRAM being its path from the root.
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/_output/vm/tools
program=$1
shift
exec "$tools/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tools/usr/lib/x86_64-linux-gnu" "$tools/$program" "$@"
