#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a node of hack/nodes fit for pods, from inside of it: inside.sh NAME VERSION, that of the control groups. It runs in the
# node's own groups, which are the root of all that it sees of them; without that, the kubelets would clear up each other's pods.
set -euo pipefail
# shellcheck source=hack/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=$1 version=$2
node=$NODES_DIR/$name

# The kubelet sets these for the whole machine, which is not its own: it gets files to write to.
machine_settings=(
	vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes
)

mounts() {
	local setting
	mount -t overlay overlay -o "lowerdir=$built/root/usr:/usr" /usr # containerd, runc and nft
	mkdir -p "$node/layers/containerd" /var/lib/containerd
	mount --bind "$node/layers/containerd" /var/lib/containerd # an overlay's upper folder can't be on another overlay
	mkdir -p "$node/settings"
	for setting in "${machine_settings[@]}"; do
		cat "/proc/sys/$setting" >"$node/settings/${setting//\//.}"
		mount --bind "$node/settings/${setting//\//.}" "/proc/sys/$setting"
	done
	# The kubelet does not start where the speed of the processor is not told, as by User-mode Linux.
	if [[ $(uname -m) == x86_64 ]] && ! grep -q '^cpu MHz' /proc/cpuinfo; then
		(cat /proc/cpuinfo; echo 'cpu MHz : 1000.000') >"$node/settings/cpuinfo"
		mount --bind "$node/settings/cpuinfo" /proc/cpuinfo
	fi
	control_groups
	mount --make-rshared / # what is mounted into pods reaches them, and back
}

control_groups() {
	local controllers path
	if [[ $version == 2 ]]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		return
	fi
	mount -t tmpfs tmpfs /sys/fs/cgroup
	while IFS=: read -r _ controllers _; do
		[[ -n $controllers ]] || continue # version 2
		path=/sys/fs/cgroup/${controllers#name=}
		mkdir "$path"
		mount -t cgroup -o "$controllers" cgroup "$path"
	done </proc/self/cgroup
}

network() {
	sysctl -qw net.ipv4.ip_forward=1
	# Not a default route: whoever tries one on a port must not lose the cluster by that.
	ip route replace "$services" via "$control_plane"
	ip route replace "$pods" via "$control_plane"
	mkdir -p /etc/cni/net.d
	# Routes to pods, no bridge: traffic to a Service is translated even between two pods of one node.
	cat >/etc/cni/net.d/10-pods.conflist <<-JSON
		{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp",
		  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$(pods_of "$name")"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
	JSON
}

configuration() {
	mkdir -p /etc/containerd /etc/kubernetes
	cat >/etc/containerd/config.toml <<-TOML
		version = 2
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "localhost/pause:dev"
		  restrict_oom_score_adj = true # the machine may withhold the right to lower it
		  disable_apparmor = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "$built/cni"
	TOML
	cat >/etc/kubernetes/kubelet.yaml <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		tlsCertFile: $pki/$name.crt
		tlsPrivateKeyFile: $pki/$name.key
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
		authorization: {mode: Webhook}
		volumePluginDir: /var/lib/kubelet/volume-plugins
		resolvConf: "" # there is no cluster DNS
		syncFrequency: 3s # pods soon see what has changed in a ConfigMap
		crashLoopBackOff: {maxContainerRestartPeriod: 2s} # tests kill what it has to start again
		# A guest takes nothing from the machine and enforces nothing on it.
		failCgroupV1: false
		failSwapOn: false
		cgroupDriver: cgroupfs
		cgroupsPerQOS: false
		enforceNodeAllocatable: []
		oomScoreAdj: 0
		maxOpenFiles: 20000
		makeIPTablesUtilChains: false
		imageGCHighThresholdPercent: 100
		imageGCLowThresholdPercent: 99
		evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
	YAML
	cat >/etc/kubernetes/kube-proxy.yaml <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: $proxy_mode
		hostnameOverride: $name
		clientConnection: {kubeconfig: $pki/kube-proxy.kubeconfig}
		clusterCIDR: $pods
		oomScoreAdj: 0
		conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s} # these are the machine's
		nftables: {minSyncPeriod: 0.1s}
	YAML
}

mounts
network
configuration
