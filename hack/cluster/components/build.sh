#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds what a cluster is made of into _output/cluster, unless it is there already: Kubernetes' and etcd's programs, CNI
# plugins and the pause image from Go modules, containerd, runc and nft from Debian's packages, which are not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# Told before minutes are spent on building.
grep -qE ' cgroup2? ' /proc/mounts || {
	echo "cluster: its nodes need control groups, of version 2 or 1, and this machine has none mounted below /sys/fs/cgroup" >&2
	exit 1
}
out=$(cd ../../.. && pwd)/_output/cluster
mkdir -p "$out"
exec 9>"$out/build.lock"
flock 9
# shellcheck source=hack/stamp.sh
source ../../stamp.sh

programs() {
	local version flags package name
	version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
	flags="-s -w"
	# Clients ask for the version, and the components refuse to run without.
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
	done
	rm -rf "${out:?}/bin" "$out/cni" "$out/images"
	mkdir -p "$out/bin" "$out/cni" "$out/images"
	echo "cluster: building Kubernetes $version and etcd, which takes minutes the first time"
	# Two at a time: the compiler takes up to 2 GB for each. The tags are those of the Makefile, so that what make build needs,
	# too, is compiled once.
	CGO_ENABLED=0 go build -p 2 -ldflags "$flags" -o "$out/bin/components" .
	for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet; do
		ln -sf components "$out/bin/$name"
	done
	CGO_ENABLED=0 go build -p 2 -ldflags "-s -w" -o "$out/cni/" tool
	CGO_ENABLED=0 go build -p 2 -ldflags "-s -w" -o "$out/bin/" ./pause ./scratch ./hello
	for name in pause hello; do
		"$out/bin/scratch" "localhost/$name:dev" "$out/bin/$name" "$out/images/$name.tar"
	done
}

if stale "$out/debian" debian.sh; then
	./debian.sh "$out/root"
	made "$out/debian"
fi
if stale "$out/programs" build.sh go.mod go.sum main.go pause/main.go scratch/main.go hello/main.go <(go version); then
	programs
	made "$out/programs"
fi
