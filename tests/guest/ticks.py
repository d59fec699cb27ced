# SPDX-License-Identifier: BSD-2-Clause
"""The PC's timers on a host whose processors are all busy, counted by a kernel of our own (kernels/ticks.c).

What the specifications allow: a tick that comes while the one before is still pending is one with it (8259A, local APIC, RTC's
flag).  So at 10 to 20 ticks a second none is lost; at a thousand some may be, where the host lets the vCPU wait, but never does one come
too many, and no timer leaves its phase: all of them count the same time.
"""
import os

import guest
from load import busy
from guest import case, check

SECONDS = 20 if guest.LONG else 4
HZ = {"i8254": 1193182, "rtc": 32768, "lapic": 1000000000}      # of the units of the periods; the HPET says its own


def kernel():
    path = os.path.join(os.environ.get("HYVE_TEST_KERNELS", ""), "ticks")
    if not os.path.exists(path):
        raise guest.Skipped("the kernel ticks is not built here")
    return path


def count(context, speed):
    """Run the kernel; its lines as {name: numbers}."""
    g = context.start(["--kernel", kernel(), "--set", "pc.debug_exit=on", "--append", "ticks %s %02x" % (speed, SECONDS)])
    g.expect(r"^end\r?\n")
    g.ends(1)           # the debug exit port's
    lines = [line.split() for line in g.text.replace("\r", "").split("\n")]
    return {line[0]: [int(field, 16) for field in line[1:]] for line in lines if len(line) > 1}


def periods(lines):
    """For each timer: ticks, and the least and the most periods that passed."""
    hpet = 10 ** 15 / lines["clock"][0]
    for name, rate in list(HZ.items()) + [("hpet", hpet)]:
        ticks, period, least, most = lines[name]
        yield name, ticks, least / hpet * rate / period, most / hpet * rate / period


def phases(lines):
    """The down-counters agree with the clock: what is left of their periods is what the time since their start leaves of one."""
    hpet = 10 ** 15 / lines["clock"][0]
    for name in ("lapic", "i8254"):
        _, period, least, most = lines[name]
        left, late = lines[name + "-left"]
        rate = HZ[name]
        # the count was read between the clock's reading and `late` after it
        first, last = least / hpet * rate, (most + late) / hpet * rate
        gone = period - left
        early = (gone - first) % period
        print("  %s: %d of %d left, after %.0f to %.0f" % (name, left, period, first, last), flush=True)
        # a unit of rounding each
        check(early <= last - first + 2 or early >= period - 2,
              "%s left its phase: %d of %d units are left, after %.0f to %.0f" % (name, left, period, first, last))


def ticks(context, speed, lost):
    context.needs("8254, RTC, HPET and local APIC")
    with busy():
        lines = count(context, speed)
    for name, ticked, least, most in periods(lines):
        print("  %s: %d ticks in %.2f to %.2f periods" % (name, ticked, least, most), flush=True)
        # the RTC's dividers run all the time, so its first period is any part of one
        check(ticked <= most + 1, "%s ticked %d times in %.2f periods" % (name, ticked, most))
        check(ticked >= int(least * (1 - lost)) - 1, "%s ticked %d times in %.2f periods" % (name, ticked, least))
    phases(lines)


@case(slow=True)
def slow_ticks_are_all_there(context):
    ticks(context, "slow", 0)


@case(slow=True)
def fast_ticks_merge_at_most(context):
    ticks(context, "fast", 0.9)


guest.main()
