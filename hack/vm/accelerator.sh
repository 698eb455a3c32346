#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints how this machine runs guests: in kvm, if one boots there, or as uml, User-mode Linux, for which the machine needs nothing. A
# machine can have a KVM in which guests hang, so one is started there, which ends by itself; what came of it is kept until the
# machine boots again. VM_ACCELERATOR takes another one; tcg, QEMU's emulation, is ten times as slow.
set -euo pipefail
# shellcheck source=hack/vm/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kept=$image/accelerator
boot=$(</proc/sys/kernel/random/boot_id)

if [[ -n ${VM_ACCELERATOR:-} ]]; then
	echo "$VM_ACCELERATOR"
	exit
fi
if [[ -f $kept ]]; then
	read -r accelerator kept_boot <"$kept"
	[[ $kept_boot != "$boot" ]] || { echo "$accelerator"; exit; }
fi
# in_kvm boots a guest that ends at once: the limit is ten times what that takes.
in_kvm() (
	[[ -w /dev/kvm ]] || exit 1
	exec >/dev/null 2>&1
	timeout -s KILL "$(patiently 10)" "${qemu[@]}" -M pc -cpu host -accel kvm -m 256 -nodefaults -no-user-config -display none -no-reboot \
		-kernel "$image/kernel" -initrd "$image/initramfs" -append "NODE_PROBE panic=-1" || exit 1
)
in_kvm && accelerator=kvm || accelerator=uml
echo "$accelerator $boot" >"$kept.$$"
mv "$kept.$$" "$kept"
echo "$accelerator"
