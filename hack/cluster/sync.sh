#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings the cluster to what the work tree is: builds the images, imports them into the nodes, deploys, and returns when the
# network of every node can be read.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
lock

export IMAGE_REGISTRY=localhost IMAGE_REPO=nmstate IMAGE_TAG
IMAGE_TAG=$("$here/images.sh")
"$here/load-image.sh" "$root"/_output/images/nmstate-{apiserver,node-agent}.tar
KUBECONFIG=$kubeconfig "$root/hack/artifacts/deploy.sh" up 9>&-

cat <<TEXT

The API server and the agents run. Try:

  export KUBECONFIG=$(realpath --relative-to="$PWD" "$kubeconfig") PATH=\$PWD/$(realpath --relative-to="$PWD" "$root/_output/bin"):\$PATH
  kubectl get nodenetworkstates
TEXT
