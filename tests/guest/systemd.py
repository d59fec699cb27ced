# SPDX-License-Identifier: BSD-2-Clause
"""Debian with systemd, made by mmdebstrap, from a disk by stock firmware and GRUB: login, network, the power button, reboot."""
import os
import re
import signal
import socket

import guest
from guest import case, check
from stock import host, images, seabios

HELLO = b"hello from the host\n"


def overlay(context):
    """A disk that may be written."""
    image = context.path("debian.qcow2")
    host("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", guest.disk(context.arch, context.hyve), image)
    return image


def start(context, firmware, *more):
    """The disk and nothing more than what firmware is not found by itself: two processors, 1 GiB and a NIC are what there is then."""
    return context.start([overlay(context), "--firmware", firmware], memory=None, cpus=None, terminal=True, more=list(more))


def log_in(g):
    """From firmware to a shell that does not edit its lines, for run()."""
    g.expect("^debian login: ", limit=2 * guest.LIMIT)
    g.send("root\r")
    g.expect(r"root@debian:~# ")
    g.send("stty -echo; echo qui''et; exec env PS1= sh\r")
    g.expect("quiet\r?\n")
    check(g.run("systemctl is-system-running --wait").strip() == "running", "not everything of the system runs")


def look_around(context, g):
    """What a person would: processors, memory, the root, the network's address and a connection to the host."""
    check(g.run("nproc").strip() == "2", "there are not two processors")
    check(900 < int(g.run("awk '/^MemTotal/ { print $2 }' /proc/meminfo")) >> 10 <= 1024, "there is not 1 GiB of memory")
    check(g.run("findmnt -n -o FSTYPE /").strip() == "ext4", "the root is on something else")
    g.run("/lib/systemd/systemd-networkd-wait-online --timeout 60")
    check("10.0.2.15/24" in g.run("ip -4 -o addr"), "DHCP gave no address")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(guest.LIMIT)
        g.send("bash -c 'cat </dev/tcp/10.0.2.2/%d'\r" % listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.sendall(HELLO)
        g.expect(HELLO.decode().strip())


def recovered(g):
    """Whether the root's journal was replayed, by the kernel or by e2fsck."""
    said = g.run("dmesg; cat /run/initramfs/fsck.log 2>/dev/null; journalctl -b --no-pager; true")
    return re.search("recovery complete|recovering journal", said)


def stops_in_order(g):
    """systemd stops what runs and unmounts, and then the machine is off."""
    g.expect("Stopped target.*Multi-User System")
    g.expect("Reached target.*System Power Off|Reached target.*poweroff.target")
    g.ends(guest.POWEROFF)
    check("did not power off by itself" not in g.said(), "hyve said: " + g.said())


def from_firmware_to_power_off(context, firmware):
    g = start(context, firmware)
    log_in(g)
    look_around(context, g)
    first = g.run("cat /proc/sys/kernel/random/boot_id")
    g.send("systemctl reboot\r")
    log_in(g)
    check(g.run("cat /proc/sys/kernel/random/boot_id") != first, "it is the same boot")
    check(not recovered(g), "the root was not unmounted")
    g.send("\x1dp")
    stops_in_order(g)
    host("qemu-img", "check", "-q", context.path("debian.qcow2"))


@case(slow=True, long=True)
def uefi(context):
    """By OVMF or AAVMF: login, network, reboot by the firmware, and off by the power button."""
    from_firmware_to_power_off(context, images(context)["code"])


@case(slow=True, long=True)
def bios(context):
    """By SeaBIOS."""
    from_firmware_to_power_off(context, seabios(context))


@case(slow=True, long=True)
def seed(context):
    """A CD beside the disk, and a signal as the power button."""
    folder, iso = context.path("seed"), context.path("seed.iso")
    os.mkdir(folder)
    with open(os.path.join(folder, "meta-data"), "w", encoding="utf-8") as file:
        file.write("instance-id: hyve\n")
    host("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "CIDATA", "-o", iso, folder)
    g = start(context, images(context)["code"], "--cdrom", iso)
    log_in(g)
    g.signal(signal.SIGTERM)
    stops_in_order(g)


guest.main()
