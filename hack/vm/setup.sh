#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building the virtual machines' image needs and this machine lacks, from Debian's packages, and says what.
set -euo pipefail
[[ $(uname -m) == x86_64 ]] || { echo "vm: the virtual machines are for x86_64, this machine is $(uname -m)" >&2; exit 1; }

"$(dirname "${BASH_SOURCE[0]}")/../install-missing.sh" vm mmdebstrap:mmdebstrap mksquashfs:squashfs-tools cpio:cpio zstd:zstd xz:xz-utils mkfs.ext4:e2fsprogs
