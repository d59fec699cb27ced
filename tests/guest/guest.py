# SPDX-License-Identifier: BSD-2-Clause
"""Harness for tests with Debian guests: starts hyve, talks to the guest over its console, checks what it saw.

A test program registers cases with @case and ends with main().  It is called with the hyve binary; words behind it choose
the cases whose names contain one of them.  Each case runs once per architecture, back end and kernel that it names, as
CASE/ARCH/ACCEL with Debian's cloud kernel and CASE/ARCH-FLAVOUR/ACCEL with another, and prints "ok NAME", "not ok NAME: why" or
"skip NAME: why"; what the guest said follows a failure on standard error.

Environment: HYVE_TEST_LONG=1 runs the long cases too; HYVE_TEST_SANITIZE, which meson sets, is what the binary was built with:
cases that would take minutes then are skipped.
"""
import os
import platform
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SANITIZE = os.environ.get("HYVE_TEST_SANITIZE", "none")
LONG = os.environ.get("HYVE_TEST_LONG", "") not in ("", "0")
IS_LONG = "long: runs with HYVE_TEST_LONG=1"
SLOWER = int(os.environ.get("HYVE_TEST_SLOWER", "1"))   # of a host that is an emulated one itself
LIMIT = 300 * (1 if SANITIZE == "none" else 4) * SLOWER         # seconds until something is said to hang

RESET, POWEROFF, HALT, TRIPLE_FAULT, ERROR = range(5)       # exit codes of hyve run

CLOUD, GENERIC = "cloud", "generic"     # flavours of Debian's kernel
BOTH = (CLOUD, GENERIC)

# Cases name what they need of an architecture: what Debian calls the machine, its console, its local timer in /proc/interrupts; memory
# that its kernel cannot be loaded into; how many clock sources it finds at least; models of processors with a feature that each lacks and
# one that it has; flavours of the kernel that have a driver for the power button; what the kernel says of flaws that cost nothing; what
# hyve is told so that a kernel of our own can end with POWEROFF; what not every architecture has; and the trace points that it never meets.
ARCHES = {
    "amd64": {"machine": "x86_64", "console": "ttyS0", "timer": r"^ *LOC:", "little": ("32M", "64M"), "clocks": 2,
              "models": (("v1", "sse4_2", "sse2"), ("v2", "avx", "sse4_2")), "buttons": BOTH,
              "cheap": {"spectre_v1": "Mitigation: usercopy/swapgs barriers", "spectre_v2": "Mitigation: Enhanced"},
              "exit": ["--set", "pc.debug_exit=on"], "has": {"triple fault", "keyboard controller", "8259", "test device", "nmi", "model v3", "MSRs"},
              "untraced": set()},
    "arm64": {"machine": "aarch64", "console": "ttyAMA0", "timer": r"^ *\d+:(?=.*arch_timer)", "little": ("8M", "24M"), "clocks": 1,
              "models": (("v8.0-base", "atomics", "asimd"), ("v8", "sve", "atomics")), "buttons": (GENERIC,),
              "cheap": {"spectre_v1": "Mitigation: __user pointer sanitization", "spectre_v2": "Mitigation: CSV2"},
              "exit": [], "has": set(), "untraced": {"irq.pulse"}},
}
ACCELS = ("soft", "kvm")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CUT = re.compile(r"\x1b(\[[0-9;?]*)?\Z")            # the start of one


class Failed(Exception):
    """A check did not hold."""


class Skipped(Exception):
    """A case cannot run here."""


def check(condition, text):
    if not condition:
        raise Failed(text)


class Context:
    """What a case gets: where it runs, the images to boot, a directory for its files."""

    def __init__(self, hyve, arch, accel, flavour, directory):
        self.hyve = hyve
        self.arch = arch
        self.accel = accel
        self.flavour = flavour
        self.directory = directory
        self.images = None
        self.guests = []

    def path(self, name):
        return os.path.join(self.directory, name)

    def fetch(self):
        """The images of this architecture and flavour: a dictionary with kernel, initrd, busybox, version."""
        if self.images is None:
            self.images = fetch(self.arch, self.flavour)
        return self.images

    def kernel(self, name):
        """A kernel of our own (kernels/)."""
        built = os.path.join(os.path.dirname(self.hyve), "../tests/guest/kernels")
        path = os.path.join(os.environ.get("HYVE_TEST_KERNELS", built), name + "-" + self.arch)
        if not os.path.exists(path):
            raise Skipped("the kernel %s-%s is not built here" % (name, self.arch))
        return path

    def needs(self, what):
        """Skip the case on an architecture that lacks something."""
        if what not in ARCHES[self.arch]["has"]:
            raise Skipped("%s has no %s" % (self.arch, what))

    def long_on(self, arch):
        """Skip the case on that architecture, but in long runs."""
        if self.arch == arch and not LONG:
            raise Skipped(IS_LONG)

    def needs_soft(self):
        """Skip a case that is about hyve's own processors."""
        if self.accel != "soft":
            raise Skipped("it is about the soft back end")

    def boot(self, words="", **options):
        """Start the guest with these words on its kernel's command line, see Guest."""
        images = self.fetch()
        append = "console=%s loglevel=4 %s" % (ARCHES[self.arch]["console"], words)
        return self.start(["--kernel", images["kernel"], "--initrd", images["initrd"], "--append", append], **options)

    def start(self, arguments, **options):
        options.setdefault("memory", "256M")
        guest = Guest(self, arguments, **options)
        self.guests.append(guest)
        return guest

    def script(self, words="", **options):
        """Boot to where run() works."""
        guest = self.boot("guest.script " + words, **options)
        guest.expect(r"guest: script\r?\n")
        return guest


class Guest:
    """hyve run with its console on a pipe, or on a terminal with terminal=True; None as cpus or memory leaves them to it.  program: another
    program of the same folder, which gets its arguments alone."""

    def __init__(self, context, arguments, cpus=1, memory="256M", disks=(), more=(), terminal=False, program=None):
        command = [context.hyve, "run", "--arch", context.arch, "--accel", context.accel]
        for option, value in (("--cpus", cpus), ("--memory", memory)):
            command += [option, str(value)] if value is not None else []
        if program is not None:
            command = [os.path.join(os.path.dirname(context.hyve), program)]
        command += list(arguments) + list(more)
        if program is None and os.environ.get("HYVE_TEST_NET") == "none" and "--net" not in command:
            command += ["--net", "none"]        # a build without user-mode networking
        for disk in disks:
            command += ["--disk", disk]
        self.command = command
        self.text = ""              # all that the console said
        self.seen = 0               # how much of it expect() passed
        self.rest = ""              # the start of an escape sequence, at the end of what was read
        self.errors = tempfile.TemporaryFile(dir=context.directory)
        self.terminal = None
        if terminal:
            self.output, self.terminal = pty.openpty()
            self.input = self.output
            self.process = subprocess.Popen(command, stdin=self.terminal, stdout=self.terminal, stderr=self.errors,
                                            start_new_session=True, cwd=context.directory if program is not None else None)
        else:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                            start_new_session=True, cwd=context.directory if program is not None else None)
            self.output, self.input = self.process.stdout.fileno(), self.process.stdin.fileno()

    def said(self):
        """What hyve itself said, on standard error."""
        size = os.fstat(self.errors.fileno()).st_size
        return os.pread(self.errors.fileno(), size, 0).decode("utf-8", "replace").replace("\r", "")

    def read(self, seconds):
        """Take what the console says within a time; False at its end."""
        if not select.select([self.output], [], [], max(seconds, 0))[0]:
            return True
        try:
            data = os.read(self.output, 65536)
        except OSError:
            data = b""
        text = ESCAPES.sub("", self.rest + data.decode("utf-8", "replace"))
        cut = CUT.search(text)
        self.rest = cut.group() if cut else ""
        self.text += text[:len(text) - len(self.rest)]
        return bool(data)

    def expect(self, pattern, limit=LIMIT):
        """Wait for a regular expression behind what was found last; the match."""
        end = time.monotonic() + limit
        pattern = re.compile(pattern, re.M)
        start = self.seen
        while True:
            match = pattern.search(self.text, start)
            if match:
                self.seen = match.end()
                return match
            if time.monotonic() > end:
                raise Failed("hung: no '%s' within %d s" % (pattern.pattern, limit))
            start = max(start, len(self.text) - 4096)       # what matches is short
            if not self.read(min(1, end - time.monotonic())):
                raise Failed("ended before '%s', with status %s" % (pattern.pattern, self.wait()))
            if self.terminal is not None and self.process.poll() is not None and not pattern.search(self.text, start):
                raise Failed("ended before '%s', with status %d" % (pattern.pattern, self.process.returncode))

    def expect_said(self, pattern, limit=LIMIT):
        """The same for what hyve itself says."""
        end = time.monotonic() + limit
        while not re.search(pattern, self.said()):
            check(time.monotonic() < end, "hung: hyve did not say '%s' within %d s" % (pattern, limit))
            self.read(0.1)

    def send(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.input, data):]

    def run(self, command, status=0, limit=LIMIT):
        """Run a line of shell in a guest booted by script(); its output."""
        self.send(command + '; echo "@end"@$?@\n')
        start = self.seen
        match = self.expect(r"@end@(\d+)@\r?\n|---\[ end (Kernel panic[^\r\n]*) \]---", limit)
        check(match.group(2) is None, "the guest's kernel died: %s" % match.group(2))
        output = self.text[start:match.start()].replace("\r", "")
        check(int(match.group(1)) == status, "'%s' ended with status %s: %s" % (command, match.group(1), output.strip()))
        return output

    def wait(self, limit=LIMIT):
        """Wait for hyve's end; its exit code."""
        end = time.monotonic() + limit
        while self.process.poll() is None:
            check(time.monotonic() < end, "hung: no end within %d s" % limit)
            if not self.read(0.2):
                time.sleep(0.05)
        while select.select([self.output], [], [], 0)[0] and self.read(0):
            pass
        return self.process.returncode

    def ends(self, code, limit=LIMIT):
        status = self.wait(limit)
        check(status == code, "exit code %d, not %d" % (status, code))

    def power_off(self):
        """End a guest booted by script()."""
        self.send("poweroff -f\n")
        self.ends(POWEROFF)

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.terminal is not None:
            os.close(self.terminal)
            os.close(self.output)
        else:
            self.process.stdin.close()
            self.process.stdout.close()
        said = self.said()
        self.errors.close()
        return said


# Images

fetched = {}


def fetch_guest(*arguments):
    """What scripts/fetch-guest prints: a dictionary.  It is asked once."""
    if arguments not in fetched:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/fetch-guest")
        done = subprocess.run([sys.executable, script] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            fetched[arguments] = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        else:
            fetched[arguments] = dict(line.split("=", 1) for line in done.stdout.decode().split("\n") if line)
    if isinstance(fetched[arguments], str):
        raise Skipped("nothing to boot: " + fetched[arguments])
    return fetched[arguments]


def fetch(arch, flavour):
    """Kernel, initrd, busybox and version of a guest."""
    return fetch_guest("--arch", arch, "--flavour", flavour)


def unpack(arch, *packages):
    """Directories with the files of Debian's packages."""
    return fetch_guest("--arch", arch, "--unpack", *packages)


def disk(arch, hyve):
    """The image of a disk with Debian and systemd, which is not to be written."""
    return fetch_guest("--arch", arch, "--hyve", hyve, "--disk")["disk"]


def tool(name):
    """A program of the host that may be in an administrator's directory."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Skipped("there is no %s here" % name)
    return path


# Cases

cases = []


def case(function=None, slow=False, long=False, flavours=(CLOUD,)):
    """A case; `slow`: not under sanitizers; `long`: only with HYVE_TEST_LONG; `flavours` of Debian's kernel to run it with:
    those but the cloud kernel are slow, and long beside it."""
    def register(function):
        for flavour in flavours:
            cases.append((function, flavour, slow or flavour != CLOUD, long or (flavour != CLOUD and CLOUD in flavours)))
        return function
    return register(function) if function is not None else register


def no_accel(arch, accel):
    """Why a back end cannot run Debian's kernels here; None if it can."""
    if accel != "kvm":
        return None
    if ARCHES[arch]["machine"] != platform.machine():
        return "this host is no %s machine" % arch
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no /dev/kvm that this user may use"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        if arch == "amd64" and not re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo.read(), re.M):
            return "this host's processor does not virtualize, and its kvm runs no stock kernel"
    return None


def run_case(function, hyve, arch, accel, flavour):
    """One case in one place: (verdict, why)."""
    with tempfile.TemporaryDirectory(prefix="hyve-guest.") as directory:
        context = Context(hyve, arch, accel, flavour, directory)
        verdict, why = "ok", ""
        try:
            function(context)
        except Skipped as reason:
            verdict, why = "skip", str(reason)
        except (Failed, OSError) as failure:
            verdict, why = "not ok", str(failure) or repr(failure)
        finally:
            for guest in context.guests:
                said = guest.close()
                if verdict == "not ok":
                    print("$ %s\n%s\n--- console:\n%s\n---" % (" ".join(guest.command), said, guest.text[-8000:]),
                          file=sys.stderr, flush=True)
        return verdict, why


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: %s HYVE [WORD...]" % sys.argv[0])
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("terminated"))
    hyve, words = os.path.abspath(sys.argv[1]), sys.argv[2:]
    bad = False
    for arch in ARCHES:
        for accel in ACCELS:
            missing = no_accel(arch, accel)
            for function, flavour, slow, long in cases:
                name = "%s/%s/%s" % (function.__name__, arch if flavour == CLOUD else arch + "-" + flavour, accel)
                if words and not any(word in name for word in words):
                    continue
                if missing:
                    verdict, why = "skip", missing
                elif long and not LONG:
                    verdict, why = "skip", IS_LONG
                elif slow and SANITIZE != "none":
                    verdict, why = "skip", "takes too long with -fsanitize=" + SANITIZE
                else:
                    verdict, why = run_case(function, hyve, arch, accel, flavour)
                bad |= verdict == "not ok"
                print("%s %s%s" % (verdict, name, ": " + " ".join(why.split()) if why else ""), flush=True)
    sys.exit(1 if bad else 0)
