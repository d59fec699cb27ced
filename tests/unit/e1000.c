/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000.c - the gigabit controller as its drivers use it: registers, EEPROM, PHY, interrupts, frames both ways with filters and back
 * pressure, a life, and drivers that do wrong.  e1000_offload.c has checksums, segments and tags.
 */
#include "e1000_driver.h"

TEST(identity)
{
	setup(RX_EN);
	CHECK_EQ(cfg_port_r(&fx, SLOT, 0, 4), 0x100e8086);
	CHECK_EQ(cfg_port_r(&fx, SLOT, R_PIN, 1), 1);
	CHECK_EQ(cfg_port_r(&fx, SLOT, 8, 4) >> 8, 0x020000);
	/* full duplex, link, 1000 Mb/s */
	CHECK_EQ(r(STATUS) & 0xc3, 0x83);
	CHECK_EQ(r(RA(0)), 0x105e0002);
	CHECK_EQ(r(RA(1)), 0x80003020);
	w(CTRL, 0);
	CHECK_EQ(r(STATUS) & 2, 0);
	/* forced: 100 Mb/s, half duplex */
	w(CTRL, SLU | 0x1900);
	CHECK_EQ(r(STATUS) & 0xc3, 0x42);
	unmake(&fx, host);
	make(&fx, &host, "net.model=82545em");
	CHECK_EQ(cfg_port_r(&fx, SLOT, 0, 4), 0x100f8086);
	unmake(&fx, host);
}

/* One bit into the EEPROM, and what it says then. */
static unsigned
ee_bit(unsigned di)
{
	uint32_t v = 0x42U | di << 2;

	w(EECD, v);
	w(EECD, v | 1);
	w(EECD, v);
	return (r(EECD) >> 3 & 1);
}

static void
ee_bits(unsigned v, unsigned n)
{
	while (n-- > 0)
		(void)ee_bit(v >> n & 1);
}

static unsigned
ee_word(void)
{
	unsigned v = 0;

	for (unsigned i = 0; i < 16; i++)
		v = v << 1 | ee_bit(0);
	return (v);
}

static void
ee_select(void)
{
	w(EECD, 0x40);
	w(EECD, 0x42);
}

static unsigned
eerd(unsigned word)
{
	w(EERD, word << 8 | 1);
	CHECK_EQ(r(EERD) & 0x10, 0x10);
	return (r(EERD) >> 16);
}

TEST(eeprom)
{
	unsigned sum = 0;

	setup(RX_EN);
	for (unsigned i = 0; i < 64; i++)
		sum += eerd(i);
	CHECK_EQ(sum & 0xffff, 0xbaba);
	CHECK_EQ(eerd(0), 0x0002);
	CHECK_EQ(eerd(2), 0x3020);
	CHECK_EQ(eerd(13), 0x100e);
	/* By the wires, once they are granted; on and on. */
	CHECK_EQ(r(EECD) & 0x380, 0x100);
	w(EECD, 0x40);
	CHECK_EQ(r(EECD) & 0x80, 0x80);
	ee_select();
	ee_bits(0, 3);
	ee_bits(6, 3);
	ee_bits(0, 6);
	CHECK_EQ(r(EECD) & 8, 0);
	CHECK_EQ(ee_word(), eerd(0));
	CHECK_EQ(ee_word(), eerd(1));
	CHECK_EQ(ee_word(), 0x3020);
	/* Writing needs to be allowed. */
	ee_select();
	ee_bits(5, 3);
	ee_bits(5, 6);
	ee_bits(0x1234, 16);
	CHECK_EQ(eerd(5), 0xffff);
	ee_select();
	ee_bits(0x130, 9);
	ee_select();
	ee_bits(5, 3);
	ee_bits(5, 6);
	ee_bits(0x1234, 16);
	ee_select();
	CHECK_EQ(r(EECD) & 8, 8);
	CHECK_EQ(eerd(5), 0x1234);
	ee_select();
	ee_bits(7, 3);
	ee_bits(5, 6);
	CHECK_EQ(eerd(5), 0xffff);
	ee_select();
	ee_bits(5, 3);
	ee_bits(2, 6);
	ee_bits(0x4433, 16);
	ee_select();
	ee_bits(0x100, 9);
	ee_select();
	ee_bits(7, 3);
	ee_bits(2, 6);
	CHECK_EQ(eerd(2), 0x4433);
	/* What it says is the address from the next reset on. */
	CHECK_EQ(r(RA(1)), 0x80003020);
	w(CTRL, RST);
	CHECK_EQ(r(RA(1)), 0x80004433);
	unmake(&fx, host);
}

static unsigned
phy(unsigned reg)
{
	w(MDIC, 2U << 26 | 1U << 21 | reg << 16);
	CHECK_EQ(r(MDIC) >> 28, 1);
	return (r(MDIC) & 0xffff);
}

static void
phy_set(unsigned reg, unsigned v)
{
	w(MDIC, 1U << 26 | 1U << 21 | reg << 16 | v);
	CHECK_EQ(r(MDIC) >> 28, 1);
}

TEST(the_phy)
{
	setup(RX_EN);
	CHECK_EQ(phy(2), 0x0141);
	CHECK_EQ(phy(3), 0x0c20);
	(void)phy(1);
	CHECK_EQ(phy(1), 0x796d);
	CHECK_EQ(phy(5) & 0x4000, 0x4000);
	CHECK_EQ(phy(10), 0x3c00);
	CHECK_EQ(phy(17) & 0xec00, 0xac00);
	phy_set(2, 0);
	CHECK_EQ(phy(2), 0x0141);
	phy_set(4, 0x0123);
	CHECK_EQ(phy(4), 0x0123);
	/* Nobody is at other addresses. */
	w(MDIC, 2U << 26 | 2U << 21 | 2U << 16 | 1U << 29);
	CHECK_EQ(r(MDIC) >> 28, 7);
	CHECK_EQ(r(ICR), MDAC);
	/* A lost link is told once, and by an interrupt. */
	wire.net->nic->link(wire.net->arg, false);
	CHECK(fx_level(&fx));
	CHECK_EQ(r(ICR), LSC);
	CHECK_EQ(r(STATUS) & 2, 0);
	CHECK_EQ(phy(1), 0x7949);
	CHECK_EQ(phy(10), 0);
	wire.net->nic->link(wire.net->arg, true);
	CHECK_EQ(r(ICR), LSC);
	CHECK_EQ(r(STATUS) & 2, 2);
	CHECK_EQ(phy(1) & 4, 0);
	CHECK_EQ(phy(1) & 4, 4);
	/* So is one that negotiates anew, or that has no power. */
	phy_set(0, 0x1340);
	CHECK_EQ(r(ICR), LSC);
	CHECK_EQ(phy(0), 0x1140);
	phy_set(0, 0x1940);
	CHECK_EQ(r(STATUS) & 2, 0);
	phy_set(0, 0x8000);
	CHECK_EQ(phy(0), 0x1140);
	CHECK_EQ(phy(4), 0x0de1);
	CHECK_EQ(r(STATUS) & 2, 2);
	unmake(&fx, host);
}

TEST(registers)
{
	static const struct { unsigned reg, mask; } t[] = {
		{ 0x28, ~0U }, { 0x2c, 0xffff }, { 0x30, 0xffff }, { 0x38, 0xffff }, { 0x100, 0x06dfb3fe & ~2U }, { 0x170, 0xffff }, { 0x410, 0x3fffffff },
		{ 0x2160, 0x8000fff8 }, { 0x2800, ~15U }, { 0x2804, ~0U }, { 0x2808, 0xfff80 }, { 0x2810, 0xffff }, { 0x3808, 0xfff80 },
		{ 0x3820, 0xffff }, { 0x5200, ~0U }, { 0x53fc, ~0U }, { 0x5408, ~0U }, { 0x547c, ~0U }, { 0x57fc, ~0U }, { 0x5808, 0xf80ff },
		{ 0x5858, ~0U }, { 0x5f18, 0x7ff }, { 0x93f8, 0xf }, { 0x9bf8, ~0U },
	};

	setup(0);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		w(t[i].reg, ~0U & ~(t[i].reg == 0x100 ? 2U : 0));
		CHECK_EQ(r(t[i].reg), t[i].mask);
		w(t[i].reg, 0);
		CHECK_EQ(r(t[i].reg), 0);
	}
	/* Between and behind them is nothing. */
	w(0x5480, 1);
	CHECK_EQ(r(0x5480), 0);
	w(0x9004, 1);
	CHECK_EQ(r(0x9004), 0);
	CHECK_EQ(r(0x1fffc), 0);
	/* What is not for receiving is for sending. */
	CHECK_EQ(r(0x1000), 0x00100030);
	w(0x1000, 0x28);
	CHECK_EQ(r(0x1000), 0x00180028);
	/* Other widths */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, BASE + RA(0) + 2, 2), 0x105e);
	fx_write(&fx, VM_SPACE_MEM, BASE + RA(0), 2, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, BASE + RA(0), 8), 0x80003020105e0002);
	fx_write(&fx, VM_SPACE_MEM, BASE + RA(2), 8, 0x1122334455667788);
	CHECK_EQ(r(RA(2)), 0x55667788);
	CHECK_EQ(r(RA(3)), 0x11223344);
	/* By ports */
	fx_write(&fx, VM_SPACE_IO, PORT, 4, RA(3));
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, PORT, 4), RA(3));
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, PORT + 4, 4), 0x11223344);
	fx_write(&fx, VM_SPACE_IO, PORT + 4, 4, 7);
	CHECK_EQ(r(RA(3)), 7);
	fx_write(&fx, VM_SPACE_IO, PORT, 4, 0x20000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, PORT + 4, 4), 0);
	/* A reset undoes it, but not what the EEPROM has, nor the PHY's. */
	phy_set(4, 0x0111);
	w(CTRL, RST);
	CHECK_EQ(r(RA(3)), 0);
	CHECK_EQ(r(RA(1)), 0x80003020);
	CHECK_EQ(r(0x1000), 0x00100030);
	CHECK_EQ(r(CTRL), 0x201);
	CHECK_EQ(phy(4), 0x0111);
	unmake(&fx, host);
}

TEST(interrupts)
{
	setup(RX_EN);
	w(IMC, ~0U);
	w(ICS, TXDW | RXDMT0);
	CHECK(!fx_level(&fx));
	w(IMS, TXDW);
	CHECK(fx_level(&fx));
	CHECK_EQ(r(IMS), TXDW);
	w(ICR, TXDW);
	CHECK(!fx_level(&fx));
	CHECK_EQ(r(ICR), RXDMT0);
	CHECK_EQ(r(ICR), 0);
	w(ICS, TXDW);
	w(IMC, TXDW);
	CHECK(!fx_level(&fx));
	w(IMS, TXDW);
	CHECK(fx_level(&fx));
	CHECK_EQ(r(ICR), TXDW);
	CHECK(!fx_level(&fx));
	unmake(&fx, host);
}

/* With ITR the pin waits for its time, and comes by itself. */
TEST(throttle)
{
	setup(RX_EN);
	CHECK_EQ(vm_start(fx.vmm.vm), 0);
	w(ITR, 0xffff);				/* 16.8 ms */
	w(ICS, TXDW);
	CHECK(fx_level(&fx));
	(void)r(ICR);
	CHECK(!fx_level(&fx));
	w(ICS, TXDW);
	/* Either the test was away for so long, or it waits. */
	while (!fx_level(&fx))
		usleep(1000);
	(void)r(ICR);
	w(ICS, TXDW);
	w(ITR, 0);
	CHECK(fx_level(&fx));
	unmake(&fx, host);
}

TEST(a_frame_is_sent)
{
	uint8_t out[1514];

	setup(RX_EN);
	frame(out, sizeof(out), mac, 1);
	tx_frame(out, sizeof(out), 0);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, sizeof(out));
	CHECK(memcmp(wire.frame[0].data, out, sizeof(out)) == 0);
	CHECK_EQ(tx_rest(0) & DD, DD);
	CHECK(fx_level(&fx));
	CHECK_EQ(r(ICR), TXDW | TXQE);
	CHECK_EQ(r(TDBAL + 16), 1);
	/* Of three pieces, the last without a status; one whose checksum is the driver's. */
	gpa_write(TX_BUF, out, 600);
	tx_desc(TX_BUF, 100);
	tx_desc(TX_BUF + 100, 200);
	w(TDT, tx_tail);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(r(TDBAL + 16), 1);
	tx_desc(TX_BUF + 300, 300 | EOP);
	tx_go();
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.frame[1].len, 596);
	CHECK(memcmp(wire.frame[1].data, out, 596) == 0);
	CHECK_EQ(tx_rest(3) & DD, 0);
	CHECK_EQ(r(ICR), TXQE);
	/* Short ones are made long if the driver says so. */
	tx_frame(out, 20, 0);
	CHECK_EQ(wire.frame[2].len, 20);
	w(TCTL, 10);
	tx_frame(out, 20, 0);
	CHECK_EQ(wire.frame[3].len, 60);
	CHECK(memcmp(wire.frame[3].data, out, 20) == 0 && wire.frame[3].data[20] == 0 && wire.frame[3].data[59] == 0);
	/* What is no frame is done, and goes nowhere. */
	(void)r(ICR);
	tx_frame(out, 13, 0);
	CHECK_EQ(r(ICR), TXDW | TXQE);
	tx_desc(1ULL << 40, 100 | ONE);
	tx_go();
	CHECK_EQ(r(ICR), TXDW | TXQE);
	CHECK_EQ(wire.sent, 4);
	/* Off, nothing is taken; nor without the bus, until it has that. */
	w(TCTL, 0);
	tx_frame(out, 60, 0);
	CHECK_EQ(wire.sent, 4);
	cfg_port_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	w(TCTL, 2);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 4);
	cfg_port_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 5);
	unmake(&fx, host);
}

/* The back end takes nothing: the packet that it refused waits, and those behind it stay in the ring. */
TEST(the_back_end_is_slow)
{
	uint8_t out[60];

	setup(RX_EN);
	wire.room = 0;
	for (unsigned n = 0; n < 10; n++) {
		frame(out, sizeof(out), mac, n);
		tx_frame(out, sizeof(out), 0);
	}
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(r(TDBAL + 16), 1);
	wire.room = 4;
	wire.net->nic->writable(wire.net->arg);
	CHECK_EQ(wire.sent, 4);
	CHECK_EQ(r(TDBAL + 16), 5);
	wire.room = 1000;
	wire.net->nic->writable(wire.net->arg);
	CHECK_EQ(wire.sent, 10);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(wire.frame[i].data[6], (uint8_t)(42 + i));
	/* After a pause the refused one is lost, like on any wire; the others are not. */
	wire.room = 0;
	wire.sent = 0;
	for (unsigned n = 0; n < 3; n++) {
		frame(out, sizeof(out), mac, n);
		tx_frame(out, sizeof(out), 0);
	}
	devices_pause(&fx.vmm);
	wire.room = 1000;
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.frame[0].data[6], 43);
	unmake(&fx, host);
}

TEST(frames_are_received)
{
	uint8_t in[1514], got[2048];
	uint64_t rest;
	unsigned len;

	setup(RX_EN);
	CHECK_EQ(rx_next(got, &rest), 0);
	for (unsigned i = 0; i < 100; i++) {
		len = 14 + i * 211 % 1500;
		frame(in, len, mac, i);
		CHECK(rx_frame(in, len));
		CHECK(fx_level(&fx));
		CHECK_EQ(r(ICR), RXT0);
		CHECK_EQ(rx_next(got, &rest), (len < 60 ? 60 : len) + 4);
		CHECK_EQ(rest >> 32 & 0xff83, 3);
		CHECK(memcmp(in, got, len) == 0);
		CHECK(len >= 60 || got[59] == 0);
		CHECK_EQ(rx_next(got, &rest), 0);
	}
	/* Without the checksum behind it. */
	w(RCTL, RX_EN | SECRC);
	CHECK(rx_frame(in, 100));
	CHECK_EQ(rx_next(got, &rest), 100);
	unmake(&fx, host);
}

/* Frame check sequence of a frame that another machine made. */
TEST(the_checksum_behind_a_frame)
{
	uint8_t in[60] = { 0 }, got[2048];
	uint64_t rest;

	setup(RX_EN | UPE);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 64);
	/* 60 zeros: 0x04128908, low byte first */
	CHECK(memcmp(got + 60, "\x08\x89\x12\x04", 4) == 0);
	unmake(&fx, host);
}

TEST(long_frames)
{
	static uint8_t in[20000], got[20000];
	uint64_t rest;

	setup(RX_EN);
	frame(in, sizeof(in), mac, 3);
	CHECK(rx_frame(in, 1518));
	CHECK_EQ(rx_next(got, &rest), 1522);
	CHECK(rx_frame(in, 1519));
	CHECK_EQ(rx_next(got, &rest), 0);
	CHECK_EQ(r(STAT(43)), 1);		/* ROC */
	/* In as many buffers as it takes, of all sizes. */
	w(RCTL, RX_EN | LPE);
	for (unsigned bsize = 0; bsize < 4; bsize++) {
		w(RCTL, RX_EN | LPE | bsize << 16);
		CHECK(rx_frame(in, 3000));
		CHECK_EQ(rx_next(got, &rest), 3004);
		CHECK(memcmp(in, got, 3000) == 0);
	}
	w(RCTL, RX_EN | LPE);
	CHECK(rx_frame(in, 16380));
	CHECK_EQ(rx_next(got, &rest), 16384);
	CHECK(memcmp(in, got, 16380) == 0);
	CHECK(rx_frame(in, 16381));
	CHECK_EQ(rx_next(got, &rest), 0);
	/* What the whole ring has no room for is lost, and holds nobody up. */
	w(RCTL, RX_EN | LPE | 3U << 16);
	CHECK(rx_frame(in, 16 * 256 - 5));
	CHECK_EQ(rx_next(got, &rest), 0);
	CHECK_EQ(r(STAT(4)), 1);		/* MPC */
	CHECK(rx_frame(in, 15 * 256 - 4));
	CHECK_EQ(rx_next(got, &rest), 15 * 256);
	/* In one, which lies over those of others. */
	w(RCTL, RX_EN | LPE | 0x2010000);
	CHECK(rx_frame(in, 9000));
	CHECK_EQ(rx_next(got, &rest), 9004);
	CHECK(memcmp(in, got, 9000) == 0);
	unmake(&fx, host);
}

TEST(a_full_ring_refuses)
{
	uint8_t in[200], got[2048];
	uint64_t rest;
	unsigned n;

	setup(RX_EN);
	CHECK_EQ(wire.readies, 1);		/* of the start */
	for (n = 0, frame(in, sizeof(in), mac, 0); rx_frame(in, sizeof(in)); frame(in, sizeof(in), mac, n))
		n++;
	CHECK_EQ(n, RING - 1);
	CHECK_EQ(r(ICR), RXT0 | RXDMT0);
	CHECK_EQ(r(STAT(40)), 1);		/* RNBC */
	CHECK_EQ(wire.readies, 1);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(rx_next(got, &rest), sizeof(in) + 4);
		CHECK_EQ(got[6], (uint8_t)(42 + i));
	}
	CHECK_EQ(wire.readies, 2);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), sizeof(in) + 4);
	/* Waiting ends too when nobody receives any more. */
	while (rx_frame(in, sizeof(in)))
		;
	w(RCTL, 0);
	fx_turn(&fx);
	CHECK_EQ(wire.readies, 3);
	CHECK(rx_frame(in, sizeof(in)));
	unmake(&fx, host);
}

TEST(filters)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 }, other[6] = { 2, 1, 1, 1, 1, 1 };
	static const uint8_t group[6] = { 0x01, 0, 0x5e, 0, 0x51, 0xfb };
	static const struct {
		uint32_t rctl;
		bool	 mine, all, other, group;
	} t[] = {
		{ RX_EN, true, false, false, false }, { RX_EN | BAM, true, true, false, false }, { RX_EN | UPE, true, false, true, false },
		{ RX_EN | MPE, true, true, false, true }, { UPE | MPE | BAM, false, false, false, false },
	};
	uint8_t in[64], got[2048];
	uint64_t rest = 0;

	setup(RX_EN);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		w(RCTL, t[i].rctl);
		frame(in, sizeof(in), mac, i);
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest) != 0, t[i].mine);
		CHECK(!t[i].mine || (rest >> 39 & 1) == 0);
		frame(in, sizeof(in), all, i);
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest) != 0, t[i].all);
		frame(in, sizeof(in), other, i);
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest) != 0, t[i].other);
		CHECK(!t[i].other || (rest >> 39 & 1) == 1);
		frame(in, sizeof(in), group, i);
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest) != 0, t[i].group);
	}
	/* Twelve bits of a group's address, from each of four places (13.5.1). */
	for (unsigned mo = 0; mo < 4; mo++) {
		static const unsigned bits[4] = { 0xfb5, 0xf6a, 0xed4, 0xb51 };

		w(RCTL, RX_EN | mo << 12);
		frame(in, sizeof(in), group, mo);
		w(MTA(bits[mo] / 32), ~(1U << bits[mo] % 32));
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest), 0);
		w(MTA(bits[mo] / 32), 1U << bits[mo] % 32);
		CHECK(rx_frame(in, sizeof(in)));
		CHECK_EQ(rx_next(got, &rest), 68);
		CHECK_EQ(rest >> 39 & 1, 1);
		w(MTA(bits[mo] / 32), 0);
	}
	/* Addresses beside the first, of the sender too. */
	w(RCTL, RX_EN);
	w(RA(30), 0x01010102);
	w(RA(31), 0x80000101);
	frame(in, sizeof(in), other, 0);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 68);
	CHECK_EQ(rest >> 39 & 1, 0);
	w(RA(31), 0x80010101);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 0);
	memcpy(in, all, 6);
	memcpy(in + 6, other, 6);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 68);
	w(RA(31), 0x101);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 0);
	/* Without a link nobody is heard. */
	w(CTRL, 0);
	frame(in, sizeof(in), mac, 0);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 0);
	unmake(&fx, host);
}

/* A cable that is not plugged in: neither the driver's wish nor the back end's being there gives it a link. */
TEST(unplugged)
{
	uint8_t in[60];

	make(cur, &host, "net.link=off\n");
	start(RX_EN);
	CHECK_EQ(r(STATUS) & 2, 0);
	net_set_link(wire.net, true);
	CHECK_EQ(r(STATUS) & 2, 0);
	frame(in, sizeof(in), mac, 0);
	CHECK(wire_receive(in, sizeof(in)));
	CHECK_EQ(r(ICR), 0);
	unmake(&fx, host);
}

/* 8.7: what asks for a pause is counted and kept from the driver, while there is flow control. */
TEST(pause_frames)
{
	uint8_t in[60] = { 0x01, 0x80, 0xc2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0x88, 0x08, 0, 1, 0, 100 }, got[2048];
	uint64_t rest;

	setup(RX_EN | MPE);
	w(0x30, 0x8808);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 64);
	w(CTRL, SLU | RFCE);
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 0);
	CHECK_EQ(r(STAT(20)), 1);
	CHECK_EQ(r(STAT(20)), 0);
	in[17] = 0;
	w(RCTL, RX_EN | MPE | 0x800000);	/* PMCF */
	CHECK(rx_frame(in, sizeof(in)));
	CHECK_EQ(rx_next(got, &rest), 64);
	CHECK_EQ(r(STAT(18)), 1);
	unmake(&fx, host);
}

TEST(statistics)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	uint8_t p[1514], got[2048];
	uint64_t rest;

	setup(RX_EN | BAM | MPE);
	frame(p, 300, mac, 0);
	CHECK(rx_frame(p, 300) && rx_next(got, &rest) == 304);
	frame(p, 60, all, 0);
	CHECK(rx_frame(p, 60) && rx_next(got, &rest) == 64);
	p[5] = 7;
	CHECK(rx_frame(p, 60) && rx_next(got, &rest) == 64);
	tx_frame(p, 1514, 0);
	CHECK_EQ(r(STAT(29)), 3);		/* GPRC */
	CHECK_EQ(r(STAT(29)), 0);
	CHECK_EQ(r(STAT(30)), 1);		/* BPRC */
	CHECK_EQ(r(STAT(31)), 1);		/* MPRC */
	CHECK_EQ(r(STAT(23)), 2);		/* PRC64 */
	CHECK_EQ(r(STAT(26)), 1);		/* PRC511 */
	CHECK_EQ(r(STAT(32)), 1);		/* GPTC */
	CHECK_EQ(r(STAT(59)), 1);		/* PTC1522 */
	CHECK_EQ(r(STAT(60)), 1);		/* MPTC */
	/* A counter of 64 bits goes with its upper half. */
	CHECK_EQ(r(STAT(34)), 304 + 64 + 64);
	CHECK_EQ(r(STAT(34)), 304 + 64 + 64);
	CHECK_EQ(r(STAT(35)), 0);
	CHECK_EQ(r(STAT(34)), 0);
	CHECK_EQ(r(STAT(36)), 1518);
	/* Full is full. */
	((uint32_t *)fx_field(dev, "stats"))[29] = UINT32_MAX;
	CHECK(rx_frame(p, 60));
	CHECK_EQ(r(STAT(29)), UINT32_MAX);
	unmake(&fx, host);
}

TEST(loopback)
{
	uint8_t p[200], got[2048];
	uint64_t rest;

	setup(RX_EN | 0x40);
	frame(p, sizeof(p), mac, 1);
	tx_frame(p, sizeof(p), 0);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(rx_next(got, &rest), sizeof(p) + 4);
	CHECK(memcmp(p, got, sizeof(p)) == 0);
	/* Nobody from outside is heard; what finds no room is lost. */
	CHECK(rx_frame(p, sizeof(p)));
	CHECK_EQ(rx_next(got, &rest), 0);
	for (unsigned i = 0; i < RING; i++)
		tx_frame(p, sizeof(p), 0);
	CHECK_EQ(r(STAT(4)), 1);		/* MPC */
	w(RCTL, RX_EN);
	phy_set(0, 0x4140);
	while (rx_next(got, &rest) != 0)
		;
	tx_frame(p, sizeof(p), 0);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(rx_next(got, &rest), sizeof(p) + 4);
	unmake(&fx, host);
}

/* Saved with a frame in each ring, it goes on in the other VM. */
TEST(state)
{
	static const struct fx_bad bad[] = {
		{ "ee_left", 17, 1, "EEPROM" }, { "ims", 1U << 31, 4, "do not exist" }, { "icr", 1U << 5, 4, "do not exist" },
		{ "tx", TX_RING + 1, 4, "a ring" }, { "rx", RX_RING + 8, 4, "a ring" }, { NULL, 0, 0, NULL },
	};
	struct pci_host *host2;
	uint8_t data[200], got[2048];
	uint64_t rest;
	struct fx two;

	make(&two, &host2, "");
	devices_pause(&two.vmm);
	setup(RX_EN);
	frame(data, sizeof(data), mac, 5);
	CHECK(rx_frame(data, sizeof(data)));
	w(MTA(3), 77);
	w(TCTL, 0);
	frame(data, sizeof(data), mac, 6);
	tx_frame(data, sizeof(data), 0);
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	for (unsigned at = 0; at < FX_MEM; at += 4096) {
		uint8_t page[4096];

		CHECK_EQ(vm_gpa_read(fx.vmm.vm, at, page, sizeof(page)), 0);
		CHECK_EQ(vm_gpa_write(two.vmm.vm, at, page, sizeof(page)), 0);
	}
	fx_move(&fx, &two);
	unmake(&fx, host);
	cur = &two;
	wire.sent = 0;
	devices_resume(&two.vmm);
	fx_turn(&two);
	CHECK(fx_level(&two));
	CHECK_EQ(r(ICR), RXT0);
	CHECK_EQ(r(MTA(3)), 77);
	CHECK_EQ(rx_next(got, &rest), sizeof(data) + 4);
	CHECK_EQ(got[6], 47);
	CHECK_EQ(wire.sent, 0);
	w(TCTL, 2);
	fx_turn(&two);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].data[6], 48);
	devices_pause(&two.vmm);
	fx_damage(&two);
	devices_reset(&two.vmm);
	devices_resume(&two.vmm);
	unmake(&two, host2);
}

/* A long ring of what cannot be sent is done by and by, for others live on the control thread. */
TEST(a_ring_of_rubbish)
{
	const uint64_t d[2] = { TX_BUF, 5 | ONE };
	unsigned n = (RX_RING - TX_RING) / 16;

	setup(RX_EN);
	for (unsigned i = 0; i < n; i++)
		gpa_write(TX_RING + 16 * i, d, 16);
	w(TDBAL + 8, 16 * n);
	w(TDT, n - 1);
	CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
	CHECK(r(TDBAL + 16) < n - 1);
	for (unsigned i = 0; i < n && r(TDBAL + 16) != n - 1; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
	CHECK_EQ(r(TDBAL + 16), n - 1);
	CHECK_EQ(wire.sent, 0);
	unmake(&fx, host);
}

/* Rings that are none or nowhere, registers and descriptors of any content: nothing but frames that are lost. */
TEST(drivers_that_do_wrong)
{
	uint8_t in[1514];
	uint64_t seed = 7;

	setup(RX_EN);
	for (unsigned n = 0; n < test_rounds(60000); n++) {
		static const unsigned hot[] = { 0, 0x100, 0x400, TDBAL, TDBAL + 8, TDBAL + 16, TDT, RDBAL, RDBAL + 8, RDBAL + 16, RDT, TDT };
		uint64_t v = test_random(&seed), d[2] = { test_random(&seed), test_random(&seed) };
		unsigned reg = (v & 3) != 0 ? hot[(v >> 8) % 12] : (unsigned)(v >> 8) % 0x10000 & ~3U;

		d[0] = (v & 4) != 0 ? TX_BUF + (d[0] & 0xfff) : d[0];
		gpa_write(((v & 8) != 0 ? TX_RING : RX_RING) + (v >> 12 & 15) * 16, d, 16);
		if ((v & 16) != 0)
			w(reg, reg == TDBAL || reg == RDBAL ? 0x10000U << (v >> 60) : (uint32_t)(v >> 20) & ((v & 32) != 0 ? 0xff : ~0U));
		else
			(void)r(reg);
		if (n % 8 == 0) {
			frame(in, 60 + (unsigned)(v >> 20) % 1400, mac, n);
			(void)rx_frame(in, 60 + (unsigned)(v >> 20) % 1400);
		}
		if (n % 64 == 0) {
			wire.sent = 0;
			wire.room = 8;
			wire.net->nic->writable(wire.net->arg);
			fx_turn(&fx);
			start(RX_EN | (uint32_t)(v >> 32 & 0xf00ffffc & ~0xc0U));
		}
	}
	wire.room = 1000;
	wire.sent = 0;
	fx_reset(&fx);
	start(RX_EN);
	frame(in, 100, mac, 3);
	CHECK(rx_frame(in, 100));
	CHECK_EQ(rx_next(in, &seed), 104);
	tx_frame(in, 100, 0);
	CHECK_EQ(wire.sent, 1);
	unmake(&fx, host);
}

TEST_MAIN()
