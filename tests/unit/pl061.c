/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl061.c - the PrimeCell GPIO by its manual, and the button on it.
 */
#include "gpio/pl061.h"
#include "primecell.h"
#include "virtual_fixture.h"

enum { DIR = 0x400, IS = 0x404, IBE = 0x408, IEV = 0x40c, IE = 0x410, RIS = 0x414, MIS = 0x418, IC = 0x41c, AFSEL = 0x420 };
#define	DATA(mask)	((mask) << 2)

static struct fx fx;
static struct device *dev;

static void
setup(void)
{
	fx_open(&fx);
	dev = pc_make(&fx, "pl061", NULL, NULL, NULL);
	devices_resume(&fx.vmm);
}

#define	in(reg)		pc_in(&fx, (reg))
#define	out(reg, val)	pc_out(&fx, (reg), (val))

TEST(after_reset)
{
	static const unsigned regs[] = { DATA(0xff), DIR, IS, IBE, IEV, IE, RIS, MIS, AFSEL };

	setup();
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		CHECK_EQ(in(regs[i]), 0);
	pc_check_id(&fx, (const uint8_t[]){ 0x61, 0x10, 0x04, 0x00 }, 0x424);
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

TEST(registers_have_eight_bits)
{
	static const unsigned regs[] = { DIR, IS, IBE, IEV, AFSEL };

	setup();
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		out(regs[i], 0xffffffa5);
		CHECK_EQ(in(regs[i]), 0xa5);
	}
	fx_reset(&fx);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		CHECK_EQ(in(regs[i]), 0);
	fx_close(&fx);
}

TEST(address_bits_mask_data)
{
	setup();
	out(DIR, 0xff);
	out(DATA(0xff), 0xff);
	CHECK_EQ(in(DATA(0xff)), 0xff);
	CHECK_EQ(in(DATA(0x0c)), 0x0c);
	CHECK_EQ(in(DATA(0x00)), 0);
	out(DATA(0x0f), 0x05);
	CHECK_EQ(in(DATA(0xff)), 0xf5);
	out(DATA(0x00), 0x00);
	CHECK_EQ(in(DATA(0xff)), 0xf5);
	/* An input shows its line, not what was written; as an output again it drives that. */
	out(DIR, 0x0f);
	CHECK_EQ(in(DATA(0xff)), 0x05);
	out(DATA(0xff), 0xaa);
	CHECK_EQ(in(DATA(0xff)), 0x0a);
	out(DIR, 0xff);
	CHECK_EQ(in(DATA(0xff)), 0xaa);
	fx_close(&fx);
}

/* Outputs are lines too: their edges and levels interrupt. */
TEST(edges_and_levels)
{
	static const struct { uint8_t is, ibe, iev, rise, fall; } t[] = {
		{ 0, 0, 1, 1, 0 },	/* rising */
		{ 0, 0, 0, 0, 1 },	/* falling */
		{ 0, 1, 0, 1, 1 },	/* both, whatever IEV says */
		{ 0, 1, 1, 1, 1 },
		{ 1, 0, 1, 1, 0 },	/* high */
		{ 1, 0, 0, 0, 1 },	/* low */
		{ 1, 1, 1, 1, 0 },	/* IBE is about edges */
	};

	setup();
	out(DIR, 0x10);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		out(IE, 0);
		out(IS, t[i].is << 4);
		out(IBE, t[i].ibe << 4);
		out(IEV, t[i].iev << 4);
		out(DATA(0x10), 0);
		out(IC, 0xff);
		out(IE, 0x10);
		out(DATA(0x10), 0x10);
		CHECK_EQ(in(RIS) & 0x10, t[i].rise << 4);
		CHECK_EQ(in(MIS), t[i].rise << 4);
		CHECK_EQ(fx_level(&fx), t[i].rise);
		out(IC, 0xff);
		/* What is a level stays. */
		CHECK_EQ(fx_level(&fx), t[i].is && t[i].rise);
		out(DATA(0x10), 0);
		CHECK_EQ(in(RIS) & 0x10, t[i].fall << 4);
		CHECK_EQ(fx_level(&fx), t[i].fall);
		out(IE, 0);
		CHECK_EQ(in(MIS), 0);
		CHECK_EQ(in(RIS) & 0x10, t[i].fall << 4);
		CHECK(!fx_level(&fx));
	}
	fx_close(&fx);
}

TEST(an_edge_is_remembered_by_line)
{
	setup();
	out(IEV, 0xff);
	out(DIR, 0xff);
	out(DATA(0xff), 0x81);
	CHECK_EQ(in(RIS), 0x81);
	CHECK_EQ(in(MIS), 0);
	out(IC, 0x01);
	CHECK_EQ(in(RIS), 0x80);
	out(IE, 0x80);
	CHECK(fx_level(&fx));
	/* By level from now on: the edge is forgotten. */
	out(IS, 0x80);
	out(DATA(0x80), 0);
	CHECK(!fx_level(&fx));
	out(IS, 0);
	CHECK_EQ(in(RIS), 0);
	fx_close(&fx);
}

TEST(a_button_is_pressed_and_let_go)
{
	static const struct { uint8_t ibe, iev, down, up; } t[] = { { 8, 0, 1, 1 }, { 0, 8, 1, 0 }, { 0, 0, 0, 1 } };
	struct vfx v;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		vfx_open(&v);
		dev = pc_make(&v.fx, "pl061", NULL, NULL, NULL);
		devices_resume(&v.fx.vmm);
		pc_out(&v.fx, IBE, t[i].ibe);
		pc_out(&v.fx, IEV, t[i].iev);
		pc_out(&v.fx, IE, 8);
		pl061_press(dev, 8);			/* there is no such line */
		pl061_press(NULL, 3);
		CHECK_EQ(pc_in(&v.fx, DATA(0xff)), 0);
		pl061_press(dev, 3);
		CHECK_EQ(pc_in(&v.fx, DATA(0xff)), 8);
		CHECK_EQ(fx_level(&v.fx), t[i].down);
		pc_out(&v.fx, IC, 8);
		CHECK(!fx_level(&v.fx));
		vfx_until(&v, 99 * NSEC / 1000);
		CHECK_EQ(pc_in(&v.fx, DATA(0xff)), 8);
		/* Pressed again, it is held longer. */
		pl061_press(dev, 3);
		vfx_until(&v, 198 * NSEC / 1000);
		CHECK_EQ(pc_in(&v.fx, DATA(0xff)), 8);
		vfx_until(&v, 200 * NSEC / 1000);
		CHECK_EQ(pc_in(&v.fx, DATA(0xff)), 0);
		CHECK_EQ(fx_level(&v.fx), t[i].up);
		vfx_close(&v);
	}
}

/* A snapshot while the button is down: it is let go in the other VM, in time. */
TEST(moves_with_its_state)
{
	struct vfx v, w;

	vfx_open(&v);
	vfx_open(&w);
	dev = pc_make(&v.fx, "pl061", NULL, NULL, NULL);
	(void)pc_make(&w.fx, "pl061", NULL, NULL, NULL);
	devices_resume(&v.fx.vmm);
	pc_out(&v.fx, IBE, 8);
	pc_out(&v.fx, IE, 8);
	pc_out(&v.fx, DIR, 0xf0);
	pc_out(&v.fx, DATA(0xff), 0x50);
	pl061_press(dev, 3);
	devices_pause(&v.fx.vmm);
	/* Nothing of the outside comes in while it is paused. */
	pl061_press(dev, 2);
	vfx_move(&v, &w);
	devices_resume(&w.fx.vmm);
	CHECK_EQ(pc_in(&w.fx, DATA(0xff)), 0x58);
	CHECK_EQ(pc_in(&w.fx, MIS), 8);
	CHECK(fx_level(&w.fx));
	pc_out(&w.fx, IC, 8);
	CHECK(!fx_level(&w.fx));
	vfx_until(&w, 100 * NSEC / 1000);
	CHECK_EQ(pc_in(&w.fx, DATA(0xff)), 0x50);
	CHECK(fx_level(&w.fx));
	devices_pause(&w.fx.vmm);
	fx_damage(&w.fx);
	vfx_close(&w);
	vfx_close(&v);
}

TEST(states_that_cannot_be)
{
	setup();
	devices_pause(&fx.vmm);
	CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	*(uint8_t *)fx_field(dev, "is") = 4;
	*(uint8_t *)fx_field(dev, "edges") = 4;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	fx_close(&fx);
}

TEST_MAIN()
