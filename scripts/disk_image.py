# SPDX-License-Identifier: BSD-2-Clause
"""Images of disks that firmware boots from: partitions, FAT file systems, GRUB.  They are plain files: nothing is mounted and there are no
loop devices, so that a container will do.  `host` runs a program of the host with the arguments given and with text=BYTES as its input."""
import os
import struct

# Debian's GRUB for UEFI: its package, the image in it, and what UEFI calls that on a disk without boot variables (UEFI 2.10, 3.5.1.1).
GRUB = {
    "amd64": ("grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi", "BOOTX64.EFI"),
    "arm64": ("grub-efi-arm64-bin", "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi", "BOOTAA64.EFI"),
}
SECTOR = 512


def fat(host, image, sectors, files, folders=()):
    """Make a FAT32 file system with folders and with files, pairs of source and target."""
    with open(image, "wb") as file:
        file.truncate(sectors * SECTOR)
    host("mformat", "-i", image, "-F", "::")
    for folder in folders:
        host("mmd", "-i", image, "::" + folder)
    for source, target in files:
        host("mcopy", "-i", image, source, "::" + target)


def esp(host, image, sectors, arch, grub, config, more=()):
    """An EFI system partition: GRUB where every firmware looks for it, the file where Debian's looks for its configuration, and other files."""
    fat(host, image, sectors, ((grub, "/EFI/BOOT/" + GRUB[arch][2]), (config, "/EFI/debian/grub.cfg")) + tuple(more),
        ("/EFI", "/EFI/BOOT", "/EFI/debian"))


def partitioned(host, disk, sectors, table, partitions):
    """Make a disk with a partition table, text for sfdisk, and move images into it: pairs of first sector and file."""
    with open(disk, "wb") as file:
        file.truncate(sectors * SECTOR)
    host("sfdisk", "-q", disk, text=table)
    for first, partition in partitions:
        with open(partition, "rb") as source, open(disk, "r+b") as target:
            target.seek(first * SECTOR)
            for piece in iter(lambda: source.read(1 << 20), b""):
                if piece.strip(b"\0"):
                    target.write(piece)
                else:
                    target.seek(len(piece), os.SEEK_CUR)        # it stays a hole
        os.unlink(partition)


def bios_grub(host, disk, modules, prefix, first, core):
    """GRUB for a BIOS, from the folder of its modules: its first sector in front of the partition table, the rest from sector `first` on.  What
    GRUB knows by itself must lead it to its configuration in `prefix`.  `core` is a file for the time being."""
    host("grub-mkimage", "-O", "i386-pc", "-d", modules, "-o", core, "-p", prefix, "biosdisk", "part_msdos", "part_gpt", "fat", "ext2", "normal",
         "linux", "configfile", "search", "search_label")
    with open(os.path.join(modules, "boot.img"), "rb") as file:
        boot = bytearray(file.read()[:440])         # behind it is the partition table
    with open(core, "rb") as file:
        rest = bytearray(file.read())
    os.unlink(core)
    # Where the rest begins, and in its first sector where that goes on: what grub-install puts there (GRUB's grub/i386/pc/boot.h).
    struct.pack_into("<Q", boot, 0x5c, first)
    struct.pack_into("<Q", rest, 0x1f4, first + 1)
    with open(disk, "r+b") as target:
        target.write(boot)
        target.seek(first * SECTOR)
        target.write(rest)
