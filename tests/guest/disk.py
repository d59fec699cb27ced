# SPDX-License-Identifier: BSD-2-Clause
"""ext4 on a virtio-blk, an NVMe or an AHCI disk, and a CD: what the guest wrote is there after a reboot and after a crash, and the host finds it in order."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

import guest
from guest import case, check


def host(*command, text=b""):
    """Run a program of the host; its output."""
    done = subprocess.run([guest.tool(command[0])] + list(command[1:]), input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    output = done.stdout.decode("utf-8", "replace")
    check(done.returncode == 0, "%s: status %d: %s" % (" ".join(command), done.returncode, output[-600:]))
    return output


def make_image(context, *options):
    image = context.path("disk.img")
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    host("mke2fs", "-q", "-F", "-t", "ext4", *options, image)
    return image


def direct_io(path):
    """Whether the host's file system has that."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        return True
    except OSError:
        return False


def write_files(g, device="/dev/vda"):
    """A large file, many small ones and some that are gone again."""
    count = 80 if guest.SANITIZE == "none" else 10      # most of the time goes into computing its checksum
    g.run("mount -t ext4 %s /mnt; mkdir /mnt/small; dd if=/dev/urandom of=/mnt/large bs=64k count=%d 2>/dev/null" % (device, count))
    g.run("i=0; while [ $i -lt 200 ]; do echo $i >/mnt/small/$i; i=$((i + 1)); done; rm /mnt/small/*7")
    g.run("cp /mnt/large /mnt/copy; rm /mnt/copy; mv /mnt/small/10 /mnt/small/ten; ln -s large /mnt/link")
    g.run("cd /mnt; find . -type f | sort | xargs sha256sum >/tmp/sums; cp /tmp/sums sums; cd /; sync", limit=guest.LIMIT)
    return g.run("sha256sum </mnt/sums")


def verify_files(g, digest):
    check(g.run("sha256sum </mnt/sums") == digest, "the list of checksums differs")
    output = g.run("cd /mnt; sha256sum -c sums | grep -v ': OK$'; ls small | wc -l; readlink link; cd /")
    check(output.split() == ["180", "large"], "what was written differs: " + output)


@case(flavours=guest.BOTH)
def written_and_read_again(context):
    image = make_image(context)
    g = context.script(disks=[image])
    check(int(g.run("cat /sys/block/vda/size")) == (64 << 20) // 512, "the disk has the wrong size")
    digest = write_files(g)
    g.run("umount /mnt")
    g.power_off()
    host("e2fsck", "-fn", image)

    g = context.script(disks=[image], cpus=2)
    g.run("mount -t ext4 /dev/vda /mnt")
    verify_files(g, digest)
    g.run("umount /mnt")
    g.power_off()
    host("e2fsck", "-fn", image)


@case(slow=True)
def around_the_cache(context):
    """Disks around the host's cache, one by a ring of the host and one by threads: written, verified, and what is on the host's disk is all of it."""
    context.long_on("arm64")
    image, other = make_image(context), context.path("other.img")
    shutil.copy(image, other)
    if not direct_io(image):
        raise guest.Skipped("the file system of %s cannot be used around the cache" % os.path.dirname(image))
    disks = [image + ",nocache=true", other + ",nocache=true,aio=threads"]
    g = context.script(disks=disks)
    digests = {}
    for device in ("/dev/vda", "/dev/vdb"):
        digests[device] = write_files(g, device)
        g.run("umount /mnt")
    for device, digest in digests.items():
        g.run("echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 %s /mnt" % device)
        verify_files(g, digest)
        g.run("umount /mnt")
    check("I/O error" not in g.run("dmesg"), "the kernel saw errors")
    g.power_off()
    for name in (image, other):
        host("e2fsck", "-fn", name)


def nvme_disk(context, sector):
    """An NVMe disk with ext4, on a partition if blocks have 512 bytes: a partition table counts in blocks, and the host's tools in those."""
    image = context.path("nvme%d.img" % sector)
    with open(image, "wb") as file:
        file.truncate(96 << 20)
    if sector == 512:
        host("sfdisk", "-q", image, text=b"label: gpt\n2048,163840,L\n")
        host("mke2fs", "-q", "-F", "-t", "ext4", "-E", "offset=%d" % (2048 * 512), image, "81920k")
        return image, "/dev/nvme0n1p1"
    host("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", image)
    return image, "/dev/nvme0n1"


@case(slow=True, flavours=guest.BOTH)
def nvme(context):
    """NVMe with both block sizes: queues for each processor; written, verified by the next boot, discarded."""
    for sector in (512, 4096):
        image, device = nvme_disk(context, sector)
        disk = "%s,device=nvme,ser=N%d,sectsz=%d" % (image, sector, sector)
        g = context.script(disks=[disk], cpus=2)
        check(int(g.run("cat /sys/block/nvme0n1/size")) == (96 << 20) // 512, "the disk has the wrong size")
        check(g.run("cat /sys/block/nvme0n1/device/serial /sys/block/nvme0n1/queue/logical_block_size").split() ==
              ["N%d" % sector, str(sector)], "the disk is another")
        check(int(g.run("ls /sys/block/nvme0n1/mq | wc -l")) == 2, "there are not two queues")
        check(int(g.run("grep -c 'MSI.* nvme0q[012]' /proc/interrupts")) == 3, "there are not three interrupts")
        digest = write_files(g, device)
        g.run("umount /mnt")
        g.power_off()

        g = context.script(disks=[disk], cpus=2)
        g.run("mount -t ext4 %s /mnt" % device)
        verify_files(g, digest)
        before = os.stat(image).st_blocks
        g.run("umount /mnt; blkdiscard %s" % device)
        check(g.run("dd if=%s bs=1M count=1 2>/dev/null | tr -d '\\0' | wc -c" % device).strip() == "0", "it does not read as zeros")
        check(os.stat(image).st_blocks < before // 2, "what the guest discarded takes room")
        check("I/O error" not in g.run("dmesg"), "the kernel saw errors")
        g.power_off()


@case(slow=True, flavours=(guest.GENERIC,))
def ahci(context):
    """SATA disks with both sector sizes at one controller, queued commands: written, verified by the next boot, discarded."""
    images, words = {}, "guest.load=ahci,sd_mod"
    for sector, name in ((512, "sda"), (4096, "sdb")):
        images[name] = context.path(name + ".img")
        with open(images[name], "wb") as file:
            file.truncate(96 << 20)
        host("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", images[name])
    disks = [images["sda"] + ",device=ahci,ser=S512", images["sdb"] + ",device=ahci,ser=S4096,sectorsize=4096"]
    g = context.script(words, disks=disks, cpus=2)
    digests = {}
    for name in images:
        # Ports are probed side by side, so the names come in any order.
        sector = int(g.run("cat /sys/block/%s/queue/logical_block_size" % name))
        check(int(g.run("cat /sys/block/%s/size" % name)) == (96 << 20) // 512, "the disk has the wrong size")
        check(int(g.run("cat /sys/block/%s/device/queue_depth" % name)) == 32, "commands are not queued")
        check(("S%d" % sector).encode().hex() in g.run("od -An -tx1 -v /sys/block/%s/device/vpd_pg80" % name).replace(" ", "").replace("\n", ""),
              "the disk is another")
        digests[sector] = write_files(g, "/dev/" + name)
        g.run("umount /mnt")
    check(int(g.run("ls -d /sys/bus/pci/drivers/ahci/0000:* | wc -l")) == 1, "there is not one controller")
    check("MSI" in g.run("grep ahci /proc/interrupts"), "it does not interrupt by message")
    g.power_off()

    g = context.script(words, disks=disks)
    for name, image in images.items():
        sector = int(g.run("cat /sys/block/%s/queue/logical_block_size" % name))
        image = images["sda" if sector == 512 else "sdb"]
        g.run("mount -t ext4 /dev/%s /mnt" % name)
        verify_files(g, digests[sector])
        before = os.stat(image).st_blocks
        g.run("umount /mnt; blkdiscard /dev/" + name)
        check(os.stat(image).st_blocks < before // 2, "what the guest discarded takes room")
    check("I/O error" not in g.run("dmesg") and "exception" not in g.run("dmesg | grep ata"), "the kernel saw errors")
    g.power_off()


def one_of_each(context):
    """Images with ext4, and the disks that they are, on virtio-blk, NVMe and AHCI: vda, nvme0n1 and sda."""
    images = [make_image(context)]
    for name in ("nvme.img", "ahci.img"):
        images.append(context.path(name))
        host("cp", images[0], images[-1])
    return images, [images[0], images[1] + ",device=nvme", images[2] + ",device=ahci"]


@case(slow=True, long=True, flavours=(guest.GENERIC,))
def function_level_reset(context):
    """The kernel resets one function alone: under NVMe's driver, which knows of it, with a file system in use; of the others without their drivers."""
    images, disks = one_of_each(context)
    g = context.script("guest.load=ahci,sd_mod", disks=disks, cpus=2)
    places = {}
    for disk in ("vda", "nvme0n1", "sda"):
        places[disk] = re.search("0000:00:[0-9a-f]{2}[.]0", g.run("readlink -f /sys/block/" + disk)).group()
    for disk, place in places.items():
        check(g.run("cat /sys/bus/pci/devices/%s/reset_method" % place).split()[0] == ("af_flr" if disk == "sda" else "flr"),
              "the kernel resets %s in another way" % disk)
    digest = write_files(g, "/dev/nvme0n1")
    for _ in range(3):
        g.run("echo 3 >/proc/sys/vm/drop_caches; echo 1 >/sys/bus/pci/devices/%s/reset" % places["nvme0n1"])
        verify_files(g, digest)
    g.run("umount /mnt")
    for disk in ("vda", "sda"):
        digest = write_files(g, "/dev/" + disk)
        g.run("umount /mnt")
        driver = g.run("readlink -f /sys/bus/pci/devices/%s/driver" % places[disk]).strip()
        g.run("echo {0} >{1}/unbind; echo 1 >/sys/bus/pci/devices/{0}/reset; echo {0} >{1}/bind".format(places[disk], driver))
        g.run("n=0; while ! [ -b /dev/%s ] && [ $n -lt 300 ]; do usleep 100000; n=$((n + 1)); done; mount -t ext4 /dev/%s /mnt" % (disk, disk))
        verify_files(g, digest)
        g.run("umount /mnt")
    check("I/O error" not in g.run("dmesg"), "the kernel saw errors")
    g.power_off()
    for image in images:
        host("e2fsck", "-fn", image)


@case(slow=True, long=True, flavours=(guest.GENERIC,))
def asleep(context):
    """The guest puts its devices to sleep, D3hot for what is on PCI, and wakes them: file systems in use are as they were."""
    images, disks = one_of_each(context)
    g = context.script("guest.load=ahci,sd_mod no_console_suspend", disks=disks, cpus=2)
    digests = {}
    for disk in ("vda", "nvme0n1", "sda"):
        digests[disk] = write_files(g, "/dev/" + disk)
        g.run("umount /mnt")
    g.run("for d in vda nvme0n1 sda; do mkdir /tmp/$d; mount -t ext4 /dev/$d /tmp/$d; done")
    # Up to where the processors would sleep as well: five seconds, and it wakes by itself.
    g.run("echo 'func pci_pm_suspend_noirq +p' >/proc/dynamic_debug/control")
    g.run("echo platform >/sys/power/pm_test; echo freeze >/sys/power/state", limit=guest.LIMIT)
    said = g.run("dmesg")
    check("suspend debug: Waiting for" in said, "the guest did not sleep: " + said[-600:])
    check(said.count("power state: D3hot") >= len(disks), "the disks were not put into D3hot: " + said[-900:])
    for disk, digest in digests.items():
        g.run("echo 3 >/proc/sys/vm/drop_caches; umount /tmp/%s; mount -t ext4 /dev/%s /mnt" % (disk, disk))
        verify_files(g, digest)
        g.run("umount /mnt")
    check("I/O error" not in said and "I/O error" not in g.run("dmesg"), "the kernel saw errors")
    g.power_off()
    for image in images:
        host("e2fsck", "-fn", image)


@case(slow=True, flavours=(guest.GENERIC,))
def cdrom(context):
    """An ISO image made here, in a CD drive beside a disk: mounted and verified, and not written."""
    folder, iso, image = context.path("files"), context.path("cd.iso"), make_image(context)
    os.mkdir(folder)
    for n in range(20):
        with open(os.path.join(folder, "file%d" % n), "wb") as file:
            file.write(os.urandom(10000 * n + n))
    host("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "HYVE", "-o", iso, folder)
    with open(iso, "rb") as file:
        before = file.read()
    g = context.script("guest.load=ahci,sd_mod,sr_mod,isofs", disks=[image + ",device=ahci"], more=["--cdrom", iso])
    sums = g.run("mount -t iso9660 -o ro /dev/sr0 /mnt && cd /mnt && sha256sum file* | sort -k 2; cd /", limit=guest.LIMIT)
    for line in sums.strip().split("\n"):
        digest, name = line.split()
        with open(os.path.join(folder, name), "rb") as file:
            check(hashlib.sha256(file.read()).hexdigest() == digest, name + " differs")
    check(len(sums.strip().split("\n")) == 20, "files are missing")
    check(int(g.run("cat /sys/block/sr0/size")) == len(before) // 512, "the medium has another size")
    g.run("umount /mnt; echo x >/dev/sr0", status=1)
    g.run("mount -t ext4 /dev/sda /mnt; umount /mnt")
    g.power_off()
    with open(iso, "rb") as file:
        check(file.read() == before, "the CD was written")


@case(slow=True)
def nbd(context):
    """ext4 on an NBD server, which is killed while the guest writes, and started again: the guest does not notice, and the host finds all in order."""
    image, socket = make_image(context), context.path("nbd")
    command = [guest.tool("nbdkit"), "-f", "--exit-with-parent", "-U", socket, "file", image]

    def serve():
        if os.path.exists(socket):
            os.unlink(socket)
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        while not os.path.exists(socket):
            check(server.poll() is None, "nbdkit ended")
            time.sleep(0.01)
        return server

    server = serve()
    # Whose disk it is makes no difference to it: another controller's on each machine.
    disk, keys = {"amd64": ("vda", ""), "arm64": ("nvme0n1", ",device=nvme")}[context.arch]
    g = context.script(disks=["nbd+unix:///?socket=" + socket + keys])
    check(int(g.run("cat /sys/block/%s/size" % disk)) == (64 << 20) // 512, "the disk has the wrong size")
    g.run("mount -t ext4 /dev/%s /mnt; (while :; do echo x >>/mnt/log; done) & echo $! >/tmp/writer" % disk)
    server.kill()
    server.wait()
    server = serve()
    g.run("kill $(cat /tmp/writer); rm /mnt/log; dd if=/dev/urandom of=/mnt/file bs=64k count=20 2>/dev/null; sync")
    digest = g.run("sha256sum </mnt/file").split()[0]
    g.run("umount /mnt")
    check("I/O error" not in g.run("dmesg"), "the kernel saw errors")
    g.power_off()
    check("the connection is lost" in g.said() and "connected again" in g.said(), "it was not told: " + g.said())
    server.kill()
    server.wait()
    host("e2fsck", "-fn", image)
    host("debugfs", "-R", "dump /file " + context.path("file"), image)
    with open(context.path("file"), "rb") as file:
        check(hashlib.sha256(file.read()).hexdigest() == digest, "what the guest wrote differs")


@case(slow=True, long=True)
def synced_survives_a_crash(context):
    """hyve is killed behind the guest's sync: the next boot replays the journal and finds everything."""
    image = make_image(context)
    g = context.script(disks=[image])
    digest = write_files(g)
    g.signal(signal.SIGKILL)
    g.ends(-signal.SIGKILL)

    g = context.script(disks=[image])
    g.run("mount -t ext4 /dev/vda /mnt")
    verify_files(g, digest)
    g.run("umount /mnt")
    g.power_off()
    host("e2fsck", "-fn", image)


@case(slow=True, flavours=guest.BOTH)
def root_on_ext4(context):
    """The disk is the root, written by one boot and verified by the next."""
    images = context.fetch()
    root = context.path("root")
    for name in ("bin", "sbin", "dev", "proc", "sys", "root", "tmp"):
        os.makedirs(os.path.join(root, name))
    with open(images["busybox"], "rb") as source, open(os.path.join(root, "bin/busybox"), "wb") as copy:
        copy.write(source.read())
    os.chmod(os.path.join(root, "bin/busybox"), 0o755)
    os.symlink("busybox", os.path.join(root, "bin/sh"))
    with open(os.path.join(root, "sbin/init"), "w", encoding="utf-8") as init:
        init.write("""#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1
if [ -e /data ]; then
	sha256sum -c /sum && echo "root: verified"
else
	dd if=/dev/urandom of=/data bs=64k count=40 2>/dev/null; sha256sum /data >/sum && echo "root: written"
fi
sync; mount -o remount,ro /
echo "root: $(grep ' / ext4 ' /proc/mounts)"
poweroff -f
""")
    os.chmod(os.path.join(root, "sbin/init"), 0o755)
    image = make_image(context, "-E", "root_owner=0:0", "-d", root)
    for word in ("written", "verified"):
        g = context.boot("guest.root=/dev/vda", disks=[image], cpus=2)
        g.expect("root: " + word)
        g.expect("root: /dev/vda / ext4")
        g.ends(guest.POWEROFF)
        host("e2fsck", "-fn", image)


@case(slow=True, long=True)
def read_only(context):
    """A read-only disk is one for the guest, and stays as it was; a disk beside it is written."""
    image = make_image(context)
    other = context.path("other.img")
    with open(other, "wb") as file:
        file.truncate(1 << 20)
    with open(image, "rb") as file:
        before = file.read()
    g = context.script(disks=[image + ",ro=true", other])
    check(g.run("cat /sys/block/vda/ro /sys/block/vdb/ro").split() == ["1", "0"], "the wrong disk is read-only")
    g.run("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null", status=1)
    g.run("mount -t ext4 -o ro /dev/vda /mnt; umount /mnt")
    g.run("echo written | dd of=/dev/vdb bs=512 seek=3 conv=fsync 2>/dev/null")
    g.power_off()
    with open(image, "rb") as file:
        check(file.read() == before, "the read-only disk was written")
    with open(other, "rb") as file:
        check(file.read()[1536:1544] == b"written\n", "what was written is not there")


guest.main()
