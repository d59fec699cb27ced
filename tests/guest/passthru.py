# SPDX-License-Identifier: BSD-2-Clause
"""Devices of the host in the guest: those that HYVE_TEST_PASSTHRU names, an NVMe disk that is only read and a NIC of e1000e's driver, which is put behind a root
port and taken out.  While the test runs they are vfio-pci's, and the host's own driver has them again behind it.  The kvm lab has two to give away; nothing
else has, unless it says so."""
import glob
import hashlib
import os
import re
import time

import guest
from guest import case, check
from qmp_client import Qmp

PCI = "/sys/bus/pci/"
SLOTS = (20, 21)


def put(path, text):
    with open(PCI + path, "w", encoding="ascii") as file:
        file.write(text)


def link(name, what):
    path = "%sdevices/%s/%s" % (PCI, name, what)
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else None


def given():
    """The NVMe disk and the NIC."""
    names = os.environ.get("HYVE_TEST_PASSTHRU", "").split()
    if len(names) != 2:
        raise guest.Skipped("no device of this host to give away: HYVE_TEST_PASSTHRU names no NVMe disk and NIC")
    for name in names:
        if link(name, "iommu_group") is None:
            raise guest.Skipped("no IOMMU group for %s" % name)
    return names


class Given:
    """Devices that are vfio-pci's meanwhile.  The host waits for whoever has one, so no guest is left when they are taken back."""

    def __init__(self, context, names):
        self.guests = context.guests
        self.drivers = {name: link(name, "driver") for name in names}

    def bind(self, name, driver):
        if link(name, "driver") is not None:
            put("devices/%s/driver/unbind" % name, name)
        put("devices/%s/driver_override" % name, driver or "\n")
        put("drivers_probe", name)

    def __enter__(self):
        for name in self.drivers:
            self.bind(name, "vfio-pci")
        return self

    def __exit__(self, *why):
        for g in self.guests:
            g.process.kill()
            g.process.wait()
        for name in self.drivers:
            self.bind(name, None)


def on_host(name):
    """The sum of the disk, read by the host's driver."""
    end = time.monotonic() + guest.LIMIT
    while True:
        found = glob.glob("%sdevices/%s/nvme/nvme*/nvme*n1" % (PCI, name))
        if found and os.path.exists("/dev/" + os.path.basename(found[0])):
            break
        check(time.monotonic() < end, "hung: the host does not find its disk %s" % name)
        time.sleep(0.2)
    with open("/dev/" + os.path.basename(found[0]), "rb") as disk:
        return hashlib.sha256(disk.read()).hexdigest()


def keys(names):
    more = ["--net", "none"]
    for slot, name in zip(SLOTS, names):
        more += ["--set", "pci.0.%d.0.device=passthru" % slot, "--set", "pci.0.%d.0.pptdev=%s" % (slot, name)]
    return more


def refused(context, names, words):
    g = context.start(["--kernel", context.fetch()["kernel"]] + keys(names))
    g.ends(guest.ERROR)
    check(words in g.said(), "hyve says '%s', not '%s'" % (g.said(), words))


def interrupts(g, name):
    """How many the guest had of those with this name, and of what kind they are."""
    rows = [line.split() for line in g.run("grep %s /proc/interrupts" % name).split("\n") if name in line and ":" in line]
    return sum(int(number) for row in rows for number in row[1:2]), " ".join(" ".join(row[2:]) for row in rows)


def nic_of(g, mac):
    """What the guest calls the NIC with this address, once it has found it."""
    end = time.monotonic() + guest.LIMIT
    while True:
        found = re.search(r"/net/(\w+)/address", g.run("grep -l %s /sys/class/net/*/address; true" % mac))
        if found:
            return found.group(1)
        check(time.monotonic() < end, "hung: the guest does not find its NIC")
        time.sleep(0.2)


def use(g, digest, mac, wanted="MSI"):
    """Both devices work, with interrupts of this kind."""
    check(digest in g.run("sha256sum /dev/nvme0n1"), "the disk is another one")
    count, kind = interrupts(g, "nvme0q")
    check(wanted in kind and count > 0, "%d interrupts of the disk: %s" % (count, kind))
    g.run("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/nvme0n1 of=/dev/null bs=4096 count=64 2>/dev/null")
    check(interrupts(g, "nvme0q")[0] > count, "no more interrupts of the disk")
    # the device is reset alone, and its driver goes on
    g.run("echo 3 >/proc/sys/vm/drop_caches; echo 1 >/sys/class/nvme/nvme0/device/reset")
    check(digest in g.run("sha256sum /dev/nvme0n1"), "the disk is another one after its reset")
    nic = nic_of(g, mac)
    g.run("ip link set %s up" % nic)
    g.run("udhcpc -i %s -n -q -t 20 2>&1" % nic)
    check("10.0.2.15" in g.run("ip addr show " + nic), "no address by DHCP")
    count, kind = interrupts(g, nic)
    check(wanted in kind and count > 0, "%d interrupts of the NIC: %s" % (count, kind))


def host_knows(names):
    """The sum of the disk and the NIC's address, as the host's drivers have them."""
    with open(glob.glob("%sdevices/%s/net/*/address" % (PCI, names[1]))[0], encoding="ascii") as address:
        return on_host(names[0]), address.read().strip()


@case(slow=True, flavours=(guest.GENERIC,))
def devices_of_the_host(context):
    names = given()
    if context.accel == "soft":
        refused(context, names[:1], "the soft back end cannot give host devices to a guest")
        return
    digest, mac = host_knows(names)
    refused(context, names[:1], "it is bound to 'nvme', and needs vfio-pci")
    control = context.path("control")
    with Given(context, names):
        g = context.script("guest.load=e1000e", more=keys(names[:1]) + ["--set", "pci.0.%d.0.device=root-port" % SLOTS[1], "--set", "control=" + control])
        qmp = Qmp(control)
        qmp.negotiate()
        qmp.execute("device_add", driver="passthru", id="nic", pptdev=names[1])
        use(g, digest, mac)
        refused(context, names[:1], "is in use: another process")
        qmp.refused("device_del", "GenericError", "fixed", id="pci.0.%d.0" % SLOTS[0])
        qmp.execute("system_reset")
        qmp.event("RESET")
        g.expect(r"guest: script\r?\n")
        use(g, digest, mac)
        # it goes, is the host's meanwhile, and comes again
        for number in range(2):
            qmp.execute("device_del", id="nic")
            check(qmp.event("DEVICE_DELETED")["device"] == "nic", "which one is gone")
            check(mac not in g.run("cat /sys/class/net/*/address"), "the guest has its NIC still")
            if number == 0:
                qmp.execute("device_add", driver="passthru", id="nic", pptdev=names[1])
                nic_of(g, mac)
        qmp.refused("device_add", "GenericError", "no such PCI device", driver="passthru", pptdev="ffff:ff:1f.7")
        g.power_off()
    check(on_host(names[0]) == digest, "the disk has changed")


@case(slow=True, long=True, flavours=(guest.GENERIC,))
def pins_of_devices_of_the_host(context):
    names = given()
    if context.accel != "kvm":
        raise guest.Skipped("soft has no devices of the host")
    digest, mac = host_knows(names)
    with Given(context, names):
        g = context.script("guest.load=e1000e pci=nomsi", more=keys(names))
        use(g, digest, mac, "fasteoi")
        g.power_off()


guest.main()
