#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes _output/python, a virtual environment with what the Python examples need; does nothing when it is there already.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/_output/python
requirements=$root/docs/examples/clients/python/requirements.txt

mkdir -p "$root/_output"
exec 9>"$out.lock"
flock 9

# The place counts too: an environment's scripts name it.
stamp=$(cat "$requirements" "$here"/{constraints.txt,setup.sh} <(python3 --version; echo "$out") | sha256sum)
[[ -f $out/stamp && $(<"$out/stamp") == "$stamp" ]] && exit 0

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
	echo "python: installing python3-venv"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
echo "python: making $(realpath --relative-to="$PWD" "$out")"
python3 -m venv --clear "$out"
"$out/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" --constraint "$here/constraints.txt"
echo "$stamp" >"$out/stamp"
