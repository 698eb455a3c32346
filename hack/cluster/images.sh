#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the images for this machine into _output/images, and prints their tag. The tag comes from their contents: what did not
# change is not started again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export IMAGE_REGISTRY=localhost IMAGE_REPO=nmstate IMAGE_ARCHES
IMAGE_ARCHES=$(go env GOARCH)
make --no-print-directory -s -C "$root" image-programs >&2
IMAGE_TAG=dev-$(cat "$root/_output/bin/image"/{"apiserver-$IMAGE_ARCHES",node-agent} | sha256sum | cut -c1-12)
export IMAGE_TAG
make --no-print-directory -s -C "$root" images >&2
echo "$IMAGE_TAG"
