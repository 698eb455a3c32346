#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Adds us to the cluster of the current kubeconfig, or takes us away again.
#
#   deploy.sh up [COMPONENT…]   checks first that nobody else serves v1alpha1.nmstate.io; returns when all is there
#   deploy.sh down
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

# An APIService takes a whole group and version: there can be one of it.
preflight() {
	local service
	service=$("$kubectl" get apiservice "$apiservice" --ignore-not-found \
		-o jsonpath='{.metadata.name}{" "}{.spec.service.namespace}/{.spec.service.name}') ||
		refuse "the cluster does not answer; is KUBECONFIG the right one?"
	[[ -z $service || $service == "$apiservice $ours" || $service == "$apiservice /" ]] ||
		refuse "$apiservice is already served by Service ${service#* }: take that away first (kubectl delete apiservice $apiservice)"
	local crds
	crds=$("$kubectl" get crd -o jsonpath='{range .items[?(@.spec.group=="nmstate.io")]}{.metadata.name}{" "}{.spec.versions[?(@.served==true)].name}{"\n"}{end}' |
		awk '{for (i = 2; i <= NF; i++) if ($i == "v1alpha1") print $1}')
	[[ -z $crds ]] || refuse "v1alpha1 of nmstate.io is already served by the CRDs ${crds//$'\n'/, }: take that version out of them first"
}

up() {
	preflight
	"$here/render.sh" "$@" | "$kubectl" apply --server-side --force-conflicts -f - >/dev/null
	"$kubectl" -n nmstate-system rollout status deployment/nmstate-apiserver --timeout="$timeout" >/dev/null
	"$kubectl" wait --for=condition=Available "apiservice/$apiservice" --timeout="$timeout" >/dev/null
	"$kubectl" -n nmstate-system rollout status daemonset/nmstate-node-agent --timeout="$timeout" >/dev/null
	"$kubectl" wait --for=condition=Available nodenetworkstates.v1alpha1.nmstate.io --all --timeout="$timeout" >/dev/null
}

# The APIService goes first: one whose server is gone makes namespaces hang when they are deleted.
down() {
	"$kubectl" delete apiservice "$apiservice" --ignore-not-found >/dev/null
	"$here/render.sh" "$@" | "$kubectl" delete --ignore-not-found --timeout="$timeout" -f - >/dev/null
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
