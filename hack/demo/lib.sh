#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the demo's scripts share; sourced, not run. DEMO_DIR, DEMO_PORT and NODES_PREFIX set apart several demos at a time.
# APISERVER and NODE_AGENT are the programs, if not those of _output/bin. AGENT_FLAGS are given to the agents, too.
# shellcheck disable=SC2034
DEMO_DIR=$(realpath -m "${DEMO_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../_output/demo}")
export NODES_DIR=$DEMO_DIR/nodes
export NODES_PREFIX=${NODES_PREFIX:-nns-}
DEMO_PORT=${DEMO_PORT:-16443}
AGENT_PORT=$((DEMO_PORT + 1))
# shellcheck source=hack/nodes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes/lib.sh"
bin=$root/_output/bin
APISERVER=${APISERVER:-$bin/apiserver}
NODE_AGENT=${NODE_AGENT:-$bin/node-agent}
read -ra agent_flags <<<"${AGENT_FLAGS-}"
kubeconfig=$DEMO_DIR/kubeconfig

# lock makes the caller, and what it starts but for what stays, the only ones at work on this demo.
lock() { lock_folder "$DEMO_DIR" demo; }

# name, number, backend, labels
nodes=(
	"node01 1 networkmanager topology.kubernetes.io/zone=a"
	"node02 2 networkmanager topology.kubernetes.io/zone=b"
	"node03 3 kernel topology.kubernetes.io/zone=b"
)
