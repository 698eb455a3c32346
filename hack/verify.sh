#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that generated code is what the generators make, and format, lint and licences of the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0
fail() { echo "verify: $*" >&2; failed=1; }

generated=(
	pkg/generated pkg/apis pkg/stateschema docs/api.md docs/state.md hack/openapi-violations.list
	artifacts/mixin/rendered artifacts/chart/files artifacts/components/prometheus-rule
)
before=$(mktemp -d)
cp -r --parents "${generated[@]}" "$before"
# The generators delete first what they make: if they are stopped, what was there is put back.
made=
trap 'rm -f "$before/log"; [[ -n $made ]] || cp -r "$before/." .; rm -rf "$before"' EXIT
trap 'exit 1' INT TERM HUP
if hack/update-codegen.sh >"$before/log" 2>&1; then
	made=yes
else
	cat "$before/log" >&2
	fail "the generators fail"
fi
for path in "${generated[@]}"; do
	diff -r "$before/$path" "$path" >&2 || fail "$path is not what the generators make: run 'make update' and commit"
done

CARGO_TARGET_DIR=$PWD/_output/nmstate-schema cargo test --quiet --locked --manifest-path hack/nmstate-schema/Cargo.toml >"$before/log" 2>&1 ||
	{ cat "$before/log" >&2; fail "the tests of hack/nmstate-schema"; }

# vendored and generated files are not ours to format
mapfile -t go_files < <(git ls-files '*.go')
unformatted=$(gofmt -l "${go_files[@]}")
[[ -z $unformatted ]] || fail "run gofmt on: $unformatted"
mapfile -t jsonnet_files < <(git ls-files '*.jsonnet' '*.libsonnet')
for file in "${jsonnet_files[@]}"; do
	_output/tools/jsonnetfmt --test "$file" || fail "run jsonnetfmt on: $file"
done
mapfile -t packages < <(go list ./... | grep -v /pkg/generated/)
_output/tools/staticcheck "${packages[@]}" || fail "staticcheck"
mapfile -t scripts < <(git ls-files '*.sh' hack/setup .ci/run)
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}" || fail "shellcheck"
go mod tidy -diff >/dev/null || fail "go.mod: run 'go mod tidy'"
mapfile -t licensed < <(git ls-files '*.go' '*.sh' '*.proto' '*.rs')
_output/tools/addlicense -check "${licensed[@]}" || fail "files above lack the licence's header"
exit "$failed"
