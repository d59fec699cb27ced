/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net.c - network back ends: the options of user-mode networking, checksums, and libslirp behind the module, played with as a guest
 * with bare hands would.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include <unistd.h>

#include "net/merge.h"
#include "net/net.h"
#include "net/offload.h"
#include "net/user.h"
#include "vmm_fixture.h"

/* Checksums */

TEST(sums)
{
	static const uint8_t rfc1071[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	uint8_t buf[70001];
	uint32_t slow = 0;

	CHECK_EQ(ntohs(offload_sum(rfc1071, sizeof(rfc1071), 0)), 0xddf2);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned i = 0; i < sizeof(buf); i++) {
		slow += (uint32_t)buf[i] << (i % 2 == 0 ? 8 : 0);
		slow = (slow & 0xffff) + (slow >> 16);
	}
	CHECK_EQ(ntohs(offload_sum(buf, sizeof(buf), 0)), slow);
	CHECK_EQ(offload_sum(buf, 0, 0), 0);
}

TEST(finished_sums)
{
	uint8_t frame[62];
	struct net_frame f = { .len = 61, .csum_start = 34, .csum_off = 16 };

	memset(frame, 0x5a, sizeof(frame));
	memset(frame + 50, 0, 2);
	CHECK(offload_finish_csum(frame, &f));
	/* The sum over everything is all ones now (RFC 1071 section 1). */
	CHECK_EQ(offload_sum(frame + 34, 27, 0), 0xffff);
	CHECK_EQ(frame[61], 0x5a);
	f.csum_start = 62;
	CHECK(!offload_finish_csum(frame, &f));
	f.csum_start = 34;
	f.csum_off = 26;
	CHECK(!offload_finish_csum(frame, &f));
	f.csum_off = 0xffff;
	CHECK(!offload_finish_csum(frame, &f));
	f.csum_off = 25;
	CHECK(offload_finish_csum(frame, &f));
	CHECK_EQ(frame[61], 0x5a);
}

/* Merged segments */

#define	SEG_MAX		1600
enum { SEG4_TCP = 34, SEG6_TCP = 54, SEG_OPTIONS = 12 };

/* A segment with good sums: TCP header with a timestamp's 12 bytes of options, n bytes that follow from the sequence number. */
static size_t
segment(uint8_t *f, bool v6, uint32_t seq, size_t n, uint8_t flags)
{
	size_t tcp = v6 ? SEG6_TCP : SEG4_TCP, payload = tcp + 20 + SEG_OPTIONS, len = payload + n;
	uint32_t proto = (uint32_t)htons(6) + htons((uint16_t)(len - tcp));
	uint16_t sum;

	memset(f, 0x11, payload);
	memcpy(f + 12, v6 ? "\x86\xdd\x60\0\0" : "\x08\0\x45\0", v6 ? 5 : 4);
	if (v6) {
		f[18] = (uint8_t)((len - 54) >> 8);
		f[19] = (uint8_t)(len - 54);
		f[20] = 6;
	} else {
		f[16] = (uint8_t)((len - 14) >> 8);
		f[17] = (uint8_t)(len - 14);
		memset(f + 20, 0, 2);
		f[23] = 6;
		memset(f + 24, 0, 2);
		sum = (uint16_t)~offload_sum(f + 14, 20, 0);
		memcpy(f + 24, &sum, 2);
	}
	for (unsigned i = 0; i < 4; i++)
		f[tcp + 4 + i] = (uint8_t)(seq >> (24 - 8 * i));
	f[tcp + 12] = (20 + SEG_OPTIONS) / 4 << 4;
	f[tcp + 13] = flags;
	memset(f + tcp + 16, 0, 4);
	for (size_t i = 0; i < n; i++)
		f[payload + i] = (uint8_t)((seq + i) * 7);
	sum = (uint16_t)~offload_sum(f + tcp, len - tcp, offload_sum(f + (v6 ? 22 : 26), v6 ? 32 : 8, proto));
	memcpy(f + tcp + 16, &sum, 2);
	return (len);
}

/* Many in one, and what a receiver finds in that; after the last, shorter one nothing follows. */
TEST(merged)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint8_t buf[NET_FRAME_MAX], f[SEG_MAX];
		struct net_merge m = { .buf = buf };
		size_t tcp = v6 != 0 ? SEG6_TCP : SEG4_TCP, payload = tcp + 20 + SEG_OPTIONS, len = 0;
		uint32_t seq = 0xfffff000;	/* which wraps */
		struct net_frame out;
		struct iovec iov;

		for (unsigned i = 0; i < 20; i++, seq += 1448)
			CHECK(net_merge_add(&m, f, segment(f, v6 != 0, seq, 1448, 0x10)));
		CHECK(!net_merge_add(&m, f, segment(f, v6 != 0, seq, 1449, 0x10)));
		CHECK(net_merge_add(&m, f, segment(f, v6 != 0, seq, 100, 0x18)));
		CHECK(!net_merge_add(&m, f, segment(f, v6 != 0, seq + 100, 100, 0x10)));
		net_merge_take(&m, &out, &iov);
		CHECK_EQ(m.len, 0);
		CHECK_EQ(out.len, payload + 20UL * 1448 + 100);
		CHECK(out.niov == 1 && iov.iov_len == out.len && iov.iov_base == buf);
		CHECK_EQ(out.flags, NET_NEEDS_CSUM);
		CHECK_EQ(out.gso, v6 != 0 ? NET_GSO_TCP6 : NET_GSO_TCP4);
		CHECK(out.gso_size == 1448 && out.hdr_len == payload && out.csum_start == tcp && out.csum_off == 16);
		CHECK_EQ(buf[tcp + 13], 0x18);
		CHECK(v6 != 0 || (offload_sum(buf + 14, 20, 0) == 0xffff && (buf[16] << 8 | buf[17]) == (int)out.len - 14));
		CHECK(v6 == 0 || (buf[18] << 8 | buf[19]) == (int)out.len - 54);
		for (size_t i = payload; i < out.len; i++)
			CHECK_EQ(buf[i], (uint8_t)((0xfffff000 + i - payload) * 7));
		CHECK(offload_finish_csum(buf, &out));
		len = out.len - tcp;
		CHECK_EQ(offload_sum(buf + tcp, len, offload_sum(buf + (v6 != 0 ? 22 : 26), v6 != 0 ? 32 : 8,
		    (uint32_t)htons(6) + htons((uint16_t)len))), 0xffff);
		/* No IP packet is longer than 65535 bytes. */
		for (seq = 0; net_merge_add(&m, f, segment(f, v6 != 0, seq, 1448, 0x10)); seq += 1448)
			continue;
		CHECK_EQ(seq / 1448, (65535 - (payload - 14)) / 1448);
		net_merge_take(&m, &out, &iov);
		/* One alone is what it was. */
		len = segment(f, v6 != 0, seq, 10, 0x18);
		CHECK(net_merge_add(&m, f, len));
		net_merge_take(&m, &out, &iov);
		CHECK(out.len == len && out.gso == NET_GSO_NONE && out.flags == NET_CSUM_GOOD && memcmp(buf, f, len) == 0);
	}
}

/* What says anything else is not merged, whatever it says. */
TEST(not_merged)
{
	static const struct { uint16_t at; uint8_t bits; bool alone; } other[] = {
		{ 0, 1, true }, { 12, 1, false }, { 14, 0x10, false }, { 15, 4, true }, { 17, 1, false }, { 20, 0x20, false }, { 21, 1, false },
		{ 22, 1, true }, { 23, 1, false }, { 26, 1, true }, { 33, 1, true }, { 34, 1, true }, { 37, 1, true }, { 38, 1, true },
		{ 41, 1, true }, { 42, 1, true }, { 46, 0xf0, true }, { 46, 0x80, false }, { 46, 1, true }, { 47, 1, false }, { 47, 2, false },
		{ 47, 4, false }, { 47, 0x10, false }, { 47, 0x20, false }, { 47, 0x80, false }, { 48, 1, true }, { 53, 1, true }, { 54, 1, true },
		{ 65, 1, true },
	};
	uint8_t buf[NET_FRAME_MAX], first[SEG_MAX], f[SEG_MAX];
	struct net_merge m = { .buf = buf };
	size_t len;

	for (unsigned i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		m.len = 0;
		CHECK(net_merge_add(&m, first, segment(first, false, 1, 500, 0x10)));
		len = segment(f, false, 501, 500, 0x10);
		f[other[i].at] ^= other[i].bits;
		CHECKF(!net_merge_add(&m, f, len), "with another byte %u it was merged", other[i].at);
		m.len = 0;
		CHECKF(net_merge_add(&m, f, len) == other[i].alone, "with another byte %u", other[i].at);
	}
	/* Lengths that lie. */
	len = segment(f, false, 1, 100, 0x10);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *tight = malloc(cut + 1);

		m.len = 0;
		memcpy(tight, f, cut);
		CHECK(!net_merge_add(&m, tight, cut));
		free(tight);
	}
	CHECK(!net_merge_add(&m, f, segment(f, false, 1, 0, 0x10)));
	CHECK(!net_merge_add(&m, f, segment(f, true, 1, 0, 0x10)));
}

/* Options */

TEST(forwards)
{
	static const char *const bad[] = {
		"tcp", "tcp:", "tcp:1", "tcp::1", "tcp::1-", "tcp::1-2", "tcp::1-:0", "tcp::1-:65536", "tcp::-1-:2", "icmp::1-:2",
		"tcp:300.0.0.1:1-:2", "tcp:localhost:1-:2", "tcp::1-:2x", "tcp::x1-:2", "tcp:[::1:1-[fe80::1]:2", "tcp:[::1]:1-:2",
		"tcp::99999999999-:2", "tcp:[:1-[]:2", "tcp::1-:2;udp",
	};
	struct user_options o = { 0 };

	CHECK_EQ(user_parse_forwards("tcp::2222-:22;;udp:0.0.0.0:53-10.0.2.20:5353;tcp:[::1]:80-[fec0::15]:8080;tcp:[]:0-[fec0::1]:1", &o), 0);
	CHECK_EQ(o.nforwards, 4);
	CHECK(!o.forward[0].udp && o.forward[1].udp);
	CHECK_EQ(ntohl(o.forward[0].host.in.sin_addr.s_addr), INADDR_LOOPBACK);
	CHECK_EQ(ntohs(o.forward[0].host.in.sin_port), 2222);
	CHECK_EQ(o.forward[0].guest.in.sin_addr.s_addr, 0);
	CHECK_EQ(ntohs(o.forward[0].guest.in.sin_port), 22);
	CHECK_EQ(o.forward[1].host.in.sin_addr.s_addr, 0);
	CHECK_EQ(ntohl(o.forward[1].guest.in.sin_addr.s_addr), 0x0a000214);
	CHECK_EQ(o.forward[2].host.sa.sa_family, AF_INET6);
	CHECK(IN6_IS_ADDR_LOOPBACK(&o.forward[2].host.in6.sin6_addr) && IN6_IS_ADDR_LOOPBACK(&o.forward[3].host.in6.sin6_addr));
	CHECK_EQ(ntohs(o.forward[2].guest.in6.sin6_port), 8080);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.nforwards = 0;
		CHECKF(user_parse_forwards(bad[i], &o) == -1, "'%s' was taken", bad[i]);
		CHECK(strstr(vmm_errmsg(), "hostfwd: '") != NULL);
	}
	o.nforwards = 0;
	for (unsigned i = 0; i < USER_FORWARDS_MAX; i++)
		CHECK_EQ(user_parse_forwards("tcp::1-:2", &o), 0);
	CHECK_EQ(user_parse_forwards("tcp::1-:2", &o), -1);
}

/* A network card of the test's own: what it receives. */

static const struct config_key keys[] = { NET_KEYS };
static const struct device_class cls = { .name = "test", .keys = { keys, sizeof(keys) / sizeof(keys[0]) } };

static struct fx fx;
static struct device dev;
static struct net *net;
static uint8_t got[64][2048];
static size_t gotlen[64];
static unsigned ngot, room = 64;

static bool
nic_receive(void *arg, const struct net_frame *f)
{
	size_t len = 0;

	CHECK(net->started);
	if (room == 0 || ngot == 64)
		return (false);
	room--;
	CHECK(f->len <= sizeof(got[0]));
	for (int i = 0; i < f->niov; i++) {
		memcpy(got[ngot] + len, f->iov[i].iov_base, f->iov[i].iov_len);
		len += f->iov[i].iov_len;
	}
	CHECK_EQ(len, f->len);
	gotlen[ngot++] = len;
	return (true);
}

static void
nic_flush(void *arg)
{
}

static const struct net_nic nic = { .receive = nic_receive, .flush = nic_flush };

/* A NIC with the keys of a text, NULL with a sentence. */
static struct net *
plug(const char *text)
{
	fx_open(&fx);
	CHECK_EQ(config_declare(fx.vmm.config, "", &config_global_keys), 0);
	dev = (struct device){ .cls = &cls, .vmm = &fx.vmm, .name = (char *)(uintptr_t)"nic", .config = fx_node(&fx, "nic", &cls) };
	fx_keys(&fx, text);
	net = net_open(&dev, &nic, NULL);
	return (net);
}

static void
unplug(void)
{
	net_close(net);
	net = NULL;
	fx_close(&fx);
}

TEST(bad_options)
{
	static const char *const bad[][2] = {
		{ "nic.network=10.0.2.0", "network: '10.0.2.0' is not" }, { "nic.network=10.0.2.1/24", "network: " },
		{ "nic.network=10.0.2.0/28", "network: " }, { "nic.network6=fec0::/48", "network6: " },
		{ "nic.network6=fec0::1/64", "network6: " }, { "nic.host=10.0.3.2", "host: 10.0.3.2 is no host's address" },
		{ "nic.dns=10.0.2.255", "dns: " }, { "nic.dhcpstart=10.0.2.0", "dhcpstart: " }, { "nic.host=gateway", "host: 'gateway'" },
		{ "nic.dns=10.0.2.2", "three different" }, { "nic.tftp=/dev/null", "tftp: '/dev/null' is no folder" },
		{ "nic.hostname=0123456789012345678901234567890123456789", "hostname: " }, { "nic.hostfwd=tcp", "hostfwd: 'tcp'" },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECKF(plug(bad[i][0]) == NULL, "'%s' was taken", bad[i][0]);
		CHECKF(strncmp(vmm_errmsg(), "nic: ", 5) == 0 && strstr(vmm_errmsg(), bad[i][1]) != NULL, "'%s': %s", bad[i][0],
		    vmm_errmsg());
		fx_close(&fx);
	}
}

/* Two words for the same: bhyve's networks are closed unless they are "open". */
TEST(closed_networks)
{
	static const struct { const char *keys; bool closed; } all[] = {
		{ "", false }, { "nic.open=on", false }, { "nic.open=off", true }, { "nic.restrict=on", true },
		{ "nic.restrict=on\nnic.open=on", true },
	};
	struct user_options o;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		fx_open(&fx);
		dev = (struct device){ .cls = &cls, .vmm = &fx.vmm, .config = fx_node(&fx, "nic", &cls) };
		CHECK_EQ(config_load_text(fx.vmm.config, "test", all[i].keys, strlen(all[i].keys)), 0);
		CHECK_EQ(user_options_read(dev.config, &o), 0);
		CHECK_EQ(o.restrict_out, all[i].closed);
		user_options_free(&o);
		fx_close(&fx);
	}
}

TEST(missing_module)
{
	CHECK_EQ(setenv("HYVE_MODULES", "/nowhere", 1), 0);
	CHECK(plug("") == NULL);
	CHECKF(strstr(vmm_errmsg(), "hyve-net-slirp.so is not there: looked for '/nowhere/") != NULL, "%s", vmm_errmsg());
	fx_close(&fx);
}

/* Frames by hand. */

static const uint8_t me[6] = { 2, 0, 0, 0, 0, 9 };

static void
give(uint8_t *frame, size_t len, uint8_t flags, uint16_t csum_off)
{
	const struct iovec iov[2] = { { frame, 20 }, { frame + 20, len - 20 } };
	const struct net_frame f = { .iov = iov, .niov = 2, .len = len, .flags = flags, .csum_start = 34, .csum_off = csum_off };

	CHECK(net_send(net, &f));
	net_flush(net);
}

/* Ask who has the gateway's address, as everyone does first; slirp learns ours by it. */
static void
arp(void)
{
	static const uint8_t ask[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 2, 15,
		0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	uint8_t frame[42];

	memcpy(frame, ask, sizeof(ask));
	give(frame, sizeof(frame), 0, 0);
}

/* A UDP datagram from 10.0.2.15:1000 to the gateway, whose checksum is left to the other side. */
static void
udp(uint16_t port, const char *text)
{
	uint8_t f[200] = { 0x52, 0x55, 10, 0, 2, 2, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, [22] = 64, [23] = 17, [26] = 10, 0, 2, 15, 10, 0, 2, 2 };
	size_t len = strlen(text);
	uint16_t sum;

	f[17] = (uint8_t)(28 + len);
	sum = (uint16_t)~offload_sum(f + 14, 20, 0);
	memcpy(f + 24, &sum, 2);
	f[34] = 1000 >> 8;
	f[35] = 1000 & 0xff;
	f[36] = (uint8_t)(port >> 8);
	f[37] = (uint8_t)port;
	f[39] = (uint8_t)(8 + len);
	memcpy(f + 42, text, len);
	/* Of the pseudo header: addresses, protocol, length. */
	sum = offload_sum(f + 26, 8, htons(17) + htons((uint16_t)(8 + len)));
	memcpy(f + 40, &sum, 2);
	give(f, 42 + len, NET_NEEDS_CSUM, 6);
}

static void
turn(unsigned want)
{
	for (int i = 0; i < 200 && ngot < want; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 50), 0);
	CHECK_EQ(ngot, want);
}

/* A socket on the host's loopback. */
static int
host_socket(uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { .tv_sec = 20 };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, len) == 0 && getsockname(fd, (struct sockaddr *)&in, &len) == 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	*port = ntohs(in.sin_port);
	return (fd);
}

static bool
have_module(const char *text)
{
	if (plug(text) != NULL)
		return (true);
	if (strstr(vmm_errmsg(), "is not there") == NULL)
		CHECKF(false, "%s", vmm_errmsg());
	fx_close(&fx);
	return (false);
}

TEST(arp_and_datagrams)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	uint16_t port;
	char buf[64];
	int fd;

	if (!have_module(""))
		SKIP("hyve was built without libslirp");
	fd = host_socket(&port);
	arp();
	CHECK_EQ(ngot, 0);		/* stopped: nothing is taken */
	net_start(net);
	arp();
	turn(1);
	CHECK(gotlen[0] >= 42 && got[0][21] == 2 && memcmp(got[0], me, 6) == 0);
	CHECK_EQ(got[0][31], 2);
	/* There, with a checksum that the kernel found good, and back. */
	udp(port, "over");
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len), 4);
	CHECK(memcmp(buf, "over", 4) == 0);
	CHECK_EQ(sendto(fd, "and out", 7, 0, (struct sockaddr *)&peer, len), 7);
	turn(2);
	CHECK_EQ(gotlen[1], 49);
	CHECK(memcmp(got[1] + 42, "and out", 7) == 0);
	CHECK_EQ(got[1][36] << 8 | got[1][37], 1000);
	close(fd);
	unplug();
}

/* Stopped, nothing comes; refused, it is kept in order, and the host's sockets are left alone. */
TEST(stop_and_back_pressure)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	uint16_t port;
	char buf[64];
	int fd;

	if (!have_module("nic.ipv6=false"))
		SKIP("hyve was built without libslirp");
	fd = host_socket(&port);
	net_start(net);
	arp();
	turn(1);
	udp(port, "over");
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len), 4);
	net_stop(net);
	CHECK_EQ(sendto(fd, "one", 3, 0, (struct sockaddr *)&peer, len), 3);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK_EQ(ngot, 1);
	room = 1;
	net_start(net);
	turn(2);
	for (const char *t = "234"; *t != '\0'; t++)
		CHECK_EQ(sendto(fd, t, 1, 0, (struct sockaddr *)&peer, len), 1);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK_EQ(ngot, 2);
	room = 10;
	net_ready(net);
	turn(5);
	CHECK_EQ(got[2][42], '2');
	CHECK_EQ(got[3][42], '3');
	CHECK_EQ(got[4][42], '4');
	close(fd);
	unplug();
}

/* A port of the host that leads to the guest; one that is taken is an error. */
TEST(forwarded_datagram)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port, own;
	char text[64];
	int fd = host_socket(&port), from;

	(void)snprintf(text, sizeof(text), "nic.hostfwd=udp::%u-:7", port);
	if (plug(text) != NULL)
		CHECKF(false, "a port that is in use was taken");
	if (strstr(vmm_errmsg(), "is not there") != NULL)
		SKIP("hyve was built without libslirp");
	CHECKF(strstr(vmm_errmsg(), "cannot listen on UDP port") != NULL, "%s", vmm_errmsg());
	fx_close(&fx);
	close(fd);
	CHECKF(plug(text) != NULL, "%s", vmm_errmsg());
	from = host_socket(&own);
	in.sin_port = htons(port);
	net_start(net);
	arp();
	turn(1);
	CHECK_EQ(sendto(from, "knock", 5, 0, (struct sockaddr *)&in, sizeof(in)), 5);
	turn(2);
	CHECK(gotlen[1] == 47 && memcmp(got[1] + 42, "knock", 5) == 0);
	CHECK_EQ(got[1][36] << 8 | got[1][37], 7);
	close(from);
	unplug();
}

TEST_MAIN()
