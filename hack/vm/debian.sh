#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a machine as Debian installs it, with systemd, for User-mode Linux: debian.sh WORK OUT. It is of this machine's release,
# as is what hack/cluster and hack/nodes unpack. In OUT are then kernel, which is a program, and root.ext4. The machine has
# what hack/setup installs, but for what builds. It runs the service of its second disk, and powers itself off when that has
# ended.
set -euo pipefail
work=$1 out=$2
packages=(systemd-sysv udev kmod user-mode-linux iproute2 procps openssl curl socat iptables)
# shellcheck source=/dev/null
release=$(source /etc/os-release && [[ $ID == debian ]] && echo "${VERSION_CODENAME:-}") || true
[[ -n $release ]] || { echo "vm: this machine is no Debian, of which the cluster's packages are" >&2; exit 1; }

root=$work/debian
if ! VM_RELEASE=$release "$(dirname "${BASH_SOURCE[0]}")/release.sh" "$root" "$work" --variant=minbase \
	--include="$(IFS=,; echo "${packages[*]}")" >"$work/debian.log" 2>&1; then
	tail -n 20 "$work/debian.log" >&2
	exit 1
fi
mkdir -p "$out" "$root/project" "$root/usr/lib/modules"
mv "$root/usr/bin/linux.uml" "$out/kernel"
mv "$root"/usr/lib/uml/modules/* "$root/usr/lib/modules/"
echo debian >"$root/etc/hostname"
printf '%s\n' '127.0.0.1 localhost debian' '::1 localhost' >"$root/etc/hosts" # containerd wants it for pods in the node's network
echo ipv6 >"$root/etc/modules-load.d/ipv6.conf" # elsewhere it is a part of the kernel
printf '/dev/%s %s ext4 defaults 0 0\n' ubda / ubdb /project >"$root/etc/fstab"
cat >"$root/etc/systemd/system/project.service" <<-'UNIT'
	[Unit]
	After=systemd-modules-load.service
	RequiresMountsFor=/project
	SuccessAction=poweroff-immediate
	FailureAction=poweroff-immediate
	[Service]
	Type=oneshot
	ExecStart=/project/service
	Environment=HOME=/root
	StandardInput=tty
	StandardOutput=tty
	StandardError=tty
	TTYPath=/dev/ttyS0
	[Install]
	WantedBy=multi-user.target
UNIT
# Debian's iptables makes rules of nftables, which this kernel has not for IPv4.
for program in iptables ip6tables; do
	chroot "$root" update-alternatives --set "$program" "/usr/sbin/$program-legacy" >/dev/null
done
chroot "$root" systemctl enable --quiet project.service
chroot "$root" systemctl mask --quiet getty.target # the consoles lead nowhere
rm -rf "${root:?}"/{boot,var/cache/apt,var/lib/apt/lists}/*
rm -f "$out/root.ext4"
mkfs.ext4 -q -d "$root" "$out/root.ext4" 4G
rm -rf "$root"
