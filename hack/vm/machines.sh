#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a node runs in, QEMU or User-mode Linux; sourced by node.sh, whose variables it uses, not run.
# shellcheck disable=SC2154,SC2054

# start_machine launches the node; terminal NAME prints where socat reaches one of its terminals: commandsN or shell.
start_machine() {
	local accelerator
	accelerator=$("$here/accelerator.sh")
	case $accelerator in
	uml) start_uml ;;
	*) start_qemu ;;
	esac
}

terminal() {
	if [[ -S $dir/$1.sock ]]; then
		echo "UNIX-CONNECT:$dir/$1.sock"
	else
		echo "OPEN:$dir/$1,raw,echo=0"
	fi
}

# environment TERMINALS SHELL prints what guest/init.sh is told.
environment() {
	local zone=a services=
	[[ $(backend "$name") == networkmanager ]] || zone=b
	# A cluster's node reaches Services by the kube-proxy of another one.
	[[ $VM_CLUSTER != yes ]] || services=10.96.0.0/16,192.0.2.11
	echo "NODE_NAME=$name NODE_ADDRESS=$address/24 NODE_BACKEND=$(backend "$name") NODE_ZONE=$zone AGENT_SERVER=192.0.2.1:$AGENT_PORT" \
		"NODE_CONSOLES=$1 NODE_SHELL=$2 NODE_SERVICES=$services"
}

tap() { (($1)) && echo "$name-$1" || echo "$name-m"; }
mac() { printf '52:54:00:00:%02x:%02x' "$(number "$name")" "$1"; }

start_qemu() {
	local port model drive machine
	machine=(-M q35 -smp "${VM_CPUS:-1}" -m "${VM_MEMORY:-512}" -nodefaults -no-user-config -display none -no-reboot)
	case $accelerator in
	kvm) machine+=(-accel kvm -cpu host) ;;
	tcg) machine+=(-accel "tcg,thread=multi,tb-size=128" -cpu max) ;;
	esac
	machine+=(
		-kernel "$image/kernel" -initrd "$image/initramfs"
		-append "console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 mitigations=off $(environment hvc console)"
		-device virtio-rng-pci -monitor "unix:$dir/monitor.sock,server=on,wait=off"
		-chardev "socket,id=serial,path=$dir/shell.sock,server=on,wait=off,logfile=$dir/console.log,logappend=on" -serial chardev:serial
		-device virtio-serial-pci,max_ports=$((consoles + 1))
	)
	for ((port = 0; port < consoles; port++)); do
		machine+=(-chardev "socket,id=c$port,path=$dir/commands$port.sock,server=on,wait=off" -device "virtconsole,chardev=c$port")
	done
	# eth3 has what virtio has not: virtual functions, coalescing, pause.
	machine+=(-device pcie-root-port,id=root3,chassis=3)
	for port in 0 1 2 3; do
		((port < 3)) && model=virtio-net-pci || model=igb,bus=root3
		machine+=(-netdev "tap,id=n$port,ifname=$(tap "$port"),script=no,downscript=no" -device "$model,netdev=n$port,mac=$(mac "$port")")
	done
	# What the guest has handed to QEMU is in this machine's files, whatever happens to QEMU: no need to sync it. Images that nobody
	# writes are not locked: User-mode Linux locks them, and other nodes may run as that.
	for drive in "$image/root.sqfs,readonly=on,file.locking=off" "$programs,readonly=on,file.locking=off" "$dir/disk,cache=unsafe"; do
		machine+=(-drive "if=virtio,format=raw,file=$drive")
	done
	launch "$dir/pid" "$dir/log" nsenter --net="/run/netns/$hub" "${qemu[@]}" "${machine[@]}"
	await "$(patiently 10)" "QEMU of $name, see $dir/log" test -S "$dir/commands0.sock"
}

start_uml() {
	local port machine
	# shellcheck disable=SC2207
	machine=(
		"mem=${VM_MEMORY:-512}M" "uml_dir=$dir/uml" umid=machine "initrd=$image/uml/initramfs" quiet loglevel=3 panic=-1
		"ubd0r=$image/root.sqfs" "ubd1r=$programs" "ubd2=$dir/disk" "ubd3r=$image/uml/modules.sqfs"
		con=null con0=null,fd:1 ssl=null "ssl$consoles=tty:$(pair shell)"
		$(environment ttyS "ttyS$consoles")
	)
	for ((port = 0; port < consoles; port++)); do
		machine+=("ssl$port=tty:$(pair "commands$port")")
	done
	for port in 0 1 2 3; do
		machine+=("eth$port=tuntap,$(tap "$port"),$(mac "$port")")
	done
	launch "$dir/pid" "$dir/console.log" nsenter --net="/run/netns/$hub" "$image/uml/linux" "${machine[@]}"
}

# pair makes two terminals that are joined, one for the guest, which it prints, and one for callers.
pair() {
	launch "$dir/$1.terminal" "$dir/log" socat "PTY,link=$dir/$1.guest,raw,echo=0" "PTY,link=$dir/$1,raw,echo=0"
	await 10 "a terminal of $name, see $dir/log" test -e "$dir/$1"
	readlink "$dir/$1.guest"
}
