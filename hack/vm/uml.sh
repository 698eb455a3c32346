#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpacks User-mode Linux, a whole kernel as a program, which needs no KVM and emulates nothing: uml.sh WORK OUT BUSYBOX. In OUT are then
# linux, which is of this machine's release, as it runs with its libraries, initramfs, and modules.sqfs for the root file system.
set -euo pipefail
work=$1 out=$2 busybox=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rm -rf "$work/uml" "$out"
mkdir -p "$work/uml" "$out"
cd "$work/uml"
apt-get download -qq user-mode-linux >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq user-mode-linux >/dev/null; }
dpkg -x ./*.deb root
modules=$(echo "$work"/uml/root/usr/lib/uml/modules/*)

mkdir -p initramfs/{bin,dev,proc,modules,image,disk,root}
cp "$busybox" initramfs/bin/busybox
install -m 755 "$here/guest/initramfs.sh" initramfs/init
number=0
for module in squashfs overlay; do
	# FILE: NEEDED…, of which the last is needed first.
	mapfile -t paths < <(awk -v file="/$module.ko:" 'index($0, file) {for (i = NF; i >= 1; i--) print $i}' "$modules/modules.dep")
	for path in "${paths[@]}"; do
		number=$((number + 1))
		cp "$modules/${path%:}" "initramfs/modules/$number"
	done
done
(cd initramfs && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initramfs"
mksquashfs "$modules" "$out/modules.sqfs" -noI -noD -noF -noX -noappend -no-progress -quiet -no-xattrs
cp root/usr/bin/linux.uml "$out/linux"
rm -rf "$work/uml"
