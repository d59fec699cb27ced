#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same guests on hyve's soft back end and on QEMU's TCG, in turns; ratios.

usage: bench/guest.py [--hyve FILE] [--arch ARCH] [--rounds N] [--only TEST] [boot | firmware | guest | idle | login | start]...

Ratios and figures that hyve is to have are printed behind the figures, with "missed" where they are not reached.

  boot    Debian's cloud kernel to user space and power off: wall clock and processor time of the whole process
  start   from the start of the process to the first instructions of a guest that ends the run (by a port, by PSCI), and back
  idle    processor time that a Debian guest takes at its shell's `sleep`, in percent of one processor
  firmware processor time of Debian's OVMF or AAVMF up to its shell, and the instructions that the guest executed on hyve
  login   the same up to GRUB, and up to the login of a Debian with systemd (fetch-guest --disk), from a qcow2 overlay on virtio-blk; for a PC by
          SeaBIOS too
  guest   integer, floating point, memory, system calls and so on (bench/guest/bench.c; --only TEST, of these), and what the process
          takes beside guest RAM

QEMU is Debian's qemu-system-x86 or qemu-system-arm; without it only hyve is measured.  Where the machine is shared, trust the
ratios: the two take turns, and medians are printed.
"""
import argparse
import gzip
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import stat
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import initramfs  # noqa: E402

LIMIT = 600
MEMORY = 512            # MiB
POWERED_OFF = {"hyve": 1, "qemu": 0}

# What an architecture needs; `start` are flags that link its kernel of bench/guest/ARCH/start.S, which objcopy makes a binary if it is
# to be none of ELF; `exit` is how a run of it ends, if not by powering off.
ARCHES = {
    "amd64": {
        "machine": "x86_64", "console": "ttyS0", "binary": False, "firmware": ("ovmf", "usr/share/ovmf/OVMF.fd"),
        "start": ["-m32", "-Wl,-n,--no-warn-rwx-segments,-Ttext=0x100000"], "hyve_start": ["--set", "pc.debug_exit=on"], "exit": 1,
        "qemu": ["qemu-system-x86_64", "-M", "q35", "-cpu", "qemu64"], "qemu_start": ["-device", "isa-debug-exit"],
    },
    "arm64": {
        "machine": "aarch64", "console": "ttyAMA0", "binary": True,
        "firmware": ("qemu-efi-aarch64", "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"),
        "start": [], "hyve_start": [], "exit": None,
        "qemu": ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a57"], "qemu_start": [],
    },
}


# Ratios to TCG that are the aim: of amd64 and arm64.
TARGETS = {
    "integer": (1.7, 1.4), "n-body": (4, 4), "LU": (4, 4), "libm": (4, 4), "x87": (5, None), "memcpy": (4, 4), "memset": (4, 4),
    "getppid": (1.5, 5), "pipe": (3, 5), "faults": (1.5, 2), "fork+exec": (1.5, 2), "gzip": (1.7, 1.5), "sha256sum": (1.7, 1.5),
    "boot and power off": (1.5, 1.5), "firmware, processor": (1.5, 1.5), "GRUB by UEFI, processor": (1.5, 1.5),
    "login by UEFI, processor": (1.5, 1.5), "login by BIOS, processor": (1.5, None),
}

# Figures of hyve's own that are the aim, at most.
AT_MOST = {"idle": 1}


class Missing(Exception):
    """What cannot be measured here, and why."""


class Bench:
    def __init__(self, options, directory):
        self.arch = options.arch
        self.table = ARCHES[options.arch]
        self.hyve = options.hyve
        self.rounds = options.rounds
        self.only = options.only
        self.directory = directory
        self.peers = ["hyve"]
        if shutil.which(self.table["qemu"][0]):
            self.peers.append("qemu")
        else:
            print("%s is missing: only hyve is measured" % self.table["qemu"][0])

    def path(self, name):
        return os.path.join(self.directory, name)

    def control(self, peer):
        """The socket that tells what a guest of hyve's did; None: the peer has none."""
        return self.path("control") if peer == "hyve" else None

    def fetch(self, *arguments):
        """What scripts/fetch-guest prints."""
        text = subprocess.run([os.path.join(ROOT, "scripts/fetch-guest"), "--arch", self.arch] + list(arguments), stdout=subprocess.PIPE,
                              text=True, check=False).stdout
        if not text:
            raise Missing("fetch-guest has none for %s" % self.arch)
        return dict(line.split("=", 1) for line in text.splitlines())

    def debian(self):
        return self.fetch()

    def firmware(self):
        package, image = self.table["firmware"]
        return os.path.join(self.fetch("--unpack", package)[package], image)

    def tool(self, name, *arguments):
        """Run gcc or objcopy for the guest's architecture."""
        if platform.machine() != self.table["machine"]:
            name = self.table["machine"] + "-linux-gnu-" + name
        if shutil.which(name) is None:
            raise Missing("there is no " + name)
        done = subprocess.run([name] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Missing("%s fails: %s" % (name, done.stdout.strip().split("\n")[-1]))

    def compile(self, source, output, *flags):
        self.tool("gcc", "-o", output, os.path.join(ROOT, "bench/guest", source), *flags)

    def command(self, peer, kernel, initrd=None, append=None, start=False):
        if peer == "hyve":
            command = [self.hyve, "run", "--arch", self.arch, "--accel", "soft", "--memory", "%dM" % MEMORY, "--kernel", kernel]
            command += self.table["hyve_start"] if start else []
            option = "--"
        else:
            command = self.table["qemu"] + ["-accel", "tcg", "-m", str(MEMORY), "-nodefaults", "-display", "none", "-no-reboot",
                                            "-kernel", kernel]
            command += self.table["qemu_start"] if start else ["-serial", "stdio"]
            option = "-"
        for name, value in (("initrd", initrd), ("append", append)):
            command += [option + name, value] if value is not None else []
        return command


def run(command, expected):
    """Wall clock and processor seconds of a process that must end with a status."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT,
                          check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != expected:
        sys.exit("%s: status %d: %s" % (" ".join(command), done.returncode, done.stderr.decode("utf-8", "replace")[-500:]))
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(bench, title, unit, results, more_is_better=False):
    """A line: the medians, how much better hyve is, and whether that is what it is to be."""
    medians = {peer: statistics.median(values) for peer, values in results.items()}
    line = "  %-22s" % title + "".join("  %s %10.4g" % (peer, value) for peer, value in medians.items()) + " " + unit
    if len(medians) == 2:
        ratio = medians["hyve"] / medians["qemu"]
        ratio = ratio if more_is_better else 1 / ratio
        line += "   x%.2f" % ratio
        target = TARGETS.get(title, (None, None))[sorted(ARCHES).index(bench.arch)]
        if target is not None:
            line += "   target %g%s" % (target, "" if ratio >= target else ", missed")
    if title in AT_MOST:
        line += "   target: below %g %s%s" % (AT_MOST[title], unit, "" if medians["hyve"] < AT_MOST[title] else ", missed")
    print(line, flush=True)


def times(bench, commands, expected, rounds, scale, unit, title):
    results = {peer: [] for peer in bench.peers}
    for _ in range(rounds):
        for peer in bench.peers:
            results[peer].append(run(commands[peer], expected[peer]))
    compare(bench, title, unit, {peer: [r[0] * scale for r in values] for peer, values in results.items()})
    compare(bench, "  of processor", unit, {peer: [r[1] * scale for r in values] for peer, values in results.items()})


def boot(bench):
    debian = bench.debian()
    append = 'console=%s quiet guest.run="poweroff -f"' % bench.table["console"]
    commands = {peer: bench.command(peer, debian["kernel"], debian["initrd"], append) for peer in bench.peers}
    times(bench, commands, POWERED_OFF, bench.rounds, 1, "s", "boot and power off")


def start(bench):
    kernel = bench.path("start")
    bench.compile(bench.arch + "/start.S", kernel, "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
                  *bench.table["start"])
    if bench.table["binary"]:
        bench.tool("objcopy", "-O", "binary", kernel)
    commands = {peer: bench.command(peer, kernel, start=True) for peer in bench.peers}
    expected = POWERED_OFF if bench.table["exit"] is None else {peer: bench.table["exit"] for peer in bench.peers}
    times(bench, commands, expected, max(20, bench.rounds), 1000, "ms", "start, end")


def beside_ram(pid):
    """MiB of a process that are no guest RAM, its mappings of that size: (proportional, anonymous)."""
    pss = anonymous = size = 0
    ram = False
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as smaps:
        for line in smaps:
            fields = line.split()
            if not fields[0].endswith(":"):
                ram = False
            elif fields[0] == "Size:":
                size = int(fields[1])
                ram = size >= MEMORY * 512          # half of it, in KiB: RAM may come in pieces
            elif fields[0] == "Pss:" and not ram:
                pss += int(fields[1])
            elif fields[0] == "Anonymous:" and not ram:
                anonymous += int(fields[1])
    return pss / 1024, anonymous / 1024


def in_guest(bench, command):
    """One run of the guest's program: its results by name, with units."""
    results = {}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        for line in process.stdout:
            match = re.match(r"bench (\S+) (\S+) (\S+)", line.decode("utf-8", "replace"))
            if match:
                results[match.group(1)] = float(match.group(2)), match.group(3)
                if match.group(1) != "end":
                    memory = beside_ram(process.pid)
                    results["memory"], results["anonymous"] = (memory[0], "MiB"), (memory[1], "MiB")
        process.wait(LIMIT)
    finally:
        process.kill()
        process.wait()
    if "end" not in results:
        sys.exit("%s: the guest did not come to its end: %s" % (" ".join(command), sorted(results)))
    return results


def guest(bench):
    program, archive = bench.path("init"), bench.path("initrd.gz")
    bench.compile("bench.c", program, "-std=gnu11", "-O2", "-static", "-lm")
    with open(archive, "wb") as raw, gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as out:
        files = initramfs.Archive(out)
        files.add("dev", stat.S_IFDIR | 0o755)
        files.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for name, path in (("init", program), ("busybox", bench.debian()["busybox"])):
            with open(path, "rb") as file:
                files.add(name, stat.S_IFREG | 0o755, file.read())
        files.end()
    kernel, append = bench.debian()["kernel"], "console=%s quiet" % bench.table["console"]
    if bench.only:
        append += " -- " + " ".join(bench.only)
    rounds = {peer: [] for peer in bench.peers}
    for _ in range(bench.rounds):
        for peer in bench.peers:
            rounds[peer].append(in_guest(bench, bench.command(peer, kernel, archive, append)))
    for name, (_, unit) in rounds["hyve"][0].items():
        if name not in ("ready", "end"):
            memory = unit == "MiB"
            compare(bench, name + " beside RAM" if memory else name, unit,
                    {peer: [result[name][0] for result in results] for peer, results in rounds.items()}, not memory)


def spent(pid):
    """Processor seconds of a process."""
    with open("/proc/%d/stat" % pid, encoding="utf-8") as stat_file:
        fields = stat_file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asleep(command):
    """Percent of a processor that a guest takes which sleeps, once it has settled."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        for line in process.stdout:
            if b"bench: idle" in line:
                break
        time.sleep(5)
        before, start = spent(process.pid), time.monotonic()
        time.sleep(20)
        return 100 * (spent(process.pid) - before) / (time.monotonic() - start)
    finally:
        process.kill()
        process.wait()


def idle(bench):
    debian = bench.debian()
    append = 'console=%s quiet guest.run="echo bench: idle; sleep 600"' % bench.table["console"]
    results = {peer: [] for peer in bench.peers}
    for _ in range(bench.rounds):
        for peer in bench.peers:
            results[peer].append(asleep(bench.command(peer, debian["kernel"], debian["initrd"], append)))
    compare(bench, "idle", "%", results)


def retired(control):
    """Instructions that a guest of hyve's has executed, which the VM's control socket tells."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(control)
        answers = client.makefile()
        answers.readline()
        for command in ("qmp_capabilities", "x-hyve-query-stats"):
            client.sendall(json.dumps({"execute": command}).encode())
            answer = json.loads(answers.readline())["return"]
    return sum(sum(c["values"]) for c in answer["counters"] if c["what"] == "instructions retired")


def until(command, *texts, control=None):
    """(Processor seconds of a process, its guest's instructions) up to each of some texts on its console, in their order.

    QEMU counts no instructions as long as it does not keep time by them.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said, figures = b"", []
    try:
        for text in texts:
            while text not in said:
                more = process.stdout.read1(4096)
                if not more:
                    sys.exit("%s: it ended before '%s': %s" % (" ".join(command), text.decode(), said.decode("utf-8", "replace")[-500:]))
                said = (said + more)[-4096:]
            figures.append((spent(process.pid), retired(control) if control else None))
        return figures
    finally:
        process.kill()
        process.wait()


def firmware_commands(bench, image, memory, disk=None):
    """Commands that start firmware."""
    commands = {
        "hyve": [bench.hyve, "run", "--arch", bench.arch, "--accel", "soft", "--cpus", "1", "--memory", "%dM" % memory, "--net", "none",
                 "--firmware", image, "--set", "control=" + bench.path("control")],
        "qemu": bench.table["qemu"] + ["-accel", "tcg", "-m", str(memory), "-nodefaults", "-display", "none", "-serial", "stdio", "-bios", image],
    }
    if disk is not None:
        commands["hyve"] += ["--disk", disk]
        commands["qemu"] += ["-drive", "if=none,id=d,format=qcow2,file=" + disk, "-device", "virtio-blk-pci,drive=d"]
    return commands


def compare_places(bench, results, places):
    """Lines about what until() told of each place: the processor's time, and hyve's instructions."""
    for i, place in enumerate(places):
        compare(bench, place + ", processor", "s", {peer: [r[i][0] for r in values] for peer, values in results.items()})
        compare(bench, "  in instructions", "million", {"hyve": [r[i][1] / 1e6 for r in results["hyve"]]})


def firmware(bench):
    commands = firmware_commands(bench, bench.firmware(), MEMORY)
    results = {peer: [] for peer in bench.peers}
    for _ in range(bench.rounds):
        for peer in bench.peers:
            results[peer].append(until(commands[peer], b"any other key to continue", control=bench.control(peer)))
    compare_places(bench, results, ["firmware"])


def login(bench):
    base, overlay = bench.fetch("--hyve", bench.hyve, "--disk")["disk"], bench.path("overlay.qcow2")
    if shutil.which("qemu-img") is None:
        raise Missing("there is no qemu-img")
    images = {"UEFI": bench.firmware()}
    if bench.arch == "amd64":
        images["BIOS"] = os.path.join(bench.fetch("--unpack", "seabios")["seabios"], "usr/share/seabios/bios-256k.bin")
    for kind, image in images.items():
        commands = firmware_commands(bench, image, 1024, overlay)
        if kind == "BIOS":
            commands["qemu"] += ["-M", "graphics=off"]         # its console is the serial port then
        results = {peer: [] for peer in bench.peers}
        for _ in range(bench.rounds):
            for peer in bench.peers:
                subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay], check=True)
                results[peer].append(until(commands[peer], b"Welcome to GRUB", b"debian login: ", control=bench.control(peer)))
        compare_places(bench, results, ["%s by %s" % (place, kind) for place in ("GRUB", "login")])


PARTS = {"boot": boot, "firmware": firmware, "start": start, "idle": idle, "guest": guest, "login": login}


def main():
    parser = argparse.ArgumentParser(description="Measure guests on hyve and on QEMU.")
    parser.add_argument("--hyve", default=os.path.join(ROOT, "build/gcc/cmd/hyve"))
    parser.add_argument("--arch", choices=sorted(ARCHES), action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="TEST", action="append")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error("no part '%s'; there are: %s" % (part, " ".join(PARTS)))
    for arch in options.arch or sorted(ARCHES):
        options.arch = arch
        print("%s, medians; xN: hyve is N times as good as QEMU's TCG" % arch)
        with tempfile.TemporaryDirectory(prefix="hyve-bench.") as directory:
            bench = Bench(options, directory)
            for part in options.parts or sorted(PARTS):
                try:
                    PARTS[part](bench)
                except Missing as why:
                    print("  %s is not measured: %s" % (part, why))


main()
