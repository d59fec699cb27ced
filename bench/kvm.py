#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What hyve adds to KVM: ways out of a guest, the time to its first instruction and memory beside the guest's, with the least that runs a guest
on KVM (bench/kvm/least.c) and QEMU with -accel kvm in turns; prints ratios.

usage: bench/kvm.py [--build DIR] [--arch ARCH] [--rounds N]

One kernel of our own (tests/guest/kernels/exits.c) runs on all.  It says a word as its first deed, which is the time to the first instruction, then times
accesses that a device model answers (port-*, memory-*) and some that the kernel answers (local-apic, cpuid; distributor, hypercall).  Memory is what
is resident of the process when it is through, without the guest's RAM.  It needs a /dev/kvm that virtualizes: `scripts/kvm-lab --run bench/kvm.py
build/gcc` has one everywhere, and `scripts/kvm-lab --arch arm64 --run bench/kvm.py build/arm64-host` arm64's.  DIR is the current directory if that is a
build, else build/gcc.  Medians; trust the ratios.
"""
import argparse
import os
import platform
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RAM = 64                # MiB
LIMIT = 300
LEAST, HYVE, QEMU = "least", "hyve", "qemu"
QEMUS = {
    "amd64": ["qemu-system-x86_64", "-M", "q35", "-cpu", "host"],
    "arm64": ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "host"],
}


def commands(build, arch):
    """What runs the kernel, by name."""
    kernel = os.path.join(build, "tests/guest/kernels/exits-" + arch)
    result = {
        LEAST: [os.path.join(build, "bench/kvm_least"), str(RAM), kernel],
        HYVE: [os.path.join(build, "cmd/hyve"), "run", "--arch", arch, "--accel", "kvm", "--memory", "%dM" % RAM, "--net", "none", "--kernel", kernel],
    }
    if shutil.which(QEMUS[arch][0]):
        result[QEMU] = QEMUS[arch] + ["-accel", "kvm", "-m", str(RAM), "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel]
    return result


def resident(pid):
    """KiB of a process that are no guest's memory."""
    total, size = 0, 0
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as maps:
        for line in maps:
            bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if bounds:
                size = int(bounds.group(2), 16) - int(bounds.group(1), 16)
            elif line.startswith("Rss:") and size < RAM << 20:
                total += int(line.split()[1])
    return total


def until(process, word, text):
    """Read the console until it has said a word as a line; what it said."""
    end = time.monotonic() + LIMIT
    while not re.search(rb"^%s\r?$" % word, text, re.M):
        if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit("%s: hung: %s" % (process.args[0], text.decode("utf-8", "replace")[-500:]))
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            sys.exit("%s ended: %s" % (process.args[0], text.decode("utf-8", "replace")[-500:]))
        text += data
    return text


def measure(command, said):
    """Results of one run by name: (number, unit)."""
    said.seek(0)
    said.truncate()
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as process:
        try:
            text = until(process, b"begin", b"")
            results = {"start": ((time.monotonic() - start) * 1000, "ms")}
            text = until(process, b"end", text)
            for name, ticks, count in re.findall(r"^exits (\S+) ([0-9a-f]+) ([0-9a-f]+)\r?$", text.decode("utf-8", "replace"), re.M):
                results[name] = (int(ticks, 16) / int(count, 16), "ticks")
            results["memory"] = (resident(process.pid) / 1024, "MiB")
        except SystemExit:
            said.seek(0)
            sys.stderr.write(said.read().decode("utf-8", "replace"))
            raise
        finally:
            process.kill()
    return results


def report(rounds):
    """A line per result: medians of all, and how many times as much hyve's is as that of each other."""
    for name, (_, unit) in rounds[HYVE][0].items():
        middle = {peer: statistics.median(results[name][0] for results in rounds[peer]) for peer in rounds}
        line = "  %-13s" % name + "".join("  %s %10.2f" % item for item in middle.items()) + " %-5s" % unit
        print(line + "".join("  x%.2f of %s" % (middle[HYVE] / middle[peer], peer) for peer in rounds if peer != HYVE), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measure what hyve adds to KVM.")
    here = os.path.exists("bench/kvm_least")
    parser.add_argument("--build", default=os.getcwd() if here else os.path.join(ROOT, "build/gcc"))
    parser.add_argument("--arch", choices=sorted(QEMUS), default={"aarch64": "arm64"}.get(platform.machine(), "amd64"), help="this host's")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peers = commands(options.build, options.arch)
    rounds = {peer: [] for peer in peers}
    with tempfile.TemporaryFile() as said:
        for _ in range(options.rounds):
            for peer, command in peers.items():
                rounds[peer].append(measure(command, said))
    print("kvm, %s, medians of %d; ticks are the guest's counter's" % (options.arch, options.rounds))
    report(rounds)


main()
