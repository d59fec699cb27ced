/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm.c - the ACPI fixed hardware by ACPI 6.4 section 4.8: power button, soft off, the timer's bits, the
 * general-purpose events' block, and the reset register.
 */
#include <pthread.h>

#include "acpi/acpi_pm.h"
#include "acpi/tables.h"
#include "stopped.h"
#include "timer/acpi_pm_timer.h"
#include "virtual_fixture.h"

#define	BASE	0x600
#define	STS	(BASE + 0)
#define	EN	(BASE + 2)
#define	CNT	(BASE + 4)
#define	TIMER	(BASE + 8)
#define	GPE0	(BASE + 0x20)
#define	RESET	0xcf9

#define	TMR	0x0001
#define	GBL	0x0020
#define	PWRBTN	0x0100
#define	RTC	0x0400		/* an enable bit only */
#define	SCI_EN	0x0001
#define	SLP_EN	0x2000
#define	SMI_EN	(BASE + 0x30)
#define	S5	(ACPI_SLP_S5 << 10)
#define	HZ	3579545ULL
#define	HALF	(1ULL << 23)		/* ticks until TMR_STS */

static struct fx fx;
static struct device *dev;

static struct device *
make(struct fx *f)
{
	const struct device_place place = { .on = DEVICE_ON_IO, .base = BASE, .nirqs = 1, .irq = { f->irq } };

	return (fx_make(f, "acpi-pm", "pm", &place));
}

static void
setup(void)
{
	fx_open(&fx);
	dev = make(&fx);
	devices_resume(&fx.vmm);
}

static uint32_t
r(uint16_t port, unsigned size)
{
	return ((uint32_t)fx_read(&fx, VM_SPACE_IO, port, size));
}

static void
w(uint16_t port, unsigned size, uint32_t val)
{
	fx_write(&fx, VM_SPACE_IO, port, size, val);
}

TEST(power_on)
{
	setup();
	CHECK_EQ(r(STS, 2), 0);
	CHECK_EQ(r(EN, 2), 0);
	CHECK_EQ(r(CNT, 2), SCI_EN);			/* in ACPI mode from the start */
	for (unsigned i = 0; i < 16; i += 4)
		CHECK_EQ(r((uint16_t)(GPE0 + i), 4), 0);
	CHECK_EQ(r(RESET, 1), 0);
	CHECK_EQ(r(SMI_EN, 4), 0x20);		/* SMI_EN: there is nothing to set up */
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

/* 4.8.2.2.1.1, 4.8.3.1: status, enabled or not; the SCI while both are set. */
TEST(power_button)
{
	setup();
	acpi_pm_power_button(dev);
	CHECK_EQ(r(STS, 2), PWRBTN);
	CHECK(!fx_level(&fx));
	w(EN, 2, PWRBTN);
	CHECK(fx_level(&fx));
	w(STS, 2, 0);					/* only ones clear */
	w(STS, 2, (uint16_t)~PWRBTN);
	CHECK(fx_level(&fx));
	w(STS, 2, PWRBTN);
	CHECK(!fx_level(&fx));
	CHECK_EQ(r(STS, 2), 0);
	acpi_pm_power_button(dev);
	CHECK(fx_level(&fx));
	w(EN, 2, 0);
	CHECK(!fx_level(&fx));
	CHECK_EQ(r(STS, 2), PWRBTN);
	fx_close(&fx);
}

TEST(registers_in_any_width)
{
	setup();
	w(EN + 1, 1, 0xff);
	CHECK_EQ(r(EN, 2), PWRBTN | 0x400);
	w(EN, 1, 0xff);
	CHECK_EQ(r(EN, 2), PWRBTN | 0x20 | 0x400);		/* GBL_EN; without a timer no TMR_EN */
	acpi_pm_power_button(dev);
	CHECK_EQ(r(STS, 4), (PWRBTN | 0x420U) << 16 | PWRBTN);
	CHECK_EQ(r(STS + 1, 1), 1);
	CHECK_EQ(r(STS + 1, 2), 0x2001);
	w(STS, 1, 0xff);				/* the other byte */
	CHECK_EQ(r(STS, 2), PWRBTN);
	w(STS, 4, 0x0100 << 16 | PWRBTN);		/* clears status, sets enable */
	CHECK_EQ(r(STS, 4), PWRBTN << 16);
	w(STS, 4, UINT32_MAX);
	CHECK_EQ(r(STS, 4), (PWRBTN | 0x420U) << 16);
	/* 4.8.3.2.1: BM_RLD and SLP_TYP are kept, SLP_EN and the reserved bits not. */
	w(CNT, 2, 0xffff & ~SLP_EN);
	CHECK_EQ(r(CNT, 2), 0x1c02 | SCI_EN);
	w(CNT, 1, 0);
	CHECK_EQ(r(CNT, 2), 0x1c00 | SCI_EN);
	w(CNT + 1, 1, 0);
	CHECK_EQ(r(CNT, 2), SCI_EN);
	/* The rest of the block. */
	for (uint16_t port = BASE + 6; port < BASE + 0x80; port++) {
		if (port >= GPE0 + 8 && port < GPE0 + 16)
			continue;
		w(port, 1, 0xff);
		CHECK_EQ(r(port, 1), port == SMI_EN ? 0x20 : 0);
	}
	fx_close(&fx);
}

/* 4.8.4.1: no event is ever set, what is enabled is kept. */
TEST(general_purpose_events)
{
	setup();
	w(GPE0, 4, UINT32_MAX);
	CHECK_EQ(r(GPE0, 4), 0);
	w(GPE0 + 8, 4, 0x12345678);
	w(GPE0 + 15, 1, 0x9a);
	CHECK_EQ(r(GPE0 + 8, 4), 0x12345678);
	CHECK_EQ(r(GPE0 + 12, 4), 0x9a000000);
	CHECK(!fx_level(&fx));
	fx_close(&fx);
}

/* 4.8.3.2.1: SLP_TYP of \_S5 with SLP_EN turns the machine off; other types are no states of it. */
TEST(soft_off)
{
	setup();
	w(CNT, 2, S5);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	w(CNT, 2, S5 | SLP_EN);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_POWEROFF);
	CHECK_EQ(r(CNT, 2) & SLP_EN, 0);
	w(CNT, 2, 0);
	w(CNT + 1, 1, (S5 | SLP_EN) >> 8);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_POWEROFF);
	for (unsigned type = 0; type < 8; type++) {
		if (type == ACPI_SLP_S5)
			continue;
		w(CNT, 2, type << 10 | SLP_EN);
		CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	}
	CHECK_HAS(fx.log, "sleep type 1, which no sleeping state has, is ignored");
	/* In two writes: the type stays until it is enabled. */
	w(CNT, 2, S5);
	w(CNT, 1, 0);
	w(CNT, 4, S5 | SLP_EN);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_POWEROFF);
	fx_close(&fx);
}

/* 4.8.3.6 and the chip's 0xcf9: what the FADT says resets, does. */
TEST(reset_register)
{
	setup();
	w(RESET, 1, 0x02);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	CHECK_EQ(r(RESET, 1), 0x02);
	w(RESET, 1, 0x06);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	w(RESET, 1, 0x0e);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_RESET);
	w(RESET, 1, 0xf9);
	CHECK_EQ(stopped(fx.vmm.vm), VM_SUSPEND_NONE);
	CHECK_EQ(r(RESET, 1), 0);
	fx_close(&fx);
}

TEST(reset_of_the_machine)
{
	setup();
	w(EN, 2, PWRBTN);
	w(CNT, 2, S5 | 2);
	w(GPE0 + 8, 4, 5);
	w(RESET, 1, 2);
	acpi_pm_power_button(dev);
	CHECK(fx_level(&fx));
	devices_pause(&fx.vmm);
	devices_reset(&fx.vmm);
	CHECK(!fx_level(&fx));
	devices_resume(&fx.vmm);
	CHECK(!fx_level(&fx));
	CHECK_EQ(r(STS, 4), 0);
	CHECK_EQ(r(CNT, 2), SCI_EN);
	CHECK_EQ(r(GPE0 + 8, 4), 0);
	CHECK_EQ(r(RESET, 1), 0);
	fx_close(&fx);
}

TEST(state)
{
	static struct fx to;
	struct device *d;

	setup();
	w(EN, 2, PWRBTN | GBL | RTC);
	w(CNT, 2, S5);
	w(GPE0 + 8, 4, 0xabcdef01);
	w(RESET, 1, 2);
	acpi_pm_power_button(dev);
	devices_pause(&fx.vmm);
	fx_open(&to);
	d = make(&to);
	fx_move(&fx, &to);
	CHECK(!fx_level(&to));
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, STS, 4), (RTC | PWRBTN | GBL) << 16 | PWRBTN);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, CNT, 2), S5 | SCI_EN);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, GPE0 + 8, 4), 0xabcdef01);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, RESET, 1), 2);
	CHECK(d->soft != NULL);
	fx_close(&to);
	fx_close(&fx);
}

/* While paused the button is noted and nothing raised. */
TEST(pause)
{
	setup();
	w(EN, 2, PWRBTN);
	devices_pause(&fx.vmm);
	acpi_pm_power_button(dev);
	CHECK(!fx_level(&fx));
	devices_resume(&fx.vmm);
	CHECK(fx_level(&fx));
	fx_close(&fx);
}

/* With its timer, on virtual time */

static struct vfx v;

static uint32_t
vr(uint16_t port, unsigned size)
{
	return ((uint32_t)fx_read(&v.fx, VM_SPACE_IO, port, size));
}

static void
vw(uint16_t port, unsigned size, uint32_t val)
{
	fx_write(&v.fx, VM_SPACE_IO, port, size, val);
}

static struct device *
with_timer(struct vfx *f)
{
	const struct device_place place = { .on = DEVICE_ON_IO, .base = TIMER };
	struct device *timer = fx_make(&f->fx, "acpi-pm-timer", "timer", &place), *pm = make(&f->fx);

	acpi_pm_set_timer(pm, timer);
	return (pm);
}

/* 4.8.3.1: bit 0 of the PM1 registers. */
TEST(timer)
{
	vfx_open(&v);
	dev = with_timer(&v);
	devices_resume(&v.fx.vmm);
	CHECK_EQ(vr(TIMER, 4), 0);			/* inside of the block */
	vfx_until(&v, vfx_ns(HALF, HZ) - 1);
	CHECK_EQ(vr(STS, 2), 0);
	vfx_until(&v, vfx_ns(HALF, HZ));
	CHECK_EQ(vr(STS, 2), TMR);
	CHECK_EQ(vr(TIMER, 4), HALF);
	CHECK(!fx_level(&v.fx));
	vw(EN, 2, TMR | PWRBTN);			/* it is set already: at once */
	CHECK_EQ(vr(EN, 2), TMR | PWRBTN);
	CHECK(fx_level(&v.fx));
	vw(STS, 2, TMR);
	CHECK(!fx_level(&v.fx));
	CHECK_EQ(vr(STS, 2), 0);
	vfx_until(&v, vfx_ns(2 * HALF, HZ) - 1);
	CHECK(!fx_level(&v.fx));
	vfx_until(&v, vfx_ns(2 * HALF, HZ));		/* the timer's thread raises it */
	CHECK(fx_level(&v.fx));
	acpi_pm_power_button(dev);
	vw(STS, 1, TMR);				/* one of two reasons */
	CHECK(fx_level(&v.fx));
	vw(EN + 1, 1, 0);
	CHECK_EQ(vr(EN, 2), TMR);
	CHECK(!fx_level(&v.fx));
	vw(EN, 2, 0);
	vfx_until(&v, vfx_ns(4 * HALF, HZ));
	CHECK(!fx_level(&v.fx));
	CHECK_EQ(vr(STS, 2), TMR | PWRBTN);
	fx_reset(&v.fx);
	CHECK_EQ(vr(STS, 4), 0);
	/* The block goes first, as it was made last. */
	vfx_close(&v);
}

TEST(timer_state)
{
	static struct vfx to;

	vfx_open(&v);
	(void)with_timer(&v);
	devices_resume(&v.fx.vmm);
	vw(EN, 2, TMR);
	vfx_until(&v, vfx_ns(HALF, HZ));
	CHECK(fx_level(&v.fx));
	devices_pause(&v.fx.vmm);
	vfx_open(&to);
	(void)with_timer(&to);
	vfx_move(&v, &to);
	devices_resume(&to.fx.vmm);
	CHECK(fx_level(&to.fx));
	CHECK_EQ(fx_read(&to.fx, VM_SPACE_IO, STS, 4), TMR << 16 | TMR);
	fx_write(&to.fx, VM_SPACE_IO, STS, 2, TMR);
	CHECK(!fx_level(&to.fx));
	vfx_close(&to);
	devices_resume(&v.fx.vmm);
	vfx_close(&v);
}

TEST(damaged_state_is_refused)
{
	uint16_t *sts, *en, *cnt;
	uint8_t *rst;

	vfx_open(&v);
	dev = with_timer(&v);
	devices_resume(&v.fx.vmm);
	devices_pause(&v.fx.vmm);
	fx_damage(&v.fx);
	sts = fx_field(dev, "sts");
	en = fx_field(dev, "en");
	cnt = fx_field(dev, "cnt");
	rst = fx_field(dev, "rst");
	for (unsigned i = 0; i < 4; i++) {
		struct vm_state_out *out = vm_state_out_open();
		struct vm_state_in *in;
		const void *data;
		size_t len;

		*sts = i == 0 ? TMR : 0;		/* the timer's bits are the timer's */
		*en = i == 1 ? 0x8000 : 0;
		*cnt = i == 2 ? SLP_EN : 0;
		*rst = i == 3 ? 4 : 0;
		CHECK_EQ(devices_save(&v.fx.vmm, out), 0);
		data = vm_state_out_data(out, &len);
		in = vm_state_in_open(data, len);
		CHECK(in != NULL);
		CHECK_EQ(devices_load(&v.fx.vmm, in), -1);
		CHECK_HAS(vmm_errmsg(), "reserved bits are set");
		vm_state_in_close(in);
		vm_state_out_close(out);
	}
	*rst = 0;
	devices_resume(&v.fx.vmm);
	vfx_close(&v);
}

static void *
hammer(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg, val;

	for (int i = 0; i < 20000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		val = x >> 24;
		if ((x >> 60) == 0)
			acpi_pm_power_button(dev);
		else
			(void)vm_access(fx.vmm.vm, VM_SPACE_IO, BASE + ((x >> 40) & 0x7f), 1U << ((x >> 50) % 3), (x >> 59) & 1, &val);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	pthread_t th[FX_THREADS];

	setup();
	fx_hammer_start(th, hammer);
	fx_hammer_join(th);
	w(STS, 2, 0xffff);
	CHECK_EQ(r(STS, 2), 0);
	CHECK(!fx_level(&fx));
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	fx_close(&fx);
}

TEST_MAIN()
