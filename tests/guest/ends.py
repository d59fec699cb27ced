# SPDX-License-Identifier: BSD-2-Clause
"""How a guest ends, and how hyve run does: power off, reset, panic, triple fault, signals, the escape key."""
import re
import signal
import termios

import guest
from guest import case, check


@case(slow=True)
def power_off(context):
    g = context.boot("guest.poweroff")
    g.expect("guest: ready")
    g.ends(guest.POWEROFF)


@case(slow=True)
def reset_starts_again(context):
    g = context.script()
    first = g.run("cat /proc/sys/kernel/random/boot_id")
    g.send("reboot -f\n")
    g.expect(r"guest: script\r?\n")
    check(g.run("cat /proc/sys/kernel/random/boot_id") != first, "it is the same boot")
    g.power_off()


@case(slow=True, long=True)
def reset_ends_with_no_reboot(context):
    g = context.boot("guest.reboot", more=["--no-reboot"])
    g.expect("guest: ready")
    g.ends(guest.RESET)


@case(slow=True)
def panic_resets(context):
    g = context.boot("guest.panic panic=-1", more=["--no-reboot"])
    g.expect("Kernel panic - not syncing")
    g.ends(guest.RESET)


@case(slow=True, long=True)
def panic_on_2_cpus_resets(context):
    g = context.boot("guest.panic panic=-1", more=["--no-reboot"], cpus=2)
    g.expect("Kernel panic - not syncing")
    g.ends(guest.RESET)


@case(slow=True)
def triple_fault(context):
    """Linux, told to reset by a triple fault, loads an empty interrupt table and executes INT3."""
    context.needs("triple fault")
    g = context.boot("guest.reboot reboot=t")
    g.expect("guest: ready")
    g.ends(guest.TRIPLE_FAULT)


@case()
def code_where_nothing_is(context):
    """A jump to an address where nothing is: kvm does not go on, which ends the VM as an error that says where; soft's processor has a triple fault."""
    context.needs("triple fault")
    image = context.path("jump.bin")
    with open(image, "wb") as file:
        file.write(bytes.fromhex("ea 00 00 00 d0 08 00"))       # ljmp $8, $0xd0000000
    g = context.start(["payload", "--accel", context.accel, "--image", image], program="hyve")
    g.ends(guest.ERROR if context.accel == "kvm" else guest.TRIPLE_FAULT)
    if context.accel == "kvm":
        g.expect_said(r"error: cpu: vCPU 0 at 0xd0000000: vcpu 0: kvm: it cannot emulate an instruction \(suberror 1\) at 0xd0000000")
        g.expect_said(r"error: cpu: vCPU 0 has rip=0xd0000000 cs=0x8 rflags=0x[0-9a-f]+ rsp=0x[0-9a-f]+ cr0=0x[0-9a-f]+ ")


@case()
def test_device_ends_with_a_code(context):
    """A kernel of our own uses the test device of a PC and ends by it with 2 * 42 + 1: any other code tells which of its checks failed."""
    context.needs("test device")
    context.start(["--kernel", context.kernel("testdev"), "--net", "none", "--set", "pc.testdev=on"]).ends(85)


@case()
def registers_that_there_are_not(context):
    """A kernel of our own reads and writes one: both fault, or with pc.strictmsr=off nothing comes of it. It is told by its name, and counted."""
    context.needs("MSRs")
    for strict, code in (("on", 10), ("off", 20)):
        g = context.start(["--kernel", context.kernel("msr"), "--net", "none", "--set", "pc.debug_exit=on", "--set", "pc.strictmsr=" + strict,
                           "--set", "log.level=cpu=debug"])
        g.ends(2 * code + 1)
        name = r"system register 0x606 \(MSR_RAPL_POWER_UNIT\), which there is not"
        check(len(re.findall("debug: cpu: read of " + name + ", by the code at 0x1[0-9a-f]{5}$", g.said(), re.M)) == 1, "it is not told: " + g.said())
        check(re.search("debug: cpu: " + name + ": 1 reads, 1 writes$", g.said(), re.M), "it is not counted: " + g.said())


@case(long=True, flavours=(guest.GENERIC,))
def keyboard_controller_resets(context):
    """Linux finds keyboard and mouse without a complaint, and resets the machine by their controller; without one it looks for none."""
    context.needs("keyboard controller")
    g = context.script("guest.load=psmouse reboot=k", more=["--no-reboot"])
    found = g.run("n=0; while ! grep -q Mouse /proc/bus/input/devices && [ $n -lt 300 ]; do usleep 100000; n=$((n + 1)); done;"
                  " grep ^N: /proc/bus/input/devices")
    check("AT Translated Set 2 keyboard" in found and "PS/2 Generic Mouse" in found, "the guest found " + found)
    said = g.run("dmesg | grep -i -E 'i8042|atkbd|psmouse|serio'")
    check("PNP: PS/2 Controller [PNP0303:KBD,PNP0f13:MOU] at 0x60,0x64 irq 1,12" in said, "the kernel says " + said)
    check(not re.search("(?i)fail|error|timeout|spurious|no controller|can't", said), "the kernel complains: " + said)
    g.send("reboot -f\n")
    g.ends(guest.RESET)

    g = context.script(more=["--set", "pc.i8042=off"])
    said = g.run("dmesg | grep -i -E 'i8042'")
    check("No PS/2 controller found" in said, "the kernel says " + said)
    check("keyboard" not in g.run("cat /proc/bus/input/devices"), "there is a keyboard")
    g.power_off()


@case(slow=True, flavours=guest.BOTH)
def power_button(context):
    """A guest that listens to its power button powers off when a signal or the escape key presses it."""
    if context.flavour not in guest.ARCHES[context.arch]["buttons"]:
        g = context.boot("guest.button guest.poweroff")
        g.expect("guest: ready")
        g.ends(guest.POWEROFF)
        raise guest.Skipped("Debian's %s kernel for %s has no driver for this button" % (context.flavour, context.arch))
    for terminal, press in ((False, lambda g: g.signal(signal.SIGTERM)), (True, lambda g: g.send("\x1dp"))):
        g = context.boot("guest.button", terminal=terminal)
        g.expect(r"guest:\S*# ")
        press(g)
        g.expect("guest: power button")
        g.ends(guest.POWEROFF)
        check("did not power off by itself" not in g.said(), "hyve said: " + g.said())


@case(slow=True)
def signal_asks_and_then_ends(context):
    """SIGTERM presses the power button; nobody in this guest listens, so that the time for it runs out."""
    g = context.script(more=["--set", "power_off_wait=10"])
    g.signal(signal.SIGTERM)
    g.expect_said("asking the guest to power off")
    g.run("true")               # still there
    g.ends(guest.POWEROFF, limit=guest.LIMIT)
    check("did not power off by itself" in g.said(), "hyve said: " + g.said())


@case(slow=True, long=True)
def second_signal_ends_at_once(context):
    g = context.script()
    for number in (signal.SIGINT, signal.SIGTERM):
        g.signal(number)
        g.expect_said("asking the guest to power off")
    g.ends(guest.POWEROFF)
    check("did not power off by itself" not in g.said(), "hyve said: " + g.said())


@case(slow=True)
def end_of_input(context):
    """The guest runs on when standard input ends."""
    g = context.boot("guest.script")
    g.expect(r"guest: script\r?\n")
    g.send("usleep 500000; echo still; poweroff -f\n")
    g.process.stdin.close()
    g.expect("still")
    g.ends(guest.POWEROFF)


@case(slow=True)
def terminal(context):
    """A person's session: a prompt, the escape key, and a terminal that gets its modes back."""
    g = context.boot(terminal=True)
    g.expect(r"guest:\S* # |guest:\S*# ")
    g.expect_said(r"Ctrl-\] then q")
    before = termios.tcgetattr(g.terminal)
    check(not before[3] & (termios.ICANON | termios.ECHO | termios.ISIG), "the terminal is not raw")
    g.send("echo a''b; nproc\r")
    g.expect(r"^ab\r?\n1\r?\n")
    g.send("sh -c \"echo g''o; exec sleep 1000\"\r")
    g.expect(r"^go\r?\n")       # it runs: before, the shell would have taken the key
    g.send("\x03")              # to the guest, not to hyve
    g.expect("# ")
    g.send("\x1dh")
    g.expect_said("ends the VM")
    g.send("\x1dq")
    g.ends(guest.POWEROFF)
    after = termios.tcgetattr(g.terminal)
    check(after[3] & termios.ICANON and after[3] & termios.ECHO, "the terminal did not get its modes back")


@case(slow=True)
def hangup(context):
    """A terminal that is closed ends the guest."""
    g = context.boot(terminal=True)
    g.expect(r"guest:\S*# ")
    g.signal(signal.SIGHUP)
    g.signal(signal.SIGHUP)
    g.ends(guest.POWEROFF)


guest.main()
