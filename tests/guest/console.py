# SPDX-License-Identifier: BSD-2-Clause
"""The virtio console: a terminal of the guest whose other end is a terminal of the host."""
import hashlib
import os
import pty
import select
import termios
import threading
import time

import guest
from guest import case, check

SLOT = 20
TEXT = "".join("%d\n" % n for n in range(1, 30001)).encode()


class Far:
    """The host's end: a pseudo-terminal whose path hyve is given."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)
        self.got = b""

    def keys(self, **more):
        settings = ["pci.0.%d.0.device=virtio-console" % SLOT, "pci.0.%d.0.path=%s" % (SLOT, self.path)]
        settings += ["pci.0.%d.0.%s=%s" % (SLOT, key, value) for key, value in more.items()]
        return [word for setting in settings for word in ("--set", setting)]

    def read(self, done, what):
        end = time.monotonic() + guest.LIMIT
        while not done(self.got):
            check(time.monotonic() < end, "hung: %s; got %d bytes, the last are %r" % (what, len(self.got), self.got[-200:]))
            if select.select([self.master], [], [], 0.2)[0]:
                self.got += os.read(self.master, 65536)
        return self.got

    def write(self, data):
        while data:
            data = data[os.write(self.master, data[:4096]):]

    def close(self):
        os.close(self.slave)
        os.close(self.master)


def with_far(function):
    """A case that gets the host's end, too."""
    def run(context):
        far = Far()
        try:
            function(context, far)
        finally:
            for g in context.guests:
                g.process.kill()            # before its terminal goes
            far.close()
    run.__name__ = function.__name__
    return run


def boot(context, far, **keys):
    g = context.script(more=far.keys(**keys))
    check(g.run("ls -l /dev/hvc0").startswith("c"), "there is no /dev/hvc0")
    return g


@case(slow=True, flavours=guest.BOTH)
@with_far
def both_ways(context, far):
    """Much output and much input arrive whole; hyve gives the terminal its modes back."""
    before = termios.tcgetattr(far.slave)
    g = boot(context, far)
    g.run("exec 3<>/dev/hvc0; stty raw -echo <&3")
    g.send("seq 1 30000 >&3\n")
    got = far.read(lambda got: len(got) >= len(TEXT), "output of the guest")
    check(got == TEXT, "output of %d bytes differs" % len(got))
    writer = threading.Thread(target=far.write, args=(TEXT,))
    writer.start()
    digest = g.run("head -c %d <&3 | sha256sum" % len(TEXT)).split()[0]
    writer.join()
    check(digest == hashlib.sha256(TEXT).hexdigest(), "input differs")
    # every value of a byte
    far.got = b""
    every = bytes(range(256)) * 4
    writer = threading.Thread(target=far.write, args=(every,))
    writer.start()
    g.run("head -c %d <&3 >/tmp/every; cat /tmp/every >&3" % len(every))
    writer.join()
    check(far.read(lambda got: len(got) >= len(every), "bytes that come back") == every, "bytes are changed on their way")
    g.power_off()
    check(termios.tcgetattr(far.slave) == before, "the terminal did not get its modes back")


@case(slow=True)
@with_far
def a_shell_on_it(context, far):
    """A terminal like others."""
    g = boot(context, far)
    g.run("(PS1='hvc# ' setsid -c sh -i </dev/hvc0 >/dev/hvc0 2>&1 &)")
    far.read(lambda got: b"hvc# " in got, "no prompt")
    far.write(b"echo $((6 * 7))x; tty\r")
    far.read(lambda got: b"42x" in got and b"/dev/hvc0\r\n" in got, "no answer")
    # the line discipline: erase, and the end of a program's input
    far.write(b"cat\r")
    far.read(lambda got: b"cat\r\n" in got, "no echo")
    time.sleep(1)               # the shell gives the terminal the program's modes
    far.write(b"halfx\x7f-way\r")
    far.read(lambda got: b"half-way\r\n" in got, "no line of cat's")
    far.write(b"\x04")
    far.read(lambda got: got.endswith(b"hvc# \x1b[6n"), "no prompt behind the end of input")
    far.write(b"echo $((40 + 2))y\r")
    far.read(lambda got: b"42y" in got, "no shell behind the end of input")
    g.power_off()


@case(slow=True)
@with_far
def kernel_messages(context, far):
    """The kernel's console."""
    g = context.boot("console=hvc0 guest.run=\"echo '<2>told to hvc0' >/dev/kmsg; sleep 1; poweroff -f\"", more=far.keys())
    far.read(lambda got: b"told to hvc0" in got, "no message")
    g.ends(guest.POWEROFF)


guest.main()
