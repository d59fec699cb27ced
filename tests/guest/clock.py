# SPDX-License-Identifier: BSD-2-Clause
"""A guest's clocks on a host that is busy: ticks may be late, time is not."""
import re
import time

import guest
from load import busy
from guest import case, check

SECONDS = 40 if guest.LONG else 8       # of each measurement
RATE = 500e-6           # a guest finds its clocks' rates by measuring one with the other (Linux: 500 ppm at most between two)
READ = 0.011            # /proc/uptime has hundredths


def look(g):
    """The guest's uptime, and the host's clock before and after."""
    before = time.monotonic()
    uptime = float(g.run("cat /proc/uptime").split()[0])
    return before, uptime, time.monotonic()


def elapsed(g, what):
    """Let SECONDS pass: the guest's clock may differ from the host's by what RATE allows, however late it answers."""
    first = look(g)
    time.sleep(SECONDS)
    last = look(g)
    least, most = last[0] - first[2], last[2] - first[0]
    passed = last[1] - first[1]
    print("  %s: %.2f s of the guest in %.3f to %.3f s of the host" % (what, passed, least, most), flush=True)
    check(least * (1 - RATE) - READ <= passed <= most * (1 + RATE) + READ,
          "%s: %.2f s passed in the guest, and %.3f to %.3f s on the host" % (what, passed, least, most))


COMPLAINTS = re.compile(r"unstable|soft lockup|hard LOCKUP|rcu.*stall|stalls on CPU|hung_task|blocked for more than|"
                        r"Clocksource.*skew|timer.*not work|TSC.*warp|NMI watchdog: BUG|nohz.*broken|marked.*unstable", re.I)


def no_complaints(g):
    lines = [line for line in g.run("dmesg").split("\n") if COMPLAINTS.search(line)]
    check(not lines, "the kernel complains: " + "; ".join(lines[:5]))


def under_load(context, cpus):
    """Every clock source that Linux has keeps the host's time, with every vCPU and every processor of the host busy."""
    with busy():
        g = context.script(cpus=cpus)
        sources = g.run("cat /sys/devices/system/clocksource/clocksource0/available_clocksource").split()
        check(len(sources) >= guest.ARCHES[context.arch]["clocks"], "clock sources: %s" % sources)
        g.run("for c in $(seq %d); do (while :; do :; done) & done" % cpus)
        for source in sources:
            g.run("echo %s >/sys/devices/system/clocksource/clocksource0/current_clocksource" % source)
            check(g.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource").strip() == source,
                  source + " cannot be chosen")
            elapsed(g, source)
        check(g.run("cat /sys/devices/system/clocksource/clocksource0/available_clocksource").split() == sources,
              "a clock source is gone")
        no_complaints(g)
        g.power_off()


@case(slow=True, long=True)
def clock_under_load_1_cpu(context):
    under_load(context, 1)


@case(slow=True, flavours=guest.BOTH)
def clock_under_load_2_cpus(context):
    under_load(context, 2)


@case(slow=True, long=True)
def clock_under_load_4_cpus(context):
    under_load(context, 4)


@case(slow=True)
def date_is_the_hosts(context):
    """Wall clock time: the RTC's at boot, whole seconds of it, and what passed since."""
    g = context.script()
    before = time.time()
    date = int(g.run("date +%s"))
    after = time.time()
    check(before - 3 <= date <= after + 1, "the guest's date is off by %.1f s" % (date - before))
    g.power_off()


guest.main()
