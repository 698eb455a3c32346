#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packs what the nodes have in /usr/local: the agent, nmstatectl if it was built, what starts them, and the keys of this set's
# server, if it has one. It is made anew when one of them was.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
nmstatectl=$root/_output/nmstatectl/bin/nmstatectl

inputs=("$NODE_AGENT" "$here"/guest/{init,serve-commands}.sh)
for optional in "$nmstatectl" "$DEMO_DIR/state/ca.crt" "$DEMO_DIR/state/join-token"; do
	[[ ! -f $optional ]] || inputs+=("$optional")
done
stale "$programs" "${inputs[@]}" "${BASH_SOURCE[0]}" || exit 0
folder=$NODES_DIR/programs
rm -rf "$folder"
mkdir -p "$folder"/{bin,sbin,etc/nmstate}
for input in "${inputs[@]}"; do
	case $input in
	*.sh) install -m 755 "$input" "$folder/sbin/$(basename "$input" .sh)" ;;
	"$DEMO_DIR"/state/*) install -m 600 "$input" "$folder/etc/nmstate/" ;;
	*) install -m 755 "$input" "$folder/bin/$(basename "$input")" ;;
	esac
done
mksquashfs "$folder" "$programs.new" -noI -noD -noF -noX -all-root -noappend -no-progress -quiet
mv "$programs.new" "$programs" # a node that runs keeps the one it has
rm -rf "$folder"
made "$programs"
