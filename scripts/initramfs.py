# SPDX-License-Identifier: BSD-2-Clause
"""Write the initramfs of a test guest: a cpio archive of format newc (the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst), compressed with gzip."""
import gzip
import os
import stat

APPLETS = ("ash awk base64 blkdiscard blkid blockdev cat chmod chroot clear cmp cp cttyhack cut date dd df dmesg du echo env "
           "expr false find free grep gunzip gzip halt head hexdump hostname id insmod ip kill less ln ls lsmod lspci md5sum "
           "mkdir mkfifo mknod more mount mv nc nproc nslookup od ping ping6 poweroff ps pwd reboot rm rmdir rmmod sed seq setsid "
           "sh sha256sum sleep sort stat stty su switch_root sync tail tar taskset tee test tftp time timeout top touch tr true udhcpc umount "
           "uname uptime usleep vi wc wget which xargs yes").split()

# Words on the kernel's command line tell it what to do; without any it gives a shell.
INIT = r"""#!/bin/sh
# guest.poweroff, guest.reboot: do that when ready          guest.script: no prompt, no echo, each line is run (for programs)
# guest.panic: crash the kernel                             guest.root=DEVICE: switch to the ext4 root there
# guest.run="COMMAND": run that when ready                  guest.button: the power button powers off
# guest.load=MODULE,...: load these too
export PATH=/bin HOME=/root TERM=${TERM:-linux}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
words=" $(cat /proc/cmdline) "
has() { case "$words" in *" $1 "*) return 0 ;; esac; return 1; }
value() { for w in $words; do case $w in $1=*) echo "${w#*=}" ;; esac; done; }

load=$(value guest.load | tr , ' ')
for m in $load; do
	[ -e /lib/modules/order.$m ] || echo "guest: there is no module $m"
done
for m in $(cat /lib/modules/order; for m in $load; do cat /lib/modules/order.$m 2>/dev/null; done); do
	[ -d /sys/module/$m ] || insmod /lib/modules/$m.ko 2>/dev/null || echo "guest: module $m does not load"
done
hostname guest
has guest.panic && echo c >/proc/sysrq-trigger
root=$(value guest.root)
if [ -n "$root" ]; then
	n=0
	while ! [ -b "$root" ] && [ $n -lt 100 ]; do usleep 100000; n=$((n + 1)); done
	if mount -t ext4 "$root" /mnt; then
		umount /sys; umount /proc
		exec switch_root /mnt /sbin/init
	fi
	echo "guest: no root on $root"
fi
# Events on standard input (struct input_event of 64-bit kernels: two long words of time, then type, code and value) up to the press of
# KEY_POWER, 116.
button() {
	while event=$(dd bs=24 count=1 2>/dev/null | od -A n -t x1 -j 16) && [ -n "$event" ]; do
		case $event in
		*"01 00 74 00 01"*) echo "guest: power button"; sync; poweroff -f ;;
		esac
	done
}
if has guest.button; then
	for event in /dev/input/event*; do
		[ -c "$event" ] || continue		# the kernel may have no driver
		exec 3<"$event"
		button <&3 &
		exec 3<&-
	done
fi
echo "guest: ready, $(uname -srm), $(nproc) cpus"
run=$(sed -n 's/.*guest\.run="\([^"]*\)".*/\1/p' /proc/cmdline)
[ -n "$run" ] && eval "$run"
if has guest.poweroff; then sync; poweroff -f; fi
if has guest.reboot; then sync; reboot -f; fi
cd /root
if has guest.script; then
	exec setsid cttyhack sh -c 'stty -echo; echo "guest: script"; while IFS= read -r line; do eval "$line"; done'
fi
export PS1='guest:\w# '
echo
echo "This is Debian's kernel with busybox, in a virtual machine.  poweroff -f ends it."
while :; do
	setsid cttyhack sh
done
"""


# What udhcpc calls with its lease in the environment.
DHCP = r"""#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface
ip addr add $ip/${mask:-24} dev $interface
for r in $router; do ip route add default via $r dev $interface; done
: >/etc/resolv.conf
[ -n "$search$domain" ] && echo "search ${search:-$domain}" >>/etc/resolv.conf
for d in $dns; do echo "nameserver $d" >>/etc/resolv.conf; done
set | grep -E "^(ip|mask|router|dns|domain|search|hostname|boot_file|serverid)=" >/tmp/lease.$interface
"""


class Archive:
    def __init__(self, out):
        self.out = out
        self.inode = 0
        self.length = 0

    def write(self, data):
        self.out.write(data)
        self.length += len(data)

    def pad(self):
        self.write(b"\0" * (-self.length % 4))

    def add(self, name, mode, data=b"", device=(0, 0)):
        """One entry: owner and group 0, time 0, so that the same content makes the same archive."""
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0, len(data), 0, 0) + device + (len(path), 0)
        self.write(b"070701" + b"".join(b"%08x" % field for field in fields) + path)
        self.pad()
        self.write(data)
        self.pad()

    def end(self):
        self.add("TRAILER!!!", 0)


def build(guest, path):
    """The initramfs of a directory that fetch-guest made, into a file."""
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as out:
        archive = Archive(out)
        for name in ("bin", "dev", "etc", "lib", "lib/modules", "mnt", "proc", "root", "sys", "tmp"):
            archive.add(name, stat.S_IFDIR | 0o755)
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
        with open(os.path.join(guest, "busybox"), "rb") as file:
            archive.add("bin/busybox", stat.S_IFREG | 0o755, file.read())
        for name in APPLETS:
            archive.add("bin/" + name, stat.S_IFLNK | 0o777, b"busybox")
        archive.add("etc/udhcpc", stat.S_IFDIR | 0o755)
        archive.add("etc/udhcpc/default.script", stat.S_IFREG | 0o755, DHCP.encode())
        archive.add("init", stat.S_IFREG | 0o755, INIT.encode())
        modules = os.path.join(guest, "modules")
        for name in sorted(os.listdir(modules)):
            with open(os.path.join(modules, name), "rb") as file:
                archive.add("lib/modules/" + name, stat.S_IFREG | 0o644, file.read())
        archive.end()
