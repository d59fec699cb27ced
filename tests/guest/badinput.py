# SPDX-License-Identifier: BSD-2-Clause
"""What hyve run cannot start gets one line that says why, and exit code 4."""
import os
import shutil
import subprocess

import guest
from guest import case, check


def refused(context, arguments, names):
    """hyve run ends with a single line that has `names` in it, and starts nothing."""
    g = context.start(arguments)
    g.ends(guest.ERROR)
    said = g.said()
    check(said.startswith("hyve: ") and said.count("\n") == 1 and said.endswith("\n"), "not one line: " + said)
    check(names in said, "no '%s' in: %s" % (names, said))
    check(g.text == "", "something is on standard output: " + g.text[:200])


def kernel(context):
    return ["--kernel", context.fetch()["kernel"]]


def file_of(context, name, data):
    path = context.path(name)
    with open(path, "wb") as file:
        file.write(data)
    return path


@case
def no_kernel(context):
    """What is for a kernel is nothing without one."""
    refused(context, ["--append", "quiet"], "--kernel")
    refused(context, ["--initrd", context.fetch()["initrd"]], "--kernel")


@case
def missing_files(context):
    missing = context.path("nowhere")
    refused(context, ["--kernel", missing], missing)
    refused(context, kernel(context) + ["--initrd", missing], missing)
    refused(context, kernel(context) + ["--disk", missing], missing)
    refused(context, ["--kernel", context.directory], context.directory)


@case
def not_a_kernel(context):
    for name, data in (("text", b"no kernel at all\n" * 1000), ("zeros", bytes(100000)), ("empty", b""), ("byte", b"M")):
        path = file_of(context, name, data)
        refused(context, ["--kernel", path], path)


@case
def truncated_kernel(context):
    with open(context.fetch()["kernel"], "rb") as file:
        data = file.read()
    for size in (100, 600, 4096, 100000, len(data) // 2, len(data) - 65536):
        path = file_of(context, "cut%d" % size, data[:size])
        refused(context, ["--kernel", path], path)


@case
def cpus(context):
    for count in ("0", "1000", "-1", "many", "99999999999999999999"):
        refused(context, kernel(context) + ["--cpus", count], count)


@case
def memory(context):
    for size in ("1K", "0", "1P", "-1", "much", "99999999999999999999G"):
        refused(context, kernel(context) + ["--memory", size], size)


@case
def too_little_memory(context):
    """The kernel says how much it needs where it is loaded."""
    for size in guest.ARCHES[context.arch]["little"]:
        refused(context, kernel(context) + ["--memory", size], "memory")
    large = context.path("large")
    with open(large, "wb") as file:
        file.truncate(300 << 20)
    refused(context, kernel(context) + ["--initrd", large, "--memory", "256M"], "memory")


@case
def unwritable_disk(context):
    """A program that runs cannot be opened for writing, not even by root."""
    program = context.path("program")
    shutil.copyfile(shutil.which("sleep"), program)
    os.chmod(program, 0o755)
    os.truncate(program, (os.path.getsize(program) + 511) // 512 * 512)
    running = subprocess.Popen([program, "1000"])
    try:
        refused(context, kernel(context) + ["--disk", program], program)
    finally:
        running.kill()
        running.wait()


@case
def odd_disks(context):
    odd = file_of(context, "odd", bytes(1000))
    refused(context, kernel(context) + ["--disk", odd], odd)
    refused(context, kernel(context) + ["--disk", context.directory], context.directory)
    good = file_of(context, "good", bytes(4096))
    refused(context, kernel(context) + ["--disk", good + ",colour=red"], "colour")


@case
def long_command_line(context):
    refused(context, kernel(context) + ["--append", "x" * 60000], "command line")
    refused(context, kernel(context) + ["--append", "x" * 100000], "boot.cmdline")


@case
def unknown_names(context):
    refused(context, kernel(context) + ["--set", "pci.0.5.0.device=no-such"], "no-such")
    refused(context, kernel(context) + ["--set", "no.such.key=1"], "no.such.key")
    g = context.start(kernel(context) + ["--accel", "steam"])
    g.ends(guest.ERROR)
    check("steam" in g.said(), "the back end is not named: " + g.said())


guest.main()
