# SPDX-License-Identifier: BSD-2-Clause
"""A machine's timers on a host whose processors are all busy, counted by a kernel of our own (kernels/ticks.c).

What the specifications allow of a PC's timers: a tick that comes while the one before is still pending is one with it (8259A, local
APIC, RTC's flag).  So at 10 to 20 ticks a second none is lost, unless the host lets the vCPU wait for a fortieth of a second and more,
which the kernel tells; at a thousand some may be; but never does one come too many.  arm64's generic timers wait for the guest to set
the next compare value, so none is lost at any rate, and the time from a tick to where a timer is armed anew is not counted.  No timer
leaves its phase, and none that has a compare value of the clock's is early: all of them count the same time.
"""
import guest
from load import busy
from guest import case, check

SECONDS = 20 if guest.LONG else 4
HZ = {"i8254": 1193182, "rtc": 32768, "lapic": 1000000000}      # of the units of the periods; of others it is the clock's
MERGES = ("i8254", "rtc", "hpet", "lapic")                      # a tick with the one before that is still pending


def count(context, speed):
    """Run the kernel; its lines as {name: numbers}."""
    g = context.start(["--kernel", context.kernel("ticks")] + guest.ARCHES[context.arch]["exit"] +
                      ["--append", "ticks %s %02x" % (speed, SECONDS)])
    g.expect(r"^end\r?\n")
    g.ends(guest.POWEROFF)
    lines = [line.split() for line in g.text.replace("\r", "").split("\n")]
    return {line[0]: [int(field, 16) for field in line[1:]] for line in lines if len(line) > 1}


def of_clock(lines):
    """The timers of a run: name, its numbers, and how many of its units are one of the clock's."""
    counts, femto = lines["clock"]
    for name, numbers in lines.items():
        if name + "-left" in lines or name in MERGES:
            yield name, numbers, HZ[name] * femto / 10 ** 15 / counts if name in HZ else 1


def waits(name, period, unit, gaps):
    """How many ticks may have merged while the host let the processor wait: one for each period that began."""
    return sum(int(gap * unit / period) + 1 for gap in gaps) if name in MERGES else 0


def counts(name, numbers, unit, lost, gaps):
    """Ticks are as many as periods passed; of merging ones a part may be lost, or those of which the host is guilty."""
    ticked, period, least, most, early = numbers
    merged = max(int(least * unit / period * lost), waits(name, period, unit, gaps) if lost == 0 else 0)
    least, most = least * unit / period, most * unit / period
    print("  %s: %d ticks in %.2f to %.2f periods" % (name, ticked, least, most), flush=True)
    # the RTC's dividers run all the time, so its first period is any part of one
    check(ticked <= most + 1, "%s ticked %d times in %.2f periods" % (name, ticked, most))
    check(ticked >= int(least) - merged - 1, "%s ticked %d times in %.2f periods" % (name, ticked, least))
    check(early == 0, "%s was early %d times of %d" % (name, early, ticked))


def phase(name, numbers, unit, left, late):
    """A down-counter agrees with the clock: what is left of its period is what the time since its start leaves of one."""
    _, period, least, most, _ = numbers
    # the count was read between the clock's reading and `late` after it
    first, last = least * unit, (most + late) * unit
    early = (period - left - first) % period
    print("  %s: %d of %d left, after %.0f to %.0f" % (name, left, period, first, last), flush=True)
    # a unit of rounding each
    check(early <= last - first + 2 or early >= period - 2,
          "%s left its phase: %d of %d units are left, after %.0f to %.0f" % (name, left, period, first, last))


def ticks(context, speed, lost):
    with busy():
        lines = count(context, speed)
    timers = list(of_clock(lines))
    gaps = lines.get("gaps", [])
    if gaps:
        counted, femto = lines["clock"]
        print("  the host let the processor wait %d times, %.0f ms at the longest" %
              (len(gaps), max(gaps) * femto / counted / 1e12), flush=True)
    check(len(timers) == 4, "%d timers, not 4" % len(timers))
    for name, numbers, unit in timers:
        counts(name, numbers, unit, lost if name in MERGES else 0, gaps)
    for name, numbers, unit in timers:
        if name + "-left" in lines:
            phase(name, numbers, unit, *lines[name + "-left"])


@case(slow=True)
def slow_ticks_are_all_there(context):
    ticks(context, "slow", 0)


@case(slow=True)
def fast_ticks_merge_at_most(context):
    ticks(context, "fast", 1 - 0.1 / guest.SLOWER)


guest.main()
