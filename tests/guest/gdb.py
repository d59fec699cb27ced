# SPDX-License-Identifier: BSD-2-Clause
"""gdb itself with a kernel of our own (kernels/debug.c) that counts on two processors: breakpoints, watchpoints, steps, threads, registers,
memory, Ctrl-C, detaching, a reset."""
import os
import re
import signal
import subprocess
import time

import guest
from guest import case, check, Failed, Skipped

# What the architecture's gdb calls things: the program counter; a register that can hold anything, and one that is wide; where the second
# processor is stopped; the file that has the kernel's symbols.
ARCHES = {
    "amd64": {"pc": "$rip", "free": "$r15", "wide": "$xmm5.v2_int64", "second": "(long)&second_code-(long)&second_start", "symbols": "debug"},
    "arm64": {"pc": "$pc", "free": "$x27", "wide": "$v5.d.u", "second": "(long)&second_step", "symbols": "debug.elf"},
}
PROMPT = "(gdb) "


class Gdb:
    """gdb with a guest."""

    def __init__(self, context, socket, symbols):
        self.process = subprocess.Popen([guest.tool("gdb-multiarch"), "-nx", "-q", symbols], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=context.directory,
                                        env=dict(os.environ, LC_ALL="C", HOME=context.directory, DEBUGINFOD_URLS=""))
        os.set_blocking(self.process.stdout.fileno(), False)
        self.answer()
        for line in ("set pagination off", "set confirm off", "set width 0", "set tcp connect-timeout 60"):
            self.run(line)
        self.run("target remote " + socket, r"_start")

    def answer(self, look=lambda: None):
        """What gdb says up to its next prompt; look() is called while it says nothing."""
        end = time.monotonic() + guest.LIMIT
        text = ""
        while not text.endswith(PROMPT):
            data = self.process.stdout.read()
            if data == b"":
                raise Failed("gdb has ended: " + text)
            if data is None:
                if time.monotonic() > end:
                    raise Failed("hung: gdb said nothing more than: " + text)
                look()
                time.sleep(0.01)
                continue
            text += data.decode("utf-8", "replace")
        return text[:-len(PROMPT)]

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def run(self, line, pattern=r"", look=lambda: None):
        """A command; the match of what it answers."""
        self.say(line)
        text = self.answer(look)
        match = re.search(pattern, text)
        check(match is not None, "gdb: %s: no '%s' in: %s" % (line, pattern, text.strip()))
        return match

    def number(self, expression):
        return int(self.run("print/d " + expression, r"= (-?\d+)").group(1))

    def interrupt(self):
        """While it waits for a guest that runs."""
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)
        text = self.answer()
        check("SIGINT" in text, "gdb: Ctrl-C: " + text)

    def end(self):
        self.say("quit")
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def start(context, *more):
    """A guest that waits for gdb, gdb, and the architecture's words."""
    words = ARCHES[context.arch]
    socket = context.path("gdb")
    g = context.start(["--kernel", context.kernel("debug"), "--set", "gdb.path=" + socket, "--set", "gdb.wait=on"] +
                      guest.ARCHES[context.arch]["exit"] + list(more), cpus=2, memory="64M")
    end = time.monotonic() + guest.LIMIT
    while not os.path.exists(socket):
        check(g.process.poll() is None and time.monotonic() < end, "hyve does not listen: " + g.said())
        time.sleep(0.02)
    return g, Gdb(context, socket, context.kernel(words["symbols"])), words


def only_soft(context):
    """kvm's own watchpoints and steps need a host that has them: they are tried where kernels of Debian run, too."""
    why = guest.no_accel(context.arch, context.accel)
    if why is not None:
        raise Skipped(why)


def to_kernel(g, d):
    """To the breakpoint at kernel(), which is before the guest has said anything.  An emulated host may have debug registers that its guests pass."""
    def look():
        g.read(0)
        if "ready" in g.text:
            raise (Skipped if guest.SLOWER > 1 else Failed)("the host's processor did not stop the guest at a breakpoint")
    return d.run("continue", r"Breakpoint \d+, kernel", look)


@case
def a_session(context):
    only_soft(context)
    g, d, words = start(context)
    # by the description: threads, registers of a system
    d.run("info threads", r"\* 1 +Thread 1 \(vCPU 0: runs\)[^\n]*_start")
    d.run("info registers " + words["pc"], "_start")
    # breakpoints of both kinds, and where the guest is then
    d.run("hbreak kernel", "Hardware assisted breakpoint 1")
    to_kernel(g, d)
    check("ready" not in g.text, "the kernel was not stopped at its beginning")
    d.run("break rare")
    d.run("continue", r"Breakpoint 2, rare \(n=(n@entry=)?1\)")
    g.expect("ready\r?\n")
    d.run("backtrace", r"#0 +rare[^\n]*\n#1 [^\n]*kernel")
    check(d.number("counter") == 1024, "counter is not what it was when rare() was called")
    d.run("x/s text", "what a debugger reads")
    # memory that has a breakpoint is as it was
    code = d.run("x/8xb rare", r":\s*([^\n]*)").group(1)
    d.run("delete")
    d.run("x/8xb rare", re.escape(code))
    # watchpoints: the values before and behind, and the place
    d.run("watch watched")
    d.run("continue", r"Old value = 0\s+New value = 22\s[\s\S]*rare")
    d.run("continue", r"Old value = 22\s+New value = 55")
    d.run("delete")
    d.run("rwatch table[3]")
    d.run("continue", r"Value = 44[\s\S]*rare")
    d.run("delete")
    # steps by instruction and by line, and out of a function
    d.run("tbreak hot")
    d.run("continue", "hot")
    before = d.number(words["pc"])
    d.run("stepi")
    check(0 < d.number(words["pc"]) - before < 16, "an instruction is no step")
    d.run("finish", "kernel")
    d.run("next")
    d.run("next")
    # registers, wide ones too, and memory are written
    d.run("set var %s = 0x123456789abcdef0" % words["free"])
    d.run("print/x " + words["free"], "0x123456789abcdef0")
    d.run("set var %s[0] = 0x1122334455667788" % words["wide"])
    d.run("set var %s[1] = 0x6aabbccddeeff00" % words["wide"])
    d.run("maintenance flush register-cache")
    d.run("print/x " + words["wide"], "0x1122334455667788, 0x6aabbccddeeff00")
    d.run("set var table[2] = 1000")
    d.run("print table", "11, 22, 1000, 44")
    # the second processor comes to a breakpoint of its own, and is looked at
    d.run("tbreak *(%s)" % words["second"])
    d.run("continue", r"Thread 2 hit Temporary breakpoint")
    d.run("info threads", r"\* 2 +Thread 2 \(vCPU 1: runs\)")
    d.run("set scheduler-locking on")
    counted = d.number("counter")
    d.run("stepi")
    d.run("stepi")
    d.run("tbreak *(%s)" % words["second"])
    d.run("continue", r"Thread 2 hit Temporary breakpoint")
    check(d.number("counter") == counted, "the first processor went on while it was held")
    d.run("set scheduler-locking off")
    d.run("thread 1", "Thread 1")
    # hyve's own commands
    d.run("monitor info", "thread 2, vCPU 1: runs")
    d.run("monitor rset", "did you mean 'reset'")
    # Ctrl-C
    d.say("continue")
    d.interrupt()
    check(d.number("counter") > counted, "the guest did not go on")
    # a reset is another start of the same, which stays stopped; breakpoints are there still
    d.run("monitor reset")
    d.run("maintenance flush register-cache")
    d.run("info registers " + words["pc"], "_start")
    d.run("break kernel")
    d.run("continue", r"Breakpoint \d+, kernel")
    # a guest that goes on without gdb, and one that ends with it
    d.run("delete")
    d.run("detach", "detached")
    g.expect("ready\r?\n")
    end = time.monotonic() + guest.LIMIT
    while True:
        d.run("target remote " + context.path("gdb"), r"\(")
        if d.number("counter") > 0:
            break
        check(time.monotonic() < end, "it did not run")
        d.run("detach", "detached")
        time.sleep(0.1)
    d.run("set var finish = 1")
    d.run("continue", "exited with code 01")
    g.expect("end\r?\n")
    g.ends(guest.POWEROFF)
    d.end()


@case
def waits_for_nobody(context):
    only_soft(context)
    g = context.start(["--kernel", context.kernel("debug"), "--set", "gdb.wait=on"])
    g.ends(guest.ERROR)
    check("set gdb.path or gdb.port" in g.said(), "it says: " + g.said())


@case
def kill(context):
    only_soft(context)
    g, d, _ = start(context)
    d.run("hbreak kernel")
    to_kernel(g, d)
    d.run("kill", "killed")
    d.end()
    g.ends(guest.POWEROFF)


guest.main()
