#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes all generated code again: a network state's definitions, deepcopy, defaults, OpenAPI, clients, gRPC, docs/api.md and docs/state.md,
# alerts and dashboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=github.com/nmstate/kubernetes-nmstate
api=$module/pkg/apis/nmstate/v1alpha1
generated=pkg/generated
tools=$PWD/_output/tools

(cd hack/tools && GOBIN=$tools go install tool)

# The crate nmstate is read where cargo keeps it, as hack/libnmstate pins it.
CARGO_TARGET_DIR=$PWD/_output/nmstate-schema cargo run --quiet --locked --manifest-path hack/nmstate-schema/Cargo.toml -- \
	hack/libnmstate/Cargo.toml hack/nmstate-schema/descriptions.yaml hack/nmstate-schema/ownership.yaml \
	pkg/stateschema/zz_generated.definitions.json docs/state.md

header=(--go-header-file hack/boilerplate.go.txt)
"$tools/deepcopy-gen" "${header[@]}" --output-file zz_generated.deepcopy.go ./pkg/apis/nmstate/v1alpha1
"$tools/defaulter-gen" "${header[@]}" --output-file zz_generated.defaults.go ./pkg/apis/nmstate/v1alpha1

# The generated tree is only ever written by this script.
rm -rf "$generated"
mkdir -p "$generated"/{openapi,agentpb}

readonly_packages=()
for package in k8s.io/apimachinery/pkg/{apis/meta/v1,api/resource,runtime,version}; do
	readonly_packages+=("$package")
done
"$tools/openapi-gen" "${header[@]}" \
	--output-dir "$generated/openapi" --output-pkg "$module/$generated/openapi" \
	--output-file zz_generated.openapi.go --output-model-name-file zz_generated.model_name.go \
	--report-filename hack/openapi-violations.list \
	"${readonly_packages[@]/#/--readonly-pkg=}" "${readonly_packages[@]}" "$api"

"$tools/applyconfiguration-gen" "${header[@]}" \
	--output-dir "$generated/applyconfiguration" --output-pkg "$module/$generated/applyconfiguration" \
	--openapi-schema <(go run ./hack/openapi-schema) "$api"
"$tools/client-gen" "${header[@]}" \
	--output-dir "$generated/clientset" --output-pkg "$module/$generated/clientset" \
	--clientset-name versioned --input-base "" --input "$api" \
	--apply-configuration-package "$module/$generated/applyconfiguration"
"$tools/lister-gen" "${header[@]}" \
	--output-dir "$generated/listers" --output-pkg "$module/$generated/listers" "$api"
"$tools/informer-gen" "${header[@]}" \
	--output-dir "$generated/informers" --output-pkg "$module/$generated/informers" \
	--versioned-clientset-package "$module/$generated/clientset/versioned" \
	--listers-package "$module/$generated/listers" "$api"

protoc --plugin="$tools/protoc-gen-go" --plugin="$tools/protoc-gen-go-grpc" -I pkg/agent \
	--go_out=. --go_opt=module="$module" --go-grpc_out=. --go-grpc_opt=module="$module" agent.proto

"$tools/crd-ref-docs" --config hack/api-docs.yaml --source-path pkg/apis --renderer markdown --output-path docs/api.md
sed -i 's/Optional: \\{\\} <br \/>/optional/' docs/api.md

# Alerts and dashboard, for people as they are, in the Helm chart, and as a component.
"$tools/jsonnet" -S -m artifacts artifacts/mixin/render.jsonnet >/dev/null
