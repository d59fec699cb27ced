#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Disk requests of a guest on hyve's soft back end, by io_uring and by threads, and on QEMU's TCG, in turns; prints ratios.

usage: bench/disk.py [--hyve FILE] [--rounds N] [--folder DIR] [--size MIB] [--cpus N] [MODE]...

The same Debian kernel runs on all, with the same raw image on virtio-blk.  A program of our own (bench/guest/disk.c) reads and writes the device
around the guest's cache: in order, 256 KiB at a time, and 4 KiB anywhere, one request at a time and eight.  MODE says what is between the image and the
host's disk: `cached`, the host's cache, which has all of the image from the first round on, so that it is the way through the hypervisor that is
measured; `direct`, nothing (O_DIRECT).  QEMU gets the same, with aio=io_uring where its build has it, else aio=threads.  Without QEMU only hyve is measured.
Medians; trust the ratios: the machine may be shared.
"""
import argparse
import gzip
import os
import re
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import initramfs  # noqa: E402

LIMIT = 600
MODES = ("cached", "direct")


def guest_files(directory):
    """Debian's kernel, and its initramfs with our program behind it."""
    text = subprocess.check_output([os.path.join(ROOT, "scripts/fetch-guest"), "--arch", "amd64"], text=True)
    images = dict(line.split("=", 1) for line in text.splitlines())
    program, initrd = os.path.join(directory, "disk-bench"), os.path.join(directory, "initrd")
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-static", "-o", program, os.path.join(ROOT, "bench/guest/disk.c")], check=True)
    with open(initrd, "wb") as raw:
        with open(images["initrd"], "rb") as file:
            shutil.copyfileobj(file, raw)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as out, open(program, "rb") as file:
            files = initramfs.Archive(out)
            files.add("disk-bench", stat.S_IFREG | 0o755, file.read())
            files.end()
    return images["kernel"], initrd, images["version"]


def qemu_engine(image):
    """The aio= that this QEMU can: io_uring needs the direct mode of none of its caches, but a build with it."""
    done = subprocess.run(["qemu-system-x86_64", "-M", "none", "-display", "none", "-monitor", "stdio", "-drive",
                           "file=%s,format=raw,if=none,aio=io_uring" % image], input=b"quit\n", stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    return "io_uring" if done.returncode == 0 else "threads"


def commands(options, kernel, initrd, image, mode):
    append = 'console=ttyS0 quiet guest.run="/disk-bench /dev/vda; poweroff -f"'
    result = {}
    for engine in ("io_uring", "threads"):
        disk = "%s,format=raw,aio=%s" % (image, engine) + (",nocache=true" if mode == "direct" else "")
        result["hyve " + engine] = [options.hyve, "run", "--accel", "soft", "--memory", "512M", "--cpus", str(options.cpus), "--net", "none",
                                    "--kernel", kernel, "--initrd", initrd, "--append", append, "--disk", disk]
    if shutil.which("qemu-system-x86_64"):
        engine = qemu_engine(image)
        result["qemu " + engine] = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64", "-m", "512", "-smp", str(options.cpus),
                                    "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
                                    "-append", append, "-drive", "file=%s,format=raw,if=virtio,aio=%s,cache=%s" %
                                    (image, engine, "none" if mode == "direct" else "writeback")]
    return result


def measure(command):
    """Results of one run by name, with units."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
    text = done.stdout.decode("utf-8", "replace")
    results = {name: (float(value), unit) for name, value, unit in re.findall(r"bench (\S+) (\S+) (\S+)", text)}
    if "end" not in results:
        sys.exit("%s: the guest did not come to its end: %s" % (" ".join(command), text[-500:]))
    del results["end"]
    return results


def report(rounds):
    """A line per test: medians of all, and how many times as much hyve's ways are as the last, which is QEMU's."""
    peers = list(rounds)
    for name, (_, unit) in rounds[peers[0]][0].items():
        middle = [statistics.median(results[name][0] for results in rounds[peer]) for peer in peers]
        line = "  %-18s" % name + "".join("  %s %8.0f" % item for item in zip(peers, middle)) + " " + unit
        if len(peers) > 2:
            line += "   x%.2f x%.2f" % (middle[0] / middle[2], middle[1] / middle[2])
        print(line + "   io_uring/threads %.2f" % (middle[0] / middle[1]), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measure disks of guests on hyve and on QEMU.")
    parser.add_argument("--hyve", default=os.path.join(ROOT, "build/gcc/cmd/hyve"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the image is made (the place for temporary files)")
    parser.add_argument("--size", type=int, default=256, help="of the image, in MiB")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("modes", nargs="*", metavar="MODE", help=" ".join(MODES))
    options = parser.parse_args()
    for mode in options.modes:
        if mode not in MODES:
            parser.error("no mode '%s'; there are: %s" % (mode, " ".join(MODES)))
    with tempfile.TemporaryDirectory(prefix="hyve-bench.", dir=options.folder) as directory:
        kernel, initrd, version = guest_files(directory)
        image = os.path.join(directory, "disk.img")
        with open(image, "wb") as file:
            for _ in range(options.size):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        for mode in options.modes or MODES:
            print("%s, %s, %d MiB on virtio-blk, medians of %d; xN: hyve, by io_uring and by threads, has N times what QEMU's TCG has" %
                  (mode, version, options.size, options.rounds))
            peers = commands(options, kernel, initrd, image, mode)
            rounds = {peer: [] for peer in peers}
            for _ in range(options.rounds):
                for peer, command in peers.items():
                    rounds[peer].append(measure(command))
            report(rounds)


main()
