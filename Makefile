# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The version of Kubernetes that the server speaks for, and that kubectl is built from.
KUBERNETES_VERSION := v1.37.2
OUTPUT := $(CURDIR)/_output
BIN := $(OUTPUT)/bin
export PKG_CONFIG_PATH := $(OUTPUT)/libnmstate:$(PKG_CONFIG_PATH)

# kubectl and discovery misbehave without a version.
VERSION_FLAGS := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=$(KUBERNETES_VERSION) -X $(package).gitMajor=1 -X $(package).gitMinor=37)
LDFLAGS := -s -w $(VERSION_FLAGS)

.PHONY: help
help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what building and testing need and this machine lacks.
	@hack/setup

.PHONY: libnmstate
libnmstate: setup ## Build libnmstate, unless the system has it (NMSTATE=bundled|system forces one).
	@hack/libnmstate/build.sh

.PHONY: build
build: libnmstate ## Build apiserver and node-agent into _output/bin.
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/apiserver ./cmd/apiserver
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/node-agent ./cmd/node-agent

.PHONY: kubectl
kubectl: setup
	cd hack/kubectl && CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/kubectl .

.PHONY: demo-kubectl
demo-kubectl:
	@hack/kubectl/link.sh $(BIN) || $(MAKE) kubectl

.PHONY: demo
demo: build demo-kubectl ## Run three nodes, an API server and an agent on each node; print how to use them.
	@hack/demo/up.sh

.PHONY: demo-down
demo-down: ## Take the demo away, without a trace.
	@hack/demo/down.sh

.PHONY: test
test: verify test-unit test-integration test-e2e ## Run all tests; this is what CI runs.

.PHONY: test-unit
test-unit: libnmstate ## Run the tests of the packages, with the race detector.
	go test -race -timeout 15m ./cmd/... ./pkg/... ./test/rules

.PHONY: test-integration
test-integration: build ## Run the server with agents in memory against client-go and controller-runtime.
	KUBE_WATCHLIST_INCONSISTENCY_DETECTOR=true KUBE_FEATURE_WatchListClient=true go test -count=1 -timeout 10m ./test/integration/...
	KUBE_FEATURE_WatchListClient=false go test -count=1 -timeout 10m -run Informers ./test/integration/...

.PHONY: test-e2e
test-e2e: build kubectl ## Run the real binaries on nodes of their own, driven by kubectl.
	go test -count=1 -timeout 30m ./test/e2e/...

.PHONY: bench
bench: build ## Measure against what a user would use instead; print ratios.
	@hack/libnmstate/nmstatectl.sh
	go test -count=1 -timeout 60m -run '^$$' -bench . ./test/bench/...

.PHONY: update
update: setup ## Make all generated code again.
	hack/update-codegen.sh

.PHONY: verify
verify: libnmstate ## Check generated code, format, lint and licences.
	hack/verify.sh

.PHONY: clean
clean: demo-down ## Remove all that was built.
	rm -rf $(OUTPUT)
