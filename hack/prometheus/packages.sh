#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts Prometheus and promtool of Debian's package into _output/prometheus/root without installing them: the package would start
# a service.
set -euo pipefail
out=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/_output/prometheus

stamp=$(sha256sum <"${BASH_SOURCE[0]}")
[[ -f $out/stamp && $(<"$out/stamp") == "$stamp" ]] && exit 0
echo "prometheus: fetching Debian's package"
rm -rf "$out"
mkdir -p "$out/root"
cd "$out"
apt-get download -qq prometheus >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq prometheus >/dev/null; }
dpkg -x prometheus_*.deb root
rm prometheus_*.deb
for program in prometheus promtool; do
	"root/usr/bin/$program" --version >/dev/null
done
echo "$stamp" >"$out/stamp"
