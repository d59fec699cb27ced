# SPDX-License-Identifier: BSD-2-Clause
"""hyve's command on a host that is not amd64: arm64 guests run on soft, without native code, up to Debian's kernel and a shell; amd64 guests
do not, and it is said why.

usage: command.py HYVE [HELLO]

HELLO is examples/payload/arm64/hello.S, assembled.  MESON_EXE_WRAPPER is the emulator that HYVE runs under, if it needs one.
"""
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile

FETCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/fetch-guest")
NEEDS_AMD64 = "soft: amd64 guests need an amd64 host"
NO_NATIVE = "soft: native code is made for amd64 hosts only"
POWEROFF = 1            # exit status of a VM that powered itself off
ERROR = 4               # of one that could not run


class Skipped(Exception):
    """Why."""


class Failure(Exception):
    """What was not as it should be."""


class Context:
    def __init__(self, hyve, hello, directory):
        self.command = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + [hyve]
        self.arm64 = hello
        self.amd64 = os.path.join(directory, "amd64.bin")
        with open(self.amd64, "wb") as image:
            image.write(b"\xf4" * 0x20000)      # HLT

    def hello(self):
        if self.arm64 is None:
            raise Skipped("clang and lld, which assemble the payload, were not there when hyve was built")
        return self.arm64

    def hyve(self, *arguments):
        done = subprocess.run(self.command + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=800, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def runs(self, *arguments):
        status, out, err = self.hyve("payload", "--arch", "arm64", "--image", self.hello(), *arguments)
        if status != POWEROFF or "tick 5" not in out or "powering off" not in out:
            raise Failure("status %d: %s" % (status, (out + err)[-300:]))
        return err

    def refuses(self, sentence, *arguments):
        status, out, err = self.hyve(*arguments)
        if status != ERROR or sentence not in err or out:
            raise Failure("status %d, not '%s': %s" % (status, sentence, (out + err)[-300:]))


def arm64_payload(context):
    if "on back end soft" not in context.runs("--accel", "soft"):
        raise Failure("not on soft")


def arm64_payload_in_virtual_time(context):
    context.runs("--set", "clock=icount")


def arm64_native_code_is_refused(context):
    context.refuses(NO_NATIVE, "payload", "--arch", "arm64", "--accel", "soft", "--set", "jit=on", "--image", context.hello())


def amd64_is_refused(context):
    for more in (["--accel", "soft"], [], ["--set", "clock=icount"]):
        context.refuses(NEEDS_AMD64, "payload", "--arch", "amd64", "--image", context.amd64, *more)
        context.refuses(NEEDS_AMD64, "run", "--arch", "amd64", "--net", "none", "--firmware", context.amd64, *more)


def debian(context):
    fetched = subprocess.run([FETCH, "--arch", "arm64"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if fetched.returncode != 0:
        raise Skipped(fetched.stderr.decode("utf-8", "replace").strip().split("\n")[-1])
    guest = dict(line.split("=", 1) for line in fetched.stdout.decode("utf-8", "replace").strip().split("\n"))
    status, out, err = context.hyve("run", "--accel", "soft", "--net", "none", "--cpus", "2", "--memory", "512M",
                                    "--kernel", guest["kernel"], "--initrd", guest["initrd"], "--append",
                                    "console=ttyAMA0 quiet guest.poweroff guest.run=\"echo sum: $(seq 1000 | md5sum | cut -c1-32) $(uname -rm)\"")
    digest = hashlib.md5("".join("%d\n" % n for n in range(1, 1001)).encode()).hexdigest()
    if status != POWEROFF or "sum: %s %s aarch64" % (digest, guest["version"]) not in out:
        raise Failure("status %d: %s" % (status, (out + err)[-300:]))


CASES = [arm64_payload, arm64_payload_in_virtual_time, arm64_native_code_is_refused, amd64_is_refused, debian]


def main(argv):
    if len(argv) not in (2, 3):
        sys.exit("usage: command.py HYVE [HELLO]")
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        context = Context(argv[1], argv[2] if len(argv) == 3 else None, directory)
        for case in CASES:
            verdict, why = "ok", ""
            try:
                case(context)
            except Skipped as reason:
                verdict, why = "skip", ": %s" % reason
            except (Failure, OSError, subprocess.TimeoutExpired) as error:
                verdict, why, failed = "not ok", ": " + str(error).replace("\n", " ").replace("\r", ""), True
            print("%s %s%s" % (verdict, case.__name__, why), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
