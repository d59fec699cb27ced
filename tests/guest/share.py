# SPDX-License-Identifier: BSD-2-Clause
"""A folder of the host by virtio-9p: files come and go in both directions, what is beside the folder is out of reach."""
import hashlib
import os
import stat

import guest
from guest import case, check

WORDS = "guest.load=9p,9pnet_virtio"
MOUNT = "mount -t 9p -o trans=virtio,version=9p2000.L%s stuff /mnt"


def folder(context):
    """What is shared, and what is beside it."""
    share, beside = context.path("share"), context.path("beside")
    os.makedirs(os.path.join(share, "dir"))
    os.mkdir(beside)
    for path, text in ((os.path.join(beside, "secret"), "nobody sees this\n"), (os.path.join(share, "hello"), "hello, guest\n")):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    os.symlink("../beside/secret", os.path.join(share, "link"))
    os.symlink("../beside", os.path.join(share, "up"))
    os.symlink("dir", os.path.join(share, "inside"))
    return share


def inside(path):
    with open(path, "rb") as file:
        return file.read()


@case(flavours=(guest.GENERIC,))
def files_both_ways(context):
    share = folder(context)
    g = context.script(WORDS, cpus=2, more=["--share", "stuff=" + share])
    g.run(MOUNT % "")
    check(g.run("cat /mnt/hello").strip() == "hello, guest", "the host's file reads otherwise")
    # contents, in large and small pieces
    g.run("dd if=/dev/urandom of=/tmp/big bs=64k count=64 2>/dev/null; cp /tmp/big /mnt/big; sync; cmp /tmp/big /mnt/big", limit=guest.LIMIT)
    check(hashlib.sha256(inside(os.path.join(share, "big"))).hexdigest() == g.run("sha256sum </tmp/big").split()[0], "a large file differs")
    g.run("echo more >>/mnt/hello; dd if=/dev/zero of=/mnt/big bs=1 seek=100 count=7 conv=notrunc 2>/dev/null; truncate -s 1000 /mnt/big")
    check(inside(os.path.join(share, "hello")) == b"hello, guest\nmore\n", "what was appended is not there")
    check(len(inside(os.path.join(share, "big"))) == 1000 and inside(os.path.join(share, "big"))[100:107] == bytes(7), "a write is elsewhere")
    # names
    g.run("echo 1 >/mnt/one; mkdir -p /mnt/dir/sub; mv /mnt/one /mnt/dir/sub/uno; ln /mnt/dir/sub/uno /mnt/two; ln -s dir/sub /mnt/short")
    check(g.run("cat /mnt/short/uno /mnt/two").split() == ["1", "1"], "names do not lead there")
    g.run("cd /mnt/dir/sub; mv /mnt/dir /mnt/moved; echo 2 >new; cd /")
    check(inside(os.path.join(share, "moved/sub/new")) == b"2\n", "a file below a folder that was moved is lost")
    check(os.readlink(os.path.join(share, "short")) == "dir/sub" and os.stat(os.path.join(share, "two")).st_nlink == 2, "links differ")
    # many entries, which no message holds
    g.run("mkdir /mnt/many; i=0; while [ $i -lt 2500 ]; do : >/mnt/many/file-with-a-long-name-$i; i=$((i + 1)); done", limit=guest.LIMIT)
    check(sorted(g.run("ls /mnt/many").split()) == sorted(os.listdir(os.path.join(share, "many"))), "the list of a large folder differs")
    check(g.run("ls /mnt/many | wc -l").strip() == "2500", "files are missing")
    g.run("rm -r /mnt/many /mnt/moved", limit=guest.LIMIT)
    check(not os.path.exists(os.path.join(share, "many")), "a folder was not removed")
    # what is a file of the guest's, and what would be one of the host's
    g.run("chmod 640 /mnt/two; mkfifo /mnt/fifo; ! mknod /mnt/null c 1 3 2>/dev/null")
    check(stat.S_IMODE(os.stat(os.path.join(share, "two")).st_mode) == 0o640, "the mode is another one")
    check(stat.S_ISFIFO(os.stat(os.path.join(share, "fifo")).st_mode), "there is no FIFO")
    g.run("chmod 4755 /mnt/two 2>/dev/null; true")
    check(os.stat(os.path.join(share, "two")).st_mode & stat.S_ISUID == 0, "a file runs as its owner")
    check(float(g.run("df /mnt | tail -n 1 | awk '{ print $2 }'")) > 0, "the file system has no size")
    g.run("umount /mnt")
    g.power_off()


@case(flavours=(guest.GENERIC,))
def beside_is_out_of_reach(context):
    """Links that lead out of the folder lead nowhere, whoever made them; a folder that is read-only stays as it is."""
    share = folder(context)
    g = context.script(WORDS, more=["--share", "stuff=" + share + ",ro"])
    g.run(MOUNT % "")
    # the guest's own names: beside /mnt there is nothing
    for path in ("link", "up/secret", "../beside/secret", "inside/../../beside/secret"):
        g.run("! cat /mnt/%s 2>/dev/null" % path)
    check(g.run("ls -a /mnt | sort").split() == sorted([".", "..", "dir", "hello", "inside", "link", "up"]), "the folder has other entries")
    g.run("! sh -c 'echo x >/mnt/hello' 2>/dev/null; ! touch /mnt/new 2>/dev/null; ! rm /mnt/hello 2>/dev/null; ! mkdir /mnt/d 2>/dev/null;"
          " ! mv /mnt/hello /mnt/b 2>/dev/null; ! ln -s a /mnt/b 2>/dev/null; ! chmod 0 /mnt/hello 2>/dev/null")
    check(inside(os.path.join(share, "hello")) == b"hello, guest\n", "a read-only folder was changed")
    check(sorted(os.listdir(share)) == ["dir", "hello", "inside", "link", "up"], "a read-only folder has other files")
    g.power_off()


guest.main()
