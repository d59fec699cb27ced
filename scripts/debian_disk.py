# SPDX-License-Identifier: BSD-2-Clause
"""A disk with a Debian that systemd starts, made of its packages by mmdebstrap: a GPT with GRUB for UEFI, on a PC for a BIOS too, and ext4.

A Debian for the host's architecture is set up in a chroot on the host.  For another one, packages are only unpacked here; the guest sets
itself up, in hyve, as debootstrap's second stage does it.  What follows is the same script in either place."""
import glob
import os
import re
import shutil
import subprocess

import disk_image

FORMAT = 1
PACKAGES = ["systemd-sysv", "udev", "dbus", "login", "libpam-systemd", "iproute2", "kmod", "initramfs-tools", "zstd"]
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]
CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
LABEL = "debian"
# Partitions, in sectors: of GRUB for a BIOS, the EFI system partition, the root.
GRUB_FIRST, GRUB_SECTORS = 2048, 1 << 11
ESP_FIRST, ESP_SECTORS = 4096, 64 << 11
ROOT_FIRST, ROOT_SECTORS = 4096 + (64 << 11), 1536 << 11
TABLE = ("label: gpt\n%d,%d,21686148-6449-6E6F-744E-656564454649\n%d,%d,U\n%d,%d,L\n" %
         (GRUB_FIRST, GRUB_SECTORS, ESP_FIRST, ESP_SECTORS, ROOT_FIRST, ROOT_SECTORS)).encode()

# In the new root.  Where packages are only unpacked they lie in apt's archives: base-passwd has the users that files of others belong to, and
# base-files wants an awk, which is there once mawk is set up.
SET_UP = r"""#!/bin/sh
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /var/cache/apt/archives
mkdir -p /etc/initramfs-tools/conf.d
if ls base-passwd_*.deb >/dev/null 2>&1; then
	[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
	echo COMPRESSLEVEL=1 >/etc/initramfs-tools/conf.d/quick
	dpkg --force-unsafe-io --force-depends --install base-passwd_*.deb
	dpkg --force-unsafe-io --force-depends --install *.deb
	rm -f *.deb
fi
audit=$(dpkg --audit)
[ -z "$audit" ] || { echo "$audit" >&2; exit 1; }
passwd -d root
echo debian >/etc/hostname
echo LABEL=debian / ext4 defaults 0 1 >/etc/fstab
printf '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n' >/etc/systemd/network/ether.network
systemctl enable systemd-networkd
systemd-machine-id-setup
"""
ENDS_WELL = "guest: set up"
POWERED_OFF = 1         # the status of hyve run


class Failure(Exception):
    """A sentence for the user."""


def run(command, cwd=None, environment=None, text=b"", status=0, limit=None):
    """Run a program; what it prints.  `environment` is added to this process', `limit` is in seconds."""
    path = shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Failure("there is no %s on this host" % command[0])
    try:
        done = subprocess.run([path] + list(command[1:]), cwd=cwd, env=dict(os.environ, LC_ALL="C", **(environment or {})), input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure("%s: not at its end after %d seconds" % (" ".join(command[:3]), limit)) from None
    if done.returncode != status:
        errors = done.stderr.decode("utf-8", "replace").strip().split("\n")
        raise Failure("%s: %s" % (" ".join(command[:3]), "; ".join(errors[-3:])))
    return done.stdout.decode("utf-8", "replace")


def host(*command, text=b""):
    run(command, environment={"MTOOLS_SKIP_CHECK": "1"}, text=text)


def unpack(arch, foreign, kernel, sources, settings, tree):
    """Let mmdebstrap make the tree of files.  `sources` are the suite and files that say where packages are, `settings` apt's."""
    command = ["mmdebstrap", "--quiet", "--mode=root", "--architectures=" + arch, "--include=" + ",".join(PACKAGES + [kernel])]
    command += ["--dpkgopt=path-exclude=" + path for path in LEFT_OUT] + ["--aptopt=" + setting for setting in settings]
    if foreign:
        # Its packages are to stay beside their files.
        command += ["--variant=extract", "--include=?essential", "--skip=download/empty,essential/unlink,cleanup/apt/cache"]
    else:
        command += ["--variant=minbase"]
    run(command + [sources[0], tree] + sources[1:])


def set_up_in_guest(hyve, arch, guest, disk):
    """Run the script in the root of the disk, by a guest of busybox: (kernel, initramfs)."""
    script = ("mount -t ext4 -o noatime /dev/vda3 /mnt && for d in proc sys dev; do mount -o bind /$d /mnt/$d; done && chroot /mnt /bin/sh /set-up && "
              "rm /mnt/set-up && umount /mnt/dev /mnt/sys /mnt/proc && umount /mnt && echo " + ENDS_WELL)
    append = 'console=%s loglevel=4 guest.poweroff guest.run="%s"' % (CONSOLES[arch], script)
    said = run([hyve, "run", "--arch", arch, "--accel", "soft", "--cpus", "2", "--memory", "1G", "--net", "none", "--kernel", guest[0],
                "--initrd", guest[1], "--append", append, "--disk", disk], status=POWERED_OFF, limit=2400)
    if not re.search("^%s\r?$" % ENDS_WELL, said, re.M):
        raise Failure("the guest for %s did not set itself up: %s" % (arch, " ".join(said[-1000:].split())))


def grub_config(arch, version):
    return ("set timeout=0\nterminal_output console\nsearch --no-floppy --label %s --set=root\nmenuentry Debian {\n"
            "  linux /boot/vmlinuz-%s root=LABEL=%s console=%s loglevel=4\n  initrd /boot/initrd.img-%s\n}\n" %
            (LABEL, version, LABEL, CONSOLES[arch], version))


def make(work, arch, kernel, sources, settings, grub, second_stage):
    """Make the disk in an empty directory; its file.  `kernel` is the package of one; `grub` has GRUB's image for UEFI and, for a PC, the folder of
    its modules for a BIOS; `second_stage` is None on a host of this architecture, else a function that sets up what is on the disk."""
    if os.geteuid() != 0:
        raise Failure("a disk's files belong to root and others: only root can make it")
    tree, disk, root, esp, config = (os.path.join(work, name) for name in ("tree", "disk.img", "root.img", "esp.img", "grub.cfg"))
    unpack(arch, second_stage is not None, kernel, sources, settings, tree)
    with open(os.path.join(tree, "set-up"), "w", encoding="utf-8") as file:
        file.write(SET_UP)
    if second_stage is None:
        run(["chroot", tree, "/bin/sh", "/set-up"])
        os.unlink(os.path.join(tree, "set-up"))
    with open(config, "w", encoding="utf-8") as file:
        file.write(grub_config(arch, os.path.basename(glob.glob(os.path.join(tree, "boot/vmlinuz-*"))[0])[len("vmlinuz-"):]))
    disk_image.esp(host, esp, ESP_SECTORS, arch, grub[0], config)
    host("mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree, root, "%dk" % (ROOT_SECTORS // 2))
    disk_image.partitioned(host, disk, ROOT_FIRST + ROOT_SECTORS + 2048, TABLE, ((ESP_FIRST, esp), (ROOT_FIRST, root)))
    if grub[1] is not None:
        disk_image.bios_grub(host, disk, grub[1], "(hd0,gpt2)/EFI/debian", GRUB_FIRST, os.path.join(work, "core.img"))
    if second_stage is not None:
        second_stage(disk)
    return disk
