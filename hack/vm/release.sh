#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpacks packages of the nodes' Debian release, or of VM_RELEASE: release.sh FOLDER WORK OPTION…, the options being those of mmdebstrap. The packages
# come from where this machine has its own from, in the way that it has them; VM_MIRROR is another place.
set -euo pipefail
release=${VM_RELEASE:-trixie}
folder=$1 work=$2
shift 2

mirror=${VM_MIRROR:-}
find_mirror() {
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
}
[[ -n $mirror ]] || find_mirror
if [[ -z $mirror ]]; then
	apt-get update -qq
	find_mirror
fi
[[ -n $mirror ]] || { echo "vm: this machine's apt knows no mirror of Debian: set VM_MIRROR to one" >&2; exit 1; }
mkdir -p "$work"
printf 'deb %s %s main\ndeb-src %s %s main\n' "$mirror" "$release" "$mirror" "$release" >"$work/sources.list"
apt-config dump --format '%F "%v";%n' Acquire | grep -iE 'proxy|::CA' >"$work/apt.conf" || true
cat >>"$work/apt.conf" <<-'CONF'
	APT::Install-Recommends "false";
	APT::Sandbox::User "root";
CONF

rm -rf "$folder"
# What it mounts is gone with it, also if it is killed.
TMPDIR=$work unshare --mount mmdebstrap --quiet --mode=root --aptopt="$work/apt.conf" --dpkgopt=force-unsafe-io \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	"$@" "$release" "$folder" "$work/sources.list"
