# SPDX-License-Identifier: BSD-2-Clause
"""Stock firmware of Debian's packages, and disks that it boots from."""
import os
import subprocess
import sys

import guest
from guest import check

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
import disk_image  # noqa: E402

# An architecture's: package of firmware and files in it: code, an image without a file of variables; bytes of the variables; GRUB's image that is
# started by network, beside the other; ACPI tables that a guest has; what interrupts of a virtio disk are called; whether the UEFI firmware has
# a driver for SATA.
FIRMWARE = {
    "amd64": {"package": "ovmf", "code": "usr/share/OVMF/OVMF_CODE_4M.fd", "plain": "usr/share/ovmf/OVMF.fd", "variables": 528 << 10,
              "grubnet": "grubnetx64.efi", "tables": "APIC|DSDT|FACP|FACS|HPET|MCFG", "interrupts": "PCI-MSI.*virtio", "sata": True},
    "arm64": {"package": "qemu-efi-aarch64", "code": "usr/share/AAVMF/AAVMF_CODE.fd", "plain": "usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
              "variables": 64 << 20,
              "grubnet": "grubnetaa64.efi", "tables": "APIC|DSDT|FACP|GTDT|MCFG|SPCR", "interrupts": "ITS-MSI.*virtio", "sata": False},
}


def images(context):
    """The firmware's files and GRUB's."""
    this = FIRMWARE[context.arch]
    package, (grub, image, _) = this["package"], disk_image.GRUB[context.arch]
    found = guest.unpack(context.arch, package, grub)
    return {"code": os.path.join(found[package], this["code"]), "plain": os.path.join(found[package], this["plain"]),
            "grub": os.path.join(found[grub], image)}


def console(context):
    return guest.ARCHES[context.arch]["console"]


def host(*command, text=None):
    """Run a program of the host."""
    done = subprocess.run([guest.tool(command[0])] + list(command[1:]), input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
    check(done.returncode == 0, "%s: status %d: %s" % (" ".join(command), done.returncode, done.stdout.decode("utf-8", "replace")))


def firmware(context, image, *keys, more=(), **options):
    more = ["--net", "none"] + list(more)
    for key in keys:
        more += ["--set", key]
    return context.start(["--firmware", image], more=more, **options)


def seabios(context):
    if context.arch != "amd64":
        raise guest.Skipped("only a PC has SeaBIOS, and network cards with ROMs for it")
    return os.path.join(guest.unpack("amd64", "seabios")["seabios"], "usr/share/seabios/bios-256k.bin")


def u_boot_image():
    return os.path.join(guest.unpack("arm64", "u-boot-qemu")["u-boot-qemu"], "usr/lib/u-boot/qemu_arm64/u-boot.bin")


def grub_esp(context, sectors, config, more=()):
    """An EFI system partition with GRUB, its configuration and other files."""
    image = context.path("esp.img")
    disk_image.esp(host, image, sectors, context.arch, images(context)["grub"], config, more)
    return image


def one_partition(disk, table, first, sectors, partition):
    """Make a disk of an image of its only partition."""
    disk_image.partitioned(host, disk, first + sectors + 2048, table, ((first, partition),))
    return disk


def grub_config(context, words):
    config = context.path("grub.cfg")
    with open(config, "w", encoding="utf-8") as file:
        file.write("set timeout=0\nterminal_output console\nmenuentry linux {\n"
                   "  linux /vmlinuz console=%s loglevel=4 guest.script %s\n  initrd /initrd.gz\n}\n" % (console(context), words))
    return config


FIRST, SECTORS = 2048, 192 << 11


def linux(context):
    """Kernel and initramfs for a partition."""
    files = context.fetch()
    return (files["kernel"], "/vmlinuz"), (files["initrd"], "/initrd.gz")


def grub_disk(context, words=""):
    """A GPT disk with an EFI system partition: GRUB, its configuration, kernel and initramfs."""
    esp = grub_esp(context, SECTORS, grub_config(context, words), linux(context))
    return one_partition(context.path("grub.img"), b"label: gpt\n%d,%d,U\n" % (FIRST, SECTORS), FIRST, SECTORS, esp)


def grub_pc():
    """The folder of GRUB's modules for a BIOS."""
    return os.path.join(guest.unpack("amd64", "grub-pc-bin")["grub-pc-bin"], "usr/lib/grub/i386-pc")


def bios_disk(context, words=""):
    """A disk as PCs without UEFI have them: GRUB in the first sector and in those behind it, kernel and initramfs in a partition."""
    partition = context.path("fat.img")
    disk_image.fat(host, partition, SECTORS, ((grub_config(context, words), "/grub/grub.cfg"),) + linux(context), ("/grub",))
    disk = one_partition(context.path("grub.img"), b"label: dos\n%d,%d,c,*\n" % (FIRST, SECTORS), FIRST, SECTORS, partition)
    disk_image.bios_grub(host, disk, grub_pc(), "(hd0,msdos1)/grub", 1, context.path("core.img"))
    return disk
