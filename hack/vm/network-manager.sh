#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Debian's NetworkManager with Open vSwitch, which Debian leaves out, and with little else: network-manager.sh WORK
# TARBALL. The tarball has what takes the place of the package's files.
set -euo pipefail
work=$1 tarball=$2
packages=(
	gcc g++ libc6-dev meson ninja-build pkgconf dpkg-dev libglib2.0-dev libndp-dev libudev-dev uuid-dev libjansson-dev
	libsystemd-dev systemd-dev libreadline-dev gettext xsltproc python3 libdbus-1-dev xz-utils gobject-introspection libnss3-dev
)
off=(
	modify_system polkit selinux wifi wext iwd ppp modem_manager ofono concheck teamdctl bluez5_dun ebpf nmtui nm_cloud_setup
	ifcfg_rh ifupdown introspection vapi docs qt libpsl
)
off=("${off[@]/#/-D}")
options=(
	--prefix=/usr --libdir="lib/$(uname -m)-linux-gnu" --sysconfdir=/etc --localstatedir=/var -Doptimization=1 -Ddebug=false
	-Dovs=true -Dlibaudit=no -Dtests=no -Dcrypto=null -Dsession_tracking=systemd -Dsuspend_resume=systemd -Dsystemd_journal=true
	-Dreadline=libreadline -Dconfig_dhcp_default=internal -Ddbus_conf_dir=/usr/share/dbus-1/system.d
	"${off[@]/%/=false}"
)

# The daemon and the plugin, which it looks for in the folder of its version; the rest stays the package's.
cat >"$work/build" <<SCRIPT
set -eu
cd /root
apt-get -qq source network-manager
cd network-manager-*/
version=\$(sed -n "/^project(/,/)/s/.*version: '\([^']*\)'.*/\1/p" meson.build | head -n 1)
meson setup build ${options[*]@Q}
ninja -C build src/core/NetworkManager src/core/devices/ovs/libnm-device-plugin-ovs.so
install -D -s build/src/core/NetworkManager /root/built/usr/sbin/NetworkManager
install -D -s -m 644 build/src/core/devices/ovs/libnm-device-plugin-ovs.so \
	"/root/built/usr/lib/$(uname -m)-linux-gnu/NetworkManager/\$version/libnm-device-plugin-ovs.so"
SCRIPT
include=$(IFS=,; echo "${packages[*]}")
# shellcheck disable=SC2016
if ! "$(dirname "${BASH_SOURCE[0]}")/release.sh" "$work/builder" "$work" --variant=apt --include="$include" \
	--customize-hook="copy-in '$work/build' /root" --customize-hook='chroot "$1" sh /root/build' \
	>"$work/network-manager.log" 2>&1; then
	tail -n 20 "$work/network-manager.log" >&2
	exit 1
fi
tar -C "$work/builder/root/built" -cf "$tarball.new" usr
mv "$tarball.new" "$tarball"
rm -rf "$work/builder"
