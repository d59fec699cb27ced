/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port92.c - port 0x92: the gate of address line 20 and the fast reset (ICH9 data sheet 13.7.3).
 */
#include <vmmapi/amd64.h>

#include "input/port92.h"
#include "stopped.h"
#include "vmm_fixture.h"

#define	PORT	0x92
#define	INIT	1
#define	A20	2

static struct fx fx;
static struct device *dev;

static struct device *
make(struct fx *f)
{
	const struct device_place place = { .on = DEVICE_ON_IO, .base = PORT };

	return (fx_make(f, "port92", "port92", &place));
}

static void
setup(void)
{
	fx_open(&fx);
	dev = make(&fx);
	devices_resume(&fx.vmm);
}

static unsigned
r(void)
{
	return ((unsigned)fx_read(&fx, VM_SPACE_IO, PORT, 1));
}

static void
w(unsigned val)
{
	fx_write(&fx, VM_SPACE_IO, PORT, 1, val);
}

static bool
a20(struct fx *f)
{
	bool on;

	CHECK_EQ(vm_amd64_get_a20(f->vmm.vm, &on), 0);
	return (on);
}

TEST(line_is_free_at_first)
{
	setup();
	CHECK_EQ(r(), A20);
	CHECK(a20(&fx));
	fx_close(&fx);
}

TEST(gate)
{
	setup();
	w(0);
	CHECK_EQ(r(), 0);
	CHECK(!a20(&fx));
	w(0xfe);				/* the other bits are none */
	CHECK_EQ(r(), A20);
	CHECK(a20(&fx));
	/* Either of the two lets it through. */
	port92_gate(dev, true);
	w(0);
	CHECK(a20(&fx));
	port92_gate(dev, false);
	CHECK(!a20(&fx));
	port92_gate(dev, true);
	CHECK(a20(&fx));
	CHECK_EQ(r(), 0);
	fx_close(&fx);
}

/* By the rising edge. */
TEST(fast_reset)
{
	setup();
	w(A20);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	w(A20 | INIT);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	CHECK_EQ(r(), A20 | INIT);
	w(A20 | INIT);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	w(A20);
	w(INIT);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	fx_close(&fx);
}

TEST(reset_of_the_machine)
{
	setup();
	w(INIT);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	CHECK(!a20(&fx));
	fx_reset(&fx);
	CHECK_EQ(r(), A20);
	CHECK(a20(&fx));
	fx_close(&fx);
}

TEST(state)
{
	static struct fx to;
	static const struct fx_bad bad[] = { { "port", 4, 1, "reserved bits" }, { NULL, 0, 0, NULL } };

	for (unsigned gate = 0; gate < 2; gate++) {
		setup();
		w(0);
		port92_gate(dev, gate != 0);
		devices_pause(&fx.vmm);
		fx_damage(&fx);
		fx_refuses(dev, bad);
		fx_open(&to);
		(void)make(&to);
		fx_move(&fx, &to);
		devices_resume(&to.vmm);
		CHECK_EQ(fx_read(&to, VM_SPACE_IO, PORT, 1), 0);
		CHECK_EQ(a20(&to), gate != 0);
		fx_close(&to);
		fx_close(&fx);
	}
}

TEST_MAIN()
