#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpacks containerd, runc and nft, of which kube-proxy makes its rules, into the folder that is given, without installing
# them: on a host with an init system they would be started, and would serve it.
set -euo pipefail
root=$1
packages=(containerd runc nftables libnftables1 libnftnl11 libmnl0 libjansson4 libgmp10 libxtables12 libedit2 libbsd0 libmd0)
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT

rm -rf "$root"
mkdir -p "$root"
chmod 755 "$debs" # apt downloads as a user of its own
cd "$debs"
echo "cluster: fetching containerd's packages"
apt-get download -qq containerd >/dev/null 2>&1 || apt-get update -qq
# By name, one by one: what this release of Debian does not have is not needed by it either.
for package in "${packages[@]}"; do
	apt-get download -qq "$package" >/dev/null 2>&1 || echo "cluster: no package $package here"
done
for deb in ./*.deb; do
	dpkg -x "$deb" "$root"
done
for program in usr/bin/containerd usr/sbin/runc usr/sbin/nft; do
	if LD_LIBRARY_PATH=$root/usr/lib/$(uname -m)-linux-gnu ldd "$root/$program" | grep 'not found'; then
		echo "cluster: $program lacks the libraries above; add their packages to ${BASH_SOURCE[0]}" >&2
		exit 1
	fi
done
