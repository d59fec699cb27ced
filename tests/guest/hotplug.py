# SPDX-License-Identifier: BSD-2-Clause
"""Devices that are put behind root ports and taken out while the guest uses them: disks that are written to, networks that are pinged.  Every
write that the guest was told is durable is looked for in the image and, put in again, in the guest."""
import hashlib
import os
import re
import time

import guest
from guest import case, check
from qmp_client import Qmp

PORTS = (16, 17, 18, 19)
CHUNK = 64 << 10
CHUNKS = 256                # of a disk; the writer begins anew behind the last
DISKS, NETS = ("disk1", "disk2"), ("net1", "net2")

# Writes one piece after the other to a disk that it holds open and notes what has become durable; ends with the first that does not.
WRITER = r"""#!/bin/sh
exec 3<>/dev/$1
i=0
while :; do
  { printf "%%s %%08d " $1 $i; tail -c +%d /tmp/block; } >/tmp/piece.$1
  dd if=/tmp/piece.$1 of=/proc/self/fd/3 bs=65536 seek=$((i %% %d)) conv=notrunc,fsync 2>/dev/null || break
  echo $i >>/tmp/durable.$1
  i=$((i + 1))
  [ -e /tmp/stop.$1 ] && break
done
touch /tmp/over.$1
"""


def piece(disk, number):
    head = b"%s %08d " % (disk.encode(), number)
    block = (b"0123456789abcdef" * (CHUNK // 16))
    return head + block[len(head):]


def start(context, more=()):
    path = context.path("control")
    keys = []
    for slot in PORTS:
        keys += ["--set", "pci.0.%d.0.device=root-port" % slot]
    for name in DISKS:
        with open(context.path(name), "wb") as image:
            image.truncate(CHUNK * CHUNKS)
    return path, ["--net", "none", "--set", "control=" + path] + keys + list(more)


def until(g, command, what):
    """A command of the guest ends well at last."""
    end = time.monotonic() + guest.LIMIT
    while not g.run("if %s; then echo @yes; fi" % command).strip().endswith("@yes"):
        check(time.monotonic() < end, "hung: " + what)
        time.sleep(0.1)


def add_disk(qmp, context, name, port):
    qmp.execute("device_add", driver="virtio-blk-pci", id=name, bus="pci.0.%d.0" % port, path=context.path(name), serial=name)


def add_net(qmp, name):
    qmp.execute("device_add", driver="virtio-net", id=name, backend="user", network="10.0.%s.0/24" % name[-1], mac="02:00:00:00:00:0" + name[-1])


def disk_of(g, name):
    """The guest's name of a disk."""
    find = "for d in /sys/block/vd*; do [ \"$(cat $d/serial 2>/dev/null)\" = %s ] && echo ${d##*/}; done" % name
    end = time.monotonic() + guest.LIMIT
    while True:
        found = re.search(r"^(vd\w+)$", g.run(find + "; true"), re.M)
        if found:
            return found.group(1)
        check(time.monotonic() < end, "hung: the guest does not find " + name)


def net_of(g, name):
    find = "grep -l 02:00:00:00:00:0%s /sys/class/net/*/address" % name[-1]
    end = time.monotonic() + guest.LIMIT
    while True:
        found = re.search(r"/net/(\w+)/", g.run(find + "; true"))
        if found:
            return found.group(1)
        check(time.monotonic() < end, "hung: the guest does not find " + name)


def write(g, disk):
    g.run("rm -f /tmp/durable.%s /tmp/over.%s; { /tmp/writer %s >/dev/null 2>&1 & }" % (disk, disk, disk))
    until(g, "[ $(wc -l </tmp/durable.%s 2>/dev/null || echo 0) -gt 3 ]" % disk, "nothing is written to " + disk)


def ping(g, name, nic):
    at = "10.0." + name[-1]
    g.run("ip addr flush dev %s; ip addr add %s.15/24 dev %s; ip link set %s up" % (nic, at, nic, nic))
    g.run("{ ping -i 0.2 -I %s %s.2 >/tmp/%s 2>&1 & }" % (nic, at, name))
    until(g, "[ $(grep -c 'seq=' /tmp/%s) -gt 3 ]" % name, "no answer to pings by " + name)


def durable(g, disk):
    """How many pieces the guest was told are durable."""
    return len(g.run("cat /tmp/durable.%s" % disk).split())


def latest(disk, count):
    """What is to be where: of each place the last piece that was written there."""
    return {number % CHUNKS: piece(disk, number) for number in range(max(0, count - CHUNKS), count)}


def in_image(context, name, disk, count):
    """The image has them; the piece behind them may be there too, in part."""
    with open(context.path(name), "rb") as image:
        for place, want in latest(disk, count).items():
            image.seek(place * CHUNK)
            have = image.read(CHUNK)
            if place != count % CHUNKS:
                check(have == want, "%s: piece %d of %d is lost: %r" % (name, place, count, have[:16]))


def in_guest(g, disk, was, count):
    """The guest reads the same."""
    pieces = latest(was, count)
    pieces.pop(count % CHUNKS, None)
    want = hashlib.sha256(b"".join(pieces[place] for place in sorted(pieces))).hexdigest()
    places = sorted(pieces)
    if places == list(range(len(places))):
        have = g.run("dd if=/dev/%s bs=64k count=%d 2>/dev/null | sha256sum" % (disk, len(places))).split()[0]
        check(have == want, "%s has something else in the guest" % disk)


def gone(qmp, names):
    """These go, in whatever order."""
    left = set(names)
    while left:
        data = qmp.event("DEVICE_DELETED")
        check(data["device"] in left, "%s is gone, of %s" % (data, left))
        left.remove(data["device"])


@case(slow=True)
def under_load(context):
    path, more = start(context)
    g = context.script(cpus=2, more=more)
    qmp = Qmp(path).negotiate()
    g.run("i=0; while [ $i -lt 4096 ]; do echo -n 0123456789abcdef; i=$((i + 1)); done >/tmp/block")
    for line in (WRITER % (len("vda 00000000 ") + 1, CHUNKS)).splitlines():
        g.run("echo '%s' >>/tmp/writer" % line)
    g.run("chmod +x /tmp/writer")
    check(g.run("wc -c </tmp/block").strip() == str(CHUNK), "the guest's block has the wrong size")
    keys = {key["name"] for key in qmp.ask("x-hyve-query-config") if key["set"]}

    # two disks and two networks, at once
    for name, port in zip(DISKS, PORTS):
        add_disk(qmp, context, name, port)
    for name in NETS:
        add_net(qmp, name)
    disks = {name: disk_of(g, name) for name in DISKS}
    nets = {name: net_of(g, name) for name in NETS}
    check(sorted(block["qdev"] for block in qmp.ask("query-block")) == list(DISKS), "query-block lacks a disk")
    check(sum(len(function["pci_bridge"]["devices"]) for function in qmp.ask("query-pci")[0]["devices"] if "pci_bridge" in function) == 4,
          "query-pci lacks a device")
    check([nic["name"] for nic in qmp.ask("query-rx-filter", name="net2")] == ["net2"], "query-rx-filter lacks a network")
    origins = {key["name"]: key["origin"] for key in qmp.ask("x-hyve-query-config") if key["set"] and key["name"] not in keys}
    check(origins and all(name.startswith("pci.1") and origin == "control socket" for name, origin in origins.items()), "new keys: %s" % origins)
    for disk in disks.values():
        write(g, disk)
    for name, nic in nets.items():
        ping(g, name, nic)

    # one of each goes in the middle of its work, and the others do not notice
    for name in ("disk1", "net1"):
        check(qmp.execute("device_del", id=name) == {}, "device_del has an answer")
    qmp.refused("device_del", "GenericError", "has not answered", id="disk1")
    gone(qmp, ("disk1", "net1"))
    until(g, "[ -e /tmp/over.%s ]" % disks["disk1"], "the writer of a disk that is gone goes on")
    first = durable(g, disks["disk1"])
    check(first > 3, "only %d writes were durable" % first)
    in_image(context, "disk1", disks["disk1"], first)
    check([block["qdev"] for block in qmp.ask("query-block")] == ["disk2"], "query-block has a disk that is gone")

    # they come back with what they had, under the same load
    add_disk(qmp, context, "disk1", PORTS[0])
    add_net(qmp, "net1")
    was, disks["disk1"] = disks["disk1"], disk_of(g, "disk1")
    in_guest(g, disks["disk1"], was, first)
    nets["net1"] = net_of(g, "net1")
    g.run("[ ! -e /tmp/over.%s ]" % disks["disk2"])
    write(g, disks["disk1"])
    ping(g, "net1", nets["net1"])

    # all of them
    for name in DISKS + NETS:
        qmp.execute("device_del", id=name)
    gone(qmp, DISKS + NETS)
    for name, disk in disks.items():
        until(g, "[ -e /tmp/over.%s ]" % disk, "the writer of a disk that is gone goes on")
        in_image(context, name, disk, durable(g, disk))
    seen = [int(number) for number in re.findall(r"seq=(\d+)", g.run("cat /tmp/net2"))]
    check(len(seen) > 5 and seen == list(range(len(seen))), "answers to pings are missing: %s" % seen)
    check({key["name"] for key in qmp.ask("x-hyve-query-config") if key["set"]} == keys, "keys are left over")
    check(qmp.ask("query-block") == [], "query-block has a disk that is gone")
    # a window that is nowhere, as only the guest itself can have it
    g.run("printf '\\377\\377\\377\\377' | dd of=$(echo /sys/bus/pci/devices/*:00:10.0/config) bs=1 seek=40 conv=notrunc 2>/dev/null")
    ports = [function["pci_bridge"]["bus"] for function in qmp.ask("query-pci")[0]["devices"] if function["slot"] == PORTS[0]]
    check([port["prefetchable_range"] for port in ports] == [{"base": 1, "limit": 0}], "the port has %s" % ports)
    g.power_off()


@case()
def refused(context):
    """Requests that make no sense leave nothing behind, and each says why; a guest without hot-plug keeps its device until the next reset."""
    disk = context.path("cold")
    with open(disk, "wb") as image:
        image.truncate(1 << 20)
    path, more = start(context, ["--set", "pci.0.16.0.id=rack", "--set", "pci.16.0.0.device=virtio-blk", "--set", "pci.16.0.0.path=" + disk,
                                 "--set", "pci.16.0.0.id=cold", "--set", "pci.16.0.0.bootindex=3"])
    g = context.start(["--kernel", context.kernel("beat")] + guest.ARCHES[context.arch]["exit"], more=more)
    g.expect("beat")
    qmp = Qmp(path).negotiate()
    keys = sorted((key["name"], key.get("value")) for key in qmp.ask("x-hyve-query-config") if key["set"])
    for words, arguments in (
            ("is missing", {"id": "x"}),
            ("did you mean 'virtio-blk'?", {"driver": "virtio-blkk"}),
            ("these can: passthru, virtio-blk, virtio-net", {"driver": "e1000"}),
            ("pci.17.0.0.path: required", {"driver": "virtio-blk"}),
            ("unknown key 'pci.17.0.0.pth'; did you mean 'pci.17.0.0.path'?", {"driver": "virtio-blk", "pth": disk}),
            ("nowhere': cannot be opened: No such file", {"driver": "virtio-blk", "path": context.path("nowhere")}),
            ("true or false", {"driver": "virtio-blk", "path": disk, "ro": [True]}),
            ("pci.17.0.0.ro: ", {"driver": "virtio-blk", "path": disk, "ro": 7}),
            ("is in use", {"driver": "virtio-blk", "path": disk}),
            ("by the key 'path'", {"driver": "virtio-blk", "drive": "d0"}),
            ("by the key 'backend'", {"driver": "virtio-net", "netdev": "n0"}),
            ("there is a device 'cold' already", {"driver": "virtio-net", "id": "cold"}),
            ("there is a device 'rack' already", {"driver": "virtio-net", "id": "rack"}),
            ("cannot be an id", {"driver": "virtio-net", "id": "pci.17.0.0"}),
            ("have the same bootindex, 3", {"driver": "virtio-net", "bootindex": 3}),
            ("'device' is no key", {"driver": "virtio-net", "device": "e1000"}),
            ("device 'cold' is behind root port 'rack' already", {"driver": "virtio-net", "bus": "rack"})):
        qmp.refused("device_add", "GenericError", words, **arguments)
    qmp.refused("device_add", "DeviceNotFound", "did you mean 'pci.0.17.0'?", driver="virtio-net", bus="pci.0.171.0")
    qmp.refused("device_add", "DeviceNotFound", "'pci.0.16.0' is one", driver="virtio-net", bus="nothing-like-it")
    qmp.refused("device_del", "DeviceNotFound", "no device 'd'", id="d")
    qmp.refused("device_del", "GenericError", "fixed", id="pci.0.17.0")
    check(sorted((key["name"], key.get("value")) for key in qmp.ask("x-hyve-query-config") if key["set"]) == keys, "keys are left over")
    # every port, and one more; slots that the guest did not switch on are emptied at once
    for i in range(3):
        qmp.execute("device_add", driver="virtio-net", id="n%d" % i, backend="user")
    qmp.refused("device_add", "GenericError", "behind every root port", driver="virtio-net")
    for i in (1, 0, 2):
        qmp.execute("device_del", id="n%d" % i)
        check(qmp.event("DEVICE_DELETED") == {"device": "n%d" % i, "path": "pci.%d.0.0" % (17 + i)}, "which one is gone")
    # a client's values name no keys: what looks like that is itself, and no way around the look at ids
    odd = context.path("100%.raw")
    with open(odd, "wb") as image:
        image.truncate(1 << 20)
    for number in (1, 2):
        qmp.execute("device_add", driver="virtio-blk", id="%(pci.16.0.0.id)", path=odd, serial="50%%")
        check([(block["qdev"], block["inserted"]["file"]) for block in qmp.ask("query-block")][1:] == [("%(pci.16.0.0.id)", odd)], "another disk")
        qmp.refused("device_add", "GenericError", "already", driver="virtio-net", id="%(pci.16.0.0.id)")
        if number == 1:
            qmp.execute("device_del", id="%(pci.16.0.0.id)")
            check(qmp.event("DEVICE_DELETED")["device"] == "%(pci.16.0.0.id)", "which one is gone")
    qmp.refused("device_add", "GenericError", "at most 64 bytes", driver="virtio-net", id=65 * "x")
    # a VM that is stopped takes one too
    qmp.execute("stop")
    qmp.event("STOP")
    qmp.execute("device_add", driver="virtio-net")
    qmp.execute("cont")
    qmp.event("RESUME")
    # a guest that does not listen
    qmp.execute("device_del", id="cold")
    qmp.refused("device_del", "GenericError", "has not answered", id="pci.16.0.0")
    qmp.execute("system_reset")
    check(qmp.event("DEVICE_DELETED") == {"device": "cold", "path": "pci.16.0.0"}, "which one is gone")
    qmp.event("RESET")
    g.expect("beat 0000000000000000 ")
    check([block["qdev"] for block in qmp.ask("query-block")] == ["%(pci.16.0.0.id)"], "the disk is there, or the other is not")
    left = [key["name"] for key in qmp.ask("x-hyve-query-config") if key["set"] and re.match(r"pci\.1\d\.", key["name"])]
    check(sorted(left) == ["pci.17.0.0." + key for key in ("device", "id", "path", "serial")] + ["pci.18.0.0.device"], "the keys are %s" % left)
    # the image is free again; a machine that it was put into has the keys of one that was configured with it
    qmp.execute("device_add", driver="virtio-blk", id="cold", bus="rack", path=disk, bootindex=3)
    now = sorted((key["name"], key.get("value")) for key in qmp.ask("x-hyve-query-config") if key["set"])
    check([key for key in now if not re.match(r"pci\.1[78]\.", key[0])] == keys, "the keys are %s, not %s" % (now, keys))
    qmp.execute("quit")
    g.ends(guest.POWEROFF)


guest.main()
