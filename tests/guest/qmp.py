# SPDX-License-Identifier: BSD-2-Clause
"""The control socket, by a client that believes what the schema says (qmp_client.py).

The guest is a kernel of our own that says fifty times a second what its clock shows (kernels/beat.c).
"""
import json
import os
import signal
import stat
import subprocess
import time

import guest
from guest import case, check
from qmp_client import Qmp


def by_hand(context, path):
    """The same by hyve's own verb."""
    def run(*words):
        done = subprocess.run([context.hyve, "qmp", path] + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=guest.LIMIT)
        return done.returncode, done.stdout.decode(), done.stderr.decode()
    code, said, _ = run("query-status")
    check(code == 0 and json.loads(said)["running"], "query-status: %d, %s" % (code, said))
    code, _, errors = run("query-statsu")
    check(code == 1 and "did you mean 'query-status'" in errors, "query-statsu: %d, %s" % (code, errors))
    code, _, errors = run("stop", "{")
    check(code == 1 and "no JSON object" in errors, "stop {: %d, %s" % (code, errors))
    code, _, errors = run("stop", '{"now": true}')
    check(code == 1 and "no member 'now'" in errors, "stop now: %d, %s" % (code, errors))


def start(context, **options):
    path = context.path("control")
    g = context.start(["--kernel", context.kernel("beat"), "--net", "none", "--set", "control=" + path] + guest.ARCHES[context.arch]["exit"],
                      **options)
    return g, path


def beat(g, number=None):
    """The next beat, or the next of that number: its number, and the guest's clock in nanoseconds.  A reset may have cut off the line before it."""
    pattern = r"beat %s ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16})\r?\n" % ("([0-9a-f]{16})" if number is None else "(%016x)" % number)
    fields = [int(field, 16) for field in g.expect(pattern).groups()]
    return fields[0], fields[1] * fields[3] // fields[2] // 10 ** 6


def last_beat(g):
    """The last one that a guest which stands has said."""
    while True:
        seen = len(g.text)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            g.read(0.1)
        if len(g.text) == seen:
            break
    g.seen = g.text.rindex("beat", 0, g.text.rindex("\n"))
    return beat(g)


def stands(qmp, g):
    """The guest is stopped: neither its clock nor its output goes on.  The VM's clock and the last beat."""
    check(qmp.ask("query-status") == {"running": False, "status": "paused"}, "it is not stopped")
    clock = qmp.ask("x-hyve-query-stats")["clock"]
    last = last_beat(g)
    length = len(g.text)
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        g.read(0.1)
    check(len(g.text) == length, "a stopped guest said " + g.text[length:])
    check(qmp.ask("x-hyve-query-stats")["clock"] == clock, "the VM's clock does not stand")
    return clock, last


def stop_and_cont(qmp, other, g):
    beat(g)
    check(qmp.execute("stop") == {} and qmp.execute("stop") == {}, "stop has an answer")
    for client in (qmp, other):
        check(client.event("STOP") is None, "STOP has data")
    began = time.monotonic()
    clock, last = stands(qmp, g)
    stood = (time.monotonic() - began) * 10 ** 9
    check(qmp.execute("cont") == {} and qmp.execute("cont") == {}, "cont has an answer")
    for client in (qmp, other):
        client.event("RESUME")
    check(qmp.ask("query-status")["running"], "it does not run")
    # it goes on where it was
    check(beat(g)[0] == last[0] + 1, "beats are missing behind %d" % last[0])
    beat(g)
    # the guest's clock has not seen the time between: it went on by what the VM's did, but for what was behind the last beats
    qmp.execute("stop")
    for client in (qmp, other):
        client.event("STOP")
    then, end = stands(qmp, g)
    check(end[1] - last[1] <= then - clock + stood / 2,
          "the guest's clock went on by %d ns, the VM's by %d" % (end[1] - last[1], then - clock))
    qmp.execute("cont")
    for client in (qmp, other):
        client.event("RESUME")


def devices(qmp, disk):
    """What is said of two disks, a drive, and the functions that they are."""
    blocks = {block["device"]: block for block in qmp.ask("query-block")}
    disks = sorted(block["inserted"]["image"]["virtual-size"] for block in blocks.values() if not block["removable"])
    drives = [block for block in blocks.values() if block["removable"]]
    check(disks == [1 << 20, 2 << 20] and len(drives) == 1, "the disks are %s" % blocks)
    mine = [block["inserted"] for block in blocks.values() if block["inserted"]["file"] == disk]
    check(len(mine) == 1 and not mine[0]["ro"] and mine[0]["drv"] == "raw", "the disk is %s" % mine)
    check(drives[0]["inserted"]["ro"], "the drive writes: %s" % drives)
    nodes = qmp.ask("query-named-block-nodes")
    check(sorted(node["file"] for node in nodes) == sorted(block["inserted"]["file"] for block in blocks.values()), "the images are %s" % nodes)
    stats = {disk["device"]: disk["stats"] for disk in qmp.ask("query-blockstats")}
    check(set(stats) == set(blocks) and all(disk["failed_wr_operations"] == 0 for disk in stats.values()), "counters of %s" % stats)
    lines = {line["label"]: line["filename"] for line in qmp.ask("query-chardev")}
    check(list(lines.values()).count("console") == 1, "the lines are %s" % lines)
    functions = [function for bus in qmp.ask("query-pci") for function in bus["devices"]]
    found = [function for function in functions if function["id"]["vendor"] == 0x1af4 and function["id"]["device"] == 0x1042]
    check(len(found) == 1 and found[0]["class_info"]["class"] == 0x0180 and
          any(region["address"] > 0 and region["type"] == "memory" for region in found[0]["regions"]), "virtio-blk is %s" % found)
    check(any(function["class_info"]["class"] == 0x0106 for function in functions), "there is no AHCI controller: %s" % functions)


@case()
def a_client_drives_a_vm(context):
    disk = context.path("disk")
    for name, size in (("disk", 1 << 20), ("other", 2 << 20), ("medium", 1 << 20)):
        with open(context.path(name), "wb") as image:
            image.truncate(size)
    g, path = start(context, cpus=2, disks=[disk, context.path("other") + ",device=nvme"],
                    more=["--name", "driven-%d" % os.getpid(), "--set", "uuid=00112233-4455-6677-8899-aabbccddeeff",
                          "--cdrom", context.path("medium")])
    beat(g)
    qmp = Qmp(path)
    info = os.stat(path)
    check(stat.S_ISSOCK(info.st_mode) and info.st_mode & 0o777 == 0o600, "the socket's mode is %o" % info.st_mode)
    check({"qemu", "package"} <= set(qmp.greeting["version"]) and isinstance(qmp.greeting["capabilities"], list), str(qmp.greeting))
    qmp.refused("query-status", "CommandNotFound", "negotiated")
    qmp.negotiate()
    # every question that needs no arguments, by the schema
    for name, entry in sorted(qmp.types.items()):
        if entry["meta-type"] == "command" and (name.startswith("query-") or name.startswith("x-hyve-query-")):
            qmp.ask(name)
    devices(qmp, disk)
    check(qmp.ask("query-name") == {"name": "driven-%d" % os.getpid()}, "the name")
    check(qmp.ask("query-uuid") == {"UUID": "00112233-4455-6677-8899-aabbccddeeff"}, "the identity")
    check(qmp.ask("query-memory-size-summary")["base-memory"] == 256 << 20, "the memory")
    cpus = qmp.ask("query-cpus-fast")
    tasks = os.listdir("/proc/%d/task" % g.process.pid)
    check([cpu["cpu-index"] for cpu in cpus] == [0, 1] and all(str(cpu["thread-id"]) in tasks for cpu in cpus) and
          cpus[0]["target"] == guest.ARCHES[context.arch]["machine"], "the processors are %s" % cpus)
    machines = qmp.ask("query-machines")
    check(len(machines) == 1 and machines[0]["cpu-max"] >= 8, "the machines are %s" % machines)
    check(qmp.ask("query-iothreads") == [], "there are threads for disks")
    check(qmp.ask("query-kvm")["enabled"] == (context.accel == "kvm"), "the back end")
    keys = {key["name"]: key for key in qmp.ask("x-hyve-query-config")}
    check(keys["cpus"]["value"] == "2" and keys["cpus"]["origin"].startswith("argument") and keys["cpus"]["set"], str(keys["cpus"]))
    check(keys["seed"]["origin"] == "default" and not keys["seed"]["set"], str(keys["seed"]))
    qmp.refused("query-statsu", "CommandNotFound", "did you mean 'query-status'")
    qmp.refused("stop", "GenericError", "no member 'now'", now=True)

    by_hand(context, path)

    other = Qmp(path).negotiate()
    silent = Qmp(path)
    stop_and_cont(qmp, other, g)

    if "nmi" in guest.ARCHES[context.arch]["has"]:
        qmp.execute("inject-nmi")
        g.expect(r"^nmi\r?\n")
    else:
        qmp.refused("inject-nmi", "GenericError", "cannot be masked")

    qmp.execute("system_reset")
    for client in (qmp, other):
        check(client.event("RESET") == {"guest": False, "reason": "host-qmp-system-reset"}, "who reset it")
    beat(g, 0)
    beat(g, 1)
    # one that is stopped stays so over a reset
    qmp.execute("stop")
    qmp.execute("system_reset")
    for client in (qmp, other):
        client.event("STOP")
        client.event("RESET")
    check(not qmp.ask("query-status")["running"], "a reset has let it go on")
    g.seen = len(g.text)
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        g.read(0.1)
    check("beat" not in g.text[g.seen:].partition("beat 0000000000000000 ")[2], "it runs")
    # and notices its button when it goes on
    qmp.execute("system_powerdown")
    for client in (qmp, other):
        client.event("POWERDOWN")
    check(qmp.ask("query-status")["status"] == "paused", "the button has let it go on")
    qmp.execute("cont")
    g.expect(r"^button\r?\n")
    g.ends(guest.POWEROFF)
    for client in (qmp, other):
        client.event("RESUME")
        check(client.event("SHUTDOWN") == {"guest": True, "reason": "guest-shutdown"}, "who ended it")
        client.ends()
    silent.ends()
    check(not os.path.exists(path), "the socket is left over")


@case()
def a_stopped_vm_can_be_ended(context):
    """By quit, and by signals, of which the second pulls the plug."""
    for end, reason in ((lambda g, qmp: qmp.execute("quit"), "host-qmp-quit"),
                        (lambda g, qmp: (g.signal(signal.SIGTERM), g.expect_said("asking the guest to power off"), g.signal(signal.SIGINT)),
                         "host-signal")):
        g, path = start(context)
        beat(g)
        qmp = Qmp(path).negotiate()
        qmp.execute("stop")
        qmp.event("STOP")
        end(g, qmp)
        check(qmp.event("SHUTDOWN") == {"guest": False, "reason": reason}, "who ended it")
        qmp.ends()
        g.ends(guest.POWEROFF)


@case()
def a_socket_belongs_to_one(context):
    """Another VM at the same path is refused and told who is there; one that was killed leaves a socket that the next takes."""
    g, path = start(context)
    beat(g)
    other, _ = start(context)
    other.ends(guest.ERROR)
    check("process %d answers at '%s' already" % (g.process.pid, path) in other.said(), "it said " + other.said())
    check(Qmp(path).negotiate().ask("query-status")["running"], "it does not run")
    g.process.kill()
    g.process.wait()
    check(os.path.exists(path), "the socket is gone")
    g, path = start(context)
    beat(g)
    qmp = Qmp(path).negotiate()
    qmp.execute("quit")
    g.ends(guest.POWEROFF)


guest.main()
