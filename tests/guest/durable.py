# SPDX-License-Identifier: BSD-2-Clause
"""What is written and flushed is durable: a guest's ext4 on a disk that is recorded, and a crash at every moment of it.

Out of what each crash may leave, replaying the journal must make a consistent file system, with nothing to repair, that has
every file whole whose fsync the guest had seen return.
"""
import hashlib
import os
import random
import re
import signal
import subprocess

import crash
import guest
from guest import case, check

SIZE = 16 << 20             # of the file system
TAIL = 1 << 20              # of the disk behind it, where the guest tells what it believes
ATOM = 4096                 # what the disk writes whole: its sector.  ext4 with checksums needs its superblock whole.
MOMENTS = 40                # crashes without HYVE_TEST_LONG; with it, one after every record at least

# Files come with fsync and without, are appended to, renamed and deleted; the mark behind each fsync goes around every cache.
WORKLOAD = (
    r"""mark() { printf "mark %%d\n" $1 | dd of=$disk bs=4096 seek=%d count=1 conv=sync,notrunc oflag=direct 2>/dev/null; }"""
    % (SIZE // 4096),
    """synced() { mkdir -p /mnt/d$(($1 % 5)); seq 1 $(($1 * 300)) >/mnt/loose$1; """
    """seq $1 $(($1 * 37 % 9000 + $1 + 10)) | dd of=/mnt/d$(($1 % 5))/f$1 bs=32k conv=fsync 2>/dev/null && mark $1; }""",
    """others() { [ $(($1 % 3)) = 0 ] && mv /mnt/loose$1 /mnt/d$(($1 % 5))/moved$1; """
    """[ $(($1 % 4)) = 0 ] && rm -f /mnt/loose$(($1 - 1)) /mnt/d*/moved$(($1 - 3)); """
    """[ $(($1 % 7)) = 0 ] && dd if=/dev/zero of=/mnt/hole bs=4k seek=$(($1 * 3)) count=2 conv=notrunc 2>/dev/null; """
    """[ $(($1 % 10)) = 0 ] && sync; true; }""",
    """work() { n=$1; while [ $n -le $2 ]; do synced $n || return 1; others $n; n=$((n + $3)); done; }""",
)


def content(n):
    return "".join("%d\n" % i for i in range(n, n * 37 % 9000 + n + 10 + 1)).encode()


def marked(event):
    """What the guest told in this event: the number of files that it believes to be durable; None if it is no mark."""
    match = re.match(rb"mark (\d+)\n", event.data[:16]) if event.op == crash.WRITE else None
    return int(match.group(1)) if match else None


def to_qcow2(image):
    """The same disk as a qcow2 image of small clusters, so that much is allocated."""
    out = image[:-len(".img")] + ".qcow2"
    command = [guest.tool("qemu-img"), "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", image, out]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return out


def from_qcow2(image, path):
    """The disk of a crash's qcow2 image, and None; or what is wrong with it.  Clusters may have leaked."""
    qemu_img = guest.tool("qemu-img")
    with open(path + ".qcow2", "wb") as file:
        file.write(image)
    checked = subprocess.run([qemu_img, "check", path + ".qcow2"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False)
    if checked.returncode not in (0, 3):        # 3: leaks only
        return None, "qemu-img check: " + checked.stdout.decode("utf-8", "replace")[:300]
    subprocess.run([qemu_img, "convert", "-f", "qcow2", "-O", "raw", path + ".qcow2", path], check=True, stdin=subprocess.DEVNULL)
    with open(path, "rb") as file:
        return file.read(), None


def record_guest(context, files, keys="", cpus=1, qcow2=False, device="/dev/vda", words=""):
    """Run the workload in a guest; the image before it, and the events."""
    image, before, log = context.path("disk.img"), context.path("before.img"), context.path("record")
    with open(image, "wb") as file:
        file.truncate(SIZE + TAIL)
    command = [guest.tool("mke2fs"), "-q", "-F", "-t", "ext4", "-b", "4096", image, "%dk" % (SIZE >> 10)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if qcow2:
        image = to_qcow2(image)
    with open(image, "rb") as source, open(before, "wb") as copy:
        copy.write(source.read())
    sector = "sectsz" if "device=nvme" in keys else "sectorsize"
    g = context.script(words, disks=["%s,record=%s,%s=%d%s" % (image, log, sector, ATOM, keys)], cpus=cpus)
    g.run("disk=" + device)
    for line in WORKLOAD:
        g.run(line)
    g.run("mount -t ext4 -o commit=1 $disk /mnt")
    g.run("work 1 %d 1" % files)
    g.signal(signal.SIGKILL)
    g.ends(-signal.SIGKILL)
    return before, crash.read_log(log)


# What e2fsck says of a file system in order: the journal was replayed, what was open is gone.  The superblock's sums of the groups'
# counts are no part of the journal: ext4 makes them anew at every mount, and so does e2fsck.
IN_ORDER = re.compile(r"e2fsck |Pass \d|Clearing orphaned inode|Truncating orphaned inode|"
                      r"Free (blocks|inodes) count wrong \(\d+, counted=\d+\)|Fix\? yes|\s*$|"
                      r".*(recovering journal|FILE SYSTEM WAS MODIFIED|: \d+/\d+ files)")


def verify(image, path, durable):
    """One crash's image, with `durable` files told.  None, or what is wrong."""
    if image[:4] == b"QFI\xfb":
        image, wrong = from_qcow2(image, path)
        if wrong is not None:
            return wrong
    with open(path, "wb") as file:
        file.write(image[:SIZE])
    e2fsck = guest.tool("e2fsck")
    replayed = subprocess.run([e2fsck, "-fy", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, LC_ALL="C"), check=False)
    said = replayed.stdout.decode("utf-8", "replace")
    repairs = [line for line in said.split("\n") if not IN_ORDER.match(line)]
    if replayed.returncode not in (0, 1) or repairs:
        return "not consistent: status %d: %s" % (replayed.returncode, "; ".join(repairs[:6]))
    again = subprocess.run([e2fsck, "-fn", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           check=False)
    if again.returncode != 0:
        return "not clean after its repair: " + again.stdout.decode("utf-8", "replace")[-300:]
    out = path + ".file"
    commands = "".join("dump /d%d/f%d %s.%d\n" % (n % 5, n, out, n) for n in range(1, durable + 1))
    subprocess.run([guest.tool("debugfs"), "-f", "/dev/stdin", path], input=commands.encode(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    wrong = None
    for n in range(1, durable + 1):
        name = "%s.%d" % (out, n)
        data = b""
        if os.path.exists(name):
            with open(name, "rb") as file:
                data = file.read()
            os.unlink(name)
        if wrong is None and hashlib.sha256(data).digest() != hashlib.sha256(content(n)).digest():
            wrong = "file %d of %d was synced and is %s" % (n, durable, "wrong" if data else "gone")
    return wrong


def crashes(context, before, events):
    """Crash after records: after every one in the long run."""
    rand = random.Random(len(events))
    total = len(events)
    if guest.LONG:
        moments = list(range(total + 1))
    else:
        moments = sorted(rand.sample(range(total + 1), min(MOMENTS, total + 1)))
    disk, durable, path = crash.Disk(before, events, ATOM), 0, context.path("crash.img")
    known = 0
    for moment in moments:
        for event in events[known:moment]:
            durable = marked(event) or durable
        known = moment
        disk.at(moment)
        wrong = verify(disk.crash(rand), path, durable)
        check(wrong is None, "crash after %d of %d records, %d uncertain: %s" % (moment, total, len(disk.uncertain()), wrong))
    return len(moments)


def unflushed_is_found(context, before, events):
    """The check itself: of a disk that ignores flushes it has something to say."""
    kept = [event for event in events if event.op != crash.FLUSH]
    for index, event in enumerate(kept):
        event.began = index
    rand, found = random.Random(1), 0
    disk, moments = crash.Disk(before, kept, ATOM), sorted(rand.sample(range(len(kept) // 2, len(kept)), 8))
    durable = max(marked(event) or 0 for event in kept[:moments[0]])
    for moment in moments:
        disk.at(moment)
        found += verify(disk.crash(rand), context.path("crash.img"), durable) is not None
    check(found > 0, "a disk that ignores flushes passes")


def recorded(context, **how):
    before, events = record_guest(context, 60 if guest.LONG else 25, **how)
    flushes = sum(event.op == crash.FLUSH for event in events)
    check(flushes > 20, "%d records with %d flushes" % (len(events), flushes))
    count = crashes(context, before, events)
    print("  %d crashes among %d records, %d of them flushes" % (count, len(events), flushes), flush=True)
    unflushed_is_found(context, before, events)


@case(slow=True)
def every_prefix_is_consistent(context):
    recorded(context)


@case(slow=True, long=True)
def every_prefix_with_2_cpus(context):
    recorded(context, cpus=2)


@case(slow=True, long=True)
def every_prefix_in_writethrough(context):
    """The device makes each write durable by itself."""
    recorded(context, keys=",cache=writethrough")


@case(slow=True, long=True)
def every_prefix_of_qcow2(context):
    """Below the format: its tables and data, as they get to the file."""
    recorded(context, qcow2=True)


@case(slow=True, long=True)
def every_prefix_on_nvme(context):
    """Queues for each processor, flushes as commands of their own."""
    recorded(context, keys=",device=nvme", device="/dev/nvme0n1", cpus=2)


@case(slow=True, long=True, flavours=(guest.GENERIC,))
def every_prefix_on_ahci(context):
    """Commands that are queued, and flushes, which are not."""
    recorded(context, keys=",device=ahci", device="/dev/sda", words="guest.load=ahci,sd_mod", cpus=2)


guest.main()
