#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cluster's keys, certificates and kubeconfigs: pki.sh cluster, pki.sh node NAME. What is there already is kept.
set -euo pipefail
# shellcheck source=hack/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
umask 077
mkdir -p "$pki"
cd "$pki"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

authority() {
	key "$1"
	openssl req -x509 -key "$1.key" -days 365 -subj "/CN=$1" -out "$1.crt"
}

# certificate NAME AUTHORITY SUBJECT [NAMES] is one for either side of a connection.
certificate() {
	key "$1"
	openssl req -new -key "$1.key" -subj "$3" | openssl x509 -req -days 365 -CA "$2.crt" -CAkey "$2.key" -out "$1.crt" -extfile <(
		echo "keyUsage=digitalSignature"
		echo "extendedKeyUsage=serverAuth,clientAuth"
		[[ -z ${4:-} ]] || echo "subjectAltName=$4"
	) 2>/dev/null
}

# access NAME SERVER FILE writes a kubeconfig that holds all it needs.
access() {
	cat >"$3" <<-YAML
		apiVersion: v1
		kind: Config
		current-context: cluster
		contexts: [{name: cluster, context: {cluster: cluster, user: $1}}]
		clusters: [{name: cluster, cluster: {server: "$2", certificate-authority-data: $(base64 -w0 ca.crt)}}]
		users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
	YAML
}

cluster() {
	[[ -f complete ]] || all
	access admin "https://127.0.0.1:$CLUSTER_PORT" "$kubeconfig.new"
	mv "$kubeconfig.new" "$kubeconfig"
}

all() {
	authority ca
	authority front-proxy-ca
	key service-account
	openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
	certificate kube-apiserver ca /CN=kube-apiserver "IP:$control_plane,IP:10.96.0.1,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,$(
		)DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
	certificate kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client
	certificate front-proxy-client front-proxy-ca /CN=front-proxy-client
	local name
	for name in kube-controller-manager kube-scheduler kube-proxy; do
		certificate "$name" ca "/CN=system:$name"
		access "$name" "$server" "$name.kubeconfig"
	done
	certificate admin ca /O=system:masters/CN=admin
	: >complete
}

node() {
	[[ -f $1.kubeconfig ]] && return
	certificate "$1" ca "/O=system:nodes/CN=system:node:$1" "DNS:$1,IP:192.0.2.$((10 + $(number "$1")))"
	access "$1" "$server" "$1.kubeconfig.new"
	mv "$1.kubeconfig.new" "$1.kubeconfig"
}

case $1 in
cluster) cluster ;;
node) node "$2" ;;
*) exit 2 ;;
esac
