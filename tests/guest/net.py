# SPDX-License-Identifier: BSD-2-Clause
"""NICs and user-mode networking: DHCP, ping, UDP, large TCP transfers each way, ports of the host, two NICs, a reboot, an end
with connections open; e1000 and NE2000."""
import hashlib
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import guest
from guest import case, check

MIB = 1 << 20
SIZE = 256 if guest.LONG else 16 if guest.SANITIZE == "none" else 2       # MiB of a transfer


def settle(g):
    """
    Wait until the guest sends nothing more.  Linux before August 2026 may spin for ever if virtio-net is shut down with sent buffers that
    it has not taken back yet (its commit 0d0eff39ceb3 has the story).
    """
    count = "$(cat /sys/class/net/eth0/statistics/tx_packets)"
    g.run('n=; while [ "$n" != "%s" ]; do n=%s; sleep 2; done' % (count, count), limit=guest.LIMIT)


def power_off(g):
    settle(g)
    g.power_off()


def up(g, nic="eth0", at="10.0.2"):
    """Get an address by DHCP; what the lease says."""
    g.run("ip link set lo up; ip link set %s up; udhcpc -q -n -f -i %s 2>&1" % (nic, nic))
    lease = dict(re.findall(r"^(\w+)='?(.*?)'?$", g.run("cat /tmp/lease.%s" % nic), re.M))
    check(lease.get("ip") == at + ".15", "the lease is %r" % lease)
    return lease


def pattern(mib):
    """What the guest's gen writes too: blocks of a MiB that differ."""
    block = b"".join(b"%07d\n" % (1000000 + i) for i in range(MIB // 8))
    for number in range(mib):
        yield b"%08d" % number + block[8:]


def digest(mib):
    sha = hashlib.sha256()
    for block in pattern(mib):
        sha.update(block)
    return sha.hexdigest()


def prepare(g, mib=SIZE):
    """Make programs in the guest: gen writes that many MiB, sink puts the checksum of what it reads into /tmp/sum."""
    g.run("seq 1000000 %d >/tmp/block" % (1000000 + MIB // 8 - 1))
    check(g.run("wc -c </tmp/block").strip() == str(MIB), "the guest's block has the wrong size")
    g.run("tail -c +9 /tmp/block >/tmp/tail; mv /tmp/tail /tmp/block")
    g.run("printf '#!/bin/sh\\nk=0; while [ $k -lt %d ]; do printf %%%%08d $k; cat /tmp/block; k=$((k + 1)); done\\n' >/tmp/gen" % mib)
    g.run("printf '#!/bin/sh\\nexec sha256sum >/tmp/sum\\n' >/tmp/sink; chmod +x /tmp/gen /tmp/sink")


class Server(threading.Thread):
    """One connection to a port of the host's loopback: receives to its end, or sends so many MiB."""

    def __init__(self, sends, mib=SIZE):
        super().__init__(daemon=True)
        self.sends = sends
        self.mib = mib
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(guest.LIMIT)
        self.port = self.listener.getsockname()[1]
        self.result = None
        self.start()

    def run(self):
        try:
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(guest.LIMIT)
                self.result = send(connection, self.mib) if self.sends else receive(connection)
        except OSError as error:
            self.result = str(error)
        finally:
            self.listener.close()

    def end(self):
        self.join(guest.LIMIT)
        return self.result


def send(connection, mib=SIZE):
    for block in pattern(mib):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    return "sent"


def receive(connection):
    sha = hashlib.sha256()
    while True:
        data = connection.recv(1 << 18)
        if not data:
            return sha.hexdigest()
        sha.update(data)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def connect(port):
    """To a port of the host that leads to the guest, as soon as the guest listens: until then connections are closed again."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=guest.LIMIT)
    connection.settimeout(guest.LIMIT)
    return connection


def listens(g, port):
    g.run("n=0; while ! netstat -ltn | grep -q ':%d '; do usleep 50000; n=$((n + 1)); [ $n -lt 200 ] || break; done" % port)


def by_gateway(g, gateway="10.0.2.2", mib=SIZE, limit=guest.LIMIT):
    """Each way through a NIC after prepare(), with checksums."""
    wanted = digest(mib)
    server = Server(False)
    g.run("nc %s %d -e /tmp/gen" % (gateway, server.port), limit=limit)
    check(server.end() == wanted, "what the guest sent to %s differs: %s" % (gateway, server.result))

    server = Server(True, mib)
    check(g.run("nc %s %d -e /tmp/sink; cat /tmp/sum" % (gateway, server.port), limit=limit).split()[0] == wanted,
          "what %s sent to the guest differs" % gateway)
    check(server.end() == "sent", "the server: %s" % server.result)


def no_errors(g, nic="eth0"):
    check(g.run("cat /sys/class/net/%s/statistics/rx_errors /sys/class/net/%s/statistics/tx_errors" % (nic, nic)).split() == ["0", "0"],
          "the guest counted errors of " + nic)


@case(slow=True)
def transfers(context):
    """DHCP, ping, and SIZE MiB each way by the gateway's address and by a port of the host, with checksums."""
    port = free_port()
    g = context.script(more=["--net", "user,hostfwd=tcp::%d-:5000" % port], cpus=2)
    lease = up(g)
    check((lease["router"], lease["dns"], lease["mask"]) == ("10.0.2.2", "10.0.2.3", "24"), "the lease is %r" % lease)
    check(" 3 packets received" in g.run("ping -c 3 -i 0.2 10.0.2.2"), "the gateway lost pings")
    prepare(g)
    by_gateway(g)
    wanted = digest(SIZE)

    g.run("{ nc -l -p 5000 -e /tmp/sink & }")
    listens(g, 5000)
    with connect(port) as connection:
        send(connection)
        receive(connection)
    check(g.run("wait; cat /tmp/sum").split()[0] == wanted, "what came by a port of the host differs")

    g.run("{ nc -l -p 5000 -e /tmp/gen & }")
    listens(g, 5000)
    with connect(port) as connection:
        check(receive(connection) == wanted, "what the guest sent by a port of the host differs")
    g.run("wait")
    no_errors(g)
    power_off(g)


def tftp_server(sock, files):
    """RFC 1350 on a bound socket, one packet at a time, until the socket is closed; what is put goes into `files`."""
    peers = {}
    while True:
        try:
            data, peer = sock.recvfrom(2048)
        except OSError:
            return
        code, = struct.unpack_from(">H", data)
        if code in (1, 2):
            name = data[2:data.index(b"\0", 2)].decode()
            peers[peer] = name
            if code == 2:
                files[name] = b""
                sock.sendto(struct.pack(">HH", 4, 0), peer)
                continue
            block = 1
        elif code == 3:
            block, = struct.unpack_from(">H", data, 2)
            name = peers[peer]
            if block * 512 - 512 == len(files[name]):
                files[name] += data[4:]
            sock.sendto(struct.pack(">HH", 4, block), peer)
            continue
        elif code == 4:
            block, = struct.unpack_from(">H", data, 2)
            block, name = block + 1, peers[peer]
            if (block - 1) * 512 > len(files[name]):
                continue
        else:
            continue
        sock.sendto(struct.pack(">HH", 3, block) + files[name][block * 512 - 512:block * 512], peer)


def udp_echo(g, content, gateway="10.0.2.2"):
    """A file there and back by UDP, to a server on the host's loopback; it is /tmp/down in the guest."""
    files = {"down": content}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        threading.Thread(target=tftp_server, args=(sock, files), daemon=True).start()
        g.run("cd /tmp; tftp -g -r down -l down %s %d && tftp -p -l down -r up %s %d; cd" % (gateway, port, gateway, port))
    check(files.get("up") == content, "what went there and back by UDP differs")


@case(slow=True)
def udp_and_files(context):
    """UDP both ways, to a server on the host's loopback; and libslirp's own, with what DHCP tells."""
    folder = context.path("tftp")
    os.mkdir(folder)
    content = os.urandom(30000)
    with open(os.path.join(folder, "boot.img"), "wb") as file:
        file.write(content)
    g = context.script(more=["--net", "user,tftp=%s,bootfile=boot.img,hostname=visitor,dnssearch=example.org;example.com" % folder])
    lease = up(g)
    check("example.org" in lease.get("search", ""), "the lease is %r" % lease)
    udp_echo(g, content)
    sums = g.run("cd /tmp; tftp -g -r boot.img -l boot.img 10.0.2.2 && sha256sum down boot.img; cd").split()
    check(sums[0] == sums[2] == hashlib.sha256(content).hexdigest(), "what TFTP gave differs")
    power_off(g)


@case(slow=True, flavours=(guest.GENERIC,))
def cards_of_old(context):
    """e1000 and NE2000 under Linux' drivers: DHCP, ping, UDP, TCP each way with checksums; both at once, on networks of their own."""
    mib = 256 if guest.LONG else 1
    g = context.script("guest.load=e1000,ne2k_pci", more=["--net", "user,device=e1000", "--net", "user,network=10.0.3.0/24,device=ne2k-pci"])
    # which is eth0 depends on the order of the modules
    drivers = {os.path.basename(g.run("readlink /sys/class/net/eth%d/device/driver" % i).strip()): "eth%d" % i for i in (0, 1)}
    check(set(drivers) == {"e1000", "ne2k-pci"}, "the NICs are %r" % drivers)
    prepare(g, mib)
    for driver, at in (("e1000", "10.0.2"), ("ne2k-pci", "10.0.3")):
        nic, gateway = drivers[driver], at + ".2"
        up(g, nic, at)
        check(" 3 packets received" in g.run("ping -c 3 -i 0.2 " + gateway), "%s lost pings" % driver)
        udp_echo(g, os.urandom(30000), gateway)
        by_gateway(g, gateway, mib, 6 * guest.LIMIT)       # an NE2000 moves its bytes one port access after another
        no_errors(g, nic)
    check("Link is Up 1000 Mbps Full Duplex" in g.run("dmesg | grep 'e1000:'"), "e1000 has no link")
    power_off(g)


@case(slow=True, long=True, flavours=(guest.GENERIC,))
def unplugged(context):
    """Of two NICs with their drivers up one has its cable plugged in."""
    for device in ("virtio-net", "e1000"):
        g = context.script("guest.load=e1000", more=["--net", "user,device=%s,link=off,mac=02:00:00:00:00:01" % device,
                                                     "--net", "user,device=%s,mac=02:00:00:00:00:02" % device])
        for mac, carrier in ((1, "0"), (2, "1")):
            nic = g.run("grep -l 02:00:00:00:00:0%d /sys/class/net/*/address" % mac).split("/")[-2]
            g.run("ip link set %s up; n=0; while [ $(cat /sys/class/net/%s/carrier) != %s ] && [ $n -lt 100 ]; do usleep 100000; n=$((n + 1)); done"
                  % (nic, nic, carrier))
            check(g.run("cat /sys/class/net/%s/carrier" % nic).strip() == carrier, "the carrier of %s's NIC %d is not %s" % (device, mac, carrier))
        power_off(g)


def host_resolver():
    """The name server of this host, if it answers."""
    with open("/etc/resolv.conf", encoding="utf-8") as conf:
        match = re.search(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", conf.read(), re.M)
    if match is None:
        raise guest.Skipped("this host has no name server")
    query = struct.pack(">HHHHHH", 0x1234, 0x100, 1, 0, 0, 0) + b"\x09localhost\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        try:
            sock.sendto(query, (match.group(1), 53))
            sock.recv(512)
        except OSError as error:
            raise guest.Skipped("this host's name server does not answer") from error


@case(slow=True, long=True)
def names(context):
    host_resolver()
    g = context.script()
    up(g)
    output = g.run("nslookup localhost 10.0.2.3; true")
    check("10.0.2.3" in output and "timed out" not in output, "no answer by 10.0.2.3: " + output)


@case(slow=True)
def pairs_of_queues(context):
    """Linux has a pair of queues per processor, sends by both, and is answered on both."""
    context.long_on("arm64")
    files = {"f%d" % i: os.urandom(3000) for i in range(2)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        threading.Thread(target=tftp_server, args=(sock, files), daemon=True).start()
        g = context.script(more=["--net", "user,queues=2,speed=2500"], cpus=2)
        up(g)
        names = g.run("ls /sys/class/net/eth0/queues").split()
        check(sorted(names) == ["rx-0", "rx-1", "tx-0", "tx-1"], "the queues are %r" % names)
        check(g.run("cat /sys/class/net/eth0/speed /sys/class/net/eth0/duplex").split() == ["2500", "full"], "it has another speed")
        for cpu in range(2):
            g.run("cd /tmp; taskset %d tftp -g -r f%d -l f%d 10.0.2.2 %d; cd" % (1 << cpu, cpu, cpu, sock.getsockname()[1]))
        sums = g.run("sha256sum /tmp/f0 /tmp/f1").split()
        check(sums[0::2] == [hashlib.sha256(files["f%d" % i]).hexdigest() for i in range(2)], "what came differs")
        counts = re.findall(r"^ *\d+: +(\d+) +(\d+).*virtio\d+-(input|output)\.(\d)", g.run("cat /proc/interrupts"), re.M)
        busy = {(kind, queue) for first, second, kind, queue in counts if int(first) + int(second) > 2}
        check({("input", "0"), ("input", "1")} <= busy, "interrupts of queues: %r" % counts)
    power_off(g)


def exchange(machines, size):
    """Each of two guests, given with addresses, sends `size` MiB to the other, with checksums."""
    for g, address in machines:
        g.run("ip link set eth0 up; ip addr add %s/24 dev eth0" % address)
        g.run("n=0; while ! grep -q 1 /sys/class/net/eth0/carrier; do usleep 100000; n=$((n + 1)); [ $n -lt 300 ] || break; done; "
              "grep -q 1 /sys/class/net/eth0/carrier")
    # A bridge may need some time before it forwards.
    machines[1][0].run("n=0; while ! ping -c 1 -W 1 %s; do n=$((n + 1)); [ $n -lt 60 ] || break; done" % machines[0][1])
    check(" 3 packets received" in machines[1][0].run("ping -c 3 -i 0.2 " + machines[0][1]), "pings were lost")
    wanted = digest(size)
    for g, _ in machines:
        prepare(g, size)
    for (sender, _), (receiver, address) in (machines, machines[::-1]):
        receiver.run("{ nc -l -p 5000 -e /tmp/sink & }")
        listens(receiver, 5000)
        sender.run("nc %s 5000 -e /tmp/gen" % address)
        check(receiver.run("wait; cat /tmp/sum").split()[0] == wanted, "what came to %s differs" % address)


def wire(context, other, size):
    """Two VMs on a wire; one goes away, and the other's link goes down."""
    path = context.path("wire")
    # The one that connects is there first.
    b = context.script(more=["--net", "socket,path=" + path])
    a = other.script(more=["--net", "socket,listen,path=" + path])
    exchange([(a, "192.168.7.1"), (b, "192.168.7.2")], size)
    a.send("poweroff -f\n")
    a.ends(guest.POWEROFF)
    b.run("n=0; while ! grep -q 0 /sys/class/net/eth0/carrier; do usleep 100000; n=$((n + 1)); [ $n -lt 300 ] || break; done; "
          "grep -q 0 /sys/class/net/eth0/carrier")
    power_off(b)


class Namespace:
    """A network namespace with a bridge, span0, that has an address, and a tap in it that is there already, tap0."""

    def __init__(self):
        self.holder = None
        for name in ("unshare", "nsenter", "ip", "sleep"):
            setattr(self, name, guest.tool(name))
        if os.geteuid() != 0:
            raise guest.Skipped("only root may make network namespaces and taps")
        if not os.path.exists("/dev/net/tun"):
            raise guest.Skipped("there is no /dev/net/tun")
        if subprocess.run([self.unshare, "-n", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
            raise guest.Skipped("this host makes no network namespaces")

    def __enter__(self):
        self.holder = subprocess.Popen([self.unshare, "-n", self.sleep, "infinity"])
        mine = os.readlink("/proc/self/ns/net")
        while os.readlink("/proc/%d/ns/net" % self.holder.pid) == mine:
            time.sleep(0.01)
        for line in ("link add span0 type bridge", "addr add 192.168.7.254/24 dev span0", "link set span0 up",
                     "tuntap add tap0 mode tap", "link set tap0 master span0", "link set tap0 up"):
            if self.run(self.ip, *line.split()).returncode != 0:
                self.__exit__()
                raise guest.Skipped("'ip %s' does not work here" % line)
        return self

    def run(self, *words):
        return subprocess.run([self.nsenter, "-t", str(self.holder.pid), "-n"] + list(words), check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def context(self, context):
        """The same, with hyve in the namespace."""
        wrapper = context.path("hyve-in-namespace")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec %s -t %d -n -- %s \"$@\"\n" % (self.nsenter, self.holder.pid, context.hyve))
        os.chmod(wrapper, 0o700)
        inside = guest.Context(wrapper, context.arch, context.accel, context.flavour, context.directory)
        inside.guests = context.guests
        return inside


@case(slow=True)
def taps_in_a_bridge(context):
    """Two VMs in a bridge of the host, one with a tap that is there and one, with several queues, that the helper puts there."""
    context.long_on("arm64")
    with Namespace() as space:
        inside = space.context(context)
        a = inside.script(more=["--net", "tap,tap=tap0"])
        b = inside.script(more=["--net", "tap,bridge=span0,queues=2"], cpus=2)
        exchange([(a, "192.168.7.1"), (b, "192.168.7.2")], 256 if guest.LONG else 2)
        check(" 3 packets received" in b.run("ping -c 3 -i 0.2 192.168.7.254"), "the host lost pings")
        for g in (a, b):
            g.power_off()


@case(slow=True)
def wire_between_architectures(context):
    """A guest of either architecture on one wire."""
    if context.arch != "amd64":
        raise guest.Skipped("it has both architectures")
    other = guest.Context(context.hyve, "arm64", "soft", context.flavour, context.directory)
    try:
        wire(context, other, 2)
    finally:
        context.guests += other.guests


@case(slow=True, long=True)
def wire_with_a_long_transfer(context):
    wire(context, context, 256)


@case(slow=True, long=True)
def ipv6(context):
    """The guest configures itself, and reaches the gateway, which is the host's loopback too."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        raise guest.Skipped("this host has no IPv6: %s" % error) from error
    listener.settimeout(guest.LIMIT)
    said = []

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(guest.LIMIT)
            said.append(receive(connection))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    g = context.script()
    prepare(g)
    g.run("ip link set lo up; ip link set eth0 up")
    g.run("n=0; while ! ip -6 addr show dev eth0 | grep fec0 | grep -qv tentative; do usleep 100000; n=$((n + 1)); [ $n -lt 600 ] || break; "
          "done; ip -6 addr show dev eth0 | grep -q fec0")
    check(" 3 packets received" in g.run("ping -6 -c 3 fec0::2"), "the gateway lost pings")
    g.run("nc fec0::2 %d -e /tmp/gen" % listener.getsockname()[1])
    server.join(guest.LIMIT)
    check(said == [digest(SIZE)], "what came by IPv6 differs")
    listener.close()
    power_off(g)


@case(slow=True, long=True)
def two_nics(context):
    """Each NIC has a network of its own; both addresses differ; one of them is what was asked for."""
    g = context.script(more=["--net", "user", "--net", "user,network=10.0.3.0/24,mac=02:00:5e:10:00:01,mtu=9000"])
    up(g, "eth0", "10.0.2")
    up(g, "eth1", "10.0.3")
    macs = g.run("cat /sys/class/net/eth0/address /sys/class/net/eth1/address").split()
    check(macs[1] == "02:00:5e:10:00:01" and macs[0] != macs[1], "the addresses are %r" % macs)
    check(g.run("cat /sys/class/net/eth0/mtu /sys/class/net/eth1/mtu").split() == ["1500", "9000"], "the MTUs are wrong")
    for gateway in ("10.0.2.2", "10.0.3.2"):
        check(" 2 packets received" in g.run("ping -c 2 -i 0.2 %s" % gateway), "%s lost pings" % gateway)
    g.run("! [ -e /sys/class/net/eth2 ]")


@case(slow=True)
def none(context):
    g = context.script(more=["--net", "none"])
    g.run("! [ -e /sys/class/net/eth0 ]")


@case(slow=True, long=True)
def restricted(context):
    """With restrict or open=off, and without loopback, nothing of the host is reached."""
    server = Server(True)
    for keys in ("restrict", "open=off", "loopback=false"):
        g = context.script(more=["--net", "user," + keys])
        up(g)
        g.run("nc -w 3 10.0.2.2 %d </dev/null | grep -q 0" % server.port, status=1)
        power_off(g)
    check(server.result is None, "the guest reached the host")


@case(slow=True, long=True)
def reboot_and_stop(context):
    """After a reboot the network is there again, ports of the host too; a process that stands still for a time loses nothing."""
    port = free_port()
    g = context.script(more=["--net", "user,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:5000" % port])
    up(g)
    g.send("reboot -f\n")
    g.expect(r"guest: script\r?\n")
    up(g)
    prepare(g)
    g.run("{ nc -l -p 5000 -e /tmp/sink & }")
    listens(g, 5000)
    with connect(port) as connection:
        sender = threading.Thread(target=send, args=(connection,), daemon=True)
        sender.start()
        time.sleep(0.3)
        g.signal(signal.SIGSTOP)
        time.sleep(2)
        g.signal(signal.SIGCONT)
        sender.join(guest.LIMIT)
        receive(connection)
    check(g.run("wait; cat /tmp/sum").split()[0] == digest(SIZE), "what was sent around a stop differs")


@case(slow=True)
def ends_with_connections(context):
    """The guest powers off, and hyve is killed, with connections open both ways: the host's ends are closed, at once."""
    port = free_port()
    for how in ("poweroff", "signal"):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(guest.LIMIT)
        g = context.script(more=["--net", "user,hostfwd=tcp::%d-:5000" % port])
        up(g)
        g.run("(nc -l -p 5000 </dev/zero >/dev/null &); (nc 10.0.2.2 %d </dev/zero >/dev/null &)" % listener.getsockname()[1])
        listens(g, 5000)
        outward = connect(port)
        inward, _ = listener.accept()
        inward.settimeout(guest.LIMIT)
        for connection in (outward, inward):
            check(connection.recv(1000), "the guest sends nothing")
        if how == "poweroff":
            settle(g)           # their senders wait for the host to read
            g.send("poweroff -f\n")
        else:
            g.signal(signal.SIGTERM)
            g.expect_said("once more ends it at once")      # two that wait are one
            g.signal(signal.SIGTERM)
        g.ends(guest.POWEROFF, limit=60 if guest.SANITIZE == "none" else guest.LIMIT)
        for connection in (outward, inward, listener):
            connection.close()


guest.main()
