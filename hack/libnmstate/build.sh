#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Provides libnmstate to cgo: _output/libnmstate/ with libnmstate.a, nmstate.pc and, in include/, nmstate.h,
# nmstate_revert.h and nmstate_answers.h, built from crates.io with the patches in patches/, each of which says why.
#
# NMSTATE=system   use the system's library, fail if there is none
# NMSTATE=bundled  build it, whatever the system has
# (unset)          the system's library if there is a good one, else build it
#
# NMSTATE_PROFILE=quick builds it in half the time, in _output/libnmstate-quick, unless the one for releases is there: it is larger and slower.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
release=$(cd "$here/../.." && pwd)/_output/libnmstate
profile=${NMSTATE_PROFILE:-release}
[[ $profile == release ]] && out=$release || out=$release-$profile
minimum=2.2.50 # the first with nmstate_validate

system_library() {
	env -u PKG_CONFIG_PATH pkg-config --atleast-version="$minimum" nmstate
}

# folder prints where cargo has the sources of a crate.
folder() {
	jq -r --arg name "$1" '.packages[] | select(.name == $name).manifest_path' <<<"$crates" | xargs dirname
}

# patch_crate makes the patched sources of the crate nmstate. Cargo takes them in place of what is locked, which they must match.
patch_crate() {
	rm -rf "$out/nmstate"
	mkdir -p "$out"
	cp -r "$(folder nmstate)" "$out/nmstate"
	local change
	for change in patches/*.patch; do
		patch --quiet --directory="$out/nmstate" --strip=1 --fuzz=0 <"$change"
	done
}

build() {
	cd "$here"
	crates=$(cargo metadata --locked --format-version 1)
	# The library is made of the sources of this crate, see lib.rs.
	source=$(folder nmstate-clib)
	version=$(jq -r '.packages[] | select(.name == "nmstate-clib").version' <<<"$crates")
	patch_crate
	NMSTATE_CLIB=$source CARGO_TARGET_DIR=$out/target cargo build --profile "$profile" --locked --config "paths=[\"$out/nmstate\"]"
	IFS=. read -r major minor micro <<<"$version"
	mkdir -p "$out/include"
	cp "$out/target/$profile/libkubernetes_nmstate.a" "$out/libnmstate.a"
	sed -e "s/@_VERSION_MAJOR@/$major/" -e "s/@_VERSION_MINOR@/$minor/" -e "s/@_VERSION_MICRO@/$micro/" \
		"$source/nmstate.h.in" >"$out/include/nmstate.h"
	cp nmstate_revert.h nmstate_answers.h "$out/include/"
	cat >"$out/nmstate.pc" <<-PC
		Name: nmstate
		Description: declarative network API, linked statically
		Version: $version
		Cflags: -I$out/include -DNMSTATE_HAS_REVERT -DNMSTATE_HAS_ANSWERS
		Libs: $out/libnmstate.a -lm -ldl -lpthread -lgcc_s
	PC
}

# stamp_of FOLDER says what the library in it is made of. The place counts too: nmstate.pc names it.
stamp_of() {
	cat "$here"/{Cargo.toml,Cargo.lock,lib.rs,gen_revert.rs,nmstate_revert.h,answers.rs,nmstate_answers.h,build.sh,patches/*} <(echo "$1") | sha256sum
}

built() { [[ -f $1/stamp && $(<"$1/stamp") == "$(stamp_of "$1")" ]]; }

# hide FOLDER keeps cgo from using the library in it.
hide() { rm -f "$1/nmstate.pc" "$1/stamp"; }

use_system() {
	hide "$release"
	hide "$release-quick"
	exit 0
}

case "${NMSTATE:-}" in
system)
	system_library || { echo "libnmstate: no system library nmstate >= $minimum is known to pkg-config" >&2; exit 1; }
	use_system
	;;
bundled) ;;
"")
	if system_library; then
		use_system
	fi
	;;
*)
	echo "libnmstate: NMSTATE is '$NMSTATE', it must be 'system' or 'bundled'" >&2
	exit 1
	;;
esac

if built "$release"; then
	exit 0
fi
hide "$release" # it is of other sources, and cgo would use it rather than the quick one
if built "$out"; then
	exit 0
fi
echo "libnmstate: building it from crates.io for $profile use (2 to 6 minutes on two cores)"
build
stamp_of "$out" >"$out/stamp"
