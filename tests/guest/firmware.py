#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stock UEFI firmware of Debian's packages on both machines: its shell, its variables, a disk by GRUB, a kernel handed to it; and on
arm64 U-Boot."""
import functools
import http.server
import os
import threading

import guest
from guest import case, check
from qmp_client import Qmp
from stock import (FIRMWARE, FIRST, bios_disk, console, firmware, grub_config, grub_disk, grub_esp, grub_pc, host, images, one_partition, seabios,
                   u_boot_image)

GUID = "1f2a3c86-5b0e-4d0b-9d5f-6f2b0a51c7e4"       # not EFI_GLOBAL_VARIABLE, whose names are a closed list


def shell(g):
    """To the firmware's shell, past its countdown."""
    g.expect("UEFI Interactive Shell")
    g.expect(r"any other key to continue")
    g.send("\x1b")
    g.expect("Shell> ")


@case(slow=True)
def variables_persist(context):
    """A variable set in the shell is there after a reset and in the next VM with the same file."""
    variables = context.path("vars.fd")
    g = firmware(context, images(context)["code"], "firmware.vars=" + variables)
    shell(g)
    g.send("setvar HyveTest -guid %s -nv -bs =0xC0FFEE\r" % GUID)
    g.expect("Shell> ")
    g.send("reset\r")
    shell(g)
    g.send("setvar HyveTest -guid %s\r" % GUID)
    g.expect("EE FF C0 00")
    g.send("reset -s\r")
    g.ends(guest.POWEROFF)
    check(os.path.getsize(variables) == FIRMWARE[context.arch]["variables"], "the file of variables has another size")
    check(not os.path.exists(variables + ".journal"), "the journal is left")

    g = firmware(context, images(context)["code"], "firmware.vars=" + variables)
    shell(g)
    g.send("setvar HyveTest -guid %s\r" % GUID)
    g.expect("EE FF C0 00")
    other = firmware(context, images(context)["code"], "firmware.vars=" + variables)
    other.ends(guest.ERROR)
    check("in use by another VM" in other.said(), "a second VM was let at the variables: " + other.said())
    g.send("reset -s\r")
    g.ends(guest.POWEROFF)


@case(slow=True, long=True)
def image_without_variables(context):
    """An image alone: on an empty flash, or with its variables in itself."""
    g = firmware(context, images(context)["plain"])
    shell(g)
    g.send("reset -s\r")
    g.ends(guest.POWEROFF)
    check("gone with the VM" in g.said(), "hyve did not say where the variables are")


@case(slow=True)
def disk_by_grub(context):
    """UEFI, GRUB from virtio-blk, Linux with ACPI: the machine as the tables say it."""
    disk = grub_disk(context)
    g = firmware(context, images(context)["code"], "uuid=00112233-4455-6677-8899-aabbccddeeff",
                 "smbios.system.product_name=Anvil", disks=[disk], memory="512M", cpus=2)
    g.expect(r"guest: script\r?\n")
    check(g.run("ls /sys/firmware/acpi/tables | grep -cE '^(%s)$'" % FIRMWARE[context.arch]["tables"]).strip() == "6", "tables are missing")
    check(g.run("cat /sys/class/dmi/id/product_name").strip() == "Anvil", "SMBIOS does not say the machine's name")
    check(g.run("cat /sys/class/dmi/id/product_uuid").strip() == "00112233-4455-6677-8899-aabbccddeeff", "SMBIOS has another UUID")
    check(g.run("nproc").strip() == "2", "there are not two processors")
    g.run("test -b /dev/vda1")
    # by the IORT on arm64: it leads from the root bridge to the interrupt translation service
    g.run("grep -q '%s' /proc/interrupts" % FIRMWARE[context.arch]["interrupts"])
    check(os.path.exists(disk + ".vars"), "the variables are not beside the disk")
    g.power_off()


def by_grub(context, device, command, uefi=True, port=False):
    """
    The disk on another controller, by each firmware that has a driver for it: UEFI's, SeaBIOS' and U-Boot's; a command that ends well.  With
    port the controller is behind a root port, beside which there is an empty one for a disk that comes later.
    """
    disks = [(images(context)["code"], grub_disk)] if uefi else []
    disks.append((seabios(context), bios_disk) if context.arch == "amd64" else (u_boot_image(), grub_disk))
    for image, make in disks:
        if port:
            g = firmware(context, image, "pci.0.20.0.device=root-port", "pci.0.21.0.device=root-port", "pci.20.0.0.device=" + device,
                         "pci.20.0.0.path=" + make(context), "pci.20.0.0.bootindex=0", "control=" + context.path("control"),
                         memory="512M", cpus=2)
        else:
            g = firmware(context, image, disks=[make(context) + ",device=" + device], memory="512M", cpus=2)
        g.expect(r"guest: script\r?\n")
        g.run(command)
        if port:
            one_more_disk(context, g)
        g.power_off()


def one_more_disk(context, g):
    """Where the firmware has left room, a disk can be put in."""
    with open(context.path("later"), "wb") as later:
        later.write(b"later" * 1024)
        later.truncate(1 << 20)
    qmp = Qmp(context.path("control")).negotiate()
    qmp.execute("device_add", driver="virtio-blk", id="later", path=context.path("later"))
    g.run("until [ -b /dev/vda ]; do sleep 0.2; done; head -c 5 /dev/vda | grep -q later")
    check([block["qdev"] for block in qmp.ask("query-block")] == ["pci.20.0.0", "later"], "the disks are %s" % qmp.ask("query-block"))


@case(slow=True)
def nvme_by_grub(context):
    """Behind a root port, whose hot-plug the system controls, by ACPI's leave too."""
    by_grub(context, "nvme", "test -b /dev/nvme0n1p1 && test $(grep -c 'MSI.* nvme0q' /proc/interrupts) = 3 && ls /sys/bus/pci/slots/20 && "
            "test $(grep -c pciehp /proc/interrupts) = 2", port=True)


@case(slow=True)
def ahci_by_grub(context):
    """Debian's cloud kernel has no driver for it; GRUB read that kernel and its initramfs by the firmware's."""
    by_grub(context, "ahci", "grep -q 0x010601 /sys/bus/pci/devices/0000:00:04.0/class", uefi=FIRMWARE[context.arch]["sata"])


def grub_iso(context, entry, files):
    """An ISO image that boots by BIOS and by UEFI: GRUB with one entry, and files."""
    root, iso = context.path("iso"), context.path("grub.iso")
    os.makedirs(os.path.join(root, "boot/grub"))
    config = os.path.join(root, "boot/grub/grub.cfg")
    with open(config, "w", encoding="utf-8") as file:
        file.write("set timeout=0\nterminal_output console\nsearch --no-floppy --set=root --file /boot/grub/grub.cfg\nmenuentry cd {\n%s}\n" % entry)
    for source, target in files:
        os.symlink(source, os.path.join(root, target))
    os.rename(grub_esp(context, 96 << 11, config), os.path.join(root, "boot/efi.img"))
    boot = []
    if context.arch == "amd64":
        host("grub-mkimage", "-O", "i386-pc-eltorito", "-d", grub_pc(), "-o", os.path.join(root, "boot/eltorito.img"), "-p", "/boot/grub", "biosdisk",
             "iso9660", "normal", "linux", "configfile", "search", "search_fs_file", "echo", "sleep")
        boot = ["-b", "boot/eltorito.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot"]
    host("xorriso", "-as", "mkisofs", "-quiet", "-f", "-R", "-V", "HYVE", "-o", iso, *boot, "-e", "boot/efi.img", "-no-emul-boot", root)
    return iso


def linux_iso(context, words=""):
    files = context.fetch()
    entry = "  linux /vmlinuz console=%s loglevel=4 guest.script %s\n  initrd /initrd.gz\n" % (console(context), words)
    return grub_iso(context, entry, ((files["kernel"], "vmlinuz"), (files["initrd"], "initrd.gz")))


@case(slow=True)
def cdrom_by_grub(context):
    """A CD with GRUB and Debian's kernel: El Torito by SeaBIOS and by UEFI."""
    if not FIRMWARE[context.arch]["sata"]:
        raise guest.Skipped("Debian's UEFI for %s has no driver for SATA" % context.arch)
    iso = linux_iso(context)
    for image in [images(context)["code"]] + ([seabios(context)] if context.arch == "amd64" else []):
        g = context.start(["--firmware", image, "--cdrom", iso], memory="512M", more=["--net", "none"])
        g.expect(r"guest: script\r?\n")
        g.run("grep -q 0x010601 /sys/bus/pci/devices/0000:00:04.0/class")
        check(not os.path.exists(iso + ".vars"), "the variables are beside the CD")
        g.power_off()


@case(slow=True, long=True)
def memtest(context):
    """Debian's memtest86+ from a CD, by SeaBIOS and by OVMF."""
    if context.arch != "amd64":
        raise guest.Skipped("memtest86+ is for PCs")
    package = guest.unpack("amd64", "memtest86+")["memtest86+"]
    iso = grub_iso(context, "  linux /memtest console=ttyS0,115200\n", ((os.path.join(package, "boot/memtest86+x64.bin"), "memtest"),))
    for image in (seabios(context), images(context)["code"]):
        g = context.start(["--firmware", image, "--cdrom", iso], memory="512M", more=["--net", "none"])
        g.expect(r"Memtest86\+ v6", limit=2 * guest.LIMIT)
        g.expect(r"Pass|Test", limit=2 * guest.LIMIT)
        g.signal(guest.signal.SIGKILL)


@case(slow=True, long=True)
def power_button(context):
    """The power button, pressed by the escape key, reaches a system that knows the machine by ACPI, and it powers off."""
    g = firmware(context, images(context)["code"], disks=[grub_disk(context)], memory="512M", terminal=True)
    g.expect(r"guest: script\r?\n")
    check("Power Button" in g.run("cat /sys/class/input/event0/device/name"), "the first input device is no power button")
    g.run("exec 3</dev/input/event0")
    g.send("\x1dp")
    g.run("head -c 24 <&3 >/dev/null")
    g.power_off()


@case(slow=True, long=True)
def kernel_by_firmware(context):
    """Kernel, initramfs and command line go through the firmware."""
    files = context.fetch()
    g = context.start(["--firmware", images(context)["code"], "--kernel", files["kernel"], "--initrd", files["initrd"], "--append",
                       "console=%s loglevel=4 guest.script hyve.word=seen" % console(context)], memory="512M", more=["--net", "none"])
    g.expect(r"guest: script\r?\n")
    check("hyve.word=seen" in g.run("cat /proc/cmdline"), "the command line is another")
    g.run("test -d /sys/firmware/efi")
    g.power_off()


@case(slow=True)
def u_boot(context):
    """U-Boot's banner, its look at the flash, and a disk by GRUB through it."""
    if context.arch != "arm64":
        raise guest.Skipped("Debian's U-Boot for a PC is no firmware image")
    disk = grub_disk(context)
    g = firmware(context, u_boot_image(), disks=[disk], memory="512M")
    g.expect(r"U-Boot \d+\.\d+")
    g.expect(r"Flash:\s+64 MiB")
    g.expect(r"guest: script\r?\n")
    g.run("test -b /dev/vda1")
    g.power_off()


@case(slow=True)
def bios(context):
    """SeaBIOS: its console, GRUB from a virtio disk by BIOS calls, Linux with the BIOS' memory map and tables, in a machine of the size that it has
    unless it is said."""
    if context.arch != "amd64":
        raise guest.Skipped("only a PC has a BIOS")
    g = firmware(context, seabios(context), "pc.bios_log=on", disks=[bios_disk(context)], memory=None, cpus=None)
    g.expect(r"SeaBIOS \(version [\w.-]+\)")
    g.expect(r"guest: script\r?\n")
    check(g.run("ls /sys/firmware/acpi/tables | grep -cE '^(APIC|DSDT|FACP|FACS|HPET|MCFG)$'").strip() == "6", "tables are missing")
    check(g.run("nproc").strip() == "2", "there are not two processors")
    check(900 < int(g.run("awk '/^MemTotal/ { print $2 }' /proc/meminfo")) >> 10 <= 1024, "there is not 1 GiB of memory")
    check("hyve" in g.run("cat /sys/class/dmi/id/sys_vendor").lower(), "SMBIOS does not say who made the machine")
    g.run("test -b /dev/vda1; ! test -d /sys/firmware/efi")
    check("bios: === PCI bus & bridge init ===" in g.said(), "the BIOS' log is not shown: " + g.said())
    g.power_off()


CONTROLLERS = ("virtio-blk", "nvme", "ahci")
MEMORY = {"1G": 1, "3G": 3, "4G": 4, "6G": 6}
CPUS = (1, 2, 4)


def in_sizes(context, image, make, controllers):
    """Each controller with each size of memory, and all numbers of processors among them."""
    disk = make(context)
    for c, device in enumerate(controllers):
        # A new machine: on one that it knows, UEFI prefers what it booted before, its shell for one, to a disk on another controller.
        if os.path.exists(disk + ".vars"):
            os.remove(disk + ".vars")
        for m, memory in enumerate(MEMORY):
            cpus = CPUS[(c + m) % len(CPUS)]
            g = firmware(context, image, disks=[disk + ",device=" + device], memory=memory, cpus=cpus)
            g.expect(r"guest: script\r?\n")
            check(int(g.run("nproc")) == cpus, "not %d processors with %s on %s" % (cpus, memory, device))
            kib = int(g.run("awk '/^MemTotal/ { print $2 }' /proc/meminfo"))
            check(0.9 < kib / (MEMORY[memory] << 20) <= 1, "%d KiB of %s are there, with %d processors on %s" % (kib, memory, cpus, device))
            g.power_off()


@case(slow=True, long=True)
def sizes(context):
    """UEFI on controllers that it has drivers for, from 1 GiB to more than fits below 4 GiB."""
    in_sizes(context, images(context)["code"], grub_disk, CONTROLLERS if FIRMWARE[context.arch]["sata"] else CONTROLLERS[:2])


@case(slow=True, long=True)
def bios_sizes(context):
    in_sizes(context, seabios(context), bios_disk, CONTROLLERS)


def ten_times(context, image, make):
    """A reset leads to the firmware, which boots again, and again."""
    g = firmware(context, image, disks=[make(context)], memory="512M", cpus=2)
    for _ in range(10):
        g.expect(r"guest: script\r?\n")
        g.send("reboot -f\n")
    g.expect(r"guest: script\r?\n")
    g.power_off()


@case(slow=True, long=True)
def resets(context):
    ten_times(context, images(context)["code"], grub_disk)


@case(slow=True, long=True)
def bios_resets(context):
    ten_times(context, seabios(context), bios_disk)


@case(slow=True, long=True)
def qcow2_with_seed(context):
    """A disk in qcow2 and a CD, and nothing else said: the first boots, both are there."""
    image, seed, folder = context.path("debian.qcow2"), context.path("seed.iso"), context.path("seed")
    host("qemu-img", "convert", "-O", "qcow2", "-c", grub_disk(context), image)
    os.mkdir(folder)
    with open(os.path.join(folder, "meta-data"), "w", encoding="utf-8") as file:
        file.write("instance-id: hyve\n")
    host("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "CIDATA", "-o", seed, folder)
    g = context.start([image, "--firmware", images(context)["code"], "--cdrom", seed], memory="512M")
    g.expect(r"guest: script\r?\n")
    g.run("dd if=/dev/vda bs=64k of=/dev/null && dd if=/dev/urandom of=/dev/vda bs=512 count=64 seek=396000 conv=fsync")
    g.run("cat /sys/bus/pci/devices/*/class | grep -q 0x010601")
    g.power_off()
    host("qemu-img", "check", "-q", image)


def little_disk(context, name):
    """A disk that says its name: a boot sector for SeaBIOS, which prints it by the BIOS, and GRUB for UEFI."""
    if context.bios:
        code = bytes.fromhex("31c0 8ed8 be157c ac 84c0 7406 b40e cd10 ebf5 f4 ebfd") + b"this is disk " + name.encode() + b"\r\n\0"
        with open(context.path(name + ".img"), "wb") as file:
            file.write(code + bytes(510 - len(code)) + b"\x55\xaa" + bytes(1 << 20))
        return context.path(name + ".img")
    config = context.path("grub.cfg")
    with open(config, "w", encoding="utf-8") as file:
        file.write("echo this is disk %s\nsleep 100\n" % name)
    sectors = 64 << 11
    return one_partition(context.path(name + ".img"), b"label: gpt\n%d,%d,U\n" % (FIRST, sectors), FIRST, sectors,
                         grub_esp(context, sectors, config))


def starts(context, image, first, arguments):
    """Of several disks this one is started."""
    g = firmware(context, image, more=arguments)
    found = g.expect(r"this is disk (one|two|cd)").group(1)
    check(found == first, "the disk %s was started, and %s is the first: %s" % (found, first, " ".join(arguments)))
    g.process.kill()
    g.process.wait()        # its lock on the variables goes with it


def boots_in_order(context, image, bios):
    """Each of two disks first in turn, on each controller; then a disk and a CD."""
    sata = bios or FIRMWARE[context.arch]["sata"]
    context.bios = bios
    one, two = little_disk(context, "one"), little_disk(context, "two")
    for device in CONTROLLERS if sata else CONTROLLERS[:2]:
        for first in ("two", "one"):
            starts(context, image, first, [word for name, disk in (("one", one), ("two", two))
                                           for word in ("--disk", "%s,device=%s,bootindex=%d" % (disk, device, name != first))])
    if sata:
        # SeaBIOS keeps what is last to itself while GRUB sleeps.
        cd = grub_iso(context, "  echo this is disk cd, and the rest\n  sleep 100\n", ())
        for first in ("one", "cd"):
            starts(context, image, first, ["--disk", "%s,bootindex=%d" % (one, first != "one"), "--cdrom", "%s,bootindex=%d" % (cd, first != "cd")])


@case(slow=True, long=True)
def boot_order(context):
    """The bootindex of disks and CDs is the order in which UEFI firmware tries them."""
    boots_in_order(context, images(context)["code"], False)


@case(slow=True, long=True)
def bios_boot_order(context):
    boots_in_order(context, seabios(context), True)


@case(slow=True, long=True)
def bios_without_acpi(context):
    """Interrupts are where SeaBIOS routed them, for a kernel that has neither ACPI nor an I/O APIC."""
    g = firmware(context, seabios(context), disks=[bios_disk(context, "acpi=off noapic pci=nomsi")], memory="512M")
    g.expect(r"guest: script\r?\n")
    g.run("dd if=/dev/vda of=/dev/null bs=64k count=64")
    lines = [line for line in g.run("cat /proc/interrupts").split("\n") if "virtio" in line]
    check(lines and all("XT-PIC" in line for line in lines) and sum(int(line.split()[1]) for line in lines) > 8, "virtio's interrupts: %s" % lines)


NICS = {"virtio-net": "0x1af4", "ne2k-pci": "0x10ec", "e1000": "0x8086"}


def boot_folder(context, **files):
    """A folder with kernel, initramfs and files of these contents."""
    images, folder = context.fetch(), context.path("tftp")
    os.mkdir(folder)
    os.symlink(images["kernel"], os.path.join(folder, "vmlinuz"))
    os.symlink(images["initrd"], os.path.join(folder, "initrd.gz"))
    for name, text in files.items():
        with open(os.path.join(folder, name.replace("_", ".")), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


def ipxe_script(context, base=""):
    return ("#!ipxe\nkernel %svmlinuz initrd=initrd.gz console=%s loglevel=4 guest.script\ninitrd %sinitrd.gz\nboot\n" %
            (base, console(context), base))


def ipxe_nic(nic, rom, folder):
    """A NIC with Debian's iPXE as its ROM, and a network whose DHCP names a script for it."""
    roms = os.path.join(guest.unpack("amd64", "ipxe-qemu")["ipxe-qemu"], "usr/lib/ipxe/qemu")
    return "user,device=%s,rom=%s,tftp=%s,bootfile=boot.ipxe" % (nic, os.path.join(roms, rom), folder)


def boots_by_ipxe(context, image, nic, rom, folder):
    """Debian's iPXE as a NIC's ROM, whose script DHCP names, up to Debian."""
    g = context.start(["--firmware", image], memory="1G", more=["--net", ipxe_nic(nic, rom, folder)])
    g.expect(r"iPXE [\d.]+")
    g.expect(r"boot\.ipxe : \d+ bytes \[script\]")
    g.expect(r"guest: script\r?\n")
    check(g.run("cat /sys/bus/pci/devices/0000:00:02.0/vendor").strip() == NICS[nic], "it is another NIC")
    g.power_off()


ROMS = (("virtio-net", "virtio"), ("ne2k-pci", "ne2k_pci"), ("e1000", "e1000"))


@case(slow=True, long=True)
def nic_boot_order(context):
    """A NIC's bootindex is its place among disks: before one that boots too, or behind it."""
    bios, uefi = seabios(context), images(context)["code"]
    folder = boot_folder(context, boot_ipxe="#!ipxe\necho this is the network, and the rest\nsleep 100\n")
    for image, kind in ((bios, "pxe"), (uefi, "efi")):
        context.bios = kind == "pxe"
        disk = little_disk(context, "one")
        for nic, rom in ROMS:
            net = ipxe_nic(nic, "%s-%s.rom" % (kind, rom), folder)
            for first, other in (("the network", "disk one"), ("disk one", "the network")):
                g = context.start(["--firmware", image, "--net", "%s,bootindex=%d" % (net, other == "the network"),
                                   "--disk", "%s,bootindex=%d" % (disk, other != "the network")], memory="1G")
                found = g.expect("this is (the network|disk one)").group(1)
                check(found == first, "with %s first %s was started" % (first, found))
                g.process.kill()
                g.process.wait()


@case(slow=True, long=True)
def ipxe(context):
    """iPXE on virtio-net, NE2000 and e1000, under each firmware: DHCP, a script and a kernel by TFTP."""
    bios, uefi = seabios(context), images(context)["code"]
    folder = boot_folder(context, boot_ipxe=ipxe_script(context))
    for image, kind in ((bios, "pxe"), (uefi, "efi")):
        for nic, rom in ROMS:
            boots_by_ipxe(context, image, nic, "%s-%s.rom" % (kind, rom), folder)


class Files(http.server.SimpleHTTPRequestHandler):
    """A folder by HTTP; it remembers what was asked for."""
    asked = []

    def send_head(self):
        self.asked.append(self.path)
        return super().send_head()

    def log_message(self, *args):
        pass


@case(slow=True, long=True)
def ipxe_by_http(context):
    """iPXE on each NIC, under each firmware: a script by TFTP leads to one by HTTP, and that to the kernel."""
    bios, uefi = seabios(context), images(context)["code"]
    folder = boot_folder(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = "http://%s:%d/" % ("10.0.2.2", server.server_address[1])
        for name, text in (("boot.ipxe", "#!ipxe\nchain %snext.ipxe\n" % base), ("next.ipxe", ipxe_script(context, base))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        for image, kind in ((bios, "pxe"), (uefi, "efi")):
            for nic, rom in ROMS:
                Files.asked.clear()
                boots_by_ipxe(context, image, nic, "%s-%s.rom" % (kind, rom), folder)
                check(set(Files.asked) == {"/next.ipxe", "/vmlinuz", "/initrd.gz"}, "by HTTP was asked for %r" % Files.asked)
        server.shutdown()


@case(slow=True, long=True)
def network_boot_by_uefi(context):
    """UEFI's own network boot on virtio-net: DHCP names GRUB, which comes by TFTP as its configuration, kernel and initramfs do."""
    grub = os.path.join(os.path.dirname(images(context)["grub"]), FIRMWARE[context.arch]["grubnet"])
    folder = boot_folder(context)
    os.symlink(grub, os.path.join(folder, "grubnet.efi"))
    os.mkdir(os.path.join(folder, "grub"))
    os.symlink(grub_config(context, ""), os.path.join(folder, "grub", "grub.cfg"))
    g = context.start(["--firmware", images(context)["code"]], memory="1G", more=["--net", "user,tftp=%s,bootfile=grubnet.efi" % folder])
    g.expect("PXE")
    g.expect(r"guest: script\r?\n")
    g.run("test -d /sys/firmware/efi")
    g.power_off()


@case(slow=True, long=True)
def installer(context):
    """Debian's installer reaches its first screen."""
    arch = context.arch
    package = "debian-installer-12-netboot-" + arch
    base = os.path.join(guest.unpack(arch, package)[package], "usr/lib/debian-installer/images/12", arch, "text/debian-installer", arch)
    g = context.start(["--firmware", images(context)["code"], "--kernel", os.path.join(base, "linux"), "--initrd",
                       os.path.join(base, "initrd.gz"), "--append", "console=%s --- quiet" % console(context)], memory="1G")
    g.expect("Select a language", limit=3 * guest.LIMIT)
    g.signal(guest.signal.SIGKILL)


guest.main()
