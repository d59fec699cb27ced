/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl011.c - the PrimeCell UART by its manual, and its host side.
 */
#include "primecell.h"
#include "serial_fixture.h"
#include "virtual_fixture.h"

enum {
	DR = 0x00, RSR = 0x04, FR = 0x18, ILPR = 0x20, IBRD = 0x24, FBRD = 0x28, LCRH = 0x2c, CR = 0x30, IFLS = 0x34, IMSC = 0x38,
	RIS = 0x3c, MIS = 0x40, ICR = 0x44, DMACR = 0x48,
};

#define	FEN		0x10
#define	WORD8		0x60
#define	ON		0x301		/* UARTEN, TXE, RXE */
#define	LBE		0x080
#define	RXFE		0x10
#define	TXFF		0x20
#define	RXFF		0x40
#define	TXFE		0x80
#define	BUSY		0x08
#define	INT_RX		0x10
#define	INT_TX		0x20
#define	INT_RT		0x40
#define	INT_OE		0x400

#define	in(reg)		pc_in(&fx, (reg))
#define	out(reg, val)	pc_out(&fx, (reg), (val))

static struct device *
make(struct fx *f, struct chardev *c)
{
	return (pc_make(f, "pl011", c, NULL, NULL));
}

TEST(after_reset)
{
	setup(64);
	CHECK_EQ(in(DR), 0);
	CHECK_EQ(in(RSR), 0);
	CHECK_EQ(in(FR), 0x97);		/* both FIFOs empty, CTS, DSR, DCD */
	CHECK_EQ(in(CR), 0x300);
	CHECK_EQ(in(IFLS), 0x12);
	for (unsigned reg = ILPR; reg <= LCRH; reg += 4)
		CHECK_EQ(in(reg), 0);
	for (unsigned reg = IMSC; reg <= MIS; reg += 4)
		CHECK_EQ(in(reg), 0);
	CHECK_EQ(in(DMACR), 0);
	CHECK(!fx_level(&fx));
	pc_check_id(&fx, (const uint8_t[]){ 0x11, 0x10, 0x34, 0x00 }, 0x4c);
	teardown();
}

TEST(registers_keep_what_they_have)
{
	static const struct { unsigned reg, mask; } t[] = {
		{ ILPR, 0xff }, { IBRD, 0xffff }, { FBRD, 0x3f }, { LCRH, 0xff }, { CR, 0xff87 }, { IFLS, 0x3f }, { IMSC, 0x7ff },
		{ DMACR, 7 },
	};

	setup(64);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		out(t[i].reg, UINT32_MAX);
		CHECK_EQ(in(t[i].reg), t[i].mask);
		out(t[i].reg, 0);
		CHECK_EQ(in(t[i].reg), 0);
	}
	teardown();
}

TEST(transmits)
{
	setup(64);
	/* An early console writes bytes, and enables nothing. */
	for (const char *p = "early"; *p != '\0'; p++) {
		CHECK_EQ(in(FR) & (TXFF | BUSY), 0);
		fx_write(&fx, VM_SPACE_MEM, PC_BASE + DR, 1, (uint8_t)*p);
	}
	expect("early");
	out(LCRH, WORD8 | FEN);
	out(CR, ON);
	for (const char *p = "late"; *p != '\0'; p++)
		out(DR, (uint8_t)*p);
	expect("late");
	teardown();
}

TEST(a_slow_host_holds_the_transmitter)
{
	char want[33] = "";

	setup(4);
	out(LCRH, WORD8 | FEN);
	out(CR, ON);
	out(IFLS, 0x12);		/* half: 16 */
	out(IMSC, INT_TX);
	for (unsigned i = 0; i < 40; i++)	/* 4 at the host, 32 in the FIFO, 4 lost */
		out(DR, 'A' + i);
	CHECK_EQ(in(FR) & (TXFF | TXFE | BUSY), TXFF | BUSY);
	CHECK_EQ(in(RIS) & INT_TX, 0);
	CHECK(!fx_level(&fx));
	for (unsigned n = 0; n < 9; n++) {
		for (unsigned i = 0; i < 4; i++)
			want[i] = (char)('A' + 4 * n + i);
		expect(want);
		/* 32 in the FIFO, four less each time: raised at 16. */
		CHECK_EQ(fx_level(&fx), n >= 4);
		fx_turn(&fx);
		CHECK_EQ(in(FR) & TXFF, 0);
	}
	CHECK_EQ(in(FR) & (TXFF | TXFE | BUSY), TXFE);
	CHECK_EQ(in(MIS), INT_TX);
	out(ICR, INT_TX);
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(RIS), 0);
	expect("");
	teardown();
}

/* Not by an empty FIFO but by a character that is sent: what drivers that know the chip count on. */
TEST(transmit_interrupt)
{
	for (unsigned fen = 0; fen <= FEN; fen += FEN) {
		setup(64);
		out(LCRH, WORD8 | fen);
		out(CR, ON);
		out(IMSC, INT_TX);
		CHECK_EQ(in(RIS), 0);
		out(DR, 'x');
		CHECK(fx_level(&fx));
		out(ICR, INT_TX);
		CHECK(!fx_level(&fx));
		teardown();
	}
}

TEST(receives_without_fifo)
{
	setup(64);
	out(LCRH, WORD8);
	out(IMSC, INT_RX);
	type("xyz");
	CHECK_EQ(in(FR) & RXFE, RXFE);	/* it is not enabled */
	out(CR, ON);
	CHECK_EQ(in(FR) & (RXFE | RXFF), RXFF);
	CHECK_EQ(in(MIS), INT_RX);
	CHECK(fx_level(&fx));
	CHECK_EQ(in(DR), 'x');
	CHECK_EQ(in(DR), 'y');
	CHECK(fx_level(&fx));
	CHECK_EQ(in(DR), 'z');
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(FR) & (RXFE | RXFF), RXFE);
	CHECK_EQ(in(DR), 0);
	teardown();
}

TEST(trigger_levels)
{
	static const unsigned levels[5] = { 4, 8, 16, 24, 28 };

	setup(64);
	out(CR, ON);
	out(IMSC, INT_RX);
	for (unsigned i = 0; i < 5; i++) {
		out(LCRH, WORD8);
		out(LCRH, WORD8 | FEN);
		out(IFLS, i << 3);
		for (unsigned n = 1; n <= 32; n++) {
			type("c");
			CHECK_EQ(fx_level(&fx), n >= levels[i]);
		}
		CHECK_EQ(in(FR) & RXFF, RXFF);
		for (unsigned n = 32; n-- > 0;) {
			CHECK_EQ(in(DR), 'c');
			CHECK_EQ(fx_level(&fx), n >= levels[i]);
		}
	}
	/* Cleared it stays so until the FIFO comes to its level again. */
	out(IFLS, 0);
	type("cccc");
	CHECK(fx_level(&fx));
	out(ICR, INT_RX);
	CHECK(!fx_level(&fx));
	CHECK_EQ(in(DR), 'c');
	type("c");
	CHECK(fx_level(&fx));
	teardown();
}

/* 32 bit periods after the last character, which are 16 times 13 clocks of 24 MHz at divisor 13. */
TEST(receive_timeout)
{
	struct vfx v;
	uint64_t period = 32ULL * 16 * 13 * NSEC / 24000000;

	vfx_open(&v);
	cd = chardev_open_ring(v.fx.vmm.loop, 64);
	dev = make(&v.fx, cd);
	devices_resume(&v.fx.vmm);
	pc_out(&v.fx, IBRD, 13);
	pc_out(&v.fx, LCRH, WORD8 | FEN);
	pc_out(&v.fx, CR, ON);
	pc_out(&v.fx, IMSC, INT_RT | INT_RX);
	CHECK_EQ(chardev_ring_put(cd, "ab", 2), 2);
	fx_turn(&v.fx);
	CHECK(!fx_level(&v.fx));
	vfx_until(&v, period - 1);
	CHECK(!fx_level(&v.fx));
	/* A character that is read starts it anew. */
	CHECK_EQ(pc_in(&v.fx, DR), 'a');
	vfx_until(&v, 2 * period - 2);
	CHECK(!fx_level(&v.fx));
	vfx_until(&v, 2 * period - 1);
	CHECK(fx_level(&v.fx));
	CHECK_EQ(pc_in(&v.fx, MIS), INT_RT);
	/* By being read, or by register. */
	CHECK_EQ(pc_in(&v.fx, DR), 'b');
	CHECK(!fx_level(&v.fx));
	CHECK_EQ(chardev_ring_put(cd, "c", 1), 1);
	fx_turn(&v.fx);
	vfx_until(&v, 3 * period - 1);
	CHECK(fx_level(&v.fx));
	pc_out(&v.fx, ICR, INT_RT);
	CHECK(!fx_level(&v.fx));
	vfx_until(&v, 4 * period - 1);
	CHECK(fx_level(&v.fx));		/* it is still there */
	devices_destroy(&v.fx.vmm);
	chardev_close(cd);
	vfx_close(&v);
}

TEST(loop_back)
{
	setup(64);
	out(LCRH, WORD8 | FEN);
	out(CR, ON | LBE);
	type("host");			/* not heard */
	out(DR, 'q');
	expect("");
	CHECK_EQ(in(DR), 'q');
	CHECK_EQ(in(FR) & RXFE, RXFE);
	/* Word length counts, a break is one, and too many characters overrun. */
	out(LCRH, 0x40 | FEN);
	out(DR, 0xc1);
	CHECK_EQ(in(DR), 0x41);
	out(LCRH, WORD8 | FEN | 1);
	CHECK_EQ(in(DR), 0x500);
	CHECK_EQ(in(RSR), 5);
	out(RSR, 0);
	CHECK_EQ(in(RSR), 0);
	out(LCRH, WORD8 | FEN);
	for (unsigned i = 0; i < 33; i++)
		out(DR, i);
	CHECK_EQ(in(RIS) & INT_OE, INT_OE);
	CHECK_EQ(in(RSR), 8);
	for (unsigned i = 0; i < 32; i++)
		CHECK_EQ(in(DR), i);
	out(DR, 'n');			/* the one behind the lost ones tells */
	CHECK_EQ(in(DR), 0x800 | 'n');
	/* Modem outputs are inputs: DTR, RTS, Out1, Out2. */
	out(ICR, 0x7ff);
	out(CR, ON | LBE | 0x400);
	CHECK_EQ(in(FR) & 0x107, 2);
	out(CR, ON | LBE | 0x800);
	CHECK_EQ(in(FR) & 0x107, 1);
	out(CR, ON | LBE | 0x1000);
	CHECK_EQ(in(FR) & 0x107, 4);
	out(CR, ON | LBE | 0x2000);
	CHECK_EQ(in(FR) & 0x107, 0x100);
	CHECK_EQ(in(RIS) & 0xf, 0xf);
	out(CR, ON);
	expect("");
	CHECK_EQ(in(DR), 'h');
	teardown();
}

TEST(moves_with_its_state)
{
	struct fx other;
	struct chardev *cd2;

	setup(4);
	fx_open(&other);
	cd2 = chardev_open_ring(other.vmm.loop, 64);
	(void)make(&other, cd2);
	out(LCRH, WORD8 | FEN);
	out(CR, ON);
	out(IMSC, INT_RX | INT_RT);
	out(IFLS, 0);
	for (const char *p = "012345"; *p != '\0'; p++)
		out(DR, (uint8_t)*p);
	type("abcd");
	CHECK(fx_level(&fx));
	devices_pause(&fx.vmm);
	fx_move(&fx, &other);
	devices_resume(&other.vmm);
	CHECK(fx_level(&other));
	CHECK_EQ(pc_in(&other, DR), 'a');
	CHECK_EQ(pc_in(&other, LCRH), WORD8 | FEN);
	CHECK(!fx_level(&other));
	/* What the first host had not taken the second gets. */
	expect("0123");
	cd = cd2;
	expect("45");
	devices_destroy(&other.vmm);
	chardev_close(cd2);
	fx_close(&other);
}

TEST(impossible_state_is_refused)
{
	static const struct fx_bad bad[] = {
		{ "rxlen", 33, 1, "characters in FIFOs of" }, { "txlen", 2, 1, "characters in FIFOs of" },
		{ "cr", 0x08, 2, "bits that do not exist" }, { "rsr", 0x10, 1, "bits that do not exist" },
		{ "fbrd", 0x40, 1, "bits that do not exist" }, { "ifls", 0x40, 1, "bits that do not exist" },
		{ "dmacr", 8, 1, "bits that do not exist" }, { "modem", 8, 2, "bits that do not exist" },
		{ "rx", 0x1000, 2, "errors that do not exist" }, { .field = NULL }
	};

	setup(64);
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	teardown();
}

TEST(describes_itself)
{
	struct device_description d = { 0 };

	setup(64);
	dev->cls->describe(dev, &d);
	CHECK_STR(d.compatible, "arm,pl011 arm,primecell");
	CHECK_STR(d.clocks, "uartclk apb_pclk");
	CHECK_EQ(d.clock_hz, 24000000);
	teardown();
}

static void *
hammer(void *arg)
{
	for (unsigned i = 0; i < 3000; i++) {
		(void)in(i * 4 % 0x50);
		out(i * 28 % 0x50, i * 37);
	}
	return (NULL);
}

/* Several threads write anything anywhere while the host types and reads: whatever happens, it goes on. */
TEST(any_access_from_any_thread)
{
	storm(hammer);
}

TEST_MAIN()
