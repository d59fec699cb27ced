/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net.c - the network card over a back end of the test's own: frames both ways, buffers that lack, offloads, filters, several
 * pairs of queues, a life, and drivers that do wrong.
 */
#include "net_wire.h"
#include "vq_driver.h"

#define	DATA	0x200000ULL
#define	RXBUF	0x300000ULL
#define	CMD	0x400000ULL
#define	NUM	16
#define	HDR	12U

enum { RX, TX, CTRL };

#define	F_CSUM		(1ULL << 0)
#define	F_GUEST_CSUM	(1ULL << 1)
#define	F_GUEST_TSO4	(1ULL << 7)
#define	F_HOST_TSO4	(1ULL << 11)
#define	F_MRG_RXBUF	(1ULL << 15)
#define	F_CTRL		(1ULL << 17 | 1ULL << 18 | 1ULL << 20 | 1ULL << 23)
#define	F_OFFLOADS	(1ULL << 2)
#define	F_VLAN		(1ULL << 19)
#define	F_ANNOUNCE	(1ULL << 21)
#define	F_MQ		(1ULL << 22)
#define	F_SPEED		(1ULL << 63)

/* The driver */

static struct fx fx;
static struct vdrv rx, tx, ctrl;
static unsigned rxnum = NUM;
static unsigned ctrl_at = CTRL;		/* the control queue's index */
static uint8_t *data, *rxbuf, *cmd;

static struct device *
card(struct fx *f, const char *keys)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1, .irq = { f->irq } };
	char text[512];

	/* For the VM's name. */
	CHECK_EQ(config_declare(f->vmm.config, "", &config_global_keys), 0);
	(void)snprintf(text, sizeof(text), "net.backend=wire\n%s", keys);
	return (fx_make_with(f, "virtio-net", "net", &place, text));
}

static void
drive(uint64_t features)
{
	CHECK(v_negotiate(&fx, features | VIRTIO_F_VERSION_1));
	v_rings(&rx, &fx, 0x100000, rxnum);
	v_rings(&tx, &fx, 0x120000, NUM);
	v_rings(&ctrl, &fx, 0x140000, NUM);
	v_queue(&rx, RX);
	v_queue(&tx, TX);
	v_queue(&ctrl, CTRL);
	ctrl_at = CTRL;
	v_write(&fx, V_STATUS, 0xf);
	CHECK_EQ(v_read(&fx, V_STATUS), 0xf);
	fx_turn(&fx);
}

static void
setup(const char *keys, uint64_t features)
{
	fx_open(&fx);
	CHECKF(card(&fx, keys) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	data = vm_map_gpa(fx.vmm.vm, DATA, 0x100000);
	rxbuf = vm_map_gpa(fx.vmm.vm, RXBUF, 0x100000);
	cmd = vm_map_gpa(fx.vmm.vm, CMD, 0x1000);
	CHECK(data != NULL && rxbuf != NULL && cmd != NULL);
	drive(features);
}

static void
finish(void)
{
	fx_close(&fx);
	CHECK(wire.closed);
}

/* Write a frame with its header at DATA + off. */
static uint8_t *
put(uint64_t off, const uint8_t hdr[HDR], unsigned len, uint8_t fill)
{
	static const uint8_t none[HDR];

	memcpy(data + off, hdr != NULL ? hdr : none, HDR);
	memset(data + off + HDR, fill, len);
	return (data + off + HDR);
}

static void
send_one(unsigned at, uint64_t gpa, uint32_t len)
{
	tx.desc[at] = (struct vdesc){ gpa, len, 0, 0 };
	v_avail(&tx, (uint16_t)at);
	v_write(&fx, V_NOTIFY, TX);
	fx_turn(&fx);
}

/* Make n receive buffers of len bytes available. */
static void
post(unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned at = rx.seen++ % NUM;

		rx.desc[at] = (struct vdesc){ RXBUF + 0x4000 * at, len, D_WRITE, 0 };
		v_avail(&rx, (uint16_t)at);
	}
	v_write(&fx, V_NOTIFY, RX);
	fx_turn(&fx);
}

/* A frame from outside, in two pieces. */
static bool
arrive(unsigned len, uint8_t fill, uint8_t flags, uint8_t gso)
{
	static uint8_t buf[NET_FRAME_MAX];
	const struct iovec iov[2] = { { buf, 20 }, { buf + 20, len - 20 } };
	const struct net_frame f = { .iov = iov, .niov = 2, .len = len, .flags = flags, .gso = gso, .gso_size = 1000,
	    .csum_start = 34, .csum_off = 16, .hdr_len = 54 };
	bool taken;

	memset(buf, fill, sizeof(buf));
	memset(buf, 0xff, 6);
	taken = net_receive(wire.net, &f);
	net_receive_flush(wire.net);
	return (taken);
}

TEST(sends)
{
	setup("", 0);
	CHECK_EQ(v_read(&fx, V_ID), 1);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, 60);
	CHECK_EQ(wire.frame[0].data[0], 0x11);
	CHECK_EQ(wire.frame[0].data[59], 0x11);
	CHECK_EQ(tx.used[1], 1);
	CHECK(wire.flushes >= 1);
	/* The header in a buffer of its own, the frame in two. */
	put(0x1000, NULL, 100, 0x22);
	tx.desc[1] = (struct vdesc){ DATA + 0x1000, HDR, D_NEXT, 2 };
	tx.desc[2] = (struct vdesc){ DATA + 0x1000 + HDR, 14, D_NEXT, 3 };
	tx.desc[3] = (struct vdesc){ DATA + 0x1000 + HDR + 14, 86, 0, 0 };
	v_avail(&tx, 1);
	v_write(&fx, V_NOTIFY, TX);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.frame[1].len, 100);
	CHECK_EQ(wire.frame[1].data[13], 0x22);
	CHECK_EQ(wire.frame[1].data[14], 0x22);
	finish();
}

TEST(what_is_no_frame_is_dropped_and_returned)
{
	setup("", 0);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 13);
	send_one(1, DATA, 5);
	send_one(2, DATA, HDR + NET_FRAME_MAX + 1);
	/* Offloads that were not negotiated. */
	put(0, (const uint8_t[HDR]){ [0] = 1, [6] = 34, [8] = 16 }, 60, 0x11);
	send_one(3, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [1] = 1, [4] = 200 }, 60, 0x11);
	send_one(4, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(tx.used[1], 5);
	CHECK_EQ(v_read(&fx, V_STATUS), 0xf);
	finish();
}

TEST(offloads_of_what_is_sent)
{
	setup("", F_CSUM | F_HOST_TSO4);
	put(0, (const uint8_t[HDR]){ [0] = 1, [1] = 1, [2] = 54, [4] = 0xb4, [5] = 5, [6] = 34, [8] = 16 }, 9000, 0x33);
	send_one(0, DATA, HDR + 9000);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, 9000);
	CHECK_EQ(wire.frame[0].flags, NET_NEEDS_CSUM);
	CHECK_EQ(wire.frame[0].gso, NET_GSO_TCP4);
	CHECK_EQ(wire.frame[0].gso_size, 1460);
	CHECK_EQ(wire.frame[0].csum_start, 34);
	CHECK_EQ(wire.frame[0].csum_off, 16);
	/* Not: a sum outside of the frame, segments without a sum or size, UDP fragments, IPv6. */
	put(0, (const uint8_t[HDR]){ [0] = 1, [6] = 50, [8] = 9 }, 60, 0x33);
	send_one(1, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [0] = 1, [6] = 0xff, [7] = 0xff, [8] = 0xff, [9] = 0xff }, 60, 0x33);
	send_one(2, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [1] = 1, [4] = 100 }, 60, 0x33);
	send_one(3, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [0] = 1, [1] = 1, [6] = 34, [8] = 16 }, 60, 0x33);
	send_one(4, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [0] = 1, [1] = 3, [4] = 100, [6] = 34, [8] = 16 }, 60, 0x33);
	send_one(5, DATA, HDR + 60);
	put(0, (const uint8_t[HDR]){ [0] = 1, [1] = 4, [4] = 100, [6] = 34, [8] = 16 }, 60, 0x33);
	send_one(6, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 1);
	/* A sum that just fits. */
	put(0, (const uint8_t[HDR]){ [0] = 1, [6] = 50, [8] = 8 }, 60, 0x33);
	send_one(7, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(tx.used[1], 8);
	finish();
}

/* A back end that takes no more: what was copied waits, in order, and no more is copied. */
TEST(back_pressure_of_the_back_end)
{
	setup("", 0);
	wire.room = 2;
	for (unsigned i = 0; i < 8; i++) {
		put(0x100 * i, NULL, 60, (uint8_t)i);
		tx.desc[i] = (struct vdesc){ DATA + 0x100 * i, HDR + 60, 0, 0 };
		v_avail(&tx, (uint16_t)i);
	}
	v_write(&fx, V_NOTIFY, TX);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 2);
	put(0x800, NULL, 60, 8);
	send_one(8, DATA + 0x800, HDR + 60);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(tx.used[1], 8);
	wire.room = 1;
	wire.net->nic->writable(wire.net->arg);
	CHECK_EQ(wire.sent, 3);
	wire.room = 100;
	wire.net->nic->writable(wire.net->arg);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 9);
	CHECK_EQ(tx.used[1], 9);
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(wire.frame[i].data[0], i);
	finish();
}

TEST(receives)
{
	setup("", 0);
	post(2, 2048);
	CHECK(arrive(100, 0x44, NET_CSUM_GOOD, 0));
	CHECK_EQ(rx.used[1], 1);
	CHECK_EQ(v_used_len(&rx, 0), HDR + 100);
	CHECK_EQ(v_used_id(&rx, 0), 0);
	CHECK_EQ(rxbuf[0], 0);			/* GUEST_CSUM was not negotiated */
	CHECK_EQ(rxbuf[10], 1);			/* num_buffers, though not negotiated (5.1.6.4.1) */
	CHECK_EQ(rxbuf[HDR], 0xff);
	CHECK_EQ(rxbuf[HDR + 19], 0x44);
	CHECK_EQ(rxbuf[HDR + 99], 0x44);
	CHECK(fx_level(&fx));
	/* Larger than the buffer, which is left for the next. */
	CHECK(arrive(4000, 0x55, 0, 0));
	CHECK_EQ(rx.used[1], 1);
	CHECK(arrive(60, 0x66, 0, 0));
	CHECK_EQ(rx.used[1], 2);
	CHECK_EQ(v_used_id(&rx, 1), 1);
	/* What needs more than the driver takes. */
	post(1, 2048);
	CHECK(arrive(60, 0x66, NET_NEEDS_CSUM, 0));
	CHECK(arrive(60, 0x66, 0, NET_GSO_TCP4));
	CHECK_EQ(rx.used[1], 2);
	finish();
}

/* A queue into which a large frame does not fit in small buffers. */
TEST(short_queue)
{
	setup("", F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4);
	CHECK_EQ(atomic_load(&wire.net->takes), NET_TAKES_CSUM);
	finish();
}

TEST(merged_buffers_and_offloads)
{
	rxnum = 64;
	setup("", F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4);
	CHECK_EQ(atomic_load(&wire.net->takes), NET_TAKES_CSUM | NET_TAKES_TSO4);
	post(4, 1024);
	/* Five buffers would be needed: none is used, and the back end waits. */
	CHECK(!arrive(4800, 0x77, NET_NEEDS_CSUM, NET_GSO_TCP4));
	CHECK_EQ(rx.used[1], 0);
	CHECK_EQ(wire.readies, 1);		/* at the start, for what came before */
	post(1, 1024);
	CHECK_EQ(wire.readies, 2);
	CHECK(arrive(4800, 0x77, NET_NEEDS_CSUM, NET_GSO_TCP4));
	CHECK_EQ(rx.used[1], 5);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(v_used_id(&rx, (uint16_t)i), i);
		CHECK_EQ(v_used_len(&rx, (uint16_t)i), i < 4 ? 1024U : HDR + 4800 - 4096);
	}
	CHECK_EQ(rxbuf[0], 1);
	CHECK_EQ(rxbuf[1], 1);
	CHECK_EQ(rxbuf[2], 54);
	CHECK_EQ(rxbuf[4] | rxbuf[5] << 8, 1000);
	CHECK_EQ(rxbuf[6], 34);
	CHECK_EQ(rxbuf[8], 16);
	CHECK_EQ(rxbuf[10], 5);
	CHECK_EQ(rxbuf[0x4000], 0x77);
	CHECK_EQ(rxbuf[4 * 0x4000 + HDR + 4800 - 4096 - 1], 0x77);
	/* Sums that are known to be good. */
	post(1, 1024);
	CHECK(arrive(60, 0x77, NET_CSUM_GOOD, 0));
	CHECK_EQ(rxbuf[5 * 0x4000], 2);
	finish();
}

/* A frame that comes back while it is sent. */
TEST(echo)
{
	setup("", 0);
	post(8, 2048);
	wire.echo = true;
	put(0, NULL, 60, 0xff);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(tx.used[1], 1);
	CHECK_EQ(rx.used[1], 1);
	CHECK_EQ(rxbuf[HDR + 59], 0xff);
	finish();
}

/* A control command with len bytes behind class and command: the answer. */
static uint8_t
control(uint8_t class, uint8_t what, const void *arg, uint32_t len)
{
	uint16_t n = (uint16_t)(ctrl.used[1] + 1);

	cmd[0] = class;
	cmd[1] = what;
	memcpy(cmd + 2, arg, len);
	cmd[0x800] = 0xee;
	ctrl.desc[0] = (struct vdesc){ CMD, 2 + len, D_NEXT, 1 };
	ctrl.desc[1] = (struct vdesc){ CMD + 0x800, 1, D_WRITE, 0 };
	v_avail(&ctrl, 0);
	v_write(&fx, V_NOTIFY, ctrl_at);
	fx_turn(&fx);
	CHECK_EQ(ctrl.used[1], n);
	return (cmd[0x800]);
}

static uint8_t
control64(uint8_t class, uint8_t what, uint64_t val, uint32_t len)
{
	return (control(class, what, &val, len));
}

/* Whether a frame to an address is received. */
static bool
heard(const char *addr)
{
	uint16_t before = rx.used[1];
	uint8_t buf[60] = { 0 };
	const struct iovec iov = { buf, sizeof(buf) };
	const struct net_frame f = { .iov = &iov, .niov = 1, .len = sizeof(buf) };

	memcpy(buf, addr, 6);
	CHECK(net_receive(wire.net, &f));
	net_receive_flush(wire.net);
	if (rx.used[1] == before)
		return (false);
	post(1, 2048);
	return (true);
}

#define	MINE	"\x02\x00\x00\x00\x00\x01"
#define	OTHER	"\x02\x00\x00\x00\x00\x02"
#define	GROUP	"\x33\x33\x00\x00\x00\x01"
#define	ALL	"\xff\xff\xff\xff\xff\xff"

TEST(filters)
{
	uint8_t many[8 + 65 * 6] = { 65 };

	setup("net.mac=02:00:00:00:00:01\n", F_CTRL);
	post(4, 2048);
	CHECK_EQ(v_read(&fx, V_CONFIG) & 0xffff, 0x0002);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) & 0xffff, 0x0100);
	CHECK(heard(OTHER) && heard(GROUP) && heard(ALL));	/* nothing was said yet */
	CHECK_EQ(control(0, 0, "\0", 1), 0);
	CHECK(heard(MINE) && heard(ALL) && !heard(OTHER) && !heard(GROUP));
	CHECK_EQ(control(0, 1, "\1", 1), 0);
	CHECK(heard(GROUP) && !heard(OTHER));
	CHECK_EQ(control(0, 1, "\0", 1), 0);
	CHECK_EQ(control(1, 0, "\1\0\0\0" OTHER "\1\0\0\0" GROUP, 20), 0);
	CHECK(heard(OTHER) && heard(GROUP) && !heard("\x02\x00\x00\x00\x00\x03") && !heard("\x33\x33\x00\x00\x00\x02"));
	/* A table that is cut off changes nothing. */
	CHECK_EQ(control(1, 0, "\0\0\0\0\2\0\0\0" GROUP, 14), 1);
	CHECK_EQ(control(1, 0, "\xff\xff\xff\xff" GROUP, 10), 1);
	CHECK(heard(OTHER) && heard(GROUP));
	/* More than are kept: all of that kind. */
	CHECK_EQ(control(1, 0, many, sizeof(many)), 0);
	CHECK(heard("\x02\x00\x00\x00\x00\x09") && !heard(GROUP));
	CHECK_EQ(control(0, 4, "\1", 1), 0);
	CHECK_EQ(control(0, 5, "\1", 1), 0);
	CHECK(!heard(MINE) && !heard(ALL));
	CHECK_EQ(control(0, 0, "\1", 1), 0);
	CHECK(heard(MINE) && heard(ALL) && heard(OTHER));
	/* Another address. */
	CHECK_EQ(control(1, 1, OTHER, 6), 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) & 0xffff, 0x0200);
	CHECK_EQ(control(1, 1, GROUP, 6), 1);
	CHECK_EQ(control(1, 1, OTHER, 5), 1);
	CHECK_EQ(control(0, 0, "\2", 1), 1);
	CHECK_EQ(control(0, 6, "\1", 1), 1);
	CHECK_EQ(control(9, 0, "\1", 1), 1);
	/* Reset brings the first one back. */
	drive(0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) & 0xffff, 0x0100);
	rx.seen = 0;
	post(4, 2048);
	CHECK(heard(OTHER) && heard(GROUP));
	CHECK_EQ(control(0, 0, "\0", 1), 1);		/* not negotiated */
	finish();
}

/* Whether a frame to everyone with this behind the addresses is received. */
static bool
tagged(const char *tag)
{
	uint16_t before = rx.used[1];
	uint8_t buf[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	memcpy(buf + 12, tag, 4);
	CHECK(wire_receive(buf, sizeof(buf)));
	net_receive_flush(wire.net);
	if (rx.used[1] == before)
		return (false);
	post(1, 2048);
	return (true);
}

TEST(vlans)
{
	setup("", F_CTRL);
	post(4, 2048);
	CHECK(tagged("\x81\x00\x00\x05"));		/* not negotiated: all */
	CHECK_EQ(control64(2, 0, 5, 2), 1);
	drive(F_CTRL | F_VLAN);
	rx.seen = 0;
	post(4, 2048);
	CHECK(!tagged("\x81\x00\x00\x05") && tagged("\x81\x00\xe0\x00") && tagged("\x08\x00\x45\x00"));
	CHECK_EQ(control64(2, 0, 5, 2), 0);
	CHECK_EQ(control64(2, 0, 4095, 2), 0);
	CHECK(tagged("\x81\x00\xe0\x05") && tagged("\x81\x00\x0f\xff") && !tagged("\x81\x00\x00\x06"));
	CHECK_EQ(control64(2, 0, 4096, 2), 1);
	CHECK_EQ(control64(2, 0, 6, 1), 1);
	CHECK_EQ(control64(2, 1, 5, 2), 0);
	CHECK(!tagged("\x81\x00\x00\x05"));
	CHECK_EQ(control(0, 0, "\1", 1), 0);
	CHECK(tagged("\x81\x00\x00\x05"));
	finish();
}

/* What the driver negotiated it may take back, and take again; no more than that. */
TEST(offloads_taken_back)
{
	rxnum = 64;
	setup("", F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4 | F_CTRL | F_OFFLOADS);
	CHECK_EQ(atomic_load(&wire.net->takes), NET_TAKES_CSUM | NET_TAKES_TSO4);
	CHECK_EQ(wire.configured, 1);
	post(4, 2048);
	CHECK_EQ(control64(5, 0, F_GUEST_CSUM, 8), 0);
	CHECK_EQ(atomic_load(&wire.net->takes), NET_TAKES_CSUM);
	CHECK_EQ(wire.configured, 2);
	CHECK(arrive(2000, 0x77, NET_NEEDS_CSUM, NET_GSO_TCP4));
	CHECK_EQ(rx.used[1], 0);
	CHECK_EQ(control64(5, 0, F_GUEST_CSUM | F_GUEST_TSO4 | 1ULL << 8, 8), 1);
	CHECK_EQ(control64(5, 0, 0, 7), 1);
	CHECK_EQ(control64(5, 1, 0, 8), 1);
	CHECK_EQ(control64(5, 0, F_GUEST_CSUM | F_GUEST_TSO4, 8), 0);
	CHECK(arrive(2000, 0x77, NET_NEEDS_CSUM, NET_GSO_TCP4));
	CHECK_EQ(rx.used[1], 1);
	drive(F_CTRL);
	CHECK_EQ(control64(5, 0, 0, 8), 1);		/* not negotiated */
	finish();
}

#define	PAIRS	4

static struct vdrv mrx[PAIRS], mtx[PAIRS];

static void
drive_pairs(uint64_t features)
{
	CHECK(v_negotiate(&fx, features | VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < PAIRS; i++) {
		v_rings(&mrx[i], &fx, 0x500000 + 0x20000 * i, NUM);
		v_rings(&mtx[i], &fx, 0x510000 + 0x20000 * i, NUM);
		v_queue(&mrx[i], 2 * i);
		v_queue(&mtx[i], 2 * i + 1);
	}
	v_rings(&ctrl, &fx, 0x140000, NUM);
	v_queue(&ctrl, 2 * PAIRS);
	ctrl_at = 2 * PAIRS;
	v_write(&fx, V_STATUS, 0xf);
	fx_turn(&fx);
	for (unsigned i = 0; i < PAIRS; i++) {
		for (unsigned j = 0; j < NUM; j++) {
			mrx[i].desc[j] = (struct vdesc){ RXBUF + 0x10000 * i + 0x800 * j, 2048, D_WRITE, 0 };
			v_avail(&mrx[i], (uint16_t)j);
		}
		v_write(&fx, V_NOTIFY, 2 * i);
	}
	fx_turn(&fx);
}

/* An IPv4 frame of a flow: from a port of ours to port 80 of theirs, or the other way; IPv6 with v6. */
static void
flow(uint8_t *f, bool v6, uint8_t port, bool back)
{
	static const uint8_t ends[2] = { 15, 2 };

	memset(f, 0, 80);
	memset(f, 0xff, 6);
	memcpy(f + 12, v6 ? "\x86\xdd\x60" : "\x08\x00\x45", 3);
	if (v6) {
		f[20] = 6;
		f[37] = ends[back];
		f[53] = ends[!back];
	} else {
		f[23] = 17;
		f[29] = ends[back];
		f[33] = ends[!back];
	}
	f += v6 ? 54 : 34;
	f[1] = back ? 80 : port;
	f[3] = back ? port : 80;
}

static void
send_flow(unsigned pair, bool v6, uint8_t port)
{
	static const uint8_t hdr[HDR];
	unsigned at = mtx[pair].seen++ % NUM;

	memcpy(data, hdr, HDR);
	flow(data + HDR, v6, port, false);
	mtx[pair].desc[at] = (struct vdesc){ DATA, HDR + 80, 0, 0 };
	v_avail(&mtx[pair], (uint16_t)at);
	v_write(&fx, V_NOTIFY, 2 * pair + 1);
	fx_turn(&fx);
}

/* The pair by which the answer comes. */
static unsigned
answered_by(bool v6, uint8_t port)
{
	uint16_t before[PAIRS];
	uint8_t f[80];

	for (unsigned i = 0; i < PAIRS; i++)
		before[i] = mrx[i].used[1];
	flow(f, v6, port, true);
	CHECK(wire_receive(f, sizeof(f)));
	net_receive_flush(wire.net);
	for (unsigned i = 0; i < PAIRS; i++) {
		if (mrx[i].used[1] != before[i])
			return (i);
	}
	return (PAIRS);
}

TEST(pairs_of_queues)
{
	setup("net.queues=4\n", 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 8) & 0xffff, PAIRS);
	drive_pairs(F_CTRL | F_MQ);
	/* One pair until the driver says more: whatever is sent by another. */
	send_flow(2, false, 10);
	CHECK_EQ(wire.frame[0].queue, 2);
	CHECK_EQ(answered_by(false, 10), 0);
	CHECK_EQ(control64(4, 0, 0, 2), 1);
	CHECK_EQ(control64(4, 0, PAIRS + 1, 2), 1);
	CHECK_EQ(control64(4, 0, 2, 1), 1);
	CHECK_EQ(wire.net->used, 1);
	CHECK_EQ(control64(4, 0, PAIRS, 2), 0);
	CHECK_EQ(wire.net->used, PAIRS);
	/* A flow is answered by the pair that sent it last (5.1.6.5.5). */
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (uint8_t i = 0; i < PAIRS; i++)
			send_flow(i, v6 != 0, (uint8_t)(20 + i));
		for (uint8_t i = 0; i < PAIRS; i++)
			CHECK_EQ(answered_by(v6 != 0, (uint8_t)(20 + i)), i);
		send_flow(0, v6 != 0, 23);
		CHECK_EQ(answered_by(v6 != 0, 23), 0);
	}
	/* Fewer again. */
	CHECK_EQ(control64(4, 0, 2, 2), 0);
	CHECK_EQ(answered_by(false, 22), 0);
	/* A back end that steers. */
	wire.net->steers = true;
	for (uint16_t i = 0; i < PAIRS; i++) {
		uint8_t f[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
		const struct iovec iov = { f, sizeof(f) };
		const struct net_frame frame = { .iov = &iov, .niov = 1, .len = sizeof(f), .queue = i };
		uint16_t before = mrx[1].used[1];

		CHECK(net_receive(wire.net, &frame));
		net_receive_flush(wire.net);
		CHECK_EQ(mrx[1].used[1] != before, i == 1);
	}
	/* A driver without MQ has its commands in queue 2, and one pair. */
	drive(F_CTRL);
	CHECK_EQ(control64(4, 0, 2, 2), 1);
	CHECK_EQ(control(0, 0, "\0", 1), 0);
	finish();
}

/* What a refused frame held up goes on in every queue. */
TEST(back_pressure_of_several_queues)
{
	setup("net.queues=4\n", 0);
	drive_pairs(F_CTRL | F_MQ);
	CHECK_EQ(control64(4, 0, PAIRS, 2), 0);
	wire.room = 1;
	for (unsigned i = 0; i < PAIRS; i++) {
		send_flow(i, false, 1);
		send_flow(i, false, 1);
	}
	CHECK_EQ(wire.sent, 1);
	wire.room = 100;
	wire.net->nic->writable(wire.net->arg);
	CHECK_EQ(wire.sent, 2 * PAIRS);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK_EQ(mtx[i].used[1], 2);
	finish();
}

/* Another device with the state has pairs, VLANs and offloads, and asks the driver to say where it is. */
TEST(move_of_everything)
{
	static struct fx to;
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	const void *bytes;
	size_t len;
	const char *four = "net.queues=4\n";
	struct vdrv there;

	setup(four, 0);
	drive_pairs(F_CTRL | F_MQ | F_VLAN | F_ANNOUNCE | F_OFFLOADS | F_GUEST_CSUM | F_GUEST_TSO4 | F_SPEED);
	CHECK_EQ(v_read(&fx, V_CONFIG + 12), 10000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 16, 1), 1);
	CHECK_EQ(control64(4, 0, 3, 2), 0);
	CHECK_EQ(control64(2, 0, 7, 2), 0);
	CHECK_EQ(control64(5, 0, F_GUEST_CSUM, 8), 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 1);
	devices_pause(&fx.vmm);
	/* With fewer queues it is another device. */
	fx_open(&to);
	CHECKF(card(&to, "net.queues=2\n") != NULL, "%s", vmm_errmsg());
	CHECK_EQ(devices_save(&fx.vmm, out), 0);
	bytes = vm_state_out_data(out, &len);
	in = vm_state_in_open(bytes, len);
	CHECK(in != NULL);
	CHECK_EQ(devices_load(&to.vmm, in), -1);
	vm_state_in_close(in);
	vm_state_out_close(out);
	fx_close(&to);
	fx_open(&to);
	CHECKF(card(&to, four) != NULL, "%s", vmm_errmsg());
	fx_move(&fx, &to);
	/* The rings are in memory that did not come along. */
	memcpy(vm_map_gpa(to.vmm.vm, 0x140000, 0x400000), vm_map_gpa(fx.vmm.vm, 0x140000, 0x400000), 0x400000);
	devices_resume(&to.vmm);
	fx_turn(&to);
	CHECK_EQ(wire.net->used, 3);
	CHECK_EQ(atomic_load(&wire.net->takes), NET_TAKES_CSUM);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, VM_BASE + V_CONFIG + 6, 2), 3);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, VM_BASE + V_ISR, 4) & 2, 2);
	/* The driver has told the network. */
	there = ctrl;
	there.desc = vm_map_gpa(to.vmm.vm, there.gpa, 0x10000);
	there.avail = (void *)((uint8_t *)there.desc + 0x4000);
	memcpy(vm_map_gpa(to.vmm.vm, CMD, 2), "\3", 2);
	there.desc[0] = (struct vdesc){ CMD, 2, D_NEXT, 1 };
	there.desc[1] = (struct vdesc){ CMD + 0x800, 1, D_WRITE, 0 };
	v_avail(&there, 0);
	fx_write(&to, VM_SPACE_MEM, VM_BASE + V_NOTIFY, 4, ctrl_at);
	fx_turn(&to);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, VM_BASE + V_CONFIG + 6, 2), 1);
	fx_close(&to);
	fx_close(&fx);
}

TEST(link)
{
	setup("net.mtu=9000\n", 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 1);
	CHECK_EQ(v_read(&fx, V_CONFIG + 8) >> 16, 9000);
	wire.net->link = false;
	wire.net->nic->link(wire.net->arg, false);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 0);
	CHECK_EQ(v_read(&fx, V_ISR) & 2, 2);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(tx.used[1], 1);
	wire.net->link = true;
	wire.net->nic->link(wire.net->arg, true);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 1);
	finish();
}

/* A cable that is not plugged in: nothing leaves, nothing arrives, and the back end's being there changes nothing. */
TEST(unplugged)
{
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	setup("net.link=off\n", 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 0);
	net_set_link(wire.net, true);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 0);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(tx.used[1], 1);
	post(1, 2048);
	CHECK(wire_receive(frame, sizeof(frame)));
	CHECK_EQ(rx.used[1], 0);
	fx_reset(&fx);
	CHECK_EQ(v_read(&fx, V_CONFIG + 4) >> 16, 0);
	finish();
}

/* Paused nothing moves; what waits is taken up, also by another device with the same state. */
TEST(pause_and_move)
{
	static struct fx to;
	uint64_t mac;

	setup("net.mac=02:00:00:00:00:01\n", F_CTRL);
	CHECK_EQ(control(1, 1, OTHER, 6), 0);
	CHECK_EQ(control(0, 0, "\0", 1), 0);
	post(2, 2048);
	devices_pause(&fx.vmm);
	CHECK(!wire.started);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(tx.used[1], 0);
	fx_open(&to);
	CHECKF(card(&to, "net.mac=02:00:00:00:00:01\n") != NULL, "%s", vmm_errmsg());
	fx_move(&fx, &to);
	mac = fx_read(&to, VM_SPACE_MEM, VM_BASE + V_CONFIG + 4, 4) & 0xffff;
	CHECK_EQ(mac, 0x0200);
	fx_close(&to);
	wire.closed = false;
	finish();
}

TEST(pause_and_resume)
{
	setup("", 0);
	post(1, 2048);
	devices_pause(&fx.vmm);
	put(0, NULL, 60, 0x11);
	send_one(0, DATA, HDR + 60);
	CHECK_EQ(wire.sent, 0);
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 1);
	CHECK(arrive(60, 0x44, 0, 0));
	CHECK_EQ(rx.used[1], 1);
	finish();
}

/* Without a driver frames are dropped and nobody waits. */
TEST(no_driver)
{
	setup("", 0);
	v_write(&fx, V_STATUS, 0);
	CHECK(arrive(60, 0x44, 0, 0));
	CHECK_EQ(atomic_load(&wire.net->takes), 0);
	finish();
}

TEST(broken_drivers)
{
	setup("", 0);
	rx.desc[0] = (struct vdesc){ RXBUF, HDR - 1, D_WRITE, 0 };
	v_avail(&rx, 0);
	CHECK(arrive(60, 0x44, 0, 0));
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	CHECK(arrive(60, 0x44, 0, 0));
	drive(0);
	ctrl.desc[0] = (struct vdesc){ CMD, 8, 0, 0 };
	v_avail(&ctrl, 0);
	v_write(&fx, V_NOTIFY, CTRL);
	fx_turn(&fx);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	drive(0);
	tx.desc[0] = (struct vdesc){ 0x7f0000000000ULL, 100, 0, 0 };
	v_avail(&tx, 0);
	v_write(&fx, V_NOTIFY, TX);
	fx_turn(&fx);
	CHECK((v_read(&fx, V_STATUS) & 0x40) != 0);
	CHECK_EQ(wire.sent, 0);
	/* Fewer buffers than a frame needs, and all the driver can have. */
	drive(F_MRG_RXBUF);
	rx.seen = 0;
	post(NUM, 64);
	CHECK(arrive(4000, 0x44, 0, 0));
	CHECK_EQ(rx.used[1], 0);
	CHECK(arrive(100, 0x44, 0, 0));
	CHECK_EQ(rx.used[1], 2);
	finish();
}

TEST(addresses_by_name)
{
	uint8_t a[6], b[6];

	net_default_mac("vm", "pci.0.2.0", "", a);
	net_default_mac("vm", "pci.0.2.0", "", b);
	CHECK(memcmp(a, b, 6) == 0);
	CHECK_EQ(a[0] & 3, 2);
	net_default_mac("vm", "pci.0.3.0", "", b);
	CHECK(memcmp(a, b, 6) != 0);
	net_default_mac("vn", "pci.0.2.0", "", b);
	CHECK(memcmp(a, b, 6) != 0);
	net_default_mac(NULL, "pci.0.2.0", "", b);
	CHECK(memcmp(a, b, 6) != 0);
	net_default_mac("vm", "pci.0.2.0", "tap0", b);
	CHECK(memcmp(a, b, 6) != 0);
}

TEST(unknown_back_end)
{
	fx_open(&fx);
	CHECK(card(&fx, "net.backend=wird\n") == NULL);
	CHECKF(strstr(vmm_errmsg(), "did you mean 'wire'") != NULL, "%s", vmm_errmsg());
	fx_close(&fx);
}

TEST_MAIN()
