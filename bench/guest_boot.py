#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boot the same Debian kernel and initramfs on hyve's soft back end and on QEMU's TCG, in turns, and print ratios.

usage: bench/guest_boot.py [HYVE] [ROUNDS]

QEMU is Debian's qemu-system-x86; without it only hyve is measured.  Times are of the whole process, from its start to its end, with a
guest that powers off as soon as user space runs.  Trust the ratios: the machine may be shared.
"""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HYVE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build/gcc/cmd/hyve")
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
LIMIT = 300


def images():
    text = subprocess.check_output([os.path.join(ROOT, "scripts/fetch-guest"), "--arch", "amd64"], text=True)
    return dict(line.split("=", 1) for line in text.splitlines())


def measure(command):
    """Wall seconds and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT,
                   check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    guest = images()
    append = 'console=ttyS0 quiet guest.run="poweroff -f"'
    commands = {
        "hyve soft": [HYVE, "run", "--accel", "soft", "--memory", "512M", "--kernel", guest["kernel"],
                      "--initrd", guest["initrd"], "--append", append],
    }
    if shutil.which("qemu-system-x86_64"):
        commands["qemu tcg"] = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64", "-m", "512", "-nodefaults",
                                "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", guest["kernel"],
                                "-initrd", guest["initrd"], "-append", append]
    times = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(measure(command))
    print("boot %s to user space and power off, median of %d" % (guest["version"], ROUNDS))
    for name, results in times.items():
        print("  %-10s %6.2f s, %6.2f s of processor" % (name, statistics.median(r[0] for r in results),
                                                        statistics.median(r[1] for r in results)))
    if len(times) == 2:
        mine, theirs = (statistics.median(r[1] for r in times[name]) for name in ("hyve soft", "qemu tcg"))
        print("  hyve / qemu: %.2f of the processor time" % (mine / theirs))


main()
