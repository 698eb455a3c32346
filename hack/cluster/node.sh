#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node of the cluster: one of hack/nodes, with NetworkManager unless CLUSTER_KERNEL_NODES names it, and containerd, kubelet and
# kube-proxy in it. NAME is node01 to node99; what is made beyond the first three is an addition to the cluster.
#
#   node.sh up NAME                   make it and have it join; whether it is Ready the API server tells
#   node.sh prepare NAME              make all of it that needs no API server
#   node.sh down NAME                 take it away; its Node object stays, as that of a host that broke
#   node.sh start NAME PROGRAM        start one of its programs, and wait until it answers
#   node.sh stop|kill NAME PROGRAM    end one of its programs; pods outlive it
#   node.sh exec NAME COMMAND…        run something in it
#   node.sh enter NAME COMMAND…       run something in it and in its control groups
#   node.sh join NAME COMMAND…        run something in its control groups only
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
command=$1 name=${2:?a node}
node=$NODES_DIR/$name
group=$NODES_PREFIX$name # in each hierarchy of control groups, just below its root: systemd leaves alone what it has not made
[[ $name =~ ^node(0[1-9]|[1-9][0-9])$ ]] || { echo "cluster: $name is not one of node01 to node99" >&2; exit 2; }
address=192.0.2.$((10 + $(number "$name")))

in_node() { "$root/hack/nodes/node.sh" exec "$name" "$@"; }

# enter becomes a command in the node and in the control groups of its programs.
enter() {
	join_group "$(programs_group)"
	exec "$root/hack/nodes/node.sh" exec "$name" "$@"
}

# join_group moves the calling process into a group of each hierarchy.
join_group() {
	local path
	while read -r path; do
		echo "$BASHPID" >"$path/$1/cgroup.procs"
	done < <(each_cgroup)
}

# programs_group prints the group of the node's own programs. With version 2 it is below the node's group and beside those of
# the pods: there a group has either processes or controllers for the groups below it.
programs_group() { if [[ $(cgroup_version) == 2 ]]; then echo "$group/programs"; else echo "$group"; fi; }

make_groups() {
	local path setting
	[[ $(cgroup_version) == 1 ]] || enable_controllers /sys/fs/cgroup
	while read -r path; do
		mkdir -p "$path/$(programs_group)"
		for setting in cpuset.cpus cpuset.mems; do # with version 1 a new group has none
			[[ ! -f $path/$setting ]] || cat "$path/$setting" >"$path/$group/$setting"
		done
	done < <(each_cgroup)
}

# enable_controllers GROUP lets the groups below a group of version 2 have the controllers that pods need. They stay enabled
# in the machine's root when the node is gone: others may use them by then.
enable_controllers() {
	local controller
	for controller in cpuset cpu io memory pids; do
		grep -qw "$controller" "$1/cgroup.controllers" || continue # runc says which one it misses, if it does
		! grep -qw "$controller" "$1/cgroup.subtree_control" || continue
		echo "+$controller" >"$1/cgroup.subtree_control" || {
			echo "cluster: can't enable $controller below $1. If its processes are in the way, as in a container, move them:" >&2
			echo "  mkdir -p $1/init && xargs -n1 <$1/cgroup.procs >$1/init/cgroup.procs" >&2
			exit 1
		}
	done
}

# make_node makes the node's namespaces. Its first process keeps a namespace of control groups, too, in which the node's group
# is the root. That process has to be in the node's group for it, which with version 2 is possible only as long as the
# group has no controllers.
make_node() (
	export NODES_UNMANAGED='interface-name:veth????????'
	join_group "$group"
	exec unshare -C "${BASH_SOURCE[0]}" join "$name" "$root/hack/nodes/node.sh" up "$name" "$(number "$name")" "$(backend "$name")"
)

remove_groups() {
	local path
	# All that ran in the node has ended with it. Outside, nsenter has stopped together with a program that somebody stopped, and
	# does not go on by itself.
	while read -r path; do
		[[ -d $path/$group ]] || continue
		xargs -r kill -KILL 2>/dev/null <"$path/$(programs_group)/cgroup.procs" || true
		await 60 "the processes of $name to end" find "$path/$group" -depth -type d -exec rmdir {} +
	done < <(each_cgroup)
}

answers() {
	case $1 in
	containerd) await 60 "its socket" in_node ctr version ;;
	kubelet) in_node curl "${patiently[@]}" http://127.0.0.1:10248/healthz ;;
	kube-proxy) in_node curl "${patiently[@]}" http://127.0.0.1:10256/livez ;;
	esac
}

start() {
	local program=$1 words
	case $program in
	containerd) words=(containerd --log-level warn) ;;
	kubelet)
		words=(
			"$built/bin/kubelet" --config /etc/kubernetes/kubelet.yaml --kubeconfig "$pki/$name.kubeconfig"
			--hostname-override "$name" --node-ip "$address" --node-labels "$(labels)"
		) ;;
	kube-proxy) words=("$built/bin/kube-proxy" --config /etc/kubernetes/kube-proxy.yaml) ;;
	esac
	if ! alive "$node/$program.pid"; then
		launch "$node/$program.pid" "$node/$program.log" "${BASH_SOURCE[0]}" enter "$name" "${words[@]}"
	fi
	answers "$program" || { echo "cluster: $program of $name does not answer, see $node/$program.log" >&2; exit 1; }
}

# finish ends a program. What was noted is the process outside of the node whose child it is, and which ends with it; in
# their session are pods, too.
finish() {
	local program=$1 pid
	if alive "$node/$program.pid"; then
		read -r pid _ <"$node/$program.pid"
		await 10 "$program of $name to start" entered "$pid"
		note "$(tr -d ' ' <"/proc/$pid/task/$pid/children")" "$node/$program.inner"
		end "$node/$program.inner" "$2"
		end "$node/$program.pid"
	fi
}

entered() { [[ $(<"/proc/$1/comm") == nsenter ]] && grep -q . "/proc/$1/task/$1/children"; }

# The demo has the same zones.
labels() { [[ $name == node01 ]] && echo topology.kubernetes.io/zone=a || echo topology.kubernetes.io/zone=b; }

# prepare makes all of the node that needs no API server.
prepare() {
	if ! alive "$node/pid" || [[ ! -f $node/ready || ! -f $node/prepared || $(<"$node/prepared") != "$(backend "$name")" ]]; then
		down
		"$here/pki.sh" node "$name"
		make_groups
		make_node
		[[ $(cgroup_version) == 1 ]] || enable_controllers "/sys/fs/cgroup/$group"
		(enter "$here/inside.sh" "$name" "$(cgroup_version)")
		backend "$name" >"$node/prepared"
	fi
	in_hub ip route replace "$(pods_of "$name")" via "$address"
	start containerd
	"$here/load-image.sh" --node "$name" "$built/images/pause.tar"
}

up() {
	prepare
	start kubelet
	kubectl wait --for=create "node/$name" --timeout="$(limit 60)s" >/dev/null # kube-proxy takes the address from it
	start kube-proxy
}

down() {
	"$root/hack/nodes/node.sh" down "$name"
	remove_groups
	! has_netns "$hub" || in_hub ip route del "$(pods_of "$name")" 2>/dev/null || true
}

program() {
	printf '%s\n' "${node_programs[@]}" | grep -xF -- "${1:-}" || { echo "cluster: no program ${1:-} in a node" >&2; exit 2; }
}

case $command in
up) up ;;
prepare) prepare ;;
down) down ;;
start) start "$(program "${3:-}")" ;;
stop) finish "$(program "${3:-}")" TERM ;;
kill) finish "$(program "${3:-}")" KILL ;;
exec | enter | join)
	shift 2
	case $command in
	exec) in_node "$@" ;;
	enter) enter "$@" ;;
	join)
		join_group "$(programs_group)"
		exec "$@"
		;;
	esac
	;;
*)
	sed -n '/^#   /s/^#   //p' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
