#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts NetworkManager and D-Bus into _output/networkmanager/root without installing them: on a host with an init system
# the package would start and manage the host's own interfaces. Nodes mount it over their /usr. busybox has the DHCP server
# of the tests, Open vSwitch the server of its database.
set -euo pipefail
out=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/_output/networkmanager
packages=(
	network-manager libnm0 libndp0 libteamdctl0 libbluetooth3 libmm-glib0 libnewt0.52 libpolkit-gobject-1-0 libpolkit-agent-1-0
	libglib2.0-0 libffi8 libpcre2-8-0 libreadline8 libduktape207 libpsl5 libcurl3-gnutls libjansson4 libnl-3-200 libnl-route-3-200
	libudev1 libaudit1 libselinux1
	dbus-bin dbus-daemon dbus-system-bus-common libdbus-1-3 libapparmor1 libexpat1 libsystemd0 libcap-ng0
	openvswitch-common openvswitch-switch libbpf1 libxdp1 libelf1 libnuma1 libunbound8 libevent-2.1-7 libnghttp2-14 libprotobuf-c1
	busybox-static
)

stamp=$(sha256sum <"${BASH_SOURCE[0]}")
[[ -f $out/stamp && $(<"$out/stamp") == "$stamp" ]] && exit 0
echo "nodes: fetching NetworkManager's packages"
rm -rf "$out"
mkdir -p "$out/debs" "$out/root"
cd "$out/debs"
if ! apt-get download -qq network-manager >/dev/null 2>&1; then
	apt-get update -qq
fi
# What this release of Debian does not have is not needed by it either.
apt-get download -qq "${packages[@]}" >/dev/null 2>&1 || for package in "${packages[@]}"; do
	apt-get download -qq "$package" >/dev/null 2>&1 || echo "nodes: no package $package here"
done
for deb in "$out"/debs/*.deb; do
	dpkg -x "$deb" "$out/root"
done
# Some packages still have files in /bin and /lib, which on every machine are those of /usr; and nodes mount /usr alone.
for folder in bin sbin lib; do
	[[ -d $out/root/$folder ]] || continue
	mkdir -p "$out/root/usr/$folder"
	cp -a "$out/root/$folder/." "$out/root/usr/$folder/"
	rm -rf "${out:?}/root/$folder"
done
for program in usr/sbin/NetworkManager usr/bin/dbus-daemon usr/bin/dbus-send usr/sbin/ovsdb-server; do
	if LD_LIBRARY_PATH=$out/root/usr/lib/$(uname -m)-linux-gnu ldd "$out/root/$program" | grep 'not found'; then
		echo "nodes: $program lacks the libraries above; add their packages to ${BASH_SOURCE[0]}" >&2
		exit 1
	fi
done
echo "$stamp" >"$out/stamp"
