#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes what virtual machines run, from Debian's packages, in _output/vm: what is there and made of the same is kept.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
"$here/setup.sh"
mkdir -p "$image"
exec 9>"$image/lock"
flock 9
work=$image/work
mkdir -p "$work"

tools=(qemu-system-x86 dnsmasq-base bash)
if stale "$image/tools" "$here/release.sh" <(echo "${tools[@]}"); then
	echo "vm: unpacking QEMU"
	"$here/release.sh" "$image/tools" "$work" --variant=extract --include="$(IFS=,; echo "${tools[*]}")"
	made "$image/tools"
fi
network_manager=$image/network-manager.tar
if stale "$network_manager" "$here"/{release,network-manager}.sh; then
	echo "vm: building NetworkManager with Open vSwitch, for some three minutes"
	"$here/network-manager.sh" "$work" "$network_manager"
	made "$network_manager"
fi
if stale "$image/root" "$here"/{release,root,guest/initramfs}.sh "$network_manager"; then
	echo "vm: making the nodes' root file system"
	"$here/root.sh" "$work" "$image" "$network_manager"
	made "$image/root"
fi
uml=$image/uml
if [[ $("$here/accelerator.sh") == uml ]] && stale "$uml" "$here"/{uml,guest/initramfs}.sh /etc/os-release; then
	echo "vm: unpacking User-mode Linux, as no guest boots in this machine's KVM"
	"$here/uml.sh" "$work" "$uml" "$image/busybox"
	made "$uml"
fi
rm -rf "$work"
