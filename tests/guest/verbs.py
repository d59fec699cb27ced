# SPDX-License-Identifier: BSD-2-Clause
"""VMs with names: their directories, locks, consoles and logs, and the verbs that look after them.

The guest is a kernel of our own (kernels/echo.c) that answers on its console.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import guest
from guest import case, check

TAB, ASK, OFF, RESET, DEAF = "\t", "\x0e", "\x0f", "\x12", "\x15"     # what the kernel takes for commands
ESCAPE = "\x1d"
SHOWN, RING = 65536, 262144     # bytes that a new reader is shown, and that one may fall behind (console_server.h)


def is_gone(pid):
    """Whether a process has nothing any more, with all of its threads: nobody may have asked for its status yet."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as stat:
            return stat.read().rsplit(") ", 1)[1][0] == "Z" and len(os.listdir("/proc/%d/task" % pid)) == 1
    except OSError:
        return True


class Place:
    """A folder of VMs of one case; whatever runs there at its end is killed."""

    def __init__(self, context, folder="vms"):
        context.needs_soft()
        self.context = context
        self.directory = context.path(folder)
        self.environment = dict(os.environ, HYVE_DIR=self.directory)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and os.path.isdir(self.directory):
            for name in sorted(os.listdir(self.directory)):
                path = os.path.join(self.directory, name, "log")
                if os.path.exists(path):
                    with open(path, encoding="utf-8", errors="replace") as log:
                        print("--- log of %s:\n%s---" % (name, log.read()), file=sys.stderr, flush=True)
        for vm in self.json("ls", "--json"):
            if vm["state"] != "stopped":
                self.hyve("kill", vm["name"])

    def popen(self, *words, **options):
        options.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen([self.context.hyve] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment,
                                **options)

    def try_hyve(self, *words, **options):
        """Exit code, standard output and what was said on standard error."""
        done = subprocess.run([self.context.hyve] + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment, timeout=guest.LIMIT, check=False, **options)
        return done.returncode, done.stdout.decode(), done.stderr.decode().replace("\r", "")

    def hyve(self, *words, **options):
        code, out, said = self.try_hyve(*words, **options)
        check(code == 0, "hyve %s: code %d: %s" % (" ".join(words), code, said))
        return out

    def bhyvectl(self, *words):
        """The same of the other command."""
        done = subprocess.run(["bhyvectl"] + list(words), executable=self.context.hyve, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.environment, timeout=guest.LIMIT, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def fails(self, code, pattern, *words, **options):
        """A command that ends with a code and a sentence."""
        got, out, said = self.try_hyve(*words, **options)
        check(got == code, "hyve %s: code %d, not %d: %s" % (" ".join(words), got, code, said))
        check(re.fullmatch(pattern, said.strip()), "hyve %s says '%s', not '%s'" % (" ".join(words), said.strip(), pattern))

    def json(self, *words):
        return json.loads(self.hyve(*words))

    def options(self, *more):
        return ["--arch", self.context.arch, "--accel", self.context.accel, "--kernel", self.context.kernel("echo"), "--memory", "16M",
                "--net", "none"] + list(more)

    def create(self, name, *more):
        self.hyve("create", name, *self.options(*more))

    def state(self, name):
        return self.json("info", "--json", name)["state"]

    def pid(self, name):
        return self.json("info", "--json", name)["pid"]

    def until(self, what, function, limit=guest.LIMIT):
        end = time.monotonic() + limit
        while not function():
            check(time.monotonic() < end, "hung: not %s within %d s" % (what, limit))
            time.sleep(0.05)

    def until_stopped(self, name):
        self.until("stopped", lambda: self.state(name) == "stopped")


class Console:
    """hyve console, on pipes or with terminal=True on a terminal."""

    def __init__(self, place, name, *more, terminal=False):
        self.terminal = None
        if terminal:
            self.output, self.terminal = pty.openpty()
            self.input = self.output
            self.before = termios.tcgetattr(self.terminal)
            self.process = subprocess.Popen([place.context.hyve, "console", name] + list(more), stdin=self.terminal, stdout=self.terminal,
                                            stderr=self.terminal, env=place.environment, start_new_session=True)
        else:
            self.process = place.popen("console", name, *more)
            self.output, self.input = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        if self.terminal is not None:
            os.close(self.terminal)
            os.close(self.output)
        else:
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                stream.close()

    def send(self, text):
        os.write(self.input, text.encode())

    def expect(self, text, limit=guest.LIMIT):
        end = time.monotonic() + limit
        while text not in self.text:
            check(time.monotonic() < end, "hung: no '%s' within %d s: %s" % (text, limit, self.text[-500:]))
            if select.select([self.output], [], [], 1)[0]:
                data = os.read(self.output, 65536)
                check(data, "the console ended before '%s'" % text)
                self.text += data.decode("utf-8", "replace")
        self.text = self.text[self.text.index(text) + len(text):]

    def told(self, text, limit=guest.LIMIT):
        """Wait for a sentence on standard error."""
        said, end = "", time.monotonic() + limit
        while text not in said:
            check(time.monotonic() < end, "hung: it does not say '%s': %s" % (text, said))
            if select.select([self.process.stderr], [], [], 1)[0]:
                data = os.read(self.process.stderr.fileno(), 65536)
                check(data, "it ends and does not say '%s': %s" % (text, said))
                said += data.decode()


@case()
def one_start_wins_and_a_crash_leaves_no_wrong_state(context):
    """The lock says whether a VM runs; what a killed process leaves behind is in nobody's way."""
    with Place(context) as p:
        check(p.hyve("ls") == "" and p.json("ls", "--json") == [], "there are VMs at the beginning")
        p.create("one")
        check(p.state("one") == "stopped", "a new VM runs")
        p.fails(1, r"hyve: VM 'one' does not run; 'hyve start one' starts it", "kill", "one")
        p.fails(1, r"hyve: VM 'one' has no log: it has not been started yet", "log", "one")
        starts = [p.popen("start", "one") for _ in range(4)]
        said = [s.communicate(timeout=guest.LIMIT)[1].decode() for s in starts]
        check(sorted(s.returncode for s in starts) == [0, guest.ERROR, guest.ERROR, guest.ERROR],
              "codes of four starts at once: %s: %s" % ([s.returncode for s in starts], said))
        pid = p.pid("one")
        for s, text in zip(starts, said):
            check(s.returncode == 0 or re.search(r"VM 'one' runs already: (pid %d, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d|it is being started)\n" % pid,
                                                 text), "it says " + text)
        p.fails(guest.ERROR, r"hyve: VM 'one' runs already: pid %d, since .*" % pid, "start", "one")
        p.fails(1, r"hyve: VM 'one' runs already: pid %d, since .*" % pid, "delete", "one")
        check(p.state("one") == "running", "it is " + p.state("one"))
        os.kill(pid, signal.SIGKILL)
        p.until("gone", lambda: is_gone(pid))
        vm = p.json("ls", "--json")
        check([v["state"] for v in vm] == ["stopped"] and vm[0]["pid"] is None, "behind kill -9 ls says %s" % vm)
        check(os.path.exists(os.path.join(p.directory, "one", "console")), "the killed one took its socket along")
        p.hyve("start", "one")
        with Console(p, "one") as c:
            c.expect("echo: ready")
            c.send(ASK)
            c.expect("echo: asked 1\r\n")
            c.send(OFF)
            c.told("the console has ended")
            check(c.process.wait(guest.LIMIT) == 0, "the console's code is not 0")
        p.until_stopped("one")
        log = p.hyve("log", "one")
        check(len(re.findall(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ hyve: starting VM 'one', pid \d+$", log, re.M)) == 2 and
              log.count("the VM has ended, with code 1") == 1, "the log is " + log)
        check(not os.path.exists(os.path.join(p.directory, "one", "console")), "the socket is still there")
        p.hyve("delete", "one")
        check(os.listdir(p.directory) == [], "delete left " + str(os.listdir(p.directory)))


@case()
def started_vm_survives_its_terminal(context):
    with Place(context) as p:
        main, terminal = pty.openpty()
        started = subprocess.Popen([context.hyve, "run", "-d", "--name", "tty"] + p.options(), stdin=terminal, stdout=terminal,
                                   stderr=terminal, env=p.environment, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        check(started.wait(guest.LIMIT) == 0, "run -d ended with %d" % started.returncode)
        pid = p.pid("tty")
        check(os.getsid(pid) != started.pid, "it is in the session of the terminal")
        check(open("/proc/%d/stat" % pid).read().rsplit(") ", 1)[1].split()[4] == "0", "it has a terminal")
        links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        check(not any(link.startswith("/dev/pt") for link in links), "it has the terminal open: %s" % links)
        os.close(terminal)
        os.close(main)
        with Console(p, "tty") as c:
            c.expect("echo: ready")
            c.send("still " + ASK)
            c.expect("still echo: asked 1\r\n")
        p.fails(guest.ERROR, r"hyve: there is a VM 'tty' already, in '.*'; 'hyve start tty' starts it, 'hyve delete tty' removes it",
                "run", "-d", "--name", "tty", *p.options())


@case()
def console_has_readers_and_one_writer(context):
    with Place(context) as p:
        p.create("con")
        p.hyve("start", "con")
        with Console(p, "con") as first, Console(p, "con", "--read-only") as reader:
            first.expect("echo: ready")
            reader.expect("echo: ready")
            first.send("a")
            first.expect("a")
            reader.send("no")
            with Console(p, "con") as second:
                second.told("process %d writes here: what you type goes nowhere until it has gone; --steal takes over" % first.process.pid)
                second.send("b")
                with Console(p, "con", "--steal") as thief:
                    first.told("process %d has taken over: what you type goes nowhere" % thief.process.pid)
                    first.send("c")
                    thief.send("d" + ASK)
                    for c in (first, second, thief, reader):
                        c.expect("decho: asked 1\r\n")
                    check("no" not in reader.text and "b" not in first.text and "c" not in first.text, "the guest read what it should not")
                second.told("who wrote has gone: what you type goes to the guest now")
                second.send("e" + ASK)
                first.expect("eecho: asked 2\r\n")
        p.fails(1, r"hyve: --read-only and --steal exclude each other", "console", "--read-only", "--steal", "con")


@case()
def console_shows_what_was_and_holds_nobody_back(context):
    """A reader who stands still is dropped, and the guest goes on; who comes later sees the last 64 KiB."""
    end = "line 30000 of many\r\necho: done\r\n"
    with Place(context) as p:
        p.create("flood")
        p.hyve("start", "flood")
        path = p.json("info", "--json", "flood")["console"]
        check(os.stat(path).st_mode & 0o777 == 0o600, "mode of the socket: %o" % os.stat(path).st_mode)
        slow = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        slow.connect(path)
        slow.send(b"R")
        wrong = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wrong.connect(path)
        wrong.send(b"?" * 5000)
        check(wrong.recv(1) == b"", "who says nonsense is served")
        wrong.close()
        with Console(p, "flood") as c:
            c.expect("echo: ready")
            c.send(TAB)
            try:
                c.expect(end)
            except guest.Failed:
                pass        # on a host that is busy this one may have fallen behind too

        def shown():
            """What somebody sees who comes now."""
            text = ""
            with Console(p, "flood", "--read-only") as late:
                while select.select([late.output], [], [], 0.5)[0]:
                    text += os.read(late.output, 65536).decode()
            return text

        p.until("done", lambda: shown().endswith(end))
        check(len(shown()) == SHOWN, "%d bytes are shown, not %d" % (len(shown()), SHOWN))
        slow.settimeout(guest.LIMIT)
        got = 0
        while True:
            data = slow.recv(65536)
            if not data:
                break
            got += len(data) - 1
        check(got < 30000 * len("line 30000 of many\r\n") - RING, "the slow reader got all: %d bytes" % got)
        slow.close()
        check("did not read and was dropped" in p.hyve("log", "flood"), "the log does not tell")


@case()
def console_on_a_terminal_is_detached(context):
    with Place(context) as p:
        p.create("term")
        p.hyve("start", "term")
        with Console(p, "term", terminal=True) as c:
            c.expect("Ctrl-] then d detaches")
            c.expect("echo: ready")
            c.send(ESCAPE + "h")
            c.expect("d detaches, Ctrl-] sends Ctrl-]")
            c.send("x" + ESCAPE + ESCAPE + ASK)
            c.expect("x" + ESCAPE + "echo: asked 1")
            c.send(ESCAPE + "d")
            c.expect("detached; the VM goes on")
            check(c.process.wait(guest.LIMIT) == 0, "the console's code is not 0")
            check(termios.tcgetattr(c.terminal) == c.before, "the terminal has other modes")
        check(p.state("term") == "running", "the VM went with its console")
        with Console(p, "term", terminal=True) as c:
            c.expect("echo: asked 1")


@case()
def start_in_the_foreground(context):
    """The console is here and at the socket; the process ends as hyve run does."""
    with Place(context) as p:
        p.create("fore")
        with p.popen("start", "--foreground", "fore") as process:
            said = b""
            while b"echo: ready" not in said:
                said += os.read(process.stdout.fileno(), 4096)
            with Console(p, "fore", "--read-only") as c:
                c.expect("echo: ready")
                process.stdin.write(ASK.encode())
                process.stdin.flush()
                c.expect("echo: asked 1\r\n")
            process.stdin.write(OFF.encode())
            process.stdin.close()
            check(process.wait(guest.LIMIT) == guest.POWEROFF, "code %d" % process.returncode)
        check(p.state("fore") == "stopped", "it is " + p.state("fore"))


@case()
def what_fails_is_told(context):
    with Place(context) as p:
        p.fails(1, r"hyve: there is no VM 'x', nor any other; 'hyve create' makes one", "info", "x")
        p.create("web-1")
        p.fails(1, r"hyve: there is no VM 'web1'; did you mean 'web-1'\?", "info", "web1")
        p.fails(1, r"hyve: there is no VM 'database'; 'hyve ls' lists them", "console", "database")
        p.fails(guest.ERROR, r"hyve: there is no VM 'web-2'; did you mean 'web-1'\?", "start", "web-2")
        p.fails(1, r"hyve: there is a VM 'web-1' already, in '.*/web-1'", "create", "web-1", *p.options())
        for name in ("../up", ".hidden", "a/b", "-x", "a b", "\x1b[2J"):
            p.fails(1, r"hyve: '.*' cannot be the name of a VM: it has letters, digits, '.', '_', '-' and '\+', the first of them a letter or a digit",
                    "info", "--", name)
        p.fails(1, r"hyve: the name of a VM cannot be empty", "info", "")
        p.fails(1, r"hyve: the name of a VM has at most 64 bytes, not 65", "create", "n" * 65)
        p.fails(1, r"hyve: unknown verb 'strat'; did you mean 'start'\?", "strat")
        p.fails(1, r"hyve: cannot open '.*/no-kernel': No such file or directory", "create", "two", "--kernel", context.path("no-kernel"))
        p.fails(1, r"hyve: argument 3: unknown key 'memory.sise'; did you mean 'memory.size'\?", "create", "two", "--set", "memory.sise=1G")
        p.fails(guest.ERROR, r"hyve: a VM that is detached needs a name, to find it by: --name NAME", "run", "-d", *p.options())
        check([vm["name"] for vm in p.json("ls", "--json")] == ["web-1"], "what failed was made")
        # It is found only by the VM's process, which is not the one that was started from here.
        p.create("disk", "--disk", context.path("gone.img"))
        p.fails(guest.ERROR, r"hyve: .*gone.img'.*: No such file or directory", "start", "disk")
        check("gone.img" in p.hyve("log", "disk"), "the log does not tell")
        check(p.state("disk") == "stopped", "it is " + p.state("disk"))
        p.fails(guest.ERROR, r"hyve: .*gone.img'.*: No such file or directory\nhyve: the VM was made all the same: 'hyve start run' tries it again, "
                r"'hyve delete run' removes it", "run", "-d", "--name", "run", *p.options("--disk", context.path("gone.img")))
        p.hyve("delete", "run")
        conf = os.path.join(p.directory, "web-1", "vm.conf")
        with open(conf, "a", encoding="ascii") as out:
            out.write("cpsu=2\n")
        p.fails(guest.ERROR, r"hyve: %s:\d+: unknown key 'cpsu'; did you mean 'cpus'\?" % re.escape(conf), "start", "web-1")
        p.create("own-socket", "--set", "control=" + context.path("c"))
        p.fails(guest.ERROR, r"hyve: VM 'own-socket': key control is not for VMs with a name: .*", "start", "own-socket")
        p.hyve("check", *p.options())
        p.fails(1, r"hyve: argument 10: there is no boot protocol.*|hyve: there is no boot protocol 'lniux' for .* guests; there are: .*",
                "check", *p.options("--protocol", "lniux"))
        p.fails(1, r"hyve: .*sockets \* cores \* threads.*|hyve: .*4.*3.*|hyve: .*3.*4.*", "check", *p.options("--cpus", "4", "--set", "sockets=3"))


@case()
def options_file_and_json_are_one_tree(context):
    """What options say is what a file of lines and one of JSON say; relative paths of a VM that is made become those of the folder it was made in."""
    with Place(context) as p:
        here = context.path("here")
        os.mkdir(here)
        os.symlink(context.kernel("echo"), os.path.join(here, "k%1"))
        options = ["--arch", context.arch, "--kernel", "k%1", "--append", "a=50% b", "--memory", "16M", "--net", "none", "--no-reboot",
                   "--disk", "d.img,ro", "--disk", "nbd://localhost/x", "--set", "power_off_wait=7"]
        flat = p.hyve("config", *options)
        tree = p.json("config", "--json", *options)
        with open(context.path("flat.conf"), "w", encoding="utf-8") as out:
            out.write(flat)
        with open(context.path("tree.conf"), "w", encoding="utf-8") as out:
            json.dump(tree, out)
        for name in ("flat.conf", "tree.conf"):
            check(p.hyve("config", "-k", context.path(name)) == flat, "%s is another tree" % name)
            check(p.json("config", "--json", "-k", context.path(name)) == tree, "%s is another tree as JSON" % name)
        p.hyve("create", "same", *options, cwd=here)
        stored = p.json("config", "same", "--json")
        check(stored.pop("name") == "same", "it has no name")
        check(stored["boot"]["kernel"] == os.path.join(here, "k%%1"), "the kernel is " + stored["boot"]["kernel"])
        check(stored["pci"]["0"]["4"]["0"]["path"] == os.path.join(here, "d.img"), "the disk is at %s" % stored["pci"])
        check(stored["pci"]["0"]["5"]["0"]["path"] == "nbd://localhost/x", "the other disk is at %s" % stored["pci"])
        stored["boot"]["kernel"] = tree["boot"]["kernel"]
        stored["pci"]["0"]["4"]["0"]["path"] = "d.img"
        check(stored == tree, "the VM has the tree %s, not %s" % (stored, tree))
        changed = p.json("config", "same", "--set", "power_off_wait=8", "--json")
        check(changed["power_off_wait"] == 8 or changed["power_off_wait"] == "8", "an option does not change the VM's keys")
        check({point["name"] for point in p.json("devices", "--traces", "--json")} ==
              {line.split()[0] for line in p.hyve("devices", "--traces").splitlines()}, "trace points as JSON")
        check({command["name"] for command in p.json("qmp", "--json")} == {line.split()[0] for line in p.hyve("qmp").splitlines()}, "commands as JSON")
        devices = {d["name"]: d for d in p.json("devices", "--json")}
        keys = {k["name"]: k for k in p.json("devices", "--json", "virtio-blk")["keys"]}
        check(keys["path"]["required"] and keys == {k["name"]: k for k in devices["virtio-blk"]["keys"]}, "devices as JSON: %s" % keys)


def all_functions(buses):
    """The PCI functions of buses, and of those behind them."""
    for bus in buses:
        for function in bus["devices"]:
            yield function
            yield from all_functions([{"devices": function.get("pci_bridge", {}).get("devices", [])}])


@case()
def options_file_and_json_are_one_machine(context):
    """VMs that were described in three ways, and one whose last disk comes over its socket, are the same machine, as their sockets tell."""
    with Place(context) as p:
        for name, size in (("disk.img", 1 << 20), ("cd.iso", 1 << 20)):
            with open(context.path(name), "wb") as image:
                image.truncate(size)
        options = p.options("--cpus", "2", "--disk", context.path("disk.img") + ",ro,serial=same", "--disk", context.path("disk.img") +
                            ",ro,device=nvme", "--cdrom", context.path("cd.iso"), "--set", "uuid=00112233-4455-6677-8899-aabbccddeeff",
                            "--set", "pci.0.20.0.device=root-port")
        last = {"driver": "virtio-blk", "bus": "pci.0.20.0", "path": context.path("disk.img"), "ro": True, "serial": "last"}
        p.hyve("create", "socket", *options)
        for key, value in (("device", last["driver"]), ("path", last["path"]), ("ro", "true"), ("serial", last["serial"])):
            options += ["--set", "pci.20.0.0.%s=%s" % (key, value)]
        for name, form in (("flat", []), ("json", ["--json"])):
            with open(context.path(name), "w", encoding="utf-8") as out:
                out.write(p.hyve("config", *form, *options))
        p.hyve("create", "options", *options)
        p.hyve("create", "flat", "-k", context.path("flat"))
        p.hyve("create", "json", "-k", context.path("json"))
        told = {}
        for name in ("options", "flat", "json", "socket"):
            p.hyve("start", name)
            if name == "socket":
                p.hyve("qmp", name, "device_add", json.dumps(last))
            ask = lambda command: p.json("qmp", name, command)
            # What a VM has of its own is its name, with the places of its files, and the host's threads.
            keys = {key["name"]: key.get("value") for key in ask("x-hyve-query-config") if key["name"] not in ("name", "control", "firmware.vars")}
            cpus = [{part: value for part, value in cpu.items() if part != "thread-id"} for cpu in ask("query-cpus-fast")]
            # Firmware of the guest puts BARs somewhere, when it comes to it.
            functions = [(f["bus"], f["slot"], f["function"], f["id"], f["class_info"], f["qdev_id"], [r["size"] for r in f["regions"]])
                         for f in all_functions(ask("query-pci"))]
            told[name] = [keys, cpus, functions, ask("query-block"), ask("query-chardev"), ask("query-memory-size-summary"), ask("query-uuid")]
            p.hyve("kill", name)
        check(len(told["options"][2]) >= 6 and len(told["options"][3]) == 4, "it has too little: %s" % told["options"])
        for name in ("flat", "json", "socket"):
            for one, other in zip(told["options"], told[name]):
                check(one == other, "%s is another machine: %s, not %s" % (name, other, one))


def resident(pid):
    """MiB of memory that a process has now."""
    with open("/proc/%d/statm" % pid, encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


def pour(stream, total, block):
    """Send so many bytes, or what the other side takes before it hangs up."""
    try:
        while total > 0:
            total -= stream.send(block[:total])
    except (BrokenPipeError, ConnectionResetError):
        pass
    stream.close()


@case()
def floods_do_not_disturb_the_guest(context):
    """Clients by the hundred, some that say half of something and some that say 100 MB of nothing, at each socket that a VM has."""
    with Place(context) as p:
        debugger = context.path("gdb")
        p.create("calm", "--set", "gdb.path=" + debugger)
        p.hyve("start", "calm")
        places = p.json("info", "--json", "calm")
        with Console(p, "calm") as c:
            c.expect("echo: ready")
            before, asked = resident(places["pid"]), 0

            def answers():
                nonlocal asked
                asked += 1
                c.send(ASK)
                c.expect("echo: asked %d\r\n" % asked)

            answers()
            for path, kind, half in ((places["control"], socket.SOCK_STREAM, b'{"execute": "qmp_cap'), (places["console"], socket.SOCK_SEQPACKET, b"R"),
                                     (places["console"], socket.SOCK_SEQPACKET, b"W")):
                crowd = []
                for _ in range(200):
                    client = socket.socket(socket.AF_UNIX, kind)
                    client.setblocking(False)
                    try:
                        client.connect(path)
                        client.send(half)
                    except OSError:
                        pass        # there are enough, or more than are taken at once
                    crowd.append(client)
                answers()
                for client in crowd:
                    client.close()
                answers()
            for path, kind, block in ((places["control"], socket.SOCK_STREAM, b'{"execute": "' + b"x" * 65536),
                                      (places["console"], socket.SOCK_SEQPACKET, b"W" + b"x" * 4096)):
                client = socket.socket(socket.AF_UNIX, kind)
                client.connect(path)
                client.settimeout(guest.LIMIT)
                pour(client, 100 << 20, block)
                answers()
            # A debugger stops the guest, one at a time; when all have gone it goes on.
            for total, block in ((100 << 20, b"$" + b"a" * 65536), (8 << 20, b"+" * 65536), (8 << 20, b"$?#3f" * 10000)):
                crowd = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(20)]
                for client in crowd:
                    client.setblocking(False)
                    try:
                        client.connect(debugger)
                        client.send(b"+$qSup")
                    except OSError:
                        pass
                for client in crowd:
                    client.close()
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.connect(debugger)
                client.settimeout(0.5)
                try:
                    # Whoever does not read answers is not heard: that one stands, and goes.
                    pour(client, total, block)
                except TimeoutError:
                    client.close()
                answers()
            check(p.state("calm") == "running", "it is " + p.state("calm"))
            grown = resident(places["pid"]) - before
            check(grown < 40 or guest.SANITIZE != "none", "its process has grown by %d MiB" % grown)


@case()
def sockets_of_a_long_path_are_elsewhere(context):
    with Place(context, "a-folder-" + "l" * 120) as p:
        p.create("long")
        p.environment.pop("XDG_RUNTIME_DIR", None)
        p.fails(guest.ERROR, r"hyve: VM 'long': '.*/long/control' is too long for a socket, which has at most 107 bytes; "
                r"a shorter HYVE_DIR helps, or XDG_RUNTIME_DIR", "start", "long")
        p.environment["XDG_RUNTIME_DIR"] = context.path("run")
        os.mkdir(context.path("run"), 0o700)
        p.hyve("start", "long")
        path = p.json("info", "--json", "long")["console"]
        check(path.startswith(context.path("run/hyve-sockets/long-")) and os.path.exists(path), "the console is at " + path)
        with Console(p, "long") as c:
            c.expect("echo: ready")
        p.hyve("kill", "long")
        p.hyve("delete", "long")
        check(os.listdir(context.path("run/hyve-sockets")) == [], "delete left " + path)


@case()
def stop_asks_and_then_insists(context):
    with Place(context) as p:
        p.create("polite")
        p.create("deaf")
        p.hyve("start", "polite")
        p.hyve("start", "deaf")
        with Console(p, "polite") as c:
            c.expect("echo: ready")
            p.hyve("stop", "polite")
            c.expect("echo: button")
        check(p.state("polite") == "stopped", "it is " + p.state("polite"))
        check("the VM has ended, with code 1" in p.hyve("log", "polite"), "it was not the guest that ended it")
        p.fails(1, r"hyve: VM 'polite' does not run; 'hyve start polite' starts it", "stop", "polite")
        with Console(p, "deaf") as c:
            c.expect("echo: ready")
            c.send(DEAF)
            c.expect("echo: deaf")
            p.fails(0, r"hyve: 'deaf' did not power off within 1 seconds: ending it", "stop", "--timeout", "1", "deaf")
        check(p.state("deaf") == "stopped", "it is " + p.state("deaf"))
        p.hyve("start", "deaf")
        p.hyve("stop", "--force", "deaf")
        check(p.state("deaf") == "stopped", "it is " + p.state("deaf"))
        p.fails(1, r"hyve: --timeout: '-1' is no number of seconds from 0 to 86400", "stop", "--timeout", "-1", "deaf")


@case()
def pause_resume_and_reset(context):
    with Place(context) as p:
        p.create("well")
        p.hyve("start", "well")
        with Console(p, "well") as c:
            c.expect("echo: ready")
            c.send(ASK)
            c.expect("echo: asked 1\r\n")
            p.hyve("pause", "well")
            check(p.state("well") == "paused" and [v["state"] for v in p.json("ls", "--json")] == ["paused"], "it is " + p.state("well"))
            first = p.json("stat", "--json", "well")
            c.send(ASK)
            time.sleep(0.3)
            check(not select.select([c.output], [], [], 0)[0], "a VM that is paused answers")
            second = p.json("stat", "--json", "well")
            check(first["clock"] == second["clock"] and second["state"] == "paused", "the clock of a VM that is paused goes on")
            p.hyve("resume", "well")
            c.expect("echo: asked 2\r\n")
            check(p.state("well") == "running", "it is " + p.state("well"))
            p.hyve("reset", "well")
            c.expect("echo: ready")
            c.send(ASK)
            c.expect("echo: asked 1\r\n")
        text = p.hyve("stat", "--once", "well")
        check(re.match(r"well: running; the VM's clock is at [\d.]+ s\nits process has had [\d.]+ s of processors, and has [\d.]+ MiB of memory\n", text),
              "stat says " + text)
        # by its name, its socket's path and the name of a file that is here; bhyvectl is for it too
        control = p.json("info", "--json", "well")["control"]
        os.symlink(control, context.path("here.sock"))
        for where in ("well", control, "here.sock"):
            check(json.loads(p.hyve("qmp", where, "query-name", cwd=context.path(""))) == {"name": "well"}, "%s is another VM" % where)
        p.fails(1, r"hyve: no socket 'wel' is here, and there is no VM 'wel'; did you mean 'well'\?", "qmp", "wel", "query-name")
        p.fails(1, r"hyve: .*/gone.*: No such file or directory", "qmp", context.path("gone"), "query-name")
        check(p.bhyvectl("--vm=well", "--get-active-cpus") == (0, "active cpus:\t 0\n", ""), "bhyvectl: %s" % (p.bhyvectl("--vm=well", "--get-active-cpus"),))
        check(p.bhyvectl("--vm=well", "--destroy") == (1, "", "bhyvectl: VM 'well' was made by 'hyve create': 'hyve stop --force well' ends it, "
              "'hyve delete well' removes it\n"), "bhyvectl --destroy: %s" % (p.bhyvectl("--vm=well", "--destroy"),))
        counters = {k["what"]: k["values"] for k in p.json("stat", "--json", "well")["counters"]}
        check(counters and all(len(values) == 1 for values in counters.values()) and any(values[0] > 0 for values in counters.values()),
              "counters: %s" % counters)
        # The tree that the VM runs with is the one that its file has, and what was chosen when it started.
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.connect(p.json("info", "--json", "well")["control"])
        lines = stream.makefile("rw", encoding="utf-8")
        lines.readline()
        for command in ("qmp_capabilities", "x-hyve-query-config"):
            lines.write(json.dumps({"execute": command}) + "\n")
            lines.flush()
            answer = json.loads(lines.readline())
        told = {k["name"]: (k["value"], k["origin"]) for k in answer["return"] if k["set"]}
        stored = dict(line.split("=", 1) for line in p.hyve("config", "well").splitlines())
        check(stored.items() <= {name: value for name, (value, _) in told.items()}.items(), "the socket tells %s, the file %s" % (told, stored))
        check(re.fullmatch(r".*/vm.conf:\d+", told["memory.size"][1]), "memory.size is from " + told["memory.size"][1])
        stream.close()
        check(p.bhyvectl("--vm=well", "--force-poweroff")[0] == 0, "bhyvectl cannot end it")
        p.until_stopped("well")
        told = "VM 'well' was made by 'hyve create' and does not run; 'hyve start well' starts it\n"
        check(p.bhyvectl("--vm=well", "--get-stats") == (1, "", "bhyvectl: " + told), "bhyvectl: %s" % (p.bhyvectl("--vm=well", "--get-stats"),))
        p.fails(1, "hyve: VM 'well' does not run; 'hyve start well' starts it", "qmp", "well", "query-name")


@case()
def shells_complete(context):
    """What 'hyve completion bash' prints completes verbs, options, keys and names."""
    if context.arch != "amd64":
        raise guest.Skipped("it is about the command alone")
    with Place(context) as p:
        p.create("vm-of-mine")
        script = context.path("completion")
        with open(script, "w", encoding="utf-8") as out:
            out.write(p.hyve("completion", "bash"))
        for words, found in ((["sta"], {"start", "stat"}), (["start", "vm-"], {"vm-of-mine"}), (["stop", "--t"], {"--timeout"}),
                             (["run", "--ker"], {"--kernel"}), (["run", "--set", "boot.k"], {"boot.kernel="}), (["devices", "nv"], {"nvme"}),
                             (["start", "--fo"], {"--foreground"}), (["qmp", "vm-"], {"vm-of-mine"}), (["qmp", "vm-of-mine", "query-st"], {"query-status"})):
            line = [context.hyve] + words
            done = subprocess.run(["bash", "-c", 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hyve; printf "%s\\n" "${COMPREPLY[@]}"', script]
                                  + line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=p.environment, check=False)
            check(set(done.stdout.decode().split()) == found and not done.stderr, "hyve %s completes to %s %s" % (words, done.stdout, done.stderr))


@case()
def disk_makes_and_converts_images(context):
    """qemu-img, where there is one, has the second opinion."""
    if context.arch != "amd64":
        raise guest.Skipped("it is about the command alone")
    with Place(context) as p:
        raw, qcow2, back, over = (context.path(name) for name in ("a.img", "b.qcow2", "c.img", "d.qcow2"))
        p.hyve("disk", "create", raw, "4M")
        check(os.stat(raw).st_size == 4 << 20 and os.stat(raw).st_blocks == 0, "the raw image takes room")
        data = os.urandom(100000)
        with open(raw, "r+b") as out:
            out.seek(1234567)
            out.write(data)
            out.seek((4 << 20) - 3)
            out.write(b"end")
        p.hyve("disk", "convert", raw, qcow2)
        p.hyve("disk", "convert", qcow2, back)
        with open(raw, "rb") as one, open(back, "rb") as two:
            check(one.read() == two.read(), "raw, to qcow2 and back, is another")
        check(os.stat(back).st_blocks * 512 < 1 << 20 and os.stat(qcow2).st_size < 1 << 20, "zeros take room")
        told = p.json("disk", "info", "--json", qcow2)
        check(told["format"] == "qcow2" and told["size"] == 4 << 20 and told["version"] == 3 and told["cluster"] == 65536, "info: %s" % told)
        p.hyve("disk", "create", "--backing", "b.qcow2", over)
        told = p.json("disk", "info", "--json", over)
        check(told["backing"] == "b.qcow2" and told["size"] == 4 << 20, "info: %s" % told)
        p.hyve("disk", "create", context.path("large.qcow2"), "16T")
        if shutil.which("qemu-img"):
            for path in (qcow2, over, context.path("large.qcow2")):
                done = subprocess.run(["qemu-img", "check", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                check(done.returncode == 0, "qemu-img check: " + done.stdout.decode())
            check(subprocess.run(["qemu-img", "compare", raw, over], stdout=subprocess.PIPE, check=False).returncode == 0,
                  "for qemu-img the overlay is another disk")
        p.hyve("disk", "resize", raw, "5M")
        check(os.stat(raw).st_size == 5 << 20, "it has not grown")
        p.fails(1, r"hyve: '.*' has 5242880 bytes: --shrink cuts off what is behind the new end", "disk", "resize", raw, "1M")
        p.hyve("disk", "resize", "--shrink", raw, "1M")
        check(os.stat(raw).st_size == 1 << 20, "it has not shrunk")
        p.fails(1, r"hyve: '.*' is a qcow2 image, whose size hyve does not change: 'qemu-img resize' does", "disk", "resize", qcow2, "8M")
        p.fails(1, r"hyve: cannot make '.*a.img': File exists", "disk", "create", raw, "1M")
        p.fails(1, r"hyve: .*lots.*", "disk", "create", context.path("x"), "lots")
        p.fails(1, r"hyve: '.*x' cannot have 1000 bytes; a disk is a whole number of sectors of 512 bytes", "disk", "create", context.path("x"), "1000")
        p.fails(1, r"hyve: '.*x.qcow2' cannot have \d+ bytes, more than 17592186044416", "disk", "create", context.path("x.qcow2"), "17T")
        p.fails(1, r"hyve: a raw image has no backing file; --format qcow2", "disk", "create", "--backing", back, context.path("x"))
        p.fails(1, r"hyve: format 'vmdk' is neither raw nor qcow2: 'qemu-img convert' knows others", "disk", "convert", "--format", "vmdk", raw, back)
        p.fails(1, r"hyve: hyve disk does not know 'crate'; did you mean 'create'\?", "disk", "crate", raw)
        p.fails(1, r"hyve: disk '.*nothing': cannot be opened: .*|hyve: '.*nothing': No such file or directory", "disk", "info", context.path("nothing"))
        check(not os.path.exists(context.path("x")) and not os.path.exists(context.path("x.qcow2")), "what failed was made")
        # One that a VM uses is locked.
        p.create("user", "--disk", raw)
        p.hyve("start", "user")
        p.fails(1, r"hyve: .*a.img'.*in use.*", "disk", "resize", raw, "8M")
        p.hyve("kill", "user")
        p.hyve("disk", "resize", raw, "8M")


@case()
def what_is_left_behind(context):
    """Files that are none of hyve's stay with their VM; a folder without keys is in nobody's way."""
    with Place(context) as p:
        p.create("web")
        mine = os.path.join(p.directory, "web", "root.img")
        with open(mine, "wb") as file:
            file.write(b"mine")
        p.fails(1, "hyve: '.*/web/root.img' is none of hyve's files: move it away first", "delete", "web")
        check(os.path.exists(mine) and p.state("web") == "stopped", "something was removed")
        os.unlink(mine)
        p.hyve("delete", "web")
        check(not os.path.exists(os.path.join(p.directory, "web")), "the folder is still there")
        # As a create that was killed leaves it.
        os.mkdir(os.path.join(p.directory, "half"))
        for name in ("lock", "vm.conf.new"):
            with open(os.path.join(p.directory, "half", name), "wb"):
                pass
        p.fails(1, "hyve: there is no VM 'half'.*", "delete", "half")
        p.create("half")
        p.hyve("delete", "half")


@case()
def starts_that_come_to_nothing(context):
    """A VM that does not come to run is none that was started; one without standard descriptors has its lock."""
    with Place(context) as p:
        p.create("pinned", "--set", "vcpu.5.cpuset=0")
        p.fails(guest.ERROR, "hyve: .*vcpu.5.*", "start", "pinned")
        check(p.state("pinned") == "stopped", "it is " + p.state("pinned"))
        p.create("closed")
        done = subprocess.run(["sh", "-c", 'exec "$0" start closed <&- 2>&-', context.hyve], env=p.environment, timeout=guest.LIMIT, check=False)
        check(done.returncode == 0 and p.state("closed") == "running", "code %d, it is %s" % (done.returncode, p.state("closed")))
        p.fails(guest.ERROR, "hyve: VM 'closed' runs already: pid .*", "start", "closed")
        p.hyve("kill", "closed")


@case()
def a_start_that_takes_long_says_so(context):
    """A disk of a server that accepts and says nothing: whoever waits at a terminal sees it."""
    if context.arch != "amd64":
        raise guest.Skipped("it is about the command alone")
    with Place(context) as p, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(context.path("nbd"))
        server.listen()
        p.create("slow", "--disk", "nbd+unix:///x?socket=%s,timeout=2" % context.path("nbd"))
        main, terminal = pty.openpty()
        started = subprocess.Popen([context.hyve, "start", "slow"], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=p.environment)
        os.close(terminal)
        said = b""
        while True:
            try:
                said += os.read(main, 4096)
            except OSError:
                break
        os.close(main)
        if b"libnbd" in said and b"module" in said:
            raise guest.Skipped("there is no NBD here")
        check(started.wait(guest.LIMIT) == guest.ERROR and b"hyve: starting 'slow': 1 s" in said, "code %s, it says %s" % (started.returncode, said))


@case()
def a_reader_that_stands_still(context):
    """Nobody reads the guest's output: signals are heard all the same."""
    with Place(context) as p:
        vm = p.popen("run", *p.options())
        while b"echo: ready" not in vm.stdout.readline():
            check(vm.poll() is None, "it ended: %s" % vm.stderr.read())
        vm.stdin.write(TAB.encode())
        vm.stdin.flush()
        # Until the pipe is full.
        time.sleep(1)
        vm.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        vm.send_signal(signal.SIGTERM)
        check(vm.wait(guest.LIMIT) == guest.POWEROFF, "code %d" % vm.returncode)
        vm.communicate()


@case()
def log_is_bounded(context):
    """A VM whose guest makes it say a lot: what there is of its log is its end, and who follows it gets all of it."""
    with Place(context) as p:
        p.create("loud", "--trace", "device.res*,cpu.*", "--set", "log.size=64K", "--set", "log.level=debug")
        follower = p.popen("log", "--follow", "loud")
        p.hyve("start", "loud")
        # a reset is some lines
        folder = os.path.join(p.directory, "loud")
        n = 0
        with Console(p, "loud") as c:
            c.expect("echo: ready")
            while n < 2 or not os.path.exists(os.path.join(folder, "log.old")):
                c.send(RESET)
                c.expect("echo: ready")
                n += 1
                check(n < 1000, "the log is never put aside: %s" % os.listdir(folder))
            for _ in range(3):
                c.send(RESET)
                c.expect("echo: ready")
        p.hyve("kill", "loud")
        said = follower.communicate(timeout=guest.LIMIT)[0].decode()
        lines = [json.loads(line) for line in p.hyve("log", "--json", "loud").splitlines()]
        check(len(lines) == p.hyve("log", "loud").count("\n") and all(sorted(line) == ["level", "part", "text", "time"] for line in lines) and
              {"trace", "info"} <= {line["level"] for line in lines} and {"device.reset", "hyve"} <= {line["part"] for line in lines},
              "as JSON it is %s" % lines[:20])
        sizes = [os.stat(os.path.join(folder, name)).st_size for name in ("log.old", "log")]
        check(all(size < (64 << 10) + 10000 for size in sizes) and sizes[0] >= 64 << 10, "the files have %s bytes" % sizes)
        log = p.hyve("log", "loud")
        check(len(log) == sum(sizes) and said.endswith(log) and len(said) > sizes[0], "%d bytes were followed, the log has %d" % (len(said), len(log)))
        check("starting VM 'loud'" in said, "who follows has not seen the beginning")
        turns = [int(n) for n in re.findall(r"^\S+ hyve: this is log number (\d+)$", said, re.M)]
        check(turns and turns == list(range(2, 2 + len(turns))), "turns are numbered %s" % turns)
        p.fails(1, r"hyve: argument \d+: log.size: '1K' is not a size from 64K to 1G.*", "create", "small", *p.options("--set", "log.size=1K"))


def hold_lock(folder):
    """As the process of the VM in that directory does; closed, it is over."""
    fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return fd


@case()
def what_is_lost_of_a_log_is_told(context):
    """Logs as processes that died, full disks and readers who were too slow leave them."""
    with Place(context) as p:
        p.create("some")
        folder = os.path.join(p.directory, "some")

        def put(name, text):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)

        def aside(number):
            put("log.new", "2026-11-30T08:43:12Z hyve: this is log number %d\n" % number)
            os.rename(os.path.join(folder, "log"), os.path.join(folder, "log.old"))
            os.rename(os.path.join(folder, "log.new"), os.path.join(folder, "log"))

        # Its process died as it put one aside.
        put("log.old", "whole\nhalf")
        check(p.hyve("log", "some") == "whole\nhalf\n", "the one that was put aside: " + p.hyve("log", "some"))
        check([line["text"] for line in map(json.loads, p.hyve("log", "--json", "some").splitlines())] == ["whole", "half"], "not as JSON")
        # A line has no end in either.
        put("log", "next\nlast")
        check(p.hyve("log", "some") == "whole\nhalf\nnext\nlast", "both: " + p.hyve("log", "some"))
        check([line["text"] for line in map(json.loads, p.hyve("log", "--json", "some").splitlines())] == ["whole", "half", "next", "last"],
              "lines without ends: " + p.hyve("log", "--json", "some"))
        lock = hold_lock(folder)
        with p.popen("log", "--follow", "some") as follower:
            text = b""

            def read_until(end):
                nonlocal text
                while end not in text:
                    check(select.select([follower.stdout], [], [], guest.LIMIT)[0], "hung: %s" % text)
                    text += os.read(follower.stdout.fileno(), 65536)

            try:
                read_until(b"next\nlast")
                # Two turns are seen by both files.
                follower.send_signal(signal.SIGSTOP)
                aside(2)
                aside(3)
                follower.send_signal(signal.SIGCONT)
                read_until(b"number 3\n")
                check(b"number 2\n" in text, "the second log: %s" % text)
                # Of four, two are lost.
                follower.send_signal(signal.SIGSTOP)
                for number in range(4, 8):
                    aside(number)
                follower.send_signal(signal.SIGCONT)
                read_until(b"number 7\n")
                check(b"number 6\n" in text and b"number 5\n" not in text, "the last log: %s" % text)
                with open(os.path.join(folder, "log"), "w", encoding="utf-8") as file:
                    file.write("emptied\n")
                read_until(b"emptied\n")
                os.close(lock)
                check(follower.wait(guest.LIMIT) == 0, "code %d" % follower.returncode)
            finally:
                follower.kill()
            said = follower.stderr.read().decode()
            check(said == "hyve: 2 logs were put aside unread\nhyve: the log could not be put aside and was emptied; what was not read yet is lost\n",
                  "it says " + said)
        put("log.new", "")
        p.hyve("delete", "some")


@case()
def who_follows_a_log_ends_with_the_vm(context):
    """Also who did not look while it ran: the output took nothing, or it was over within a moment."""
    with Place(context) as p:
        p.create("some")
        folder = os.path.join(p.directory, "some")
        log, lines = os.path.join(folder, "log"), "a line\n" * 20000

        # More than a pipe takes, at the first look, and all of it put aside before the second one.
        lock = hold_lock(folder)
        with open(log, "w", encoding="utf-8") as file:
            file.write(lines)
        follower = p.popen("log", "--follow", "some")
        check(select.select([follower.stdout], [], [], guest.LIMIT)[0], "it says nothing")
        os.rename(log, log + ".old")
        with open(log, "w", encoding="utf-8") as file:
            file.write("2026-11-30T08:43:12Z hyve: this is log number 2\n")
        os.close(lock)
        said = follower.communicate(timeout=guest.LIMIT)[0].decode()
        check(follower.returncode == 0 and said.startswith(lines) and said.endswith("number 2\n"), "code %d, %d bytes" % (follower.returncode, len(said)))

        # Its whole life between two looks: the log is longer, or is there now.
        for begun in (False, True):
            if begun:
                os.unlink(log)
                os.unlink(log + ".old")
            follower = p.popen("log", "--follow", "some")
            if not begun:
                check(select.select([follower.stdout], [], [], guest.LIMIT)[0], "it says nothing")
            else:
                time.sleep(0.5)
            check(follower.poll() is None, "it did not wait")
            lock = hold_lock(folder)
            with open(log, "a", encoding="utf-8") as file:
                file.write("came and went\n")
            os.close(lock)
            said = follower.communicate(timeout=guest.LIMIT)[0].decode()
            check(follower.returncode == 0 and said.endswith("came and went\n"), "code %d: %s" % (follower.returncode, said[-200:]))


@case(slow=True)
def every_trace_point_is_met(context):
    """A Linux guest that uses its disk, network and clock, is stopped, let go on and reset meets every point there is."""
    disk, control = context.path("disk.img"), context.path("control")
    with open(disk, "wb") as image:
        image.truncate(1 << 20)
    g = context.script(disks=[disk], more=["--trace", "*", "--set", "control=" + control])
    g.run("dd if=/dev/vda of=/dev/null bs=4096 count=8 2>/dev/null; ip link set eth0 up; udhcpc -q -n -f -i eth0 >/dev/null 2>&1")
    if g.run("ls /sys/class/rtc/rtc0/wakealarm 2>/dev/null || true").strip():
        g.run("echo $(($(cat /sys/class/rtc/rtc0/since_epoch) + 2)) >/sys/class/rtc/rtc0/wakealarm; sleep 3")
    done = subprocess.run([context.hyve, "qmp", control, "query-blockstats"], stdout=subprocess.PIPE, timeout=guest.LIMIT, check=True)
    stats = json.loads(done.stdout.decode())[0]["stats"]
    check(stats["rd_operations"] > 0 and stats["rd_bytes"] >= 32768 and stats["rd_total_time_ns"] > 0 and stats["wr_bytes"] == 0,
          "the disk's counters are %s" % stats)
    done = subprocess.run([context.hyve, "qmp", control, "query-rx-filter"], stdout=subprocess.PIPE, timeout=guest.LIMIT, check=True)
    nic = json.loads(done.stdout.decode())[0]
    mac = g.run("cat /sys/class/net/eth0/address").strip()
    check(nic["main-mac"] == mac and not nic["promiscuous"] and nic["multicast"] == "normal" and nic["broadcast-allowed"] and
          any(group.startswith("33:33:") or group.startswith("01:00:5e:") for group in nic["multicast-table"]), "the filter is %s" % nic)
    for command in ("stop", "cont"):
        done = subprocess.run([context.hyve, "qmp", control, command], stdout=subprocess.DEVNULL, timeout=guest.LIMIT, check=False)
        check(done.returncode == 0, command)
    g.run("true")
    g.power_off()
    met = set(re.findall(r"^hyve: trace: ([^:]+):", g.said(), re.M))
    listed = subprocess.run([context.hyve, "devices", "--traces"], stdout=subprocess.PIPE, timeout=guest.LIMIT, check=True).stdout.decode()
    points = {line.split()[0] for line in listed.splitlines()}
    check(met == points - guest.ARCHES[context.arch]["untraced"], "it did not meet %s" % sorted(points ^ met))
    # They are probes of the host too, where its headers had them.
    if shutil.which("readelf"):
        notes = subprocess.run(["readelf", "-n", context.hyve], stdout=subprocess.PIPE, check=True).stdout.decode()
        probes = set(re.findall(r"Provider: hyve\n\s*Name: (\S+)", notes))
        check(not probes or probes == {point.replace(".", "__") for point in points}, "probes are %s" % sorted(probes))


@case()
def traced(context):
    """What a VM does, by the names of its points, as lines and as JSON; the log has what its levels let through."""
    with Place(context) as place:
        points = [line.split()[0] for line in place.hyve("devices", "--traces").splitlines()]
        check("device.resume" in points and "block.begin" in points, "there are no trace points: %s" % points)
        for form in ("text", "json"):
            vm = place.popen("run", *place.options("--trace", "device.res*,pci.write", "--set", "log.format=" + form))
            while b"echo: ready" not in vm.stdout.readline():
                check(vm.poll() is None, "it ended: %s" % vm.stderr.read())
            said = vm.communicate(OFF.encode(), timeout=guest.LIMIT)[1].decode().replace("\r", "")
            check(vm.returncode == 1, "code %d: %s" % (vm.returncode, said))
            if form == "json":
                lines = [json.loads(line) for line in said.splitlines()]
                check(all(sorted(line) == ["level", "part", "text", "time"] for line in lines), "lines have other members: %s" % said)
                traces = [line["part"] for line in lines if line["level"] == "trace"]
                check(any(line["part"] == "hyve" and "machine" in line["text"] for line in lines), "what was chosen is not told: %s" % said)
            else:
                traces = re.findall(r"^hyve: trace: ([^:]+): ", said, re.M)
            check("device.resume" in traces and set(traces) <= {"device.resume", "device.reset", "pci.write"}, "it traced %s: %s" % (traces, said))
        place.fails(4, "hyve: trace: no trace point matches 'blok.begin'; did you mean 'block.begin'[?]", "run", *place.options("--trace", "blok.begin"))
        # A machine that cannot be powered on ends as its process does.
        with open(context.path("junk"), "wb") as junk:
            junk.write(bytes(4096))
        code, _, said = place.try_hyve("run", *place.options("--trace", "vm.*", "--kernel", context.path("junk")))
        check(code == guest.ERROR and re.search(r"^hyve: trace: vm\.end: code %d$" % guest.ERROR, said, re.M), "code %d: %s" % (code, said))
        place.create("quiet")
        place.hyve("start", "quiet")
        ask = ["qmp", "quiet", "trace-event-get-state", '{"name": "vm.*"}']
        check({point["state"] for point in place.json(*ask)} == {"disabled"}, "points are on")
        place.hyve("qmp", "quiet", "trace-event-set-state", '{"name": "vm.*", "enable": true}')
        place.hyve("qmp", "quiet", "trace-event-set-state", '{"name": "vm.go", "enable": false}')
        check({point["name"]: point["state"] for point in place.json(*ask)} ==
              {"vm.start": "enabled", "vm.end": "enabled", "vm.stop": "enabled", "vm.go": "disabled"}, "states: %s" % place.json(*ask))
        place.fails(1, "hyve: no trace point matches 'vm.stpo'; did you mean 'vm.stop'[?]", "qmp", "quiet", "trace-event-set-state",
                    '{"name": "vm.stpo", "enable": true}')
        place.hyve("pause", "quiet")
        place.hyve("resume", "quiet")
        log = place.hyve("log", "quiet")
        check("trace: vm.stop: " in log and "trace: vm.go" not in log and "vm.start" not in log, "the log is " + log)
        # What the library tells, from when it is wanted on.
        with Console(place, "quiet") as console:
            console.expect("echo: ready")
            for wanted in (False, True):
                if wanted:
                    place.hyve("qmp", "quiet", "trace-event-set-state", '{"name": "device.write", "enable": true}')
                console.send("x")
                console.expect("x")
                # The console has the character before the line is written.
                end = time.monotonic() + guest.LIMIT
                log = place.hyve("log", "quiet")
                while wanted and "trace: device.write: " not in log and time.monotonic() < end:
                    log = place.hyve("log", "quiet")
                check("trace: device.read: " not in log and ("trace: device.write: " in log) == wanted, "the log is " + log)
        place.fails(4, "hyve: log.level: 'wran' is no level of a log; did you mean 'warn'[?]", "run",
                    *place.options("--set", "log.level=wran"))


guest.main()
