#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the manifests with the images of IMAGE_REGISTRY, IMAGE_REPO and IMAGE_TAG: what `kubectl apply -f` takes.
#
#   render.sh [COMPONENT…]   components of artifacts/components to add, such as service-monitor
#
# The agent's image is for one architecture: AGENT_ARCH, this machine's if it is not set. Other nodes get no agent.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${IMAGE_REGISTRY:?}" "${IMAGE_REPO:?}" "${IMAGE_TAG:?}"
kubectl=${KUBECTL:-$root/_output/bin/kubectl}

mkdir -p "$root/_output"
overlay=$(mktemp -d -p "$root/_output" render-XXXXXX)
trap 'rm -rf "$overlay"' EXIT
{
	echo "resources: [../../artifacts]"
	echo "components:"
	for component in "$@"; do
		[[ -d $root/artifacts/components/$component ]] || { echo "render: no component $component in artifacts/components" >&2; exit 1; }
		echo "- ../../artifacts/components/$component"
	done
	(($#)) || echo "  []"
	echo "images:"
	for name in nmstate-apiserver nmstate-node-agent; do
		echo "- {name: $name, newName: $IMAGE_REGISTRY/$IMAGE_REPO/$name, newTag: \"$IMAGE_TAG\"}"
	done
	cat <<-PATCH
		patches:
		- target: {kind: DaemonSet, name: nmstate-node-agent}
		  patch: |
		    - op: add
		      path: /spec/template/spec/nodeSelector/kubernetes.io~1arch
		      value: ${AGENT_ARCH:-$(go env GOARCH)}
	PATCH
} >"$overlay/kustomization.yaml"
"$kubectl" kustomize "$overlay"
