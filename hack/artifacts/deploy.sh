#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Adds us to the cluster of the current kubeconfig, or takes us away again.
#
#   deploy.sh up [COMPONENT…]   checks first that nobody else serves v1alpha1.nmstate.io; returns when all is there
#   deploy.sh down [COMPONENT…] takes away nothing that is somebody else's
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
kubectl=${KUBECTL:-$root/_output/bin/kubectl}
apiservice=v1alpha1.nmstate.io
ours=nmstate-system/nmstate-apiserver
timeout=${DEPLOY_TIMEOUT:-180s}

refuse() {
	echo "deploy: $*" >&2
	exit 1
}

# server_of_api prints NAMESPACE/NAME of the Service that serves our group and version, only a slash if kube-apiserver does
# itself, and nothing if nobody does.
server_of_api() {
	"$kubectl" get apiservice "$apiservice" --ignore-not-found -o jsonpath='{.spec.service.namespace}/{.spec.service.name}' ||
		refuse "the cluster does not answer; is KUBECONFIG the right one?"
}

# An APIService takes a whole group and version: there can be one of it.
preflight() {
	local service
	service=$(server_of_api)
	[[ -z $service || $service == "$ours" || $service == / ]] ||
		refuse "$apiservice is already served by Service $service: take that away first (kubectl delete apiservice $apiservice)"
	local crds
	crds=$("$kubectl" get crd -o jsonpath='{range .items[?(@.spec.group=="nmstate.io")]}{.metadata.name}{" "}{.spec.versions[?(@.served==true)].name}{"\n"}{end}' |
		awk '{for (i = 2; i <= NF; i++) if ($i == "v1alpha1") print $1}')
	[[ -z $crds ]] || refuse "v1alpha1 of nmstate.io is already served by the CRDs ${crds//$'\n'/, }: take that version out of them first"
}

# await waits for what is said in the first words, and if it does not come prints the states of pods and nodes. A command that fails at once
# is repeated: the API is away for a moment when one of its servers starts anew.
await() {
	local what=$1
	shift
	timeout "$timeout" bash -c 'until "$@" >/dev/null; do sleep 1; done' await "$@" --timeout="$timeout" && return
	echo "deploy: all is applied, but $what not Available after $timeout:" >&2
	"$kubectl" -n nmstate-system get pods -o wide >&2 || true
	"$kubectl" get nodenetworkstates.v1alpha1.nmstate.io >&2 || true
	exit 1
}

up() {
	preflight
	"$here/render.sh" "$@" | "$kubectl" apply --server-side --force-conflicts -f - >/dev/null
	await "the servers are" "$kubectl" -n nmstate-system rollout status deployment/nmstate-apiserver
	await "the API is" "$kubectl" wait --for=condition=Available "apiservice/$apiservice"
	await "some agents are" "$kubectl" -n nmstate-system rollout status daemonset/nmstate-node-agent
	# Of those alone that have an agent.
	local nodes
	mapfile -t nodes < <("$kubectl" -n nmstate-system get pods -l app.kubernetes.io/name=nmstate-node-agent \
		-o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u)
	((${#nodes[@]})) || refuse "all is applied, but no node runs an agent: see kubectl -n nmstate-system describe daemonset/nmstate-node-agent"
	await "some nodes are" "$kubectl" wait --for=condition=Available nodenetworkstates.v1alpha1.nmstate.io "${nodes[@]}"
}

# The APIService goes first: one whose server is gone makes namespaces hang when they are deleted.
down() {
	local service
	service=$(server_of_api)
	if [[ $service == "$ours" ]]; then
		"$kubectl" delete apiservice "$apiservice" --ignore-not-found >/dev/null
	elif [[ -n $service ]]; then
		echo "deploy: $apiservice stays, since it is not ours" >&2
	fi
	"$here/render.sh" "$@" | awk -v RS='---\n' -v ORS='---\n' '!/(^|\n)kind: APIService\n/' |
		"$kubectl" delete --ignore-not-found --timeout="$timeout" -f - >/dev/null
}

command=${1:-}
shift || true
case $command in
up | down) "$command" "$@" ;;
*)
	sed -n '/^#   /s/^#   //p' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
