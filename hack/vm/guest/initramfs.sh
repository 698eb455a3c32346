#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# The first program of a virtual machine, in its initramfs: mounts the image and makes the node's disk the place of what is
# written. /etc is a copy on write; /var is the disk's own folder, as a container engine can't use a copy on write there.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
# What only asks whether guests run here goes no further.
$b grep -qw NODE_PROBE /proc/cmdline && $b reboot -f
for module in $($b ls /modules | $b sort -n); do
	$b insmod "/modules/$module"
done
drive=/dev/vd
[ -b /dev/ubda ] && drive=/dev/ubd # in User-mode Linux
$b mount -t squashfs -o ro "${drive}a" /image
$b mount -t ext4 "${drive}c" /disk
$b mkdir -p /disk/upper /disk/work
$b mount -t overlay -o lowerdir=/image,upperdir=/disk/upper,workdir=/disk/work root /root
$b mkdir -p /root/disk
if [ ! -d /disk/var ]; then
	$b cp -a /image/var /disk/var.new
	$b mv /disk/var.new /disk/var
fi
$b mount --bind /disk/var /root/var
$b mount --move /disk /root/disk
$b mount -t squashfs -o ro "${drive}b" /root/usr/local
if [ -b /dev/ubdd ]; then # the modules of another kernel than the image's
	modules=/root/usr/lib/modules/$($b uname -r)
	$b mkdir -p "$modules"
	$b mount -t squashfs -o ro /dev/ubdd "$modules"
fi
$b mount --move /dev /root/dev
$b umount /proc
exec $b switch_root /root /usr/local/sbin/init
