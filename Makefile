# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The version of Kubernetes that the server speaks for, and that kubectl is built from.
KUBERNETES_VERSION := v1.37.2
OUTPUT := $(CURDIR)/_output
BIN := $(OUTPUT)/bin
export PKG_CONFIG_PATH := $(OUTPUT)/libnmstate:$(OUTPUT)/libnmstate-quick:$(PKG_CONFIG_PATH)
GIVEN_CPPFLAGS := $(filter-out -DLIBNMSTATE=%,$(CGO_CPPFLAGS))
# Go does not notice when libnmstate changes, and would link what it has linked before.
export CGO_CPPFLAGS = $(strip $(GIVEN_CPPFLAGS) $(patsubst %,-DLIBNMSTATE=%,$(firstword $(shell cat $(OUTPUT)/libnmstate{,-quick}/stamp 2>/dev/null))))
# The same for all that is built, with cgo or without, so that packages are compiled once. Tracing in gRPC would pull in
# templates, and with them the linker keeps every method: 8 MB.
export GOFLAGS := $(strip $(GOFLAGS) -tags=grpcnotrace,netgo,osusergo)

# kubectl and discovery misbehave without a version.
VERSION_FLAGS := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=$(KUBERNETES_VERSION) -X $(package).gitMajor=1 -X $(package).gitMinor=37)
LDFLAGS := -s -w $(VERSION_FLAGS)

# Vetting goes through all that is imported, which takes minutes: once, with the tests.
GO_TEST := go test -vet=all

.PHONY: help
help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what building and testing need and this machine lacks.
	@hack/setup

.PHONY: libnmstate
libnmstate: setup ## Build libnmstate, unless the system has it (NMSTATE=bundled|system forces one).
	@hack/libnmstate/build.sh

.PHONY: apiserver
apiserver: setup
	@echo "building apiserver"
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/apiserver ./cmd/apiserver

.PHONY: node-agent
node-agent: libnmstate
	@echo "building node-agent"
	@go build -ldflags '$(LDFLAGS)' -o $(BIN)/node-agent ./cmd/node-agent

# After apiserver, which is of some of the same packages: two compilers at a time would both compile them. By its second name kubectl
# asks it to complete command lines.
.PHONY: plugin
plugin: apiserver ## Build the kubectl plugin, kubectl-nmstate, into _output/bin.
	@echo "building kubectl-nmstate"
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/kubectl-nmstate ./cmd/kubectl-nmstate
	@ln -sf kubectl-nmstate $(BIN)/kubectl_complete-nmstate

# Cargo and go have one core each: libnmstate and what does not need it are built at the same time.
.PHONY: build
build: ## Build apiserver, node-agent and the kubectl plugin into _output/bin.
	@$(MAKE) --no-print-directory -j2 node-agent plugin

.PHONY: kubectl
kubectl: setup
	@echo "building kubectl"
	@cd hack/kubectl && CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/kubectl .

# After apiserver, which is of the same packages: two compilers at a time would both compile them.
.PHONY: demo-kubectl
demo-kubectl: apiserver
	@hack/kubectl/link.sh $(BIN) || $(MAKE) --no-print-directory kubectl

# What nodes run NetworkManager from.
.PHONY: node-packages
node-packages: setup
	@hack/nodes/packages.sh

.PHONY: demo
demo: export NMSTATE_PROFILE := quick
demo: ## Run three nodes, an API server and an agent on each node; print how to use them.
	@$(MAKE) --no-print-directory -j3 node-agent plugin demo-kubectl node-packages
	@hack/demo/up.sh

.PHONY: demo-down
demo-down: ## Take the demo away, without a trace.
	@hack/demo/down.sh

.PHONY: vm-image
vm-image: setup ## Make what virtual machines run, from Debian's packages: kernel, NetworkManager, Open vSwitch, QEMU.
	@hack/vm/image.sh

.PHONY: nmstatectl
nmstatectl: setup
	@hack/libnmstate/nmstatectl.sh

.PHONY: vm-up
vm-up: build demo-kubectl vm-image nmstatectl ## Run two nodes as virtual machines, and an API server; print how to use them.
	@hack/vm/up.sh

.PHONY: vm-check
vm-check: vm-up ## Check the virtual machines themselves: commands, reboot, power cut.
	@hack/vm/check.sh

.PHONY: vm-member-check
vm-member-check: cluster-sync build vm-image nmstatectl ## Check that a virtual machine joins the cluster, boots again in it, and leaves it.
	@hack/vm/member-check.sh

.PHONY: vm-down
vm-down: ## Take the virtual machines away, without a trace.
	@hack/vm/down.sh

clean: vm-down

.PHONY: cluster-components
cluster-components: setup ## Build what a cluster is made of: Kubernetes, etcd, CNI plugins; unpack containerd.
	@hack/cluster/components/build.sh

.PHONY: cluster-up
cluster-up: cluster-components kubectl ## Run a real cluster of three nodes; print how to use it.
	@hack/cluster/up.sh

.PHONY: cluster-check
cluster-check: cluster-up ## Check the cluster itself: pods, Services, logs, exec, kills.
	@hack/cluster/check.sh

.PHONY: vm-cluster-check
vm-cluster-check: cluster-components kubectl libnmstate ## Check a cluster on a Debian with control groups of version 2 alone, a User-mode Linux.
	@hack/vm/cluster.sh

.PHONY: cluster-down
cluster-down: ## Take the cluster away, without a trace.
	@hack/cluster/down.sh

.PHONY: cluster-sync
cluster-sync: cluster-up libnmstate ## Build the images, load them into the cluster's nodes, deploy, and wait until all is there.
	@hack/cluster/sync.sh

clean: cluster-down

.PHONY: deploy
deploy: kubectl ## Install into the cluster of the current kubeconfig, with the images of IMAGE_REGISTRY, IMAGE_REPO and IMAGE_TAG.
	@hack/artifacts/deploy.sh up $(COMPONENTS)

.PHONY: undeploy
undeploy: kubectl ## Remove what deploy has installed from the cluster of the current kubeconfig.
	@hack/artifacts/deploy.sh down $(COMPONENTS)

# What make test runs a cluster of its own with, so that another one may be up meanwhile.
TEST_CLUSTER := CLUSTER_DIR=$(OUTPUT)/test-cluster CLUSTER_PORT=17543 NODES_PREFIX=nnt-

# What make test runs virtual machines with. They are for one architecture alone.
TEST_VM_SET := VM_DIR=$(OUTPUT)/test-vm DEMO_PORT=17643 NODES_PREFIX=nntv-
HAS_VM := $(filter x86_64,$(shell uname -m))

# What takes longest to build: with cargo, which mostly has one core to do, with go, and with Debian's packages.
.PHONY: test-builds
test-builds:
	@$(MAKE) --no-print-directory -j2 libnmstate cluster-components nmstatectl $(if $(HAS_VM),vm-image)

.PHONY: test
test: test-builds verify test-unit test-integration test-e2e test-skew test-release test-chart ## Run all tests; this is what CI runs.
ifneq ($(HAS_VM),)
	$(MAKE) test-vm-sample $(TEST_VM_SET) && result=0 || result=$$?; $(MAKE) vm-down $(TEST_VM_SET) && exit $$result
endif
	$(MAKE) test-cluster $(if $(HAS_VM),vm-member-check) $(TEST_CLUSTER) && result=0 || result=$$?; $(MAKE) cluster-down $(TEST_CLUSTER) && exit $$result

.PHONY: test-unit
test-unit: libnmstate node-packages ## Run the tests of the packages, with the race detector.
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-packages test-on-a-node

# The tests on a node with NetworkManager mostly wait for it. They have a node and processes of their own, and run beside all others.
ON_A_NODE := ^TestOnANodeWithNetworkManager$$

.PHONY: test-packages
test-packages:
	$(GO_TEST) -race -timeout 25m -skip '$(ON_A_NODE)' ./cmd/... ./pkg/... ./test/rules ./test/vm/table

.PHONY: test-on-a-node
test-on-a-node: nmstatectl
	$(GO_TEST) -race -timeout 25m -run '$(ON_A_NODE)' ./pkg/agent/host

# client-go's detector lists at the revision of a watch until a server has it, and informers wait for that: a server that was killed meanwhile never has.
KILLS_THE_SERVER := ^TestInformersStayEqualToTheTruth$$

.PHONY: test-integration
test-integration: build ## Run the server with agents in memory against client-go and controller-runtime.
	KUBE_WATCHLIST_INCONSISTENCY_DETECTOR=true KUBE_FEATURE_WatchListClient=true $(GO_TEST) -count=1 -timeout 10m -skip '$(KILLS_THE_SERVER)' ./test/integration/...
	KUBE_FEATURE_WatchListClient=true $(GO_TEST) -count=1 -timeout 10m -run '$(KILLS_THE_SERVER)' ./test/integration/...
	KUBE_FEATURE_WatchListClient=false $(GO_TEST) -count=1 -timeout 10m -run Informers ./test/integration/...

# Prometheus and promtool, of Debian's package.
.PHONY: prometheus
prometheus: setup
	@hack/prometheus/packages.sh

.PHONY: test-e2e
test-e2e: build kubectl prometheus ## Run the real binaries on nodes of their own, driven by kubectl.
	$(GO_TEST) -count=1 -timeout 30m ./test/e2e/...

.PHONY: test-skew
test-skew: build ## Run the agent and the server of the protocol before against those of now.
	LDFLAGS='$(LDFLAGS)' hack/skew/build.sh
	$(GO_TEST) -count=1 -timeout 15m ./test/skew

.PHONY: test-faults
test-faults: build kubectl ## Make all changes that cut a node off, all faults in the midst of changes, and many reads right after changes; it takes hours.
	cd test/e2e && $(GO_TEST) -count=1 -timeout 10h -whole -kills=250 -power-cuts=20 -ginkgo.focus='cut off|faults|in a row' -ginkgo.timeout=10h

TEST_VM := cd test/vm && $(GO_TEST) -count=1
TEST_VM_WHOLE := $(TEST_VM) -timeout 24h -ginkgo.timeout=24h -ginkgo.v -results=test/vm/results

# What test-vm runs the node without NetworkManager with. It has a hub of its own, as both nodes are given the same addresses.
TEST_VM_KERNEL := VM_DIR=$(OUTPUT)/test-vm-kernel DEMO_PORT=17743 NODES_PREFIX=nntk-

.PHONY: test-vm
test-vm: vm-up ## Try each kind of configuration on virtual machines; writes docs/interface-matrix.md; takes hours.
	@$(MAKE) --no-print-directory -k -j2 test-vm-networkmanager test-vm-kernel && result=0 || result=$$?; \
	$(MAKE) --no-print-directory vm-down $(TEST_VM_KERNEL); \
	$(TEST_VM) -cases='^$$' -results=test/vm/results -matrix=docs/interface-matrix.md && exit $$result

.PHONY: test-vm-networkmanager
test-vm-networkmanager: build demo-kubectl vm-image nmstatectl
	$(TEST_VM_WHOLE) -backend=NetworkManager | sed -u 's/^/NetworkManager: /'

.PHONY: test-vm-kernel
test-vm-kernel: build demo-kubectl vm-image nmstatectl
	export $(TEST_VM_KERNEL) && $(TEST_VM_WHOLE) -backend=Kernel | sed -u 's/^/Kernel: /'

.PHONY: test-vm-sample
test-vm-sample: build demo-kubectl vm-image ## Try a few of them: bond, VLAN, bridge with VLANs, Open vSwitch, VRF.
	$(TEST_VM) -timeout 30m -ginkgo.v -sample -reboots=1

.PHONY: test-vm-faults
test-vm-faults: vm-up ## Kill the agent and cut the power in the midst of changes of bonds, VLANs and Open vSwitch, 20 times each; takes hours.
	$(TEST_VM) -v -timeout 24h -run TestFaults -faults=20

.PHONY: test-clients
test-clients: build kubectl ## Run the examples of docs/clients.md on nodes of their own.
	$(GO_TEST) -count=1 -timeout 30m ./test/clients

.PHONY: test-release
test-release: libnmstate plugin kubectl ## Test how images are written and releases are made.
	cd hack/images && go mod tidy -diff && $(GO_TEST) -count=1 ./...
	cd hack/release && go mod tidy -diff && $(GO_TEST) -count=1 ./...
	cd hack/bench-report && go mod tidy -diff && $(GO_TEST) -count=1 ./...

.PHONY: test-chart
test-chart: prometheus ## Test the Helm chart, the alerts and the dashboard, without a cluster.
	cd hack/chart && go mod tidy -diff && CGO_ENABLED=0 $(GO_TEST) -count=1 ./...

# How many faults the storm of test-cluster has, with a rolling restart before each.
ROUNDS ?= 9

.PHONY: test-cluster
test-cluster: cluster-sync helm plugin ## Run the specs of test-e2e, those of a cluster, and test-clients, through a real kube-apiserver.
	cd test/e2e && $(GO_TEST) -count=1 -timeout 120m -form=cluster -rounds=$(ROUNDS) -kills=2 -ginkgo.timeout=115m
	$(GO_TEST) -count=1 -timeout 30m ./test/clients -cluster

.PHONY: test-cluster-faults
test-cluster-faults: export CLUSTER_KERNEL_NODES := node03
test-cluster-faults: cluster-sync ## Make all changes that cut a node off, in a cluster with a node that has the kernel alone.
	cd test/e2e && $(GO_TEST) -count=1 -timeout 3h -form=cluster -whole -ginkgo.focus='cut off' -ginkgo.timeout=3h

# Where the benchmarks write what they have measured, one JSON object a line.
BENCH_RESULTS := $(CURDIR)/_output/bench

.PHONY: bench
bench: export BENCH_OUTPUT := $(BENCH_RESULTS)/bench.json
bench: build demo-kubectl nmstatectl node-packages ## Measure against what a user would use instead; print ratios.
	@mkdir -p $(BENCH_RESULTS) && rm -f $(BENCH_OUTPUT)
	$(GO_TEST) -count=1 -timeout 60m -run '^$$' -bench . ./test/bench/... ./pkg/registry/nodenetworkstate

# How many simulated nodes bench-scale has, one number after the other.
BENCH_SCALE_NODES ?= 1000 5000

.PHONY: bench-scale
bench-scale: export BENCH_OUTPUT := $(BENCH_RESULTS)/scale.json
bench-scale: export BENCH_SCALE := $(BENCH_SCALE_NODES)
bench-scale: apiserver demo-kubectl ## Measure with thousands of simulated agents, alone and beside a CRD in a kube-apiserver (make cluster-components).
	@mkdir -p $(BENCH_RESULTS) && rm -f $(BENCH_OUTPUT)
	$(GO_TEST) -count=1 -timeout 5h -run '^$$' -bench Scale ./test/bench

.PHONY: bench-report
bench-report: ## Make tables and plots in docs/benchmarks.md of what bench and bench-scale have measured.
	cd hack/bench-report && go mod tidy -diff && go run . $(CURDIR)/docs/benchmarks.md $(BENCH_RESULTS)/scale.json $(BENCH_RESULTS)/bench.json

# The version of the source tree.
SOURCE_VERSION := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' version/version.go)

# What images are called: $(IMAGE_REGISTRY)/$(IMAGE_REPO)/nmstate-apiserver:$(IMAGE_TAG).
export IMAGE_REGISTRY ?= localhost
export IMAGE_REPO ?= nmstate
export IMAGE_TAG ?= $(SOURCE_VERSION)
# The server is built for these; the agent, which is linked with C, for this machine's architecture.
IMAGE_ARCHES ?= amd64 arm64
IMAGE_BIN := $(BIN)/image
IMAGE_BUILD := go build -ldflags '$(LDFLAGS)'

.PHONY: image-programs
image-programs: libnmstate
	$(foreach arch,$(IMAGE_ARCHES),CGO_ENABLED=0 GOARCH=$(arch) $(IMAGE_BUILD) -o $(IMAGE_BIN)/apiserver-$(arch) ./cmd/apiserver &&) \
		$(IMAGE_BUILD) -o $(IMAGE_BIN)/node-agent ./cmd/node-agent

.PHONY: images
images: image-programs ## Write the container images and what they are made of to _output/images.
	cd hack/images && go build -o $(BIN)/images .
	$(BIN)/images --out=$(OUTPUT)/images --registry=$(IMAGE_REGISTRY) --repo=$(IMAGE_REPO) --tag=$(IMAGE_TAG) \
		--created=$$(git log -1 --format=%ct 2>/dev/null || echo 0) $(IMAGE_ARCHES:%=--server=$(IMAGE_BIN)/apiserver-%) \
		--agent=$(IMAGE_BIN)/node-agent --crates=hack/libnmstate/Cargo.lock

.PHONY: helm
helm: setup
	@echo "building helm"
	@cd hack/chart && CGO_ENABLED=0 go build -ldflags '-s -w' -o $(BIN)/helm helm.sh/helm/v4/cmd/helm

.PHONY: chart
chart: setup ## Package the Helm chart, with these images as its defaults, into _output/chart.
	@cd hack/chart && CGO_ENABLED=0 go build -o $(BIN)/chart .
	@$(BIN)/chart --source=artifacts/chart --out=$(OUTPUT)/chart --version=$(SOURCE_VERSION) --registry=$(IMAGE_REGISTRY) --repo=$(IMAGE_REPO) \
		--tag=$(IMAGE_TAG) --arch=$$(go env GOARCH) --created=$$(git log -1 --format=%ct 2>/dev/null || echo 0)

# What the kubectl plugin is released for.
PLUGIN_PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

.PHONY: plugins
plugins: setup ## Build the kubectl plugin for Linux, macOS and Windows into _output/plugins.
	@rm -rf $(OUTPUT)/plugins
	@$(foreach platform,$(PLUGIN_PLATFORMS),$(call plugin-for,$(subst -, ,$(platform))) &&) true

# $(call plugin-for,OS ARCH) builds the plugin for a system. It has the system's own resolver of names, which the tags would leave out:
# that of macOS knows the DNS of a VPN.
plugin-for = echo "building kubectl-nmstate for $(1)" && CGO_ENABLED=0 GOFLAGS='$(filter-out -tags=%,$(GOFLAGS))' GOOS=$(word 1,$(1)) \
	GOARCH=$(word 2,$(1)) go build -ldflags '$(LDFLAGS)' -o $(OUTPUT)/plugins/$(word 1,$(1))-$(word 2,$(1))/ ./cmd/kubectl-nmstate

.PHONY: release
release: ## Publish the version that version/version.go names; see docs/releasing.md.
	cd hack/release && go build -o $(BIN)/release .
	$(BIN)/release

.PHONY: update
update: setup ## Make all generated code again.
	hack/update-codegen.sh

.PHONY: verify
verify: libnmstate ## Check generated code, format, lint and licences.
	hack/verify.sh

.PHONY: clean
clean: demo-down ## Remove all that was built.
	rm -rf $(OUTPUT)
