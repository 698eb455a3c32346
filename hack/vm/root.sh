#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes what the nodes boot: root.sh WORK OUT NETWORK-MANAGER-TARBALL. In OUT are then kernel, initramfs, busybox and root.sqfs: Debian with
# a whole kernel, NetworkManager, Open vSwitch and what shows and sets networks.
set -euo pipefail
work=$1 out=$2 network_manager=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$work/root
kernel_package=linux-image-amd64
packages=(
	network-manager dbus openvswitch-switch udev kmod busybox-static procps iproute2 iputils-ping ethtool nftables wireguard-tools
	dnsmasq-base wpasupplicant hostapd
)
# Of the kernel's modules, those of a network, of the machine's own devices and of its file systems.
modules=(
	net crypto lib 'arch/x86/crypto' drivers/net drivers/block drivers/virtio drivers/ptp drivers/pps drivers/dca drivers/i2c/algos
	drivers/char/hw_random fs/ext4 fs/jbd2 fs/mbcache.ko.xz fs/squashfs fs/overlayfs
)
without=(
	drivers/net/wireless drivers/net/wwan drivers/net/usb drivers/net/hyperv drivers/net/can 'lib/test_*'
	'drivers/net/ethernet/[!i]*' 'drivers/net/ethernet/intel/[!i]*' 'drivers/net/ethernet/intel/i[!g]*'
	net/ceph net/sunrpc net/rds net/rxrpc net/tipc net/sctp net/nfc net/wireless net/mac80211 net/bluetooth
)

# The kernel's package itself would bring what makes an initramfs, and run it.
# shellcheck disable=SC2016
download='cd "$1" && package=$(chroot . apt-cache depends '$kernel_package' | sed -n "s/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p" | head -n 1) &&
	chroot . sh -c "cd /tmp && apt-get -qq download $package" && mv tmp/linux-image-*.deb '"$work"'/kernel.deb'
if ! "$here/release.sh" "$root" "$work" --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
	--customize-hook="$download" >"$work/root.log" 2>&1; then
	tail -n 20 "$work/root.log" >&2
	exit 1
fi

wanted=("${modules[@]/#/./usr/lib/modules/*/kernel/}")
unwanted=("${without[@]/#/--exclude=./usr/lib/modules/*/kernel/}")
dpkg-deb --fsys-tarfile "$work/kernel.deb" | tar -C "$root" -x --wildcards "${unwanted[@]}" \
	'./boot/vmlinuz-*' './usr/lib/modules/*/modules.*' "${wanted[@]}"
version=$(basename "$root"/usr/lib/modules/*)
find "$root/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} +
chroot "$root" depmod "$version"
tar -C "$root" -xf "$network_manager"

# extract_kernel writes the kernel that is packed in the one to boot: it takes an emulated machine a second to unpack it.
extract_kernel() {
	local packed=$root/boot/vmlinuz-$version offset offsets
	mapfile -t offsets < <(LC_ALL=C grep -aobP '\x28\xb5\x2f\xfd' "$packed" | cut -d: -f1)
	for offset in "${offsets[@]}"; do
		tail -c "+$((offset + 1))" "$packed" | zstd -dcq >"$work/kernel" 2>/dev/null || true # what follows it is no part of it
		[[ $(head -c 4 "$work/kernel") == $'\x7fELF' ]] && return
	done
	cp "$packed" "$work/kernel"
}
extract_kernel
mv "$work/kernel" "$out/kernel"

make_initramfs() {
	local initramfs=$work/initramfs number=0 kind path
	rm -rf "$initramfs"
	mkdir -p "$initramfs"/{bin,dev,proc,modules,image,disk,root}
	cp "$root/usr/bin/busybox" "$initramfs/bin/"
	cp "$root/usr/bin/busybox" "$out/"
	install -m 755 "$here/guest/initramfs.sh" "$initramfs/init"
	while read -r kind path _; do
		[[ $kind == insmod ]] || continue
		number=$((number + 1))
		cp "$root$path" "$initramfs/modules/$(printf %02d $number)"
	done < <(chroot "$root" modprobe -S "$version" -a -D virtio_pci virtio_blk squashfs ext4 overlay | awk '!seen[$0]++')
	(cd "$initramfs" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initramfs"
}
make_initramfs

find "$root/usr/lib/udev/rules.d" ! -name '*net*' ! -name '*nm*' -type f -delete # reading them takes an emulated node seconds
rm -rf "${root:?}"/{boot,var/cache/apt,var/lib/apt,var/lib/dpkg/info,usr/share/zoneinfo,usr/lib/udev/hwdb.*}
# Not compressed: it would be an emulated machine that unpacks it.
mksquashfs "$root" "$work/root.sqfs" -noI -noD -noF -noX -noappend -no-progress -quiet -no-xattrs
mv "$work/root.sqfs" "$out/root.sqfs"
rm -rf "$root" "$work/kernel.deb" "$work/initramfs"
