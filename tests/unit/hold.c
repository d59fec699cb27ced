/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.c - a VM that is held: devices paused and resumed once, the clock stands, holds nest and outlive the machine.
 */
#include "hold.h"
#include "vmm_fixture.h"

static struct fx fx;
static unsigned pauses, resumes, changes, calls;
static bool state;

static void
dev_pause(struct device *dev)
{
	pauses++;
}

static void
dev_resume(struct device *dev)
{
	resumes++;
}

static const struct device_class cls = { .name = "held", .on = DEVICE_ON_MMIO, .pause = dev_pause, .resume = dev_resume };

static void
changed(void *arg, bool held)
{
	CHECK(arg == &fx);
	CHECK(held != state);
	state = held;
	changes++;
	/* Told behind the stop and before the start. */
	CHECK_EQ(pauses, resumes);
}

static void
call(void *arg)
{
	calls += *(unsigned *)arg;
	CHECK(!vmm_held(&fx.vmm));
}

static void
setup(void)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = 0x80000000 };

	fx_open(&fx);
	CHECK(device_create(&fx.vmm, &cls, "held", fx_node(&fx, "held", &cls), &place) != NULL);
	vmm_watch_hold(&fx.vmm, changed, &fx);
	CHECK_EQ(vm_start(fx.vmm.vm), 0);
}

TEST(holds_nest)
{
	setup();
	CHECK_EQ(vmm_begin(&fx.vmm), 0);
	CHECK_EQ(resumes, 1);
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	CHECK(vmm_held(&fx.vmm));
	CHECK_EQ(pauses, 1);
	CHECK_EQ(changes, 1);
	vmm_release(&fx.vmm);
	CHECK(vmm_held(&fx.vmm));
	CHECK_EQ(resumes, 1);
	vmm_release(&fx.vmm);
	CHECK(!vmm_held(&fx.vmm));
	CHECK_EQ(resumes, 2);
	CHECK_EQ(changes, 2);
	/* One too many is nothing. */
	vmm_release(&fx.vmm);
	CHECK_EQ(resumes, 2);
	CHECK_EQ(changes, 2);
	/* The VM was resumed as often as it was paused. */
	CHECK_EQ(vm_resume(fx.vmm.vm), -1);
	fx_close(&fx);
}

TEST(the_clock_stands)
{
	static const struct timespec a_while = { .tv_nsec = 20000000 };
	uint64_t then;

	setup();
	CHECK_EQ(vmm_begin(&fx.vmm), 0);
	then = vm_clock_now(fx.vmm.vm);
	(void)nanosleep(&a_while, NULL);
	CHECK(vm_clock_now(fx.vmm.vm) > then);
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	then = vm_clock_now(fx.vmm.vm);
	(void)nanosleep(&a_while, NULL);
	CHECK_EQ(vm_clock_now(fx.vmm.vm), then);
	vmm_release(&fx.vmm);
	(void)nanosleep(&a_while, NULL);
	CHECK(vm_clock_now(fx.vmm.vm) > then);
	fx_close(&fx);
}

TEST(a_machine_begins_held)
{
	uint64_t then;

	setup();
	/* Between two machines there is nothing to stop. */
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	changes = 0;
	CHECK_EQ(vmm_begin(&fx.vmm), 0);
	CHECK_EQ(resumes, 0);
	then = vm_clock_now(fx.vmm.vm);
	CHECK_EQ(vm_clock_now(fx.vmm.vm), then);
	vmm_release(&fx.vmm);
	CHECK_EQ(resumes, 1);
	CHECK_EQ(changes, 1);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);	/* of the first hold, whose machine this test has kept */
	fx_close(&fx);
}

TEST(what_waits_for_the_release)
{
	unsigned one = 1, ten = 10;
	struct vmctx *vm;

	setup();
	CHECK_EQ(vmm_begin(&fx.vmm), 0);
	vmm_when_released(&fx.vmm, call, &one);
	CHECK_EQ(calls, 1);
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	vmm_when_released(&fx.vmm, call, &one);
	vmm_when_released(&fx.vmm, call, &ten);
	CHECK_EQ(calls, 1);
	vmm_release(&fx.vmm);
	CHECK_EQ(calls, 11);
	/* One whose machine has ended is not called: there is nothing to do it to. */
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	vmm_when_released(&fx.vmm, call, &one);
	vm = fx.vmm.vm;
	fx.vmm.vm = NULL;
	vmm_release(&fx.vmm);
	CHECK(!vmm_held(&fx.vmm));
	CHECK_EQ(calls, 11);
	fx.vmm.vm = vm;
	CHECK_EQ(vm_resume(vm), 0);
	devices_resume(&fx.vmm);
	/* Nor is it when another machine has begun. */
	CHECK_EQ(vmm_hold(&fx.vmm), 0);
	vmm_when_released(&fx.vmm, call, &one);
	CHECK_EQ(vmm_begin(&fx.vmm), 0);
	vmm_release(&fx.vmm);
	CHECK_EQ(calls, 11);
	fx_close(&fx);
}

TEST_MAIN()
