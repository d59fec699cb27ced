/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl031.c - the PrimeCell real-time clock by its manual, on virtual time.
 */
#include <time.h>

#include "primecell.h"
#include "virtual_fixture.h"

enum { DR = 0x00, MR = 0x04, LR = 0x08, CR = 0x0c, IMSC = 0x10, RIS = 0x14, MIS = 0x18, ICR = 0x1c };

#define	START	"2026-01-31T23:59:58"
#define	START_S	1769903998U

static struct vfx v;
static struct device *dev;

static void
setup(const char *start)
{
	vfx_open(&v);
	dev = pc_make(&v.fx, "pl031", NULL, start != NULL ? "dev.start" : NULL, start);
	devices_resume(&v.fx.vmm);
}

#define	in(reg)		pc_in(&v.fx, (reg))
#define	out(reg, val)	pc_out(&v.fx, (reg), (val))
#define	irq()		fx_level(&v.fx)

TEST(after_reset)
{
	setup(START);
	CHECK_EQ(in(DR), START_S);
	CHECK_EQ(in(MR), 0);
	CHECK_EQ(in(LR), 0);
	CHECK_EQ(in(CR), 1);
	CHECK_EQ(in(IMSC), 0);
	CHECK_EQ(in(RIS), 0);
	CHECK_EQ(in(MIS), 0);
	CHECK(!irq());
	pc_check_id(&v.fx, (const uint8_t[]){ 0x31, 0x10, 0x04, 0x00 }, 0x20);
	out(CR, 0);				/* a running clock is not stopped */
	CHECK_EQ(in(CR), 1);
	out(DR, 5);				/* read-only */
	CHECK_EQ(in(DR), START_S);
	vfx_close(&v);
}

TEST(shows_the_time_of_the_host)
{
	time_t before = time(NULL);
	uint32_t now;

	setup(NULL);
	now = in(DR);
	CHECK(now >= (uint32_t)before && now <= (uint32_t)time(NULL));
	vfx_close(&v);
}

TEST(counts_seconds)
{
	setup(START);
	for (unsigned n = 1; n < 50; n++) {
		vfx_until(&v, n * NSEC - 1);
		CHECK_EQ(in(DR), START_S + n - 1);
		vfx_until(&v, n * NSEC);
		CHECK_EQ(in(DR), START_S + n);
	}
	vfx_until(&v, 4000000 * NSEC);
	CHECK_EQ(in(DR), START_S + 4000000);
	vfx_close(&v);
}

TEST(is_set)
{
	setup(START);
	vfx_until(&v, NSEC / 2);
	out(LR, 1000);
	CHECK_EQ(in(LR), 1000);
	CHECK_EQ(in(DR), 1000);
	/* A second begins when it is set. */
	vfx_until(&v, 3 * NSEC / 2 - 1);
	CHECK_EQ(in(DR), 1000);
	vfx_until(&v, 3 * NSEC / 2);
	CHECK_EQ(in(DR), 1001);
	out(LR, UINT32_MAX);
	vfx_until(&v, 5 * NSEC / 2);
	CHECK_EQ(in(DR), 0);
	vfx_close(&v);
}

TEST(alarm_interrupts)
{
	setup(START);
	out(MR, START_S + 3);
	out(IMSC, 0xffffffff);
	CHECK_EQ(in(IMSC), 1);
	vfx_until(&v, 3 * NSEC - 1);
	CHECK_EQ(in(RIS), 0);
	CHECK(!irq());
	vfx_until(&v, 3 * NSEC);
	CHECK(irq());
	CHECK_EQ(in(RIS), 1);
	CHECK_EQ(in(MIS), 1);
	vfx_until(&v, 60 * NSEC);
	CHECK(irq());				/* until it is cleared */
	out(ICR, 0);
	CHECK(irq());
	out(ICR, 1);
	CHECK(!irq());
	CHECK_EQ(in(RIS), 0);
	/* Not enabled it is pending all the same. */
	out(IMSC, 0);
	out(MR, START_S + 62);
	vfx_until(&v, 70 * NSEC);
	CHECK_EQ(in(RIS), 1);
	CHECK_EQ(in(MIS), 0);
	CHECK(!irq());
	out(IMSC, 1);
	CHECK(irq());
	vfx_close(&v);
}

TEST(alarm_of_the_second_that_it_is)
{
	setup(START);
	out(IMSC, 1);
	out(MR, START_S);
	CHECK(irq());
	/* Cleared within that second it stays so. */
	out(ICR, 1);
	CHECK(!irq());
	vfx_until(&v, 10 * NSEC);
	CHECK(!irq());
	out(LR, START_S);
	CHECK(irq());
	vfx_close(&v);
}

/* An alarm in the past is one in 136 years, and the count wraps around before it. */
TEST(alarm_over_the_end_of_the_count)
{
	setup(START);
	out(MR, 5);
	out(IMSC, 1);
	vfx_until(&v, 100 * NSEC);
	CHECK(!irq());
	out(LR, UINT32_MAX - 1);
	vfx_until(&v, 107 * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, 107 * NSEC);
	CHECK_EQ(in(DR), 5);
	CHECK(irq());
	vfx_close(&v);
}

TEST(a_start_that_is_no_time)
{
	static const char *const bad[] = { "", "2026-01-31", "2026-02-30T00:00:00", "2026-01-31T24:00:00", "now" };
	const struct device_class *cls = device_class_find("pl031");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = PC_BASE, .nirqs = 1 };

	vfx_open(&v);
	place.irq[0] = v.fx.irq;
	(void)fx_node(&v.fx, "dev", cls);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vfx_set(&v, "dev.start", bad[i]);
		CHECK(device_create(&v.fx.vmm, cls, "dev", config_node(v.fx.vmm.config, "dev"), &place) == NULL);
		CHECK_HAS(vmm_errmsg(), "dev");
	}
	vfx_close(&v);
}

/* Time stands while it is paused, and the alarm comes in the other VM. */
TEST(moves_with_its_state)
{
	struct vfx w;

	setup(START);
	vfx_open(&w);
	(void)pc_make(&w.fx, "pl031", NULL, NULL, NULL);
	out(MR, START_S + 10);
	out(IMSC, 1);
	vfx_until(&v, 7 * NSEC + NSEC / 3);
	devices_pause(&v.fx.vmm);
	vfx_move(&v, &w);
	devices_resume(&w.fx.vmm);
	CHECK_EQ(pc_in(&w.fx, DR), START_S + 7);
	vfx_until(&w, 10 * NSEC - 1);
	CHECK(!fx_level(&w.fx));
	vfx_until(&w, 10 * NSEC);
	CHECK(fx_level(&w.fx));
	devices_pause(&w.fx.vmm);
	fx_damage(&w.fx);
	vfx_close(&w);
	vfx_close(&v);
}

/* The time survives a reset, the alarm does not. */
TEST(reset)
{
	setup(START);
	out(MR, START_S);
	out(IMSC, 1);
	CHECK(irq());
	fx_reset(&v.fx);
	CHECK(!irq());
	CHECK_EQ(in(DR), START_S);
	CHECK_EQ(in(MR), 0);
	CHECK_EQ(in(IMSC), 0);
	CHECK_EQ(in(RIS), 0);
	vfx_close(&v);
}

TEST(states_that_cannot_be)
{
	setup(START);
	devices_pause(&v.fx.vmm);
	CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	*(uint8_t *)fx_field(dev, "ris") = 2;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	*(uint8_t *)fx_field(dev, "ris") = 0;
	*(uint8_t *)fx_field(dev, "imsc") = 2;
	CHECK_EQ(dev->cls->state->check(dev->soft), -1);
	vfx_close(&v);
}

TEST_MAIN()
