#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs hack/cluster on a machine as Debian installs it, with systemd and with control groups of version 2 alone. That machine is a
# User-mode Linux: a whole kernel as a program, which needs no KVM and is several times faster than an emulated one. It has
# one node, and the API server and an agent in pods; guest/cluster.sh says what is checked. What the machine writes to its
# disks is lost with it. The cluster's components and kubectl are expected to be built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
machine=$image/debian
run=$root/_output/vm-cluster
patience=${PATIENCE:-5}
mkdir -p "$image" "$run"
lock_folder "$run" vm
"$here/setup.sh"
"$root/hack/nodes/packages.sh"
tag=$("$root/hack/cluster/images.sh")

if stale "$machine" "$here"/{release,debian}.sh; then
	echo "vm: installing Debian"
	mkdir -p "$run/work"
	"$here/debian.sh" "$run/work" "$machine"
	rm -rf "$run/work"
	made "$machine"
fi

# The project's own disk.
project=$run/project
rm -rf "$project"
mkdir -p "$project"
(
	cd "$root"
	cp -a --parents hack artifacts _output/bin/kubectl _output/cluster/{bin,cni,images,root,debian.stamp,programs.stamp} \
		_output/networkmanager/{root,stamp} _output/images/nmstate-{apiserver,node-agent}.tar "$project"
)
install -m 755 "$here/guest/cluster.sh" "$project/service"
cat >"$project/environment" <<ENVIRONMENT
export PATIENCE=$patience DEPLOY_TIMEOUT=$((180 * patience))s
export IMAGE_REGISTRY=localhost IMAGE_REPO=nmstate IMAGE_TAG=$tag AGENT_ARCH=$(go env GOARCH)
ENVIRONMENT
rm -f "$run/project.ext4"
mkfs.ext4 -q -d "$project" "$run/project.ext4" 4G
rm -rf "$project"

echo "vm: booting Debian; its console's log is $run/console.log"
rm -f "$run"/*.written
# A console takes no file, but a pipe.
TMPDIR=/dev/shm timeout --foreground "$((600 * patience))" "$machine/kernel" "uml_dir=$run" umid=machine mem=4G root=/dev/ubda rw quiet selinux=0 \
	"ubd0=$run/root.written,$machine/root.ext4" "ubd1=$run/project.written,$run/project.ext4" \
	con=null con0=null,fd:3 ssl=null ssl0=null,fd:1 3> >(cat >"$run/console.log") 9>&- </dev/null | tee "$run/output"
rm -f "$run"/*.written
grep -q '^vm: status 0' "$run/output" || { echo "vm: the cluster failed there, see above and $run/console.log" >&2; exit 1; }
