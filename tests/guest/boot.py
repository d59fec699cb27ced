# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel boots to a shell, and sees the machine that it should."""
import hashlib
import os
import re

import guest
from guest import case, check


def look(context, cpus):
    g = context.script(cpus=cpus)
    check(int(g.run("nproc")) == cpus, "nproc is not %d" % cpus)
    release = g.run("uname -r").strip()
    check(release == context.fetch()["version"], "the kernel is %s" % release)
    check(g.run("uname -m").strip() == guest.ARCHES[context.arch]["machine"], "wrong machine")
    online = g.run("cat /sys/devices/system/cpu/online").strip()
    check(online == ("0-%d" % (cpus - 1) if cpus > 1 else "0"), "processors online: " + online)

    # every processor works: each is given a digest to make
    for cpu in range(cpus):
        text = "%d\n" % cpu * 5000
        digest = g.run("yes %d | head -n 5000 | taskset -c %d sha256sum" % (cpu, cpu)).split()[0]
        check(digest == hashlib.sha256(text.encode()).hexdigest(), "wrong digest on processor %d" % cpu)
    g.power_off()


@case(slow=True, flavours=guest.BOTH)
def shell_1_cpu(context):
    look(context, 1)


@case(flavours=guest.BOTH)
def shell_2_cpus(context):
    look(context, 2)


@case(slow=True, long=True, flavours=guest.BOTH)
def shell_4_cpus(context):
    look(context, 4)


@case(slow=True, long=True, flavours=guest.BOTH)
def shell_8_cpus(context):
    look(context, 8)


@case(slow=True, long=True)
def shell_32_cpus(context):
    look(context, 32)


@case(slow=True, long=True)
def boots_20_in_a_row(context):
    for n in range(20):
        g = context.boot("guest.poweroff", cpus=1 + n % 2)
        g.expect("guest: ready")
        g.ends(guest.POWEROFF)


def work(context, settings):
    """A boot, and a little work that has a result, with settings of the soft back end."""
    content = bytes(n * n >> 7 & 0xff for n in range(256 << 10))
    disk = context.path("disk.img")
    with open(disk, "wb") as file:
        file.write(content)
    g = context.script(disks=[disk], more=[word for setting in settings for word in ("--set", setting)])
    digest = hashlib.sha256("".join("%d\n" % n for n in range(1, 5001)).encode()).hexdigest()
    check(g.run("seq 1 5000 | gzip | gunzip | sha256sum").split()[0] == digest, "wrong digest")
    check(g.run("seq 1 300 | awk '{ s += $1 / 7 * $1 } END { printf \"%.6f\\n\", s }'").strip() ==
          "%.6f" % sum(n / 7 * n for n in range(1, 301)), "wrong sum")
    check(g.run("dd if=/dev/vda bs=64k 2>/dev/null | sha256sum").split()[0] == hashlib.sha256(content).hexdigest(), "the disk reads otherwise")
    g.power_off()


@case()
def counters(context):
    """What is told for whoever looks for the time: counters at the end, and native code by the guest's addresses."""
    context.needs_soft()
    g = context.boot("guest.poweroff", cpus=2, more=["--set", "stats=on", "--set", "jit=on", "--set", "jit_map=on"])
    names = "/tmp/perf-%d.map" % g.process.pid
    try:
        g.ends(guest.POWEROFF)
        with open(names, encoding="ascii") as file:
            check(len(re.findall(r"^[0-9a-f]+ [0-9a-f]+ guest_0xffff[0-9a-f]+$", file.read(), re.M)) > 1000, "too little native code is listed")
    finally:
        if os.path.exists(names):
            os.unlink(names)
    for counter in ("instructions retired", "blocks translated to native code", "pages looked up in the guest's tables"):
        check(re.search(r"^hyve: +\d{4,} +\d{3,} " + counter + "$", g.said(), re.M), "no '%s': %s" % (counter, g.said()))


@case(slow=True)
def without_native_code(context):
    context.needs_soft()
    work(context, ["jit=off"])


@case(slow=True, long=True)
def in_lockstep(context):
    """Every instruction that the guest executes is executed by native code and by the first tier, to the same end."""
    context.needs_soft()
    work(context, ["clock=icount", "jit_hot=1", "jit_check=1000"])


@case(slow=True, flavours=guest.BOTH)
def devices(context):
    g = context.script(cpus=2)
    # entropy
    rng = g.run("cat /sys/class/misc/hw_random/rng_current").strip()
    check(rng.startswith("virtio_rng"), "entropy from '%s'" % rng)
    first, second = (g.run("dd if=/dev/hwrng bs=64 count=1 2>/dev/null | hexdump -C") for _ in range(2))
    check(first.split("\n")[0] != second.split("\n")[0] and len(first) > 200, "entropy: %s, %s" % (first, second))
    # its interrupts are MSI-X, and came
    interrupts = g.run("cat /proc/interrupts")
    lines = [line for line in interrupts.split("\n") if "virtio" in line]
    check(lines and all("MSI" in line for line in lines), "virtio's interrupts: %s" % lines)
    counts = [sum(map(int, re.findall(r"\s(\d+)(?=\s)", line)[:2])) for line in lines if "input" in line]
    check(counts and counts[0] > 0, "virtio's interrupts never came: %s" % lines)
    modes = g.run("cat /sys/bus/pci/devices/*/msi_irqs/*").split()
    check(modes and set(modes) == {"msix"}, "interrupts are %s" % modes)
    # timers and the clock of the other processor run
    local = re.search(guest.ARCHES[context.arch]["timer"] + r"\s+(\d+)\s+(\d+)", interrupts, re.M)
    check(local and int(local.group(1)) and int(local.group(2)), "local timers do not tick: %s" % interrupts)
    g.power_off()


@case(slow=True, long=True, flavours=guest.BOTH)
def pins_by_8259(context):
    """Without I/O APIC and messages a virtio disk's interrupts come by PIRQ registers and 8259s: as ACPI's link devices say, and as whoever
    set the machine up left it."""
    context.needs("8259")
    disk = context.path("disk.img")
    content = bytes(n * n >> 7 & 0xff for n in range(1 << 20))
    with open(disk, "wb") as file:
        file.write(content)
    for words, links in (("", True), ("acpi=off", False)):
        g = context.script("noapic pci=nomsi " + words, disks=[disk])
        check(g.run("sha256sum /dev/vda").split()[0] == hashlib.sha256(content).hexdigest(), "the disk reads otherwise")
        lines = [line for line in g.run("cat /proc/interrupts").split("\n") if "virtio" in line]
        check(lines and all("XT-PIC" in line for line in lines) and sum(int(line.split()[1]) for line in lines) > 8, "virtio's interrupts: %s" % lines)
        said = g.run("dmesg")
        check(("LNKB: Enabled at IRQ" in said) == links, "link devices: " + said)
        check("nobody cared" not in said, "an interrupt had no handler")
        if links:               # nothing else knows how to switch it off
            g.power_off()


@case(slow=True, long=True)
def processor_models(context):
    """cpu.model is what the guest sees, and Debian runs on the smallest one too."""
    for model, lacks, has in guest.ARCHES[context.arch]["models"]:
        g = context.script(more=["--set", "cpu.model=" + model])
        flags = g.run("grep -m 1 -i -E '^(flags|features)' /proc/cpuinfo").split()
        check(has in flags and lacks not in flags, "model %s has %s" % (model, " ".join(flags)))
        g.power_off()


@case(slow=True)
def wide_registers(context):
    """A processor with AVX is refused in a sentence where it is not to be had; where it is, Linux finds all of it."""
    context.needs("model v3")
    g = context.boot("guest.script", more=["--set", "cpu.model=v3"])
    if context.accel == "soft":
        g.ends(guest.ERROR)
        check("soft: it has no processor model v3, which needs AVX" in g.said(), "what it lacks is not told: " + g.said())
        return
    try:
        g.expect(r"guest: script\r?\n")
    except guest.Failed:
        lacks = re.search(r"kvm: processor model v3 needs .*, which this host does not have", g.said())
        if lacks:
            raise guest.Skipped(lacks.group())
        raise
    flags = set(g.run("grep -m 1 '^flags' /proc/cpuinfo").split())
    lacks = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"} - flags
    check(not lacks, "the processor has no " + " ".join(lacks))
    log = g.run("dmesg")
    check(re.search(r"x86/fpu: xstate_offset\[2\]: +576, xstate_sizes\[2\]: +256", log), "the kernel does not use AVX's registers: " + log)
    check("XSAVE consistency" not in log, "leaf 0DH contradicts itself: " + log)
    g.power_off()


@case(slow=True, flavours=guest.BOTH)
def no_mitigation_costs(context):
    """The guest's processor has no flaw that Linux works around at run time; on kvm it is the host's, with the host's."""
    context.needs_soft()
    g = context.script()
    reports = g.run("cd /sys/devices/system/cpu/vulnerabilities; grep . *")
    costly = []
    for line in reports.strip().split("\n"):
        print("  " + line, flush=True)
        name, _, state = line.partition(":")
        cheap = guest.ARCHES[context.arch]["cheap"].get(name)
        if state != "Not affected" and not (cheap and state.startswith(cheap)):
            costly.append(line)
    check(len(reports.strip().split("\n")) > 5, "the guest reports nothing")
    check(not costly, "; ".join(costly))
    log = g.run("dmesg").lower()
    check("page tables isolation: enabled" not in log and "detected: kernel page table isolation" not in log, "page table isolation is on")
    g.power_off()


@case(slow=True)
def console(context):
    """Long output arrives whole, long input too."""
    g = context.script()
    digest = hashlib.sha256("".join("%d\n" % n for n in range(1, 20001)).encode()).hexdigest()
    got = g.run("seq 1 20000")
    check(hashlib.sha256(got.encode()).hexdigest() == digest, "output of %d bytes differs" % len(got))
    text = "0123456789abcdef" * 200
    check(g.run("echo %s | sha256sum" % text).split()[0] == hashlib.sha256((text + "\n").encode()).hexdigest(), "input differs")
    check("file" in g.run("mkdir /tmp/d; cd /tmp/d; for i in 1 2 3; do echo $i >file$i; done; ls; cat file3; cd /"), "ls")
    g.run("false", status=1)
    g.power_off()


guest.main()
