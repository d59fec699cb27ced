#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TCP throughput of a guest with user-mode networking, each way, on hyve's soft back end and on QEMU's TCG, in turns; prints ratios.

usage: bench/net.py [--hyve FILE] [--rounds N] [--size MIB]

The same Debian kernel and initramfs run on both, with a virtio-net card; the other end is this program, on the host's loopback, by the
gateway's address.  Times are from the connection to its end, as this program sees them.  QEMU is Debian's qemu-system-x86; without it only
hyve is measured.  Trust the ratios: the machine may be shared.
"""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 600


def options():
    parser = argparse.ArgumentParser(description="TCP throughput of a guest on hyve and on QEMU.")
    parser.add_argument("--hyve", default=os.path.join(ROOT, "build/gcc/cmd/hyve"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128, metavar="MIB")
    return parser.parse_args()


OPTIONS = options()
HYVE, MIB, ROUNDS = OPTIONS.hyve, OPTIONS.size, OPTIONS.rounds


def images():
    text = subprocess.check_output([os.path.join(ROOT, "scripts/fetch-guest"), "--arch", "amd64"], text=True)
    return dict(line.split("=", 1) for line in text.splitlines())


def serve(listener, to_guest):
    """One connection; MiB per second."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(LIMIT)
        start = time.monotonic()
        count, block = 0, bytes(1 << 20)
        if to_guest:
            for _ in range(MIB):
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)
            count = MIB << 20
            listener.accept()[0].close()        # the guest comes again when it has everything
        else:
            while True:
                data = connection.recv(1 << 18)
                if not data:
                    break
                count += len(data)
        if count != MIB << 20:
            sys.exit("bench/net.py: %d bytes instead of %d" % (count, MIB << 20))
        return MIB / (time.monotonic() - start)


def measure(command, append, listener):
    """Rates guest to host and host to guest of one run."""
    port = listener.getsockname()[1]
    run = ("ip link set eth0 up; udhcpc -q -n -f -i eth0; nc 10.0.2.2 %d -e dd if=/dev/zero bs=64k count=%d; "
           "nc 10.0.2.2 %d -e dd of=/dev/null bs=64k; nc 10.0.2.2 %d </dev/null; poweroff -f") % (port, MIB * 16, port, port)
    process = subprocess.Popen(command + ["--append" if command[0] == HYVE else "-append", append + ' guest.run="%s"' % run],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return serve(listener, False), serve(listener, True)
    finally:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main():
    guest = images()
    commands = {
        "hyve soft": [HYVE, "run", "--accel", "soft", "--memory", "512M", "--kernel", guest["kernel"], "--initrd", guest["initrd"],
                      "--net", "user"],
    }
    if shutil.which("qemu-system-x86_64"):
        commands["qemu tcg"] = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64", "-m", "512", "-nodefaults",
                                "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", guest["kernel"],
                                "-initrd", guest["initrd"], "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]
    rates = {name: [] for name in commands}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        for _ in range(ROUNDS):
            for name, command in commands.items():
                rates[name].append(measure(command, "console=ttyS0 quiet", listener))
    print("TCP by user-mode networking, %d MiB, %s, median of %d" % (MIB, guest["version"], ROUNDS))
    middle = {name: [statistics.median(r[way] for r in results) for way in (0, 1)] for name, results in rates.items()}
    for name, (out, back) in middle.items():
        print("  %-10s guest to host %7.1f MiB/s, host to guest %7.1f MiB/s" % (name, out, back))
    if len(middle) == 2:
        mine, theirs = middle["hyve soft"], middle["qemu tcg"]
        print("  hyve / qemu: %.2f guest to host, %.2f host to guest" % (mine[0] / theirs[0], mine[1] / theirs[1]))


main()
