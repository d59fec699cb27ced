/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_offload.c - what the gigabit controller does to frames: checksums into what is sent and about what is received, TCP and UDP cut into
 * segments, here or by the back end, and VLAN tags.
 */
#include "e1000_driver.h"

#define	IXSM	(1ULL << 40)
#define	TXSM	(2ULL << 40)
#define	C_TCP	0x01000000ULL
#define	C_IP	0x02000000ULL

/* A context for a packet of packet(): of a segmentation with mss, or for checksums. */
static void
context(unsigned version, unsigned protocol, unsigned payload, unsigned mss)
{
	unsigned l4 = 14 + (version == 4 ? 20U : 40U), header = l4 + (protocol == 6 ? 20 : 8), field = l4 + (protocol == 6 ? 16 : 6);
	uint64_t low = 14 | (14ULL + 10) << 8 | (l4 - 1ULL) << 16 | (uint64_t)l4 << 32 | (uint64_t)field << 40;

	tx_desc(low, payload | DEXT | RS | (protocol == 6 ? C_TCP : 0) | (version == 4 ? C_IP : 0) | (mss != 0 ? TSE : 0) |
	    (uint64_t)header << 40 | (uint64_t)mss << 48);
}

/* The checksum fields as a driver leaves them: IPv4's 0, the other the pseudo header's sum, with a length or, to be cut, without. */
static void
unfinished(uint8_t *p, unsigned len, bool cut)
{
	bool six = p[14] >> 4 == 6;
	uint8_t *ip = p + 14, *l4 = ip + (six ? 40 : 20);
	unsigned protocol = six ? ip[6] : ip[9], n = cut ? 0 : len - (unsigned)(l4 - p);

	if (!six)
		put_be16(ip + 10, 0);
	put_be16(l4 + (protocol == 6 ? 16 : 6), l4_sum(ip, l4, 0) + n > 0xffff ? l4_sum(ip, l4, 0) + n - 0xffff : l4_sum(ip, l4, 0) + n);
}

static void
check_sums(const uint8_t *p, size_t len)
{
	bool six = p[14] >> 4 == 6;
	const uint8_t *ip = p + 14, *l4 = ip + (six ? 40 : 20);

	if (!six)
		CHECK_EQ(sum16(ip, 20, 0), 0xffff);
	CHECK_EQ(l4_sum(ip, l4, (unsigned)(len - (size_t)(l4 - p))), 0xffff);
}

static void
setup_taking(unsigned takes, uint32_t rctl)
{
	wire_ops.takes = takes;
	setup(rctl);
}

/* A packet by a data descriptor for its headers and another for the rest. */
static void
send_packet(const uint8_t *p, unsigned len, unsigned header, uint64_t more)
{
	gpa_write(TX_BUF, p, len);
	tx_desc(TX_BUF, header | DATA | more);
	tx_desc(TX_BUF + header, (len - header) | DATA | ONE | (more & TSE));
	tx_go();
}

TEST(checksums)
{
	static const unsigned what[4][2] = { { 4, 6 }, { 4, 17 }, { 6, 6 }, { 6, 17 } };
	uint8_t p[1514], whole[1514];
	unsigned len, l4;

	for (unsigned takes = 0; takes < 2; takes++) {
		setup_taking(takes != 0 ? NET_TAKES_CSUM : 0, RX_EN);
		for (unsigned i = 0; i < 4; i++) {
			len = packet(p, what[i][0], what[i][1], 301);
			memcpy(whole, p, len);
			unfinished(p, len, false);
			context(what[i][0], what[i][1], 0, 0);
			send_packet(p, len, 54, IXSM * (what[i][0] == 4) | TXSM);
			CHECK_EQ(wire.sent, i + 1);
			CHECK_EQ(wire.frame[i].len, len);
			l4 = what[i][0] == 4 ? 34 : 54;
			CHECK_EQ(wire.frame[i].flags, takes != 0 ? NET_NEEDS_CSUM : 0);
			if (takes != 0) {
				CHECK_EQ(wire.frame[i].csum_start, l4);
				CHECK_EQ(wire.frame[i].csum_off, what[i][1] == 6 ? 16 : 6);
				CHECK(memcmp(wire.frame[i].data + 24, whole + 24, what[i][0] == 4 ? 2 : 0) == 0);
			} else {
				CHECK(memcmp(wire.frame[i].data, whole, len) == 0);
			}
		}
		/* Without the options nothing is done. */
		send_packet(p, len, 54, 0);
		CHECK(memcmp(wire.frame[4].data, p, len) == 0);
		/* An end, which only this chip has, and places that are outside. */
		tx_desc(20ULL << 32 | 10ULL << 40 | 39ULL << 48, DEXT);
		memset(p, 0, 100);
		memset(p + 20, 0x11, 80);
		send_packet(p, 100, 54, TXSM);
		CHECK_EQ(be16(wire.frame[5].data + 10), ~sum16(p + 20, 20, 0) & 0xffff);
		tx_desc(14 | 255ULL << 8 | 0xffffULL << 16 | 255ULL << 32 | 99ULL << 40, DEXT);
		send_packet(p, 100, 54, TXSM | IXSM);
		CHECK(memcmp(wire.frame[6].data, p, 100) == 0);
		unmake(&fx, host);
	}
}

/* By a legacy descriptor: from a byte to the end. */
TEST(legacy_checksum)
{
	uint8_t p[200], whole[200];
	unsigned len;

	setup_taking(0, RX_EN);
	len = packet(p, 4, 17, 99);
	memcpy(whole, p, len);
	put_be16(p + 40, l4_sum(p + 14, p + 34, 0) + len - 34);
	tx_frame(p, len, IC | 40ULL << 16 | 34ULL << 40);
	CHECK(memcmp(wire.frame[0].data, whole, len) == 0);
	tx_frame(p, len, IC | 250ULL << 16 | 34ULL << 40);
	CHECK(memcmp(wire.frame[1].data, p, len) == 0);
	unmake(&fx, host);
}

/* Segments as they come out: their lengths, numbers, flags and sums. */
static void
check_segments(const uint8_t *p, unsigned len, unsigned header, unsigned mss)
{
	bool six = p[14] >> 4 == 6, tcp = p[six ? 20 : 23] == 6;
	unsigned l4 = six ? 54 : 34, off = 0, i;

	for (i = 0; i < wire.sent; i++) {
		const uint8_t *f = wire.frame[i].data;
		unsigned n = len - header - off < mss ? len - header - off : mss;
		bool last = off + n == len - header;

		CHECK_EQ(wire.frame[i].len, header + n);
		CHECK(memcmp(f + header, p + header + off, n) == 0);
		if (six) {
			CHECK_EQ(be16(f + 18), header + n - 54);
		} else {
			CHECK_EQ(be16(f + 16), header + n - 14);
			CHECK_EQ(be16(f + 18), 0x1234 + i);
		}
		if (tcp) {
			CHECK_EQ(be16(f + l4 + 4) << 16 | be16(f + l4 + 6), 0xffffff00U + off);
			CHECK_EQ(f[l4 + 13], last ? 0x19 : 0x10);
		} else {
			CHECK_EQ(be16(f + l4 + 4), 8 + n);
		}
		check_sums(f, header + n);
		off += n;
	}
	CHECK_EQ(off, len - header);
}

TEST(segments)
{
	static const unsigned what[4][2] = { { 4, 6 }, { 4, 17 }, { 6, 6 }, { 6, 17 } };
	static uint8_t p[20000];
	unsigned len, header;

	for (unsigned i = 0; i < 4; i++) {
		setup_taking(0, RX_EN);
		len = packet(p, what[i][0], what[i][1], 14000);
		header = len - 14000;
		unfinished(p, len, true);
		context(what[i][0], what[i][1], 14000, 1448);
		send_packet(p, len, header, TSE | TXSM | IXSM * (what[i][0] == 4));
		CHECK_EQ(wire.sent, 10);
		check_segments(p, len, header, 1448);
		CHECK_EQ(r(STAT(62)), 1);		/* TSCTC */
		CHECK_EQ(r(STAT(52 + 1)), 10);		/* TPT */
		/* One that refuses has the rest when it can. */
		wire.sent = 0;
		wire.room = 3;
		send_packet(p, len, header, TSE | TXSM | IXSM * (what[i][0] == 4));
		CHECK_EQ(wire.sent, 3);
		wire.room = 100;
		wire.net->nic->writable(wire.net->arg);
		check_segments(p, len, header, 1448);
		/* A context without a segmentation is another one. */
		wire.sent = 0;
		context(4, 6, 0, 0);
		send_packet(p, len, header, TSE | TXSM | IXSM * (what[i][0] == 4));
		check_segments(p, len, header, 1448);
		/* Less data than was said; and one segment. */
		wire.sent = 0;
		context(what[i][0], what[i][1], 1000, 1448);
		send_packet(p, len, header, TSE | TXSM | IXSM * (what[i][0] == 4));
		CHECK_EQ(wire.sent, 1);
		check_segments(p, header + 1000, header, 1448);
		/* Headers that cannot be, and no segments at all. */
		wire.sent = 0;
		context(what[i][0], what[i][1], 14000, 16340);
		send_packet(p, len, header, TSE | TXSM);
		tx_desc(200 | 24 << 8 | 34ULL << 32 | 50ULL << 40, 1000 | DEXT | C_TCP | C_IP | TSE | 54ULL << 40 | 100ULL << 48);
		send_packet(p, len, header, TSE | TXSM);
		tx_desc(14 | 24 << 8 | 34ULL << 32 | 50ULL << 40, 1000 | DEXT | C_TCP | C_IP | TSE | 54ULL << 40);
		send_packet(p, len, header, TSE | TXSM);
		tx_desc(14 | 24 << 8 | 34ULL << 32 | 50ULL << 40, 0 | DEXT | C_TCP | C_IP | TSE | 54ULL << 40 | 100ULL << 48);
		send_packet(p, len, header, TSE | TXSM);
		CHECK_EQ(wire.sent, 0);
		unmake(&fx, host);
	}
}

/* Many small ones do not keep the control thread: it comes back for the rest. */
TEST(many_segments)
{
	static uint8_t p[20000];
	unsigned len, sent = 0;

	setup_taking(0, RX_EN);
	len = packet(p, 4, 6, 10000);
	unfinished(p, len, true);
	context(4, 6, 10000, 8);
	gpa_write(TX_BUF, p, len);
	tx_desc(TX_BUF, len | DATA | ONE | TSE | TXSM | IXSM);
	w(TDT, tx_tail);
	for (unsigned i = 0; i < 100 && sent < 1250; i++) {
		wire.sent = 0;
		wire.room = SENT;
		wire.net->nic->writable(wire.net->arg);
		CHECK(wire.sent <= SENT);
		sent += wire.sent;
	}
	CHECK_EQ(sent, 1250);
	unmake(&fx, host);
}

/* A back end that cuts gets it whole; what it does not take is cut here. */
TEST(whole_segmentations)
{
	static uint8_t p[20000];
	unsigned len;

	setup_taking(NET_TAKES_CSUM | NET_TAKES_TSO4, RX_EN);
	len = packet(p, 4, 6, 14000);
	unfinished(p, len, true);
	context(4, 6, 14000, 1448);
	send_packet(p, len, 54, TSE | TXSM | IXSM);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, len);
	CHECK_EQ(wire.frame[0].gso, NET_GSO_TCP4);
	CHECK_EQ(wire.frame[0].gso_size, 1448);
	CHECK_EQ(wire.frame[0].flags, NET_NEEDS_CSUM);
	CHECK_EQ(wire.frame[0].csum_start, 34);
	CHECK_EQ(wire.frame[0].csum_off, 16);
	CHECK_EQ(be16(wire.frame[0].data + 16), len - 14);
	CHECK_EQ(sum16(wire.frame[0].data + 14, 20, 0), 0xffff);
	CHECK_EQ(be16(wire.frame[0].data + 50), sum16(p + 26, 8, 6 + len - 34));
	CHECK_EQ(wire.frame[0].data[47], 0x19);
	/* With CWR only for one that takes that. */
	p[47] |= 0x80;
	wire.sent = 0;
	send_packet(p, len, 54, TSE | TXSM | IXSM);
	CHECK_EQ(wire.sent, 10);
	CHECK_EQ(wire.frame[0].gso, 0);
	wire_ops.takes |= NET_TAKES_ECN;
	wire.sent = 0;
	send_packet(p, len, 54, TSE | TXSM | IXSM);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].gso, NET_GSO_TCP4 | NET_GSO_ECN);
	/* Nor IPv6, nor UDP; and a tag moves what the frame says of itself. */
	w(CTRL, SLU | VME);
	wire.sent = 0;
	gpa_write(TX_BUF, p, len);
	tx_desc(TX_BUF, len | DATA | TSE | TXSM | IXSM);
	tx_desc(0, DATA | ONE | TSE | VLE | 0x0123ULL << 48);
	tx_go();
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, len + 4);
	CHECK_EQ(wire.frame[0].csum_start, 38);
	CHECK(memcmp(wire.frame[0].data, p, 12) == 0);
	CHECK(memcmp(wire.frame[0].data + 12, "\x81\x00\x01\x23\x08\x00\x45", 7) == 0);
	len = packet(p, 6, 6, 3000);
	unfinished(p, len, true);
	context(6, 6, 3000, 1000);
	wire.sent = 0;
	send_packet(p, len, 74, TSE | TXSM);
	CHECK_EQ(wire.sent, 3);
	CHECK_EQ(wire.frame[0].gso, 0);
	CHECK_EQ(wire.frame[0].flags, NET_NEEDS_CSUM);
	unmake(&fx, host);
}

TEST(tags)
{
	uint8_t p[1518], got[2048];
	uint64_t rest;
	unsigned len;

	setup_taking(0, RX_EN);
	frame(p, 100, mac, 0);
	/* Inserted only if the driver has switched it on. */
	tx_frame(p, 100, VLE | 0x6789ULL << 48);
	CHECK_EQ(wire.frame[0].len, 100);
	w(CTRL, SLU | VME);
	tx_frame(p, 100, VLE | 0x6789ULL << 48);
	CHECK_EQ(wire.frame[1].len, 104);
	CHECK(memcmp(wire.frame[1].data, p, 12) == 0 && memcmp(wire.frame[1].data + 16, p + 12, 88) == 0);
	CHECK(memcmp(wire.frame[1].data + 12, "\x81\x00\x67\x89", 4) == 0);
	/* Taken away and told. */
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 104);
	CHECK(memcmp(got, p, 100) == 0);
	CHECK_EQ(rest >> 35 & 1, 1);
	CHECK_EQ(rest >> 48, 0x6789);
	w(CTRL, SLU);
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 108);
	CHECK(memcmp(got, wire.frame[1].data, 104) == 0);
	CHECK_EQ(rest >> 35 & 1, 0);
	/* Networks that are let in: number 0x789; others are not tagged. */
	w(RCTL, RX_EN | 0x40000);
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 0);
	w(VFTA(0x789 / 32), 1U << 0x789 % 32);
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 108);
	CHECK(rx_frame(p, 100));
	CHECK_EQ(rx_next(got, &rest), 104);
	/* And those with the right CFI, which is 0 here. */
	w(RCTL, RX_EN | 0x1c0000);
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 0);
	w(RCTL, RX_EN | 0x0c0000);
	CHECK(rx_frame(wire.frame[1].data, 104));
	CHECK_EQ(rx_next(got, &rest), 108);
	/* The longest with a tag; and sums are those of what is inside. */
	w(CTRL, SLU | VME);
	w(RXCSUM, 0x300);
	w(RCTL, RX_EN);
	len = packet(p, 4, 6, 1460);
	tx_frame(p, len, VLE | 5ULL << 48);
	CHECK_EQ(wire.frame[2].len, 1518);
	CHECK(rx_frame(wire.frame[2].data, 1518));
	CHECK_EQ(rx_next(got, &rest), 1518);
	CHECK_EQ(rest >> 32 & 0xff6f, 0x6b);
	w(CTRL, SLU);
	CHECK(rx_frame(wire.frame[2].data, 1518));
	CHECK_EQ(rx_next(got, &rest), 1522);
	CHECK_EQ(rest >> 32 & 0xff6f, 0x63);
	unmake(&fx, host);
}

/* IXSM, TCPCS, IPCS, and the errors. */
#define	VERDICT(rest)	((rest) >> 32 & 0xff64)

TEST(received_checksums)
{
	static const struct { unsigned version, protocol, field, good, bad; } t[] = {
		{ 4, 6, 50, 0x60, 0x2060 }, { 4, 17, 40, 0x60, 0x2060 }, { 4, 1, 100, 0x40, 0x40 }, { 6, 6, 70, 0x20, 0x2020 }, { 6, 17, 60, 0x20, 0x2020 },
		{ 6, 58, 100, 0, 0 },
	};
	uint8_t p[1514], got[2048];
	uint64_t rest;
	unsigned len;

	setup_taking(0, RX_EN);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		w(RXCSUM, 0x300);
		len = packet(p, t[i].version, t[i].protocol, 333);
		CHECK(rx_frame(p, len));
		CHECK_EQ(rx_next(got, &rest), len + 4);
		CHECK_EQ(VERDICT(rest), t[i].good);
		p[t[i].field] ^= 1;
		CHECK(rx_frame(p, len));
		CHECK_EQ(rx_next(got, &rest), len + 4);
		CHECK_EQ(VERDICT(rest), t[i].bad);
		/* Who vouches for a frame is believed. */
		struct iovec iov = { p, len };
		const struct net_frame f = { .iov = &iov, .niov = 1, .len = len, .flags = NET_CSUM_GOOD };

		CHECK(net_receive(wire.net, &f));
		CHECK_EQ(rx_next(got, &rest), len + 4);
		CHECK_EQ(VERDICT(rest), t[i].good);
		w(RXCSUM, 0);
		CHECK(rx_frame(p, len));
		CHECK_EQ(rx_next(got, &rest), len + 4);
		CHECK_EQ(VERDICT(rest), 0x04);
		p[t[i].field] ^= 1;
	}
	/* The header's own sum; a fragment; UDP without one; and headers that lie. */
	w(RXCSUM, 0x300);
	len = packet(p, 4, 17, 100);
	p[24] ^= 1;
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0x4060);
	len = packet(p, 4, 17, 100);
	put_be16(p + 40, 0);
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0x40);
	p[20] = 0x20;
	put_be16(p + 24, 0);
	put_be16(p + 24, ~sum16(p + 14, 20, 0) & 0xffff);
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0x40);
	len = packet(p, 4, 6, 100);
	put_be16(p + 16, len);
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0);
	len = packet(p, 6, 6, 100);
	put_be16(p + 18, 121);
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0);
	len = packet(p, 4, 6, 0);
	CHECK(rx_frame(p, len) && rx_next(got, &rest) != 0);
	CHECK_EQ(VERDICT(rest), 0x60);
	/* The packet's own sum. */
	w(RXCSUM, 14);
	w(RCTL, RX_EN | SECRC);
	frame(p, 200, mac, 3);
	CHECK(rx_frame(p, 200) && rx_next(got, &rest) != 0);
	CHECK_EQ(rest >> 16 & 0xffff, sum16(p + 14, 186, 0));
	w(RXCSUM, 250);
	CHECK(rx_frame(p, 200) && rx_next(got, &rest) != 0);
	CHECK_EQ(rest >> 16 & 0xffff, 0xffff);
	unmake(&fx, host);
}

TEST_MAIN()
