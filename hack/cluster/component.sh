#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One component of the control plane, which lives in the hub's network: component.sh start|stop|kill NAME, NAME being etcd,
# kube-apiserver, kube-controller-manager or kube-scheduler. start returns when it is ready.
set -euo pipefail
# shellcheck source=hack/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=$2
pidfile=$run/$name.pid

# arguments sets those of the component; paths are those of the folder of keys.
arguments() {
	case $name in
	etcd) # without a sync to the disk it is fast, and loses nothing unless the machine itself dies
		arguments=(
			--data-dir "$run/etcd" --unsafe-no-fsync --log-level warn
			--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
			--listen-peer-urls http://127.0.0.1:2380
		) ;;
	kube-apiserver) # no kube-proxy is beside it, hence the aggregator's routing
		arguments=(
			--etcd-servers http://127.0.0.1:2379 --advertise-address "$control_plane" --secure-port 6443
			--service-cluster-ip-range "$services" --allow-privileged --enable-aggregator-routing
			--authorization-mode "Node,RBAC" --enable-admission-plugins NodeRestriction
			--client-ca-file ca.crt --tls-cert-file kube-apiserver.crt --tls-private-key-file kube-apiserver.key
			--kubelet-certificate-authority ca.crt --kubelet-preferred-address-types InternalIP
			--kubelet-client-certificate kubelet-client.crt --kubelet-client-key kubelet-client.key
			--service-account-issuer https://kubernetes.default.svc
			--service-account-key-file service-account.pub --service-account-signing-key-file service-account.key
			--requestheader-client-ca-file front-proxy-ca.crt --requestheader-allowed-names front-proxy-client
			--requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group
			--requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-uid-headers X-Remote-Uid
			--proxy-client-cert-file front-proxy-client.crt --proxy-client-key-file front-proxy-client.key
		) ;;
	*) # elections among one only make them slow to start
		arguments=(
			--kubeconfig "$name.kubeconfig" --authentication-kubeconfig "$name.kubeconfig"
			--authorization-kubeconfig "$name.kubeconfig" --leader-elect=false
		) ;;
	esac
	[[ $name != kube-controller-manager ]] || arguments+=(
		--use-service-account-credentials --service-account-private-key-file service-account.key --root-ca-file ca.crt
		--cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key
		--flex-volume-plugin-dir "$run/volume-plugins" # it makes the folder
	)
}

ready() {
	case $name in
	etcd) in_hub curl "${patiently[@]}" http://127.0.0.1:2379/readyz ;;
	kube-apiserver) asks "${patiently[@]}" "$server/readyz" ;;
	# Their certificates are made at their start; who asks is on the same host.
	kube-controller-manager) in_hub curl --insecure "${patiently[@]}" https://127.0.0.1:10257/healthz ;;
	kube-scheduler) in_hub curl --insecure "${patiently[@]}" https://127.0.0.1:10259/healthz ;;
	esac
}

start() {
	if ! alive "$pidfile"; then
		arguments
		cd "$pki"
		launch "$pidfile" "$run/$name.log" nsenter "--net=/run/netns/$hub" "$built/bin/$name" "${arguments[@]}"
	fi
	ready || { echo "cluster: $name is not ready, see $run/$name.log" >&2; exit 1; }
}

[[ " ${components[*]} " == *" $name "* ]] || { echo "cluster: no component $name" >&2; exit 2; }
case $1 in
start) start ;;
stop) end "$pidfile" ;;
kill) end "$pidfile" KILL ;;
*) exit 2 ;;
esac
