# SPDX-License-Identifier: BSD-2-Clause
"""Keys that are each right by themselves and wrong together: what is said of them, word for word."""
import os

import guest
from guest import case, check

DISK = "pci.0.4.0.device=%s pci.0.4.0.path=disk.img"
NIC = "pci.0.4.0.device=virtio-net"

# Keys, and what hyve says behind "hyve: ".
RULES = (
    ("cpus=4 cores=3", "cpus=4, but sockets * cores * threads is 3"),
    ("sockets=8 cores=8 threads=2", "sockets * cores * threads is 128, more than 64"),
    ("cpus=33", "machine 'pc' has at most 32 vCPUs, not 33"),
    ("pci.0.4.0.path=disk.img", "pci.0.4.0.device: required, but not set: which device is in the slot"),
    ("pci.0.4.0.device=virtio-blk", "pci.0.4.0.path: required, but not set: image or block device behind the disk, or the URI of an NBD export"),
    ("pci.0.31.0.device=virtio-rnd", "pci.0.31.0.device: machine 'pc' has its devices in PCI slots 1 to 30"),
    ("pci.20.0.0.device=virtio-rnd",
     "pci.20.0.0.device: on bus 20 is what is behind the root port in slot 20, and there is none: pci.0.20.0.device=root-port"),
    ("pci.0.20.0.device=root-port pci.20.0.0.device=root-port", "pci.20.0.0: behind a port is room for one device without other buses"),
    ("pci.0.4.0.device=virtio-rnd pci.0.4.0.id=it pci.0.20.0.device=root-port pci.0.20.0.id=it",
     "pci.0.4.0 and pci.0.20.0 are both called 'it': an id is one device's, and no other's name"),
    ("pc.testdev=on pci.0.4.0.device=virtio-rnd pci.0.4.0.id=pc-testdev",
     "pci.0.4.0 and pc-testdev are both called 'pc-testdev': an id is one device's, and no other's name"),
    ("pci.0.4.0.id=" + 65 * "x", "argument 12: pci.0.4.0.id: '" + 64 * "x" + "...' is not a string of at most 64 bytes"),
    ("pci.0.4.0.device=virtio-rnd pci.0.4.0.id=pci.0.5.0", "'pci.0.5.0' cannot be an id: it is how places are called"),
    ("pci.0.4.0.device=mc146818", "pci.0.4.0: device 'mc146818' cannot be attached there"),
    (DISK % "virtio-blk" + " pci.0.4.0.sectorsize=1024", "pci.0.4.0: sectorsize is 512 or 4096, not 1024"),
    (DISK % "virtio-blk" + " pci.0.4.0.serial=123456789012345678901", "pci.0.4.0: serial has 21 bytes, and may have 20"),
    ("pci.0.4.0.device=virtio-blk pci.0.4.0.path=odd.img pci.0.4.0.sectorsize=4096",
     "pci.0.4.0: 'odd.img' is not a whole number of sectors of 4096 bytes"),
    (DISK % "nvme" + " pci.0.4.0.sectsz=1024", "pci.0.4.0: sectsz is 512 or 4096, not 1024"),
    (DISK % "nvme" + " pci.0.4.0.eui64=0", "pci.0.4.0: eui64 is a number of 64 bits that is not 0, not '0'"),
    (DISK % "nvme" + " pci.0.4.0.dsm=enable pci.0.4.0.ro=on", "pci.0.4.0: dsm is for a disk that can be written"),
    ("pci.0.4.0.device=ahci", "pci.0.4.0: it has no disk and no CD drive; set port.0.path, or port.0.type=cd"),
    ("pci.0.4.0.device=ahci pci.0.4.0.port.0.path=disk.img pci.0.4.0.port.0.rev=123456789",
     "pci.0.4.0: port.0.rev has 9 bytes, and may have 8"),
    (DISK % "virtio-blk" + " pci.0.4.0.bootindex=1 pci.0.5.0.device=nvme pci.0.5.0.path=other.img pci.0.5.0.bootindex=1 firmware.code=uefi",
     "pci.0.4.0 and pci.0.5.0 have the same bootindex, 1"),
    (NIC + " pci.0.4.0.backend=tap pci.0.4.0.tap=a pci.0.4.0.bridge=b",
     "pci.0.4.0: either tap, which an administrator can put into a bridge, or bridge, for which a new one is made"),
    (NIC + " pci.0.4.0.backend=socket", "pci.0.4.0: the back end 'socket' needs a path, the same at both ends: one of them with 'listen'"),
    (NIC + " pci.0.4.0.host=10.0.2.3 pci.0.4.0.dns=10.0.2.3", "pci.0.4.0: host, dns and dhcpstart are three different addresses"),
    (NIC + " pci.0.4.0.network=192.168.1.0/24 pci.0.4.0.dns=10.0.2.3", "pci.0.4.0: dns: 10.0.2.3 is no host's address in network 192.168.1.0/24"),
    ("pci.0.4.0.device=virtio-console pci.0.4.0.cols=80", "pci.0.4.0: cols and rows come together"),
    ("gdb.wait=on", "gdb.wait: there is nowhere that a debugger could connect to; set gdb.path or gdb.port"),
    ("gdb.path=disk.img", "gdb.path: 'disk.img' is there already and is no socket; choose another path or remove it"),
    ("control=disk.img", "control: 'disk.img' is there already and is no socket; choose another path or remove it"),
    ("log.level=cpu=dbug", "log.level: 'dbug' is no level of a log; did you mean 'debug'?"),
    ("trace=vm.*,blok.begin", "trace: no trace point matches 'blok.begin'; did you mean 'block.begin'?"),
    ("jit_check=100", "jit_check compares native code on one vCPU in virtual time: it needs cpus=1 and clock=icount"),
    ("cpu.model=v9", "cpu.model: amd64 guests have no processor model 'v9'; did you mean 'v2'?"),
    ("boot.module.16.path=disk.img", "argument 12: boot.module.16.path: modules have the numbers 0 to 15"),
    ("boot.module.1.args=x",
     "boot.module.1.path: required, but not set: a module for a PVH or multiboot kernel; they come in the order of their numbers, 0 to 15"),
    ("boot.protocol=xyz", "there is no boot protocol 'xyz' for amd64 guests; there are: linux, pvh, multiboot"),
    ("firmware.code=bios", "a BIOS starts no kernel that is given: leave --firmware out, or --kernel"),
    ("pci.0.4.0.device=virtio-9p pci.0.4.0.path=. pci.0.4.0.sharename=", "pci.0.4.0: sharename has 0 bytes: it needs 1 to 255"),
)


@case
def rules(context):
    if context.arch != "amd64":
        raise guest.Skipped("the rules are the same there; the numbers are a PC's")
    context.needs_soft()
    kernel = context.kernel("ticks")
    for name, size in (("disk.img", 1 << 20), ("other.img", 1 << 20), ("odd.img", 1536)):
        with open(context.path(name), "wb") as image:
            image.truncate(size)
    here = os.getcwd()
    os.chdir(context.directory)
    try:
        for keys, words in RULES:
            arguments = ["--kernel", kernel, "--net", "none"]
            for key in keys.split(" "):
                arguments += ["--set", key]
            g = context.start(arguments, cpus=None)
            g.ends(guest.ERROR)
            check(g.said() == "hyve: %s\n" % words, "%s: %s" % (keys, g.said()))
    finally:
        os.chdir(here)


if __name__ == "__main__":
    guest.main()
