/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ne2k_pci.c - the NE2000 by its ports, as drivers use it: frames both ways, the ring, filters, remote DMA, a life, and drivers that do
 * wrong.
 */
#include "net_wire.h"
#include "pci_fixture.h"

#define	SLOT	PCI_DEVFN(3, 0)
#define	PORT	0x6000U
#define	LINE	19		/* that nobody else has */

/* Registers: page 0, and 1 */
#define	CR	0
#define	PSTART	1
#define	PSTOP	2
#define	BNRY	3
#define	TPSR	4
#define	TBCR	5
#define	ISR	7
#define	RSAR	8
#define	RBCR	10
#define	RCR	12
#define	TCR	13
#define	DCR	14
#define	IMR	15
#define	CURR	7
#define	DATA	0x10

#define	RING	0x46U
#define	END	0x80U

static const uint8_t mac[6] = { 2, 0, 0x5e, 0x10, 0x20, 0x30 };

static struct fx fx, *cur = &fx;	/* cur: whose ports are used */
static struct pci_host *host;
static struct vm_irq *irq;
static struct device *dev;

static unsigned
r(unsigned reg)
{
	return ((unsigned)fx_read(cur, VM_SPACE_IO, PORT + reg, 1));
}

static void
w(unsigned reg, unsigned val)
{
	fx_write(cur, VM_SPACE_IO, PORT + reg, 1, val);
}

static void
w16(unsigned reg, unsigned val)
{
	w(reg, val & 0xff);
	w(reg + 1, val >> 8);
}

static void
make(struct fx *f, struct pci_host **h)
{
	fx_open(f);
	irq = f->irq;
	*h = px_host(f);
	dev = px_make_with(f, *h, "ne2k-pci", "net", SLOT, irq, "net.backend=wire\nnet.mac=02:00:5e:10:20:30\n");
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	devices_resume(&f->vmm);
	fx_turn(f);
}

static void
unmake(struct fx *f, struct pci_host *h)
{
	devices_destroy(&f->vmm);
	CHECK(wire.closed);
	pci_host_free(h);
	fx_close(f);
}

/* As Linux' 8390.c starts it. */
static void
start(unsigned rcr)
{
	cfg_port_w(cur, SLOT, R_BAR(0), 4, PORT);
	cfg_port_w(cur, SLOT, R_COMMAND, 2, PCI_CMD_IO);
	w(CR, 0x21);
	w(DCR, 0x49);
	w16(RBCR, 0);
	w(RCR, 0x20);
	w(TCR, 2);
	w(TPSR, 0x40);
	w(PSTART, RING);
	w(BNRY, END - 1);
	w(PSTOP, END);
	w(ISR, 0xff);
	w(IMR, 0);
	w(CR, 0x61);
	for (unsigned i = 0; i < 6; i++)
		w(1 + i, mac[i]);
	for (unsigned i = 0; i < 8; i++)
		w(8 + i, 0);
	w(CURR, RING);
	w(CR, 0x21);
	w(ISR, 0xff);
	w(IMR, 0x3f);
	w(CR, 0x22);
	w(TCR, 0);
	w(RCR, rcr);
}

static void
setup(unsigned rcr)
{
	make(cur, &host);
	start(rcr);
}

/* Remote DMA of words. */
static void
dma_in(unsigned addr, void *buf, unsigned len)
{
	uint8_t *p = buf;

	w16(RBCR, len);
	w16(RSAR, addr);
	w(CR, 0x0a);
	for (unsigned i = 0; i < len; i += 2) {
		unsigned v = (unsigned)fx_read(cur, VM_SPACE_IO, PORT + DATA, 2);

		p[i] = (uint8_t)v;
		if (i + 1 < len)
			p[i + 1] = (uint8_t)(v >> 8);
	}
	CHECK((r(ISR) & 0x40) != 0);
	w(ISR, 0x40);
	w(CR, 0x22);
}

static void
dma_out(unsigned addr, const void *buf, unsigned len)
{
	const uint8_t *p = buf;

	w16(RBCR, len);
	w16(RSAR, addr);
	w(CR, 0x12);
	for (unsigned i = 0; i < len; i += 2)
		fx_write(cur, VM_SPACE_IO, PORT + DATA, 2, p[i] | (unsigned)(i + 1 < len ? p[i + 1] : 0) << 8);
	CHECK((r(ISR) & 0x40) != 0);
	w(ISR, 0x40);
	w(CR, 0x22);
}

static void
frame(uint8_t *p, unsigned len, const uint8_t *dst, unsigned seed)
{
	memcpy(p, dst, 6);
	for (unsigned i = 6; i < len; i++)
		p[i] = (uint8_t)(i * 7 + seed);
}

/* Take the next frame from the ring; its length, 0: there is none. */
static unsigned
next_frame(uint8_t *p)
{
	unsigned page = r(BNRY) + 1, curr;
	uint8_t head[4];

	w(CR, 0x62);
	curr = r(CURR);
	w(CR, 0x22);
	page = page == END ? RING : page;	/* RING - 1, too, is ahead of the first */
	if (page == curr)
		return (0);
	dma_in(page << 8, head, 4);
	CHECK_EQ(head[0] & 1, 1);
	dma_in((page << 8) + 4, p, (unsigned)(head[2] | head[3] << 8) - 4);
	w(BNRY, head[1] == RING ? END - 1 : head[1] - 1U);
	fx_turn(cur);
	return ((unsigned)(head[2] | head[3] << 8) - 4);
}

TEST(identity)
{
	uint8_t prom[32];

	setup(4);
	CHECK_EQ(cfg_port_r(&fx, SLOT, 0, 4), 0x802910ec);
	CHECK_EQ(r(10), 'P');
	CHECK_EQ(r(11), 'C');
	dma_in(0, prom, 32);
	for (unsigned i = 0; i < 6; i++)
		CHECK(prom[2 * i] == mac[i] && prom[2 * i + 1] == mac[i]);
	CHECK(prom[28] == 0x57 && prom[30] == 0x57);
	/* A reset by its port. */
	(void)r(0x1f);
	CHECK_EQ(r(CR), 0x21);
	CHECK_EQ(r(ISR) & 0x80, 0x80);
	unmake(&fx, host);
}

TEST(a_frame_is_sent)
{
	uint8_t out[1514];

	setup(4);
	frame(out, sizeof(out), mac, 1);
	dma_out(0x4000, out, sizeof(out));
	CHECK(!fx_level(&fx));
	w(TPSR, 0x40);
	w16(TBCR, sizeof(out));
	w(CR, 0x26);
	CHECK_EQ(r(CR) & 4, 0);
	CHECK_EQ(r(TPSR), 1);			/* TSR: sent */
	CHECK_EQ(r(ISR), 2);
	CHECK(fx_level(&fx));
	w(ISR, 2);
	CHECK(!fx_level(&fx));
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.frame[0].len, sizeof(out));
	CHECK(memcmp(wire.frame[0].data, out, 64) == 0);
	/* What goes round in the chip, and what is no frame, is done and goes nowhere. */
	w(TCR, 2);
	w(CR, 0x26);
	w(TCR, 0);
	w16(TBCR, 13);
	w(CR, 0x26);
	w16(TBCR, 0xffff);
	w(CR, 0x26);
	fx_turn(&fx);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(r(ISR), 2);
	unmake(&fx, host);
}

/* The back end takes nothing: commands are done until the queue is full, and the last of them when there is room again. */
TEST(the_back_end_is_slow)
{
	uint8_t out[60];
	unsigned n;

	setup(4);
	wire.room = 0;
	w16(TBCR, sizeof(out));
	for (n = 0; n < 100; n++) {
		frame(out, sizeof(out), mac, n);
		dma_out(0x4000, out, sizeof(out));
		w(CR, 0x26);
		fx_turn(&fx);
		if ((r(CR) & 4) != 0)
			break;
		w(ISR, 2);
	}
	CHECK(n >= 4 && n < 100);
	CHECK_EQ(r(ISR), 0);
	CHECK_EQ(wire.sent, 0);
	wire.room = 1000;
	wire.net->nic->writable(wire.net->arg);
	CHECK_EQ(wire.sent, n + 1);
	CHECK_EQ(r(ISR), 2);
	CHECK_EQ(r(CR) & 4, 0);
	for (unsigned i = 0; i <= n; i++)
		CHECK_EQ(wire.frame[i].data[6], (uint8_t)(42 + i));
	unmake(&fx, host);
}

TEST(frames_are_received)
{
	uint8_t in[1514], got[1600];
	unsigned len;

	setup(4);
	CHECK_EQ(next_frame(got), 0);
	/* Round the ring several times, in all lengths. */
	for (unsigned i = 0; i < 200; i++) {
		len = 14 + i * 211 % 1500;
		frame(in, len, mac, i);
		CHECK(wire_receive(in, len));
		CHECK(fx_level(&fx));
		CHECK_EQ(r(ISR), 1);
		w(ISR, 1);
		CHECK_EQ(next_frame(got), len < 60 ? 60 : len);
		CHECK(memcmp(in, got, len) == 0);
		CHECK(len >= 60 || got[59] == 0);
		CHECK_EQ(next_frame(got), 0);
	}
	unmake(&fx, host);
}

TEST(a_full_ring_refuses)
{
	uint8_t in[1514], got[1600];
	unsigned n = 0;

	setup(4);
	for (frame(in, sizeof(in), mac, 0); wire_receive(in, sizeof(in)); frame(in, sizeof(in), mac, n))
		n++;
	CHECK_EQ(n, (END - RING - 1) / 6);
	CHECK_EQ(wire.readies, 1);		/* of the start */
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(next_frame(got), sizeof(in));
		CHECK_EQ(got[6], (uint8_t)(42 + i));
	}
	CHECK_EQ(wire.readies, 2);
	CHECK(wire_receive(in, sizeof(in)));
	CHECK_EQ(next_frame(got), sizeof(in));
	unmake(&fx, host);
}

/* As Linux moves the boundary: to the page ahead of the next frame's, which may be the one ahead of the ring; and one that is nowhere. */
TEST(a_boundary_outside_of_the_ring)
{
	uint8_t in[60], got[1600];
	unsigned n = 0;

	setup(4);
	for (unsigned i = 0; i < 3 * (END - RING); i++) {
		frame(in, sizeof(in), mac, i);
		CHECK(wire_receive(in, sizeof(in)));
		CHECK_EQ(next_frame(got), sizeof(in));
		CHECK_EQ(got[6], (uint8_t)(42 + i));
		w(CR, 0x62);
		if (r(CURR) == RING)
			n++;
		w(CR, 0x22);
		if (r(BNRY) == END - 1)
			w(BNRY, RING - 1);
	}
	CHECK(n >= 2);
	/* Full is one page less than all from there too. */
	w(CR, 0x62);
	w(CURR, RING);
	w(CR, 0x22);
	w(BNRY, RING - 1);
	for (n = 0; wire_receive(in, sizeof(in)); n++)
		;
	CHECK_EQ(n, END - RING - 2);
	w(BNRY, 0);
	fx_turn(&fx);
	CHECK(wire_receive(in, sizeof(in)));
	unmake(&fx, host);
}

/* As Linux acknowledges: behind some frames, with others left.  That there are some is said again, if any were taken. */
TEST(frames_that_are_left)
{
	uint8_t in[60], got[1600];

	setup(4);
	frame(in, sizeof(in), mac, 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(wire_receive(in, sizeof(in)));
	CHECK_EQ(next_frame(got), sizeof(in));
	w(ISR, 1);
	CHECK_EQ(r(ISR), 1);
	CHECK(fx_level(&fx));
	w(ISR, 1);
	CHECK_EQ(r(ISR), 0);
	CHECK_EQ(next_frame(got), sizeof(in));
	CHECK_EQ(next_frame(got), sizeof(in));
	w(ISR, 1);
	CHECK_EQ(r(ISR), 0);
	CHECK(!fx_level(&fx));
	unmake(&fx, host);
}

TEST(filters)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 }, other[6] = { 2, 1, 1, 1, 1, 1 };
	static const uint8_t group[6] = { 0x01, 0, 0x5e, 0, 0, 0xfb };
	static const struct {
		unsigned rcr;
		bool	 all, other, group;
	} t[] = {
		{ 0, false, false, false }, { 4, true, false, false }, { 8, false, false, true }, { 0x10, false, true, false },
		{ 0x1c, true, true, true }, { 0x20, false, false, false },
	};
	uint8_t in[64], got[1600];

	setup(4);
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		w(CR, 0x62);
		for (unsigned n = 0; n < 8; n++)
			w(8 + n, 0xff);
		w(CR, 0x22);
		w(RCR, t[i].rcr);
		frame(in, sizeof(in), all, i);
		CHECK(wire_receive(in, sizeof(in)));
		CHECK_EQ(next_frame(got) != 0, t[i].all);
		frame(in, sizeof(in), other, i);
		CHECK(wire_receive(in, sizeof(in)));
		CHECK_EQ(next_frame(got) != 0, t[i].other);
		frame(in, sizeof(in), group, i);
		CHECK(wire_receive(in, sizeof(in)));
		CHECK_EQ(next_frame(got) != 0, t[i].group);
		frame(in, sizeof(in), mac, i);
		CHECK(wire_receive(in, sizeof(in)));
		CHECK_EQ(next_frame(got) != 0, t[i].rcr != 0x20);
	}
	/* One bit of the table lets it through, the other 63 do not. */
	w(RCR, 8);
	frame(in, sizeof(in), group, 0);
	for (unsigned bit = 0, through = 0; bit < 64; bit++) {
		w(CR, 0x62);
		for (unsigned n = 0; n < 8; n++)
			w(8 + n, n == bit / 8 ? 1U << bit % 8 : 0);
		w(CR, 0x22);
		CHECK(wire_receive(in, sizeof(in)));
		through += next_frame(got) != 0;
		CHECK_EQ(through, bit >= 63 ? 1 : through);
	}
	/* Stopped, and going round within the chip, it hears nobody. */
	w(RCR, 0x1c);
	w(TCR, 2);
	CHECK(wire_receive(in, sizeof(in)));
	CHECK_EQ(next_frame(got), 0);
	w(TCR, 0);
	w(CR, 0x21);
	CHECK(wire_receive(in, sizeof(in)));
	w(CR, 0x02);			/* neither started nor stopped is as it was */
	w(CR, 0x00);
	frame(in, sizeof(in), mac, 9);
	CHECK(wire_receive(in, sizeof(in)));
	w(CR, 0x22);
	CHECK_EQ(next_frame(got), 64);
	CHECK_EQ(got[6], 51);
	unmake(&fx, host);
}

/* Rings that are none, addresses that nothing is at, commands in any order: nothing but a frame that is lost. */
TEST(drivers_that_do_wrong)
{
	uint8_t in[1514];
	uint64_t seed = 7;

	setup(4);
	for (unsigned n = 0; n < test_rounds(100000); n++) {
		uint64_t v = test_random(&seed);
		unsigned size = 1U << (v & 3) % 3, port = (unsigned)(v >> 8) % 32;

		if ((v >> 4 & 1) != 0)
			fx_write(&fx, VM_SPACE_IO, PORT + (port & ~(size - 1)), size, v >> 16);
		else
			(void)fx_read(&fx, VM_SPACE_IO, PORT + (port & ~(size - 1)), size);
		if (n % 16 == 0) {
			frame(in, 60 + (unsigned)(v >> 20) % 1400, mac, n);
			(void)wire_receive(in, 60 + (unsigned)(v >> 20) % 1400);
		}
		if (n % 64 == 0) {
			wire.sent = 0;
			wire.room = 8;
			fx_turn(&fx);
		}
	}
	wire.room = 1000;
	wire.sent = 0;
	fx_reset(&fx);
	start(4);
	frame(in, 100, mac, 3);
	CHECK(wire_receive(in, 100));
	CHECK_EQ(next_frame(in), 100);
	unmake(&fx, host);
}

/* Saved with a frame in the ring, it is there in the other VM. */
TEST(state)
{
	struct pci_host *host2;
	uint8_t data[200], got[1600];
	struct fx two;

	make(&two, &host2);
	devices_pause(&two.vmm);
	setup(4);
	frame(data, sizeof(data), mac, 5);
	CHECK(wire_receive(data, sizeof(data)));
	devices_pause(&fx.vmm);
	fx_move(&fx, &two);
	unmake(&fx, host);
	cur = &two;
	devices_resume(&two.vmm);
	fx_turn(&two);
	CHECK(fx_level(&two));
	CHECK_EQ(r(ISR), 1);
	CHECK_EQ(next_frame(got), sizeof(data));
	CHECK(memcmp(data, got, sizeof(data)) == 0);
	unmake(&two, host2);
}

TEST_MAIN()
