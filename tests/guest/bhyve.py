# SPDX-License-Identifier: BSD-2-Clause
"""bhyve's command line on hyve: what its options become, what is told of them, guests, and the examples of its manual page."""
import os
import re
import select
import signal
import subprocess
import time

import guest
from guest import case, check

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../man")
PAGE = os.path.join(MAN, "bhyve.8")
USAGE = 1


def needs_pc(context):
    if context.arch != "amd64":
        raise guest.Skipped("bhyve's machine here is a PC")
    context.needs_soft()


def run(context, *arguments, program="bhyve"):
    """A call that ends by itself: (status, output, lines that were told)."""
    done = subprocess.run([os.path.join(os.path.dirname(context.hyve), program)] + list(arguments), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=guest.LIMIT, cwd=context.directory, check=False,
                          env=environment(context))
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def environment(context):
    return dict(os.environ, HYVE_RUNDIR=context.path("run"), HYVE_DIR=context.path("vms"), HOME=context.directory)


def start(context, *arguments, **options):
    os.environ["HYVE_RUNDIR"] = context.path("run")
    os.environ["XDG_STATE_HOME"] = context.path("state")
    return context.start(arguments, program="bhyve", **options)


def disk(context, name="disk.img"):
    path = context.path(name)
    with open(path, "wb") as image:
        image.truncate(16 << 20)
    return path


# What is refused: arguments, and all that is said, behind "bhyve: ".
REFUSED = (
    ("-c two g", "argument 2: cpus: 'two' is not an integer from 1 to 64"),
    ("-c 2,dies=2 g", "argument 2: -c '2,dies=2': there is no 'dies'; it is [[cpus=]N][,sockets=N][,cores=N][,threads=N]"),
    ("-c cpus=4,cores=3 -l bootrom,uefi g", "cpus=4, but sockets * cores * threads is 3"),
    ("-m lots g", "argument 2: memory.size: 'lots' is not a size from 1M to 16T (a bare number counts MiB)"),
    ("-U 1 g", "argument 2: uuid: '1' is not a UUID"),
    ("-s 32,virtio-rnd g", "argument 2: -s '32' is no place: [BUS:]SLOT[:FUNCTION], with buses 0 to 255, slots 0 to 31 and functions 0 to 7"),
    ("-s 1:2:3:4,virtio-rnd g", "argument 2: -s '1:2:3:4' is no place: [BUS:]SLOT[:FUNCTION], with buses 0 to 255, slots 0 to 31 and functions 0 "
     "to 7"),
    ("-s 3 g", "argument 2: -s 3: no device is named; '-s help' lists them"),
    ("-s 3,virtoi-blk,x g", "argument 2: -s 3: unknown device 'virtoi-blk'; did you mean 'virtio-blk'?"),
    ("-s 3,virtio-rnd -s 3:0,virtio-rnd g", "argument 4: slot 0:3:0 has 'virtio-rnd' already, from argument 2"),
    ("-k slots.conf -s 3,virtio-rnd g", "argument 4: slot 0:3:0 has 'virtio-blk' already, from slots.conf:2"),
    ("-s 3,virtio-blk,x,sier=1 g", "argument 2: unknown key 'pci.0.3.0.sier'; did you mean 'pci.0.3.0.ser'?"),
    ("-s 3,virtio-blk,disk.img,sectorsize=100 g", "argument 2: pci.0.3.0.sectorsize: argument 2: pci.0.3.0.sectorsize: '100' is not a size from 512 to 4K"),
    ("-s 3,virtio-blk,disk.img,sectorsize=512/1000 g", "argument 2: pci.0.3.0.sectorsize: '512/1000' is not a sector size such as 512 or 512/4096"),
    ("-s 3,virtio-blk,/dev/zvol/tank/vm g", "argument 2: pci.0.3.0.path: there is no '/dev/zvol/tank/vm': ZFS on Linux has a volume there once the "
     "pool is imported and udev has seen it; 'zfs list -t volume' lists them"),
    ("-s 3,nvme,ram=64 g", "argument 2: pci.0.3.0.ram: hyve has no disks in memory; make a file in /dev/shm of that size and name it as path"),
    ("-s 3,ahci,hd:a,cd:b,modle=c g", "argument 2: unknown key 'pci.0.3.0.port.1.modle'; did you mean 'pci.0.3.0.port.1.model'?"),
    ("-s 3,ahci,hd:a,hd:b,hd:c,hd:d,hd:e,hd:f,hd:g g", "argument 2: -s 3: hyve's AHCI controller has 6 ports; put what is more into another slot"),
    ("-s 3,virtio-net g", "argument 2: -s 3: it is not said which network it is on: virtio-net,tapN or virtio-net,slirp"),
    ("-s 3,virtio-net,vale0:1 g", "argument 2: pci.0.3.0.backend: netmap and vale switches are FreeBSD's; use a tap in a bridge of the host (tapN), "
     "or slirp"),
    ("-s 3,e1000,netgraph,path=x:,peerhook=y g", "argument 2: pci.0.3.0.backend: netgraph is FreeBSD's; use a tap in a bridge of the host (tapN), "
     "or slirp"),
    ("-s 3,e1000,wifi g", "argument 2: pci.0.3.0.backend: there is no network 'wifi': tapN (an interface of the host) or slirp (without privileges)"),
    ("-s 3,virtio-net,slirp,mac=1 g", "argument 2: pci.0.3.0.mac: '1' is not a unicast MAC address"),
    ("-s 3,virtio-9p,/x g", "argument 2: -s 3: it is not said what is shared: virtio-9p,NAME=/FOLDER"),
    ("-s 3,virtio-console,port1=/nowhere/sock g", "argument 2: pci.0.3.0.port.0.path: hyve makes no socket for a virtio console; name a terminal, a "
     "FIFO that is there, or stdio, not '/nowhere/sock'"),
    ("-s 3,passthru,ppt0 g", "argument 2: pci.0.3.0.pptdev: 'ppt0': Linux does not number such devices; say where it is, 3/0/0 (lspci lists them)"),
    ("-s 3,passthru,1/0/0,romm=x g", "argument 2: unknown key 'pci.0.3.0.romm'; did you mean 'pci.0.3.0.rom'?"),
    ("-s 3,virtio-scsi,/dev/cam/ctl g", "argument 2: -s 3: virtio-scsi: hyve has no SCSI controller, and FreeBSD's CTL is not on Linux; use virtio-blk "
     "or nvme"),
    ("-o pci.0.3.0.device=passthru -o pci.0.3.0.bus=256 g", "argument 4: pci.0.3.0.bus: '256' is not an integer from -1 to 255"),
    ("-o pci.0.40.0.device=virtio-rnd g", "argument 2: pci.0.40.0.device: slots are pci.BUS.SLOT.FUNCTION with buses 0 to 255, slots 0 to 31 and "
     "functions 0 to 7"),
    ("-l com5,stdio g", "argument 2: -l: unknown device 'com5'; did you mean 'com1'?"),
    ("-l bootrom g", "argument 2: -l bootrom: there is nothing behind it: -l bootrom,FILE[,VARIABLES]  firmware; BHYVE_UEFI.fd stands for the "
     "installed one"),
    ("-l com1,stdio,9600 g", "argument 2: -l com1: nobody knows what '9600' is for"),
    ("-l com1,tcp=127.0.0.1:7 g", "argument 2: lpc.com1.path: 'tcp=127.0.0.1:7': hyve serves no serial port by TCP; use stdio, or a terminal that "
     "socat connects"),
    ("-l tpm,swtpm,/x g", "argument 2: -l tpm: hyve has no TPM yet"),
    ("-o tpm.path=/x g", "argument 2: tpm.path: hyve has no TPM yet"),
    ("-n id=0,size=1G,cpus=0 g", "argument 2: -n: hyve has no NUMA domains; all memory is in one"),
    ("-r state g", "argument 2: -r: hyve has no snapshots in files yet"),
    ("-f opt/a=b g", "argument 2: -f 'opt/a=b' is not of the form NAME,string=TEXT or NAME,file=PATH"),
    ("-o firmware.item.0.name=a -l bootrom,uefi g", "argument 2: firmware.item.0 has either a string or a file"),
    ("-p 1 g", "argument 2: -p '1' is not of the form VCPU:HOSTCPU"),
    ("-p 1:0 -o boot.kernel=KERNEL g", "argument 2: vcpu.1.cpuset: the VM has vCPUs 0 to 0"),
    ("-p 0:1000 -o boot.kernel=KERNEL g", "argument 2: vcpu.0.cpuset: this process may run on none of the host's processors 1000"),
    ("-o memroy.size=1G g", "argument 2: unknown key 'memroy.size'; did you mean 'memory.size'?"),
    ("-o x86.mptabel=1 g", "argument 2: unknown key 'x86.mptabel'; did you mean 'x86.mptable'?"),
    ("-o x86.mptable=perhaps g", "argument 2: x86.mptable: 'perhaps' is not true or false"),
    ("-o name g", "argument 2: 'name' is not of the form name=value"),
    ("-o arch=arm64 g", "argument 2: arch: bhyve's machine for arm64 is not hyve's; 'hyve run --arch arm64' runs such guests"),
    ("-o console=stdio g", "argument 2: console: bhyve has it on arm64, whose machine is not hyve's; here it is lpc.com1.path"),
    ("-k nowhere g", "cannot open 'nowhere': No such file or directory"),
    ("-k bad.json g", "bad.json:2: unknown key 'memory.siez'; did you mean 'memory.size'?"),
    ("g", "VM 'g' has nothing to start: -l bootrom,FILE gives it firmware, or a loader fills it before"),
)


@case
def refused(context):
    needs_pc(context)
    disk(context)
    with open(context.path("slots.conf"), "w", encoding="utf-8") as file:
        file.write("# a disk\npci.0.3.0.device=virtio-blk\npci.0.3.0.path=x\n")
    with open(context.path("bad.json"), "w", encoding="utf-8") as file:
        file.write('{ "cpus": 2,\n"memory": { "siez": "1G" } }')
    for arguments, words in REFUSED:
        status, output, told = run(context, *arguments.replace("KERNEL", context.kernel("ticks")).split(" "))
        check(status == guest.ERROR, "bhyve %s: status %d" % (arguments, status))
        check(told and told[-1].startswith("bhyve: " + words), "bhyve %s: %s, not %s" % (arguments, told, words))
        check(output == "", "bhyve %s: %s" % (arguments, output))


@case
def usage(context):
    needs_pc(context)
    for arguments in (["-z", "g"], ["-c"], [], ["a", "b"], ["-m", "1G"]):
        status, output, told = run(context, *arguments)
        check(status == USAGE and "usage: bhyve" in "\n".join(told) and output == "", "%s: %d, %s" % (arguments, status, told))
    status, output, told = run(context, "-h")
    check(status == 0 and output.startswith("usage: bhyve") and not told, "-h: %d, %s" % (status, told))
    for arguments, words in ((["-s", "help"], "virtio-blk,PATH"), (["-l", "help"], "bootrom,FILE")):
        status, output, told = run(context, *arguments)
        check(status == 0 and words in output and not told, "%s: %d, %s" % (arguments, status, told))
    # The page has every option that the command has.
    with open(PAGE, encoding="utf-8") as page:
        described = set(re.findall(r"^\.It Fl (\w)", page.read(), re.M))
    listed = set(re.findall(r"^  -(\w)  ", run(context, "-h")[1], re.M))
    check(described == listed, "options of the page and not of -h, or the other way round: %s" % (described ^ listed))


# What becomes of what: arguments, hyve's keys besides the name and what all have, and what is told.
BECOMES = (
    ("", (), ()),
    ("-A -I -H -P -x -a -Y -D -W", (), ("argument 9: virtio_msix: virtio devices have MSI-X and pins, and their drivers choose",)),
    ("-AIHPxaYu", ("pc.rtc.time=utc",), ()),
    ("-c 2 -m 512 -C -S", ("cpus=2", "memory.size=512", "memory.wired=true", "memory.guest_in_core=true"), ()),
    ("-c sockets=2,cores=2 -M", ("reboot=true", "sockets=2", "cores=2"), ()),
    ("-c 4 -c cores=2,threads=1", ("cores=2", "threads=1"), ()),
    ("-e -w", ("pc.strictmsr=false",), ("argument 1: x86.strictio: what a guest reads from ports that nobody has are ones, and the VM goes on",)),
    ("-K de -p 0:1 -p 0:2 -p 1:7", ("vcpu.0.cpuset=1,2", "vcpu.1.cpuset=7"),
     ("argument 2: keyboard.layout: hyve has no screen yet, whose keyboard could have a layout",)),
    ("-s 0,hostbridge -s 31,lpc", (), ()),
    ("-s 5,hostbridge -s 0,amd_hostbridge", (), ("argument 4: amd_hostbridge: the machine has its own host bridge, Intel's, at 0:0",
                                                 "argument 2: hostbridge: the machine has its host bridge at 0:0")),
    ("-s 1,virtio-blk,disk.img,nocache,sync,ro,nodelete,ser=S1,sectorsize=512/4096,bootindex=1",
     ("pci.0.1.0.device=virtio-blk", "pci.0.1.0.path=disk.img", "pci.0.1.0.nocache=true", "pci.0.1.0.ro=true", "pci.0.1.0.bootindex=1",
      "pci.0.1.0.cache=writethrough", "pci.0.1.0.discard=false", "pci.0.1.0.sectorsize=512", "pci.0.1.0.serial=S1"),
     ("argument 2: sectorsize: sectors are told to have 512 bytes logically; physical ones follow from the image",)),
    ("-s 1,nvme,100%%.img,maxq=4,ser=N,eui64=0x1,dsm=enable,direct",
     ("pci.0.1.0.device=nvme", "pci.0.1.0.path=100%%.img", "pci.0.1.0.cache=writethrough", "pci.0.1.0.maxq=4", "pci.0.1.0.ser=N",
      "pci.0.1.0.eui64=0x1", "pci.0.1.0.dsm=enable"), ()),
    ("-s 1,ahci-cd,cd.iso -s 2,ahci-hd,hd.img,ser=H,rev=R -s 3,ahci,hd:a,nmrr=0,cd:b",
     ("pci.0.1.0.device=ahci", "pci.0.1.0.port.0.type=cd", "pci.0.1.0.port.0.path=cd.iso", "pci.0.2.0.device=ahci", "pci.0.2.0.port.0.type=hd",
      "pci.0.2.0.port.0.path=hd.img", "pci.0.2.0.port.0.ser=H", "pci.0.2.0.port.0.rev=R", "pci.0.3.0.device=ahci", "pci.0.3.0.port.0.type=hd",
      "pci.0.3.0.port.0.path=a", "pci.0.3.0.port.0.nmrr=0", "pci.0.3.0.port.1.type=cd", "pci.0.3.0.port.1.path=b"), ()),
    ("-s 1,virtio-net,tap3,mac=02:00:00:00:00:01,mtu=9000 -s 2,e1000,slirp,open,hostfwd=tcp::1-:2,hostfwd=udp::3-:4",
     ("pci.0.1.0.device=virtio-net", "pci.0.1.0.backend=tap", "pci.0.1.0.mac=02:00:00:00:00:01", "pci.0.1.0.mtu=9000", "pci.0.1.0.tap=tap3",
      "pci.0.2.0.device=e1000", "pci.0.2.0.backend=slirp", "pci.0.2.0.hostfwd=tcp::1-:2;udp::3-:4"), ()),
    ("-s 1,virtio-net,slirp", ("pci.0.1.0.device=virtio-net", "pci.0.1.0.backend=slirp", "pci.0.1.0.open=false"),
     ("argument 2: slirp without 'open': the guest reaches this host's forwarded ports and nothing outside",)),
    ("-o pci.0.1.0.device=virtio-net -o pci.0.1.0.type=tap -o pci.0.1.0.backend=br0p1",
     ("pci.0.1.0.device=virtio-net", "pci.0.1.0.backend=tap", "pci.0.1.0.tap=br0p1"), ()),
    ("-s 4,virtio-9p,src=/usr/src,ro -s 6,virtio-rnd -s 7,virtio-console,port1=stdio",
     ("pci.0.4.0.device=virtio-9p", "pci.0.4.0.path=/usr/src", "pci.0.4.0.sharename=src", "pci.0.4.0.ro=true", "pci.0.6.0.device=virtio-rnd",
      "pci.0.7.0.device=virtio-console", "pci.0.7.0.path=stdio"),
     ("argument 6: pci.0.7.0.port.0.name: the name of a console's port is not told to the guest",)),
    ("-s 2:1,virtio-rnd -s 1:0:0,virtio-rnd -s 1,virtio-rnd -s 0:31:3,virtio-rnd",
     ("pci.0.1.0.device=virtio-rnd", "pci.0.2.0.device=virtio-rnd", "pci.0.3.0.device=virtio-rnd", "pci.0.4.0.device=virtio-rnd"),
     ("argument 2: virtio-rnd: hyve's devices are functions 0 of bus 0 in slots 1 to 30; it is at 0:2:0 instead of 0:2:1",
      "argument 8: virtio-rnd: hyve's devices are functions 0 of bus 0 in slots 1 to 30; it is at 0:3:0 instead of 0:31:3",
      "argument 4: virtio-rnd: hyve's devices are functions 0 of bus 0 in slots 1 to 30; it is at 0:4:0 instead of 1:0:0")),
    ("-s 29,fbuf,tcp=0.0.0.0:5900,w=1024,h=768,wait -s 30,xhci,tablet -s 28,hda,play=/dev/dsp0 -s 27,virtio-input,/dev/input/event0", (),
     ("argument 8: virtio-input is left out: hyve hands no input devices to guests", "argument 6: hda is left out: hyve has no sound",
      "argument 2: fbuf is left out: hyve has no screen yet, and nobody is waited for",
      "argument 4: xhci is left out: hyve has no USB; the PC has a PS/2 keyboard and mouse")),
    ("-l com1,stdio -l com2,/dev/nmdm1A -l fwcfg,qemu -l pc-testdev", ("pc.testdev=true", "com1.path=stdio"),
     ("argument 4: lpc.com2.path: hyve's PC has one serial port, com1",)),
    ("-l bootrom,/usr/local/share/uefi-firmware/BHYVE_UEFI.fd,vars.fd", ("firmware.code=uefi", "firmware.vars=vars.fd"),
     ("argument 2: '/usr/local/share/uefi-firmware/BHYVE_UEFI.fd' is for bhyve's machine; hyve starts the installed UEFI firmware instead",)),
    ("-l bootrom,BHYVE_UEFI_CSM.fd", ("firmware.code=bios",),
     ("argument 2: 'BHYVE_UEFI_CSM.fd' is for bhyve's machine, and its CSM for BIOS systems; hyve starts the installed SeaBIOS instead",)),
    ("-l bootrom,/images/%(name).fd -U 00112233-4455-6677-8899-aabbccddeeff",
     ("uuid=00112233-4455-6677-8899-aabbccddeeff", "firmware.code=/images/g.fd"), ()),
    ("-o bootrom=uefi -o bootvars=v -o bios.vendor=V -o system.sku=5 -o chassis.sku=6 -o board.version=7",
     ("firmware.code=uefi", "firmware.vars=v", "smbios.bios.vendor=V", "smbios.system.sku=5", "smbios.chassis.sku=6"),
     ("argument 12: board.version: the guest is told of no board",)),
    ("-o rtc.use_localtime=true -o acpi_tables=no -o x86.mptable=on -o virtio_msix=on", (),
     ("argument 4: acpi_tables: guests always have ACPI tables",)),
    ("-f opt/a,string=b,c=d -f opt/e,file=f", ("firmware.item.0.name=opt/a", "firmware.item.0.string=b,c=d", "firmware.item.1.name=opt/e",
                                               "firmware.item.1.file=f"), ()),
    ("-o accel=soft -o pc.hpet=off -o boot.kernel=k -o pci.0.3.0.device=ne2k-pci", ("accel=soft", "boot.kernel=k", "pc.hpet=off",
                                                                                    "pci.0.3.0.device=ne2k-pci"), ()),
    ("-k vm.json -o cpus=3", ("cpus=3", "memory.size=1G", "firmware.code=uefi", "pci.0.1.0.device=nvme", "pci.0.1.0.path=a.img"), ()),
)


@case
def becomes(context):
    """Each option and key becomes hyve's keys, or one line."""
    needs_pc(context)
    with open(context.path("vm.json"), "w", encoding="utf-8") as file:
        file.write('{ "cpus": 2, "memory": { "size": "1G" }, "bootrom": "uefi", "pci": [ { "1": [ { "device": "nvme", "path": "a.img" } ] } ] }')
    for arguments, keys, lines in BECOMES:
        status, output, told = run(context, *arguments.split(), "-o", "config.dump=1", "g")
        check(status == 0, "bhyve %s: status %d: %s" % (arguments, status, told))
        found = set(re.findall(r"^# ([^ ]+=.*)$", output, re.M))
        wanted = {"name=g"} | set(keys)
        wanted |= set() if "reboot=true" in wanted else {"reboot=false"}
        wanted |= set() if "pc.rtc.time=utc" in wanted else {"pc.rtc.time=local"}
        check(found == wanted, "bhyve %s: %s" % (arguments, found ^ wanted))
        check(told == ["bhyve: " + line for line in lines], "bhyve %s told %s" % (arguments, "\n".join(told)))


@case
def dump_loads_again(context):
    """What config.dump prints is the same tree when -k takes it, defaults and all."""
    needs_pc(context)
    status, first, told = run(context, "-c", "2", "-s", "1,ahci,hd:a,cd:b", "-s", "2,virtio-net,slirp,open", "-l", "com1,stdio", "-l",
                              "bootrom,uefi", "-o", "pc.hpet=off", "-o", "config.dump=1", "g")
    check(status == 0 and not told, "told: %s" % told)
    for line in ("cpus=2", "sockets=2", "cores=1", "x86.mptable=true", "memory.size=256M", "pci.0.1.0.port.1.type=cd", "pc.hpet=off", "name=g"):
        check(first.count("\n" + line + "\n") + first.startswith(line + "\n") == 1, "%s is there %d times" % (line, first.count(line)))
    with open(context.path("again.conf"), "w", encoding="utf-8") as file:
        file.write(first)
    status, second, told = run(context, "-k", "again.conf")
    keys = [[line for line in text.split("\n") if not line.startswith("#")] for text in (first, second)]
    check(status == 0 and keys[0] == keys[1] and not told, "another tree: %s, told %s" % (second, told))


def boot_words(context, words):
    images = context.fetch()
    return ["-o", "boot.kernel=" + images["kernel"], "-o", "boot.initrd=" + images["initrd"], "-o",
            "boot.cmdline=console=ttyS0 loglevel=4 " + words, "-l", "com1,stdio"]


@case(slow=True)
def by_firmware(context):
    """The usual command line; the power button by SIGTERM."""
    needs_pc(context)
    disk(context)
    g = start(context, "-c", "2", "-m", "512M", "-s", "0,hostbridge", "-s", "1,virtio-blk,disk.img,ser=number9", "-s", "2,virtio-net,slirp",
              "-s", "31,lpc", "-l", "bootrom,BHYVE_UEFI.fd", *boot_words(context, "guest.script guest.button"), "guest")
    g.expect(r"guest: script\r?\n")
    check(g.run("nproc").strip() == "2", "not two processors")
    check(g.run("cat /sys/block/vda/serial").strip() == "number9", "not the disk's serial number")
    check(g.run("ls /sys/class/net").split() == ["eth0", "lo"], "no network card")
    check("guest" not in g.run("cat /sys/class/dmi/id/product_uuid"), "no UUID")
    g.signal(signal.SIGTERM)
    g.ends(guest.POWEROFF)


@case(slow=True)
def monitored(context):
    """With -M a guest that restarts does not end the process."""
    needs_pc(context)
    g = start(context, "-M", *boot_words(context, "guest.script"), "guest")
    g.expect(r"guest: script\r?\n")
    g.send("reboot -f\n")
    g.expect(r"guest: script\r?\n")
    check(run(context, "--vm=guest", "--inject-nmi", program="bhyvectl") == (0, "", []), "no NMI was sent")
    g.run("n=0; until dmesg | grep -q NMI.received || [ $n = 100 ]; do usleep 100000; n=$((n + 1)); done; [ $n != 100 ]")
    g.power_off()


def ctl(context, *arguments):
    """bhyvectl of the VM called guest: its output."""
    status, output, told = run(context, "--vm=guest", *arguments, program="bhyvectl")
    check(status == 0 and not told, "bhyvectl %s: status %d, %s" % (arguments, status, told))
    return output


def refuses(context, words, *arguments):
    status, output, told = run(context, *arguments, program="bhyvectl")
    check(status == 1 and output == "" and told == ["bhyvectl: " + words], "bhyvectl %s: status %d, %s" % (arguments, status, told))


def counting(context, *arguments, name="guest"):
    """A guest of our own that is at it for minutes."""
    g = start(context, "-o", "boot.kernel=" + context.kernel("ticks"), "-o", "boot.cmdline=ticks slow ff", "-l", "com1,stdio", *arguments, name)
    g.expect_said("hyve: starting")
    return g


@case
def controlled(context):
    """bhyvectl looks at a VM that runs, and ends it in each way."""
    needs_pc(context)
    last = max(os.sched_getaffinity(0))
    g = counting(context, "-c", "2", "-m", "64M", "-p", "1:%d" % last)
    stats = ctl(context, "--get-stats")
    check(stats.startswith("vcpu0 stats:\n") and "vcpu1 stats:\n" in stats, "counters: " + stats)
    check(re.search(r"^instructions retired *\t[1-9]", stats, re.M), "it does nothing: " + stats)
    check("vcpu0" not in ctl(context, "--get-stats", "--cpu=1"), "other vCPUs too")
    threads = "/proc/%d/task" % g.process.pid
    pinned = [thread for thread in os.listdir(threads) if os.sched_getaffinity(int(thread)) == {last}]
    check(len(pinned) == 1 or len(os.sched_getaffinity(0)) == 1, "%d of %d threads are on processor %d" % (len(pinned), len(os.listdir(threads)), last))
    everything = ctl(context, "--get-all")
    for words in ("status\t\trunning\n", "memory\t\t%d\n" % (64 << 20), "sockets=2, cores=1, threads=1\n", "active cpus:\t 0 1\n",
                  "suspended cpus:\t(none)\n", "vcpu1 stats:\n"):
        check(words in everything, "no '%s' in: %s" % (words, everything))
    refuses(context, "'f': hyve has no snapshots in files yet; VM 'guest' goes on as it was", "--vm=guest", "--suspend=f")
    refuses(context, "VM 'guest' has no vCPU 2; the last one is 1", "--vm=guest", "--get-stats", "--cpu=2")
    refuses(context, "VM 'guest' runs", "--vm=guest", "--create")
    # hyve's own verbs know whose it is
    status, output, _ = run(context, "qmp", "guest", "query-status", program="hyve")
    check(status == 0 and '"status": "running"' in output, "hyve qmp guest: status %d, %s" % (status, output))
    status, _, told = run(context, "stop", "guest", program="hyve")
    check(status == 1 and told == ["hyve: VM 'guest' is one that bhyve(8) runs: 'bhyvectl --vm=guest' and 'hyve qmp guest' are for it"], "stop: %s" % told)
    refuses(context, "VM 'guest' runs, and its memory map is told of others only", "--vm=guest", "--get-memmap")
    refuses(context, "there is no VM 'guets'", "--vm=guets", "--force-reset")
    # one VM of a name at a time
    status, _, told = run(context, "-l", "bootrom,uefi", "guest")
    check(status == guest.ERROR and "guest" in told[-1], "two run: %s" % told)
    ctl(context, "--force-reset")
    g.ends(guest.RESET)
    g = counting(context)
    ctl(context, "--force-poweroff")
    g.ends(guest.POWEROFF)
    refuses(context, "there is no VM 'guest'", "--vm=guest", "--get-stats")
    g = counting(context, "-M")
    ctl(context, "--destroy")
    g.ends(guest.POWEROFF)


@case
def null_modem(context):
    """nmdm devices become a terminal of the host, at which somebody may be or nobody."""
    needs_pc(context)
    g = start(context, "-o", "boot.kernel=" + context.kernel("ticks"), "-o", "boot.cmdline=ticks fast 01", "-l", "com1,/dev/nmdm0A", "guest")
    g.expect_said("null modems are FreeBSD's; the serial port's other end is the terminal /dev/pts/[0-9]+\n")
    name = re.search(r"terminal (/dev/pts/[0-9]+)$", g.said(), re.M).group(1)
    terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
    try:
        text = b""
        while b"clock" not in text:
            check(select.select([terminal], [], [], guest.LIMIT)[0], "hung: nothing comes from %s behind %s" % (name, text))
            text += os.read(terminal, 4096)
    finally:
        os.close(terminal)
    ctl(context, "--destroy")
    g.ends(guest.POWEROFF)


@case
def made(context):
    """bhyvectl makes a VM for a loader, and looks at one that does not run."""
    needs_pc(context)
    refuses(context, "--create and --destroy do not go together", "--vm=v", "--create", "--destroy")
    refuses(context, "'a/b' is not a VM's name: 1 to 229 bytes, no slash, no dot at its beginning", "--vm=a/b", "--create")
    refuses(context, "there is no VM 'guest'", "--vm=guest", "--destroy")
    refuses(context, "--cpu: 'two' is no vCPU: 0 to 63", "--vm=guest", "--get-stats", "--cpu=two")
    status, _, told = run(context, "--get-stats", program="bhyvectl")
    check(status == 1 and told[0].startswith("usage: bhyvectl"), "no usage: %s" % told)
    # Where nobody can look nobody knows.
    with open(context.path("vms"), "wb"):
        pass
    refuses(context, "VM 'guest': '%s': Not a directory" % context.path("vms/guest"), "--vm=guest", "--get-all")
    os.unlink(context.path("vms"))
    # Sockets of a folder that others can write to are anybody's.
    words = "'%s' is not a folder of this user alone, as one of control sockets has to be: remove it, or name another place by HYVE_RUNDIR"
    words = words % context.path("run-control")
    os.mkdir(context.path("run-control"))
    os.chmod(context.path("run-control"), 0o770)
    refuses(context, words, "--vm=guest", "--get-all")
    status, _, told = run(context, "qmp", "guest", "query-status", program="hyve")
    check(status == 1 and told == ["hyve: " + words], "hyve qmp: status %d, %s" % (status, told))
    os.chmod(context.path("run-control"), 0o700)
    refuses(context, "there is no VM 'guest'", "--vm=guest", "--get-all")
    os.rmdir(context.path("run-control"))
    ctl(context, "--create", "--set-mem=4G")
    refuses(context, "VM 'guest' is there already", "--vm=guest", "--create")
    refuses(context, "VM 'guest' does not run", "--vm=guest", "--inject-nmi")
    check(ctl(context, "--get-lowmem", "--get-highmem") == "lowmem\t\t0x00000000b0000000/%d\nhighmem\t\t0x0000000050000000/%d\n" %
          (0xb0000000, 0x50000000), "the memory: " + ctl(context, "--get-lowmem"))
    memory = ctl(context, "--get-memmap").splitlines()
    check([line.split()[:3] for line in memory[1:]] == [["0", "B0000000", "0"], ["100000000", "50000000", "0"]], "the map: %s" % memory)
    check("status\t\tnot running\n" in ctl(context, "--get-all"), "it runs")
    ctl(context, "--destroy")
    check(not os.path.exists(context.path("run/guest")), "it is still there")


def load(context, words, *arguments):
    images = context.fetch()
    loader = os.environ.get("HYVE_TEST_LOADER")
    if not loader or not os.path.exists(loader):
        raise guest.Skipped("HYVE_TEST_LOADER does not name the loader")
    done = subprocess.run([loader, "-m", "300M", "-k", images["kernel"], "-i", images["initrd"], "-c", "console=ttyS0 loglevel=4 " + words] +
                          list(arguments), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(context), check=False)
    check(done.returncode == 0, "the loader: " + done.stderr.decode())


@case
def loaded(context):
    """What a loader left in a VM of that name is started, and finds ACPI's tables; once."""
    needs_pc(context)
    load(context, "guest.script", "guest")
    g = start(context, "-c", "2", "-m", "1G", "-s", "1,virtio-rnd", "-l", "com1,stdio", "guest")
    g.expect(r"guest: script\r?\n")
    check(g.run("nproc").strip() == "2", "the second processor was not found by ACPI")
    check("Q35" in g.run("dmesg") or "MCFG" in g.run("dmesg"), "no MCFG")
    check(int(g.run("awk '/MemTotal/ { print $2 }' /proc/meminfo")) < 310 << 10, "not the loader's memory")
    # it is in use meanwhile
    status, _, told = run(context, "-l", "com1,stdio", "guest")
    check(status == guest.ERROR and told[-1].startswith("bhyve: ") and "guest" in told[-1], "two run it: %s" % told)
    g.send("reboot -f\n")
    g.ends(guest.RESET)
    status, _, told = run(context, "guest")
    check(status == guest.ERROR and told == ["bhyve: vm 'guest' has no memory: its loader did not finish, or is still to be run"], "told %s" % told)
    check(os.path.exists(context.path("run/guest")), "the VM is gone")


@case
def entries_of_freebsd(context):
    """The entry of FreeBSD's 64-bit kernels, and one for 32 bits, as a loader that gives up its rights sets them: the code gets to its HLT."""
    needs_pc(context)
    program = os.path.join(os.path.dirname(os.environ.get("HYVE_TEST_LOADER") or ""), "test-loader-program")
    if not os.path.exists(program):
        raise guest.Skipped("HYVE_TEST_LOADER does not name the loader")
    for bits in ("64", "32"):
        # it gives up root's rights on the way, with which it could write here
        os.chmod(context.directory, 0o755)
        done = subprocess.run([program, "-b", bits, "-m", "64M", "-p", "77", "guest"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env=environment(context), check=False)
        check(done.returncode == 0, "the loader: " + done.stderr.decode())
        g = start(context, "-D", "guest")
        g.expect_said("hyve: starting what a loader left")
        end = time.monotonic() + guest.LIMIT
        while not re.search(r"^waits for an interrupt *\t[1-9]", ctl(context, "--get-stats"), re.M):
            check(time.monotonic() < end, "hung: no HLT, but " + ctl(context, "--get-stats"))
            time.sleep(0.1)
        # all of the code, and nothing but that
        stats = ctl(context, "--get-stats")
        check(re.search(r"^instructions retired *\t5$", stats, re.M), stats)
        check(re.search(r"^accesses to ports *\t2$", stats, re.M), stats)
        # -D: gone when it is powered off
        ctl(context, "--force-poweroff")
        g.ends(guest.POWEROFF)
        check(not os.path.exists(context.path("run/guest")), "the VM is still there")


def examples(name):
    """The lines behind prompts in a page's displays, and the files that they print: (command, {name: text})."""
    with open(os.path.join(MAN, name), encoding="utf-8") as page:
        text = page.read()
    files, commands = {}, []
    for display in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text, re.M | re.S):
        display = display.replace("\\e\n", " ")
        for command, output in re.findall(r"^\$ ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", display, re.M):
            if command.startswith("cat "):
                files[command.split()[1]] = output
            else:
                commands.append(command)
    return commands, files


@case(slow=True)
def the_page(context):
    """Every example of bhyve(8) starts what it says."""
    needs_pc(context)
    commands, files = examples("bhyve.8")
    check(len(commands) >= 4 and files, "no examples in the page: %s" % commands)
    disk(context)
    disk(context, "install.iso")
    for name, text in files.items():
        with open(context.path(name), "w", encoding="utf-8") as file:
            file.write(text)
    for command in commands:
        words = command.split()
        check(words[0] == "bhyve", "what is '%s'" % command)
        g = start(context, *words[1:])
        if "config.dump=1" in words:
            g.ends(0)
            check("# pci.0.1.0.path=disk.img" in g.text, "the dump: " + g.text)
            continue
        g.expect_said("hyve: starting firmware")
        g.signal(signal.SIGTERM)
        g.expect_said("asking the guest")
        g.signal(signal.SIGTERM)
        g.ends(guest.POWEROFF)


@case
def the_other_page(context):
    """And of bhyvectl(8)."""
    needs_pc(context)
    commands, _ = examples("bhyvectl.8")
    check(len(commands) >= 5, "no examples in the page: %s" % commands)
    g = counting(context)
    for command in commands:
        words = command.split()
        check(words[0] == "bhyvectl", "what is '%s'" % command)
        status, output, told = run(context, *words[1:], program="bhyvectl")
        check(status == 0 and not told and (output != "" or "--destroy" in words), "%s: status %d, %s" % (command, status, told))
    g.ends(guest.POWEROFF)


if __name__ == "__main__":
    guest.main()
