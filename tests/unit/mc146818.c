/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mc146818.c - the CMOS RTC by its data sheet, on virtual time.
 */
#include <time.h>

#include "timer/mc146818.h"
#include "virtual_fixture.h"

#define	BASE	0x70
#define	HZ	32768ULL

enum { SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, MDAY, MON, YEAR, A, B, C, D, CENTURY = 0x32 };

#define	SET	0x80
#define	PIE	0x40
#define	AIE	0x20
#define	UIE	0x10
#define	SQWE	0x08
#define	DM	0x04
#define	H24	0x02
#define	DSE	0x01
#define	IRQF	0x80
#define	PF	0x40
#define	AF	0x20
#define	UF	0x10
#define	UIP	0x80

static struct vfx v;
static struct device *dev;

static struct device *
make(struct vfx *f, const char *start)
{
	const struct device_class *cls = device_class_find("mc146818");
	const struct device_place place = { .on = DEVICE_ON_IO, .base = BASE, .nirqs = 1, .irq = { f->fx.irq } };
	struct config_node *node = fx_node(&f->fx, "rtc", cls);
	struct device *d;

	if (start != NULL)
		vfx_set(f, "rtc.start", start);
	d = device_create(&f->fx.vmm, cls, "rtc", node, &place);
	CHECKF(d != NULL, "%s", vmm_errmsg());
	return (d);
}

static void
setup(const char *start)
{
	vfx_open(&v);
	dev = make(&v, start);
	devices_resume(&v.fx.vmm);
}

static uint8_t
in_of(struct vfx *f, uint8_t reg)
{
	fx_write(&f->fx, VM_SPACE_IO, BASE, 1, reg);
	return ((uint8_t)fx_read(&f->fx, VM_SPACE_IO, BASE + 1, 1));
}

static uint8_t
in(uint8_t reg)
{
	return (in_of(&v, reg));
}

static void
out(uint8_t reg, uint8_t val)
{
	fx_write(&v.fx, VM_SPACE_IO, BASE, 1, reg);
	fx_write(&v.fx, VM_SPACE_IO, BASE + 1, 1, val);
}

static bool
irq(void)
{
	return (fx_level(&v.fx));
}

/* Ticks of the oscillator after the start. */
static void
until_tick(uint64_t n)
{
	vfx_until(&v, vfx_ns(n, HZ));
}

static void
just_before_tick(uint64_t n)
{
	vfx_until(&v, vfx_ns(n, HZ) - 1);
}

/* Century, year, month, day, day of the week, hour, minute, second as they are read. */
static const char *
shown(void)
{
	static char buf[64];

	(void)snprintf(buf, sizeof(buf), "%02x%02x-%02x-%02x/%x %02x:%02x:%02x", in(CENTURY), in(YEAR), in(MON), in(MDAY),
	    in(WDAY), in(HOUR), in(MIN), in(SEC));
	return (buf);
}

TEST(power_on)
{
	setup("2026-01-31T23:59:58");
	CHECK_STR(shown(), "2026-01-31/7 23:59:58");
	CHECK_EQ(in(A), 0x26);
	CHECK_EQ(in(B), H24);
	CHECK_EQ(in(C), 0);
	CHECK_EQ(in(D), 0x80);
	CHECK(!irq());
	for (unsigned i = 14; i < 128; i++)
		CHECK(i == CENTURY || in((uint8_t)i) == 0);
	vfx_close(&v);
}

TEST(the_clock_advances)
{
	setup("2026-01-31T23:59:58");
	vfx_until(&v, NSEC - 1);
	CHECK_STR(shown(), "2026-01-31/7 23:59:58");
	vfx_until(&v, NSEC);
	CHECK_STR(shown(), "2026-01-31/7 23:59:59");
	vfx_until(&v, 2 * NSEC);
	CHECK_STR(shown(), "2026-02-01/1 00:00:00");
	vfx_until(&v, 3600 * NSEC);
	CHECK_STR(shown(), "2026-02-01/1 00:59:58");
	vfx_close(&v);
}

TEST(calendar)
{
	static const struct { const char *start, *then; } t[] = {
		{ "1999-12-31T23:59:59", "2000-01-01/7 00:00:00" },
		{ "2000-02-28T23:59:59", "2000-02-29/3 00:00:00" },
		{ "2000-02-29T23:59:59", "2000-03-01/4 00:00:00" },
		{ "2023-02-28T23:59:59", "2023-03-01/4 00:00:00" },
		{ "2024-02-28T23:59:59", "2024-02-29/5 00:00:00" },
		{ "2100-02-28T23:59:59", "2100-03-01/2 00:00:00" },
		{ "2026-04-30T23:59:59", "2026-05-01/6 00:00:00" },
		{ "9999-12-31T23:59:59", "0000-01-01/7 00:00:00" },
		{ "2026-01-01T09:59:59", "2026-01-01/5 10:00:00" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		setup(t[i].start);
		vfx_until(&v, NSEC);
		CHECK_STR(shown(), t[i].then);
		vfx_close(&v);
	}
}

static unsigned
from(uint8_t b, uint8_t byte)
{
	return ((b & DM) != 0 ? byte : (byte >> 4) * 10U + (byte & 15U));
}

static uint8_t
to(uint8_t b, unsigned n)
{
	return ((uint8_t)((b & DM) != 0 ? n : n / 10 << 4 | n % 10));
}

static unsigned
from_hour(uint8_t b, uint8_t byte)
{
	unsigned h = from(b, byte & 0x7f);

	return ((b & H24) != 0 ? h : h % 12 + ((byte & 0x80) != 0 ? 12 : 0));
}

static uint8_t
to_hour(uint8_t b, unsigned h)
{
	if ((b & H24) != 0)
		return (to(b, h));
	return ((uint8_t)(to(b, h % 12 == 0 ? 12 : h % 12) | (h >= 12 ? 0x80 : 0)));
}

static void
set_tm(uint8_t b, const struct tm *tm)
{
	out(B, b | SET);
	out(SEC, to(b, (unsigned)tm->tm_sec));
	out(MIN, to(b, (unsigned)tm->tm_min));
	out(HOUR, to_hour(b, (unsigned)tm->tm_hour));
	out(WDAY, to(b, (unsigned)tm->tm_wday + 1));
	out(MDAY, to(b, (unsigned)tm->tm_mday));
	out(MON, to(b, (unsigned)tm->tm_mon + 1));
	out(YEAR, to(b, (unsigned)tm->tm_year % 100));
	out(CENTURY, to(b, (unsigned)(tm->tm_year + 1900) / 100));
	out(B, b);
}

/* Any time, any later time, in all four formats: as the C library has it. */
TEST(agrees_with_the_calendar_of_the_host)
{
	uint64_t seed = 146818;

	setup("2000-01-01T00:00:00");
	for (int i = 0; i < 2000; i++) {
		uint8_t b = (uint8_t)(i & 3) << 1;
		time_t t = (time_t)(test_random(&seed) % (200ULL * 366 * 86400)), then;
		uint64_t later = test_random(&seed) % (i % 2 == 0 ? 100000 : 20ULL * 366 * 86400);
		struct tm tm;

		(void)gmtime_r(&t, &tm);
		/* Setting the VM's clock back is no time that passes. */
		CHECK_EQ(vm_clock_set(v.fx.vmm.vm, 0), 0);
		set_tm(b, &tm);
		CHECK_EQ(vm_clock_set(v.fx.vmm.vm, later * NSEC), 0);
		then = t + (time_t)later;
		(void)gmtime_r(&then, &tm);
		CHECK_EQ(from(b, in(SEC)), tm.tm_sec);
		CHECK_EQ(from(b, in(MIN)), tm.tm_min);
		CHECK_EQ(in(HOUR), to_hour(b, (unsigned)tm.tm_hour));
		CHECK_EQ(from_hour(b, in(HOUR)), tm.tm_hour);
		CHECK_EQ(from(b, in(WDAY)), tm.tm_wday + 1);
		CHECK_EQ(from(b, in(MDAY)), tm.tm_mday);
		CHECK_EQ(from(b, in(MON)), tm.tm_mon + 1);
		CHECK_EQ(from(b, in(CENTURY)) * 100 + from(b, in(YEAR)), tm.tm_year + 1900);
	}
	vfx_close(&v);
}

/* A guest that sets one byte after the other is interrupted by midnight: 31 February is over then. */
TEST(dates_that_no_month_has)
{
	setup("2026-01-31T23:59:59");
	out(MON, 0x02);
	vfx_until(&v, NSEC);
	CHECK_STR(shown(), "2026-03-01/1 00:00:00");
	vfx_close(&v);
}

TEST(formats)
{
	static const uint8_t bcd12[24] = {
		0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
		0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91,
	}, bin12[24] = {
		0x0c, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
		0x8c, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b,
	};
	struct tm tm = { .tm_mday = 15, .tm_mon = 10, .tm_year = 126, .tm_min = 59, .tm_sec = 59 };
	uint64_t now = 0;

	setup("2026-01-01T00:00:00");
	for (int h = 0; h < 24; h++) {
		for (unsigned f = 0; f < 4; f++) {
			uint8_t b = (uint8_t)(f << 1);

			tm.tm_hour = h;
			set_tm(b, &tm);
			vfx_until(&v, now += NSEC);
			CHECK_EQ(in(HOUR), (b & H24) != 0 ? to(b, (unsigned)(h + 1) % 24) :
			    (b & DM) != 0 ? bin12[(h + 1) % 24] : bcd12[(h + 1) % 24]);
			CHECK_EQ(in(MDAY), to(b, h == 23 ? 16 : 15));
		}
	}
	/* Changing the format changes no byte until the next update (and then the data are the guest's fault). */
	set_tm(H24, &tm);
	CHECK_EQ(in(SEC), 0x59);
	out(B, DM | H24);
	CHECK_EQ(in(SEC), 0x59);
	CHECK_EQ(in(HOUR), 0x23);
	vfx_close(&v);
}

TEST(set_holds_the_time)
{
	setup("2026-01-31T23:59:58");
	out(B, SET | UIE | H24);
	CHECK_EQ(in(B), SET | H24);		/* SET going high clears UIE */
	out(B, SET | UIE | H24);
	CHECK_EQ(in(B), SET | UIE | H24);
	vfx_until(&v, 10 * NSEC + 999000000);
	CHECK_EQ(in(A), 0x26);			/* nothing is in progress */
	CHECK_STR(shown(), "2026-01-31/7 23:59:58");
	CHECK_EQ(in(C) & UF, 0);
	out(SEC, 0x30);
	out(B, H24);
	/* The chain went on counting: the next update is where it would have been. */
	vfx_until(&v, 11 * NSEC - 1);
	CHECK_EQ(in(SEC), 0x30);
	vfx_until(&v, 11 * NSEC);
	CHECK_EQ(in(SEC), 0x31);
	vfx_close(&v);
}

TEST(divider_reset)
{
	setup("2026-01-31T23:59:00");
	vfx_until(&v, NSEC / 4);
	out(A, 0x76);
	(void)in(C);
	vfx_until(&v, 5 * NSEC);
	CHECK_EQ(in(SEC), 0);
	CHECK_EQ(in(C), 0);			/* no periodic taps either */
	out(A, 0x26);
	/* "The first update begins one-half second later" */
	just_before_tick(5 * HZ + HZ / 2);
	CHECK_EQ(in(SEC), 0);
	until_tick(5 * HZ + HZ / 2);
	CHECK_EQ(in(SEC), 1);
	/* A divider for another crystal: the clock stands, and goes on where it was. */
	vfx_until(&v, 6 * NSEC);
	out(A, 0x06);
	vfx_until(&v, 60 * NSEC);
	CHECK_EQ(in(SEC), 1);
	CHECK_EQ(in(A), 0x06);
	out(A, 0x26);
	vfx_until(&v, 60 * NSEC + NSEC / 2 - 1);
	CHECK_EQ(in(SEC), 1);
	vfx_until(&v, 60 * NSEC + NSEC / 2);
	CHECK_EQ(in(SEC), 2);
	vfx_close(&v);
}

TEST(update_in_progress)
{
	setup("2026-01-31T23:59:00");
	for (unsigned s = 1; s < 4; s++) {
		/* 244 us before an update of 1984 us: 8 and 65 ticks. */
		just_before_tick(s * HZ - 73);
		CHECK_EQ(in(A) & UIP, 0);
		until_tick(s * HZ - 73);
		CHECK_EQ(in(A) & UIP, UIP);
		just_before_tick(s * HZ);
		CHECK_EQ(in(A) & UIP, UIP);
		CHECK_EQ(in(SEC), s - 1);
		until_tick(s * HZ);
		CHECK_EQ(in(A) & UIP, 0);
		CHECK_EQ(in(SEC), s);
	}
	/* SET aborts it, and UIP cannot be written. */
	just_before_tick(4 * HZ);
	CHECK_EQ(in(A) & UIP, UIP);
	out(B, SET | H24);
	CHECK_EQ(in(A) & UIP, 0);
	out(A, 0xa6);
	CHECK_EQ(in(A), 0x26);
	vfx_close(&v);
}

TEST(update_ended_interrupt)
{
	setup("2026-01-31T23:59:00");
	vfx_until(&v, NSEC);
	CHECK_EQ(mc146818_get(dev, C), UF | PF);	/* flags without enables */
	CHECK_EQ(in(C), UF | PF);
	CHECK(!irq());
	out(A, 0x20);
	out(B, UIE | H24);
	CHECK(!irq());
	vfx_until(&v, 2 * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, 2 * NSEC);
	CHECK(irq());
	vfx_until(&v, 5 * NSEC);
	CHECK(irq());				/* until C is read */
	CHECK_EQ(in(C), IRQF | UF);
	CHECK(!irq());
	CHECK_EQ(in(C), 0);
	vfx_until(&v, 6 * NSEC);
	CHECK(irq());
	out(B, H24);				/* disabled: the flag stays */
	CHECK(!irq());
	CHECK_EQ(mc146818_get(dev, C), UF);
	out(B, UIE | H24);			/* enabled over a flag that is set */
	CHECK(irq());
	CHECK_EQ(in(C), IRQF | UF);
	CHECK(!irq());
	vfx_close(&v);
}

TEST(periodic_interrupts_of_all_rates)
{
	static const double hz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2 };

	for (unsigned rs = 0; rs < 16; rs++) {
		uint64_t ticks = rs == 0 ? 0 : (uint64_t)(HZ / hz[rs]);

		setup("2026-01-31T23:59:00");
		(void)in(C);
		out(A, 0x20 | (uint8_t)rs);
		out(B, PIE | H24);
		if (rs == 0) {
			vfx_until(&v, 3 * NSEC);
			CHECK(!irq());
			CHECK_EQ(in(C) & PF, 0);
			vfx_close(&v);
			continue;
		}
		for (unsigned n = 1; n < 50; n++) {
			just_before_tick(n * ticks);
			CHECK(!irq());
			until_tick(n * ticks);
			CHECK(irq());
			CHECK_EQ(in(C) & (IRQF | PF), IRQF | PF);
			CHECK(!irq());
		}
		/* Not read: no more than the one. */
		until_tick(100 * ticks);
		CHECK(irq());
		CHECK_EQ(in(C) & PF, PF);
		CHECK_EQ(in(C) & PF, 0);
		vfx_close(&v);
	}
}

TEST(periodic_goes_on_while_set)
{
	setup("2026-01-31T23:59:00");
	out(A, 0x2f);
	out(B, SET | PIE | H24);
	vfx_until(&v, NSEC / 2);
	CHECK(irq());
	CHECK_EQ(in(C), IRQF | PF);
	vfx_close(&v);
}

TEST(alarm)
{
	setup("2026-01-31T23:59:50");
	out(SEC_ALARM, 0x05);
	out(MIN_ALARM, 0x00);
	out(HOUR_ALARM, 0x00);
	out(B, AIE | H24);
	vfx_until(&v, 15 * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, 15 * NSEC);
	CHECK(irq());
	CHECK_EQ(in(C), IRQF | AF | UF | PF);
	vfx_until(&v, (86400 + 15) * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, (86400 + 15) * NSEC);
	CHECK(irq());
	(void)in(C);
	/* Every minute, every second, and never. */
	out(HOUR_ALARM, 0xff);
	out(MIN_ALARM, 0xc0);
	vfx_until(&v, (86400 + 75) * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, (86400 + 75) * NSEC);
	CHECK(irq());
	(void)in(C);
	out(SEC_ALARM, 0xc5);
	vfx_until(&v, (86400 + 76) * NSEC);
	CHECK(irq());
	(void)in(C);
	out(SEC_ALARM, 0x60);
	vfx_until(&v, 5 * 86400 * NSEC);
	CHECK(!irq());
	CHECK_EQ(in(C) & AF, 0);
	/* Moved while it is awaited. */
	out(SEC_ALARM, 0x10);
	out(SEC_ALARM, 0x20);
	CHECK_EQ(in(SEC), 0x50);
	vfx_until(&v, (5 * 86400 + 30) * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, (5 * 86400 + 30) * NSEC);
	CHECK(irq());
	vfx_close(&v);
}

/* Any alarm bytes in any format against counting the seconds one by one. */
TEST(alarm_agrees_with_counting)
{
	uint64_t seed = 77, now = 0;

	setup("2000-01-01T00:00:00");
	for (int i = 0; i < 60; i++) {
		uint8_t b = (uint8_t)(i & 3) << 1, alarm[3];
		unsigned tod = (unsigned)(test_random(&seed) % 86400), wait, t;
		struct tm tm = {
			.tm_mday = 1, .tm_year = 100, .tm_hour = (int)(tod / 3600), .tm_min = (int)(tod / 60 % 60),
			.tm_sec = (int)(tod % 60),
		};

		set_tm(b, &tm);
		alarm[0] = to(b, (unsigned)(test_random(&seed) % 60));
		alarm[1] = to(b, (unsigned)(test_random(&seed) % 60));
		alarm[2] = to_hour(b, (unsigned)(test_random(&seed) % 24));
		for (int k = 0; k < 3; k++) {
			if (test_random(&seed) % 3 == 0)
				alarm[k] = 0xc0 | (uint8_t)test_random(&seed);
			out((uint8_t)(1 + 2 * k), alarm[k]);
		}
		for (wait = 1; wait <= 86400; wait++) {
			t = (tod + wait) % 86400;
			if ((alarm[0] >= 0xc0 || alarm[0] == to(b, t % 60)) &&
			    (alarm[1] >= 0xc0 || alarm[1] == to(b, t / 60 % 60)) &&
			    (alarm[2] >= 0xc0 || alarm[2] == to_hour(b, t / 3600)))
				break;
		}
		(void)in(C);
		out(B, b | AIE);
		now += wait * NSEC;
		vfx_until(&v, now - 1);
		CHECKF(!irq(), "too early: case %d", i);
		vfx_until(&v, now);
		CHECKF(irq(), "too late: case %d", i);
		(void)in(C);
		out(B, b);
	}
	vfx_close(&v);
}

TEST(daylight_and_square_wave_are_only_kept)
{
	setup("2026-04-26T01:59:59");		/* the chip's rule: last Sunday in April */
	out(B, DSE | SQWE | H24);
	CHECK_EQ(in(B), DSE | SQWE | H24);
	vfx_until(&v, NSEC);
	CHECK_STR(shown(), "2026-04-26/1 02:00:00");
	vfx_close(&v);
}

TEST(ports)
{
	setup("2026-01-31T23:59:58");
	/* Index and NMI mask. */
	CHECK(!mc146818_nmi_masked(dev));
	fx_write(&v.fx, VM_SPACE_IO, BASE, 1, 0x8d);
	CHECK(mc146818_nmi_masked(dev));
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE, 1), 0x8d);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 1, 1), 0x80);
	fx_write(&v.fx, VM_SPACE_IO, BASE, 1, 0x0d);
	CHECK(!mc146818_nmi_masked(dev));
	/* The banks are two, of 128 bytes each. */
	for (unsigned i = 0; i < 128; i++) {
		if (i >= 14)
			out((uint8_t)(i | (i & 1) << 7), (uint8_t)(i * 3));
		fx_write(&v.fx, VM_SPACE_IO, BASE + 2, 1, i | (i & 1) << 7);
		fx_write(&v.fx, VM_SPACE_IO, BASE + 3, 1, i * 5);
	}
	for (unsigned i = 0; i < 128; i++) {
		if (i >= 14)
			CHECK_EQ(in((uint8_t)i), (uint8_t)(i * 3));
		fx_write(&v.fx, VM_SPACE_IO, BASE + 2, 1, i);
		CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 2, 1), i);
		CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 3, 1), (uint8_t)(i * 5));
		CHECK_EQ(mc146818_get(dev, 128 + i), (uint8_t)(i * 5));
	}
	/* A word is index and data at once, as firmware writes it; beyond the last port there is nothing. */
	fx_write(&v.fx, VM_SPACE_IO, BASE, 2, 0x5a20);
	CHECK_EQ(in(0x20), 0x5a);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE, 2), 0x5a20);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 3, 4) >> 8, 0xffffff);
	fx_write(&v.fx, VM_SPACE_IO, BASE + 3, 4, 0x12345678);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 3, 1), 0x78);
	/* C and D are read-only. */
	out(D, 0);
	CHECK_EQ(in(D), 0x80);
	(void)in(C);
	out(C, 0xff);
	CHECK_EQ(in(C), 0);
	vfx_close(&v);
}

TEST(the_machine_sets_bytes)
{
	struct device other = { .cls = device_class_find("ns16550"), .name = (char *)(uintptr_t)"com1" };

	setup("2026-01-31T23:59:58");
	CHECK_EQ(mc146818_set(dev, 0x34, 0xab), 0);	/* memory above 16 MiB, in 64 KiB */
	CHECK_EQ(mc146818_set(dev, 0x35, 0xcd), 0);
	CHECK_EQ(mc146818_set(dev, 255, 0xef), 0);
	CHECK_EQ(in(0x34), 0xab);
	CHECK_EQ(in(0x35), 0xcd);
	CHECK_EQ(mc146818_get(dev, 0x34), 0xab);
	fx_write(&v.fx, VM_SPACE_IO, BASE + 2, 1, 0x7f);
	CHECK_EQ(fx_read(&v.fx, VM_SPACE_IO, BASE + 3, 1), 0xef);
	CHECK_EQ(mc146818_set(dev, 0, 0), -1);
	CHECK_STR(vmm_errmsg(), "rtc: byte 0 of CMOS RAM cannot be set");
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(mc146818_set(dev, D, 0), -1);
	CHECK_EQ(mc146818_set(dev, CENTURY, 0), -1);
	CHECK_EQ(mc146818_set(dev, 256, 0), -1);
	CHECK_EQ(mc146818_set(&other, 0x34, 0), -1);
	CHECK_EQ(mc146818_set(NULL, 0x34, 0), -1);
	CHECK_EQ(mc146818_get(&other, 0x34), 0xff);
	CHECK(!mc146818_nmi_masked(&other));
	vfx_close(&v);
}

TEST(reset_spares_what_has_a_battery)
{
	setup("2026-01-31T23:59:58");
	out(A, 0x2f);
	out(B, PIE | AIE | UIE | SQWE | DM | H24 | DSE);
	out(0x20, 0x42);
	vfx_until(&v, 3 * NSEC);
	CHECK(irq());
	out(0xa0, 0x43);
	devices_pause(&v.fx.vmm);
	devices_reset(&v.fx.vmm);
	CHECK(!irq());
	devices_resume(&v.fx.vmm);
	CHECK(!irq());
	CHECK(!mc146818_nmi_masked(dev));
	CHECK_EQ(in(B), DM | H24 | DSE);
	CHECK_EQ(in(A), 0x2f);
	CHECK_EQ(in(C), 0);
	CHECK_EQ(in(0x20), 0x43);
	/* The format was changed at 23h = 0x23 in BCD: only what carries was advanced, in binary. */
	vfx_until(&v, 4 * NSEC);
	CHECK_EQ(in(C), PF | UF);
	vfx_close(&v);
}

TEST(pause_and_resume)
{
	setup("2026-01-31T23:59:00");
	out(B, UIE | H24);
	devices_pause(&v.fx.vmm);
	vfx_until(&v, 3 * NSEC + NSEC / 2);	/* a clock that ran on all the same: told after the resume */
	CHECK(!irq());
	devices_resume(&v.fx.vmm);
	CHECK(irq());
	CHECK_EQ(in(SEC), 0x03);
	CHECK_EQ(in(C) & UF, UF);
	vfx_until(&v, 4 * NSEC - 1);
	CHECK(!irq());
	vfx_until(&v, 4 * NSEC);
	CHECK(irq());
	vfx_close(&v);
}

TEST(state_moves_with_its_alarm)
{
	static struct vfx two;

	setup("2026-01-31T23:59:00");
	out(SEC_ALARM, 0x07);
	out(MIN_ALARM, 0xff);
	out(HOUR_ALARM, 0xff);
	out(B, AIE | H24);
	out(0x20, 0x42);
	vfx_until(&v, 2 * NSEC + 345678);
	devices_pause(&v.fx.vmm);
	vfx_open(&two);
	vfx_until(&two, 99999);
	make(&two, "1980-01-01T00:00:00");
	vfx_move(&v, &two);
	devices_resume(&two.fx.vmm);
	CHECK_EQ(in_of(&two, SEC), 0x02);
	CHECK_EQ(in_of(&two, YEAR), 0x26);
	CHECK_EQ(in_of(&two, 0x20), 0x42);
	CHECK(!fx_level(&two.fx));
	vfx_until(&two, 7 * NSEC - 1);
	CHECK(!fx_level(&two.fx));
	vfx_until(&two, 7 * NSEC);
	CHECK(fx_level(&two.fx));
	/* And with an interrupt that is pending: back again. */
	devices_pause(&two.fx.vmm);
	vfx_move(&two, &v);
	CHECK(!irq());
	devices_resume(&v.fx.vmm);
	CHECK(irq());
	CHECK_EQ(in(C) & (IRQF | AF), IRQF | AF);
	CHECK(!irq());
	vfx_close(&two);
	vfx_close(&v);
}

TEST(damaged_and_impossible_state_is_refused)
{
	static const struct { uint8_t reg, val; } bad[] = { { A, 0xa6 }, { C, 0x80 }, { C, 0x01 }, { D, 0 }, { D, 0xff } };
	uint8_t *ram;

	setup("2026-01-31T23:59:00");
	devices_pause(&v.fx.vmm);
	fx_damage(&v.fx);
	ram = fx_field(dev, "ram");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t old = ram[bad[i].reg];

		ram[bad[i].reg] = bad[i].val;
		CHECK_EQ(dev->cls->state->check(dev->soft), -1);
		CHECK_HAS(vm_errmsg(), "bits that do not exist");
		ram[bad[i].reg] = old;
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	}
	vfx_close(&v);
}

/* Any bytes, any count in the chain: whatever a stream says, the clock goes on. */
TEST(any_state_goes_on)
{
	uint64_t seed = 4711;
	uint8_t *ram;

	setup("2026-01-31T23:59:00");
	devices_pause(&v.fx.vmm);
	ram = fx_field(dev, "ram");
	for (int i = 0; i < 20000; i++) {
		for (int k = 0; k < 128; k++)
			ram[k] = (uint8_t)test_random(&seed);
		ram[A] = (uint8_t)((i & 3) == 0 ? ram[A] & 0x7f : 0x26);
		ram[C] &= 0x70;
		ram[D] = 0x80;
		*(uint64_t *)fx_field(dev, "chain") = test_random(&seed) >> (i % 64);
		*(uint64_t *)fx_field(dev, "seen") = test_random(&seed) >> (i % 61);
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
		devices_resume(&v.fx.vmm);
		for (uint8_t r = 0; r < 14; r++)
			(void)in(r);
		devices_pause(&v.fx.vmm);
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	}
	vfx_close(&v);
}

/* Random accesses of every size at every port, while time passes in leaps of any length. */
TEST(random_accesses)
{
	uint64_t seed = 0x146818, now = 0;

	setup(NULL);
	for (int i = 0; i < 100000 * test_long(10); i++) {
		uint64_t r = test_random(&seed);
		unsigned off = (unsigned)(r & 3), size = 1U << (r >> 2 & 3);

		if (size == 8)
			size = 1;
		if ((r & 0x10) != 0)
			fx_write(&v.fx, VM_SPACE_IO, BASE + off, size, test_random(&seed) & (r & 0x20 ? 0x0f0f0f0f : ~0U));
		else
			(void)fx_read(&v.fx, VM_SPACE_IO, BASE + off, size);
		if (i % 7 == 0) {
			now += test_random(&seed) >> (20 + i % 40);
			CHECK_EQ(vm_clock_set(v.fx.vmm.vm, now & (UINT64_MAX >> 1)), 0);
		}
		if (i % 1000 == 0) {
			devices_pause(&v.fx.vmm);
			CHECK_EQ(dev->cls->state->check(dev->soft), 0);
			if (i % 5000 == 0)
				devices_reset(&v.fx.vmm);
			devices_resume(&v.fx.vmm);
		}
	}
	vfx_close(&v);
}

TEST(starts)
{
	static const char *const bad[] = {
		"", "yesterday", "2026-02-30T00:00:00", "2026-13-01T00:00:00", "2026-01-01T24:00:00",
		"2026-01-01T00:00:60", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z", "2026-1-1T00:00:00",
		"2026-01-01T00:00:00 and a lot more text than is good for a sentence",
	};
	const struct device_class *cls = device_class_find("mc146818");
	struct device_place place = { .on = DEVICE_ON_IO, .base = BASE, .nirqs = 1 };
	struct config_node *node;

	vfx_open(&v);
	place.irq[0] = v.fx.irq;
	node = fx_node(&v.fx, "rtc", cls);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vfx_set(&v, "rtc.start", bad[i]);
		CHECKF(device_create(&v.fx.vmm, cls, "rtc", node, &place) == NULL, "'%s'", bad[i]);
		CHECK_EQ(errno, EINVAL);
		CHECK_HAS(vmm_errmsg(), "rtc: start '");
	}
	vfx_close(&v);
}

/* The time shown, as seconds since 1970. */
static time_t
shown_time(void)
{
	struct tm tm = {
		.tm_sec = (int)from(0, in(SEC)), .tm_min = (int)from(0, in(MIN)), .tm_hour = (int)from(0, in(HOUR)),
		.tm_mday = (int)from(0, in(MDAY)), .tm_mon = (int)from(0, in(MON)) - 1,
		.tm_year = (int)(from(0, in(CENTURY)) * 100 + from(0, in(YEAR))) - 1900,
	};

	return (timegm(&tm));
}

/* time() may be a tick behind at the turn of a second. */
static time_t
host_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (ts.tv_sec);
}

TEST(the_hosts_time)
{
	time_t t0, t1;

	CHECK_EQ(setenv("TZ", "AAA-5:30", 1), 0);
	tzset();
	for (int local = 0; local < 2; local++) {
		time_t ahead = local ? 5 * 3600 + 1800 : 0;

		vfx_open(&v);
		CHECK_EQ(config_declare(v.fx.vmm.config, "rtc", &device_class_find("mc146818")->keys), 0);
		vfx_set(&v, "rtc.time", local ? "local" : "utc");
		t0 = host_time();
		dev = make(&v, NULL);
		t1 = host_time();
		devices_resume(&v.fx.vmm);
		CHECK(shown_time() >= t0 + ahead && shown_time() <= t1 + ahead);
		vfx_close(&v);
	}
}

TEST(describes_itself)
{
	struct device_description d = { 0 };

	setup(NULL);
	dev->cls->describe(dev, &d);
	CHECK_STR(d.compatible, "motorola,mc146818");
	CHECK_STR(d.hid, "PNP0B00");
	vfx_close(&v);
}

static void *
hammer(void *arg)
{
	for (unsigned i = 0; i < 5000; i++) {
		fx_write(&v.fx, VM_SPACE_IO, BASE + (i & 3), 1, i * 37);
		(void)fx_read(&v.fx, VM_SPACE_IO, BASE + (i & 3), 1);
		(void)mc146818_get(dev, i & 0xff);
		(void)mc146818_set(dev, i & 0xff, (uint8_t)i);
	}
	return (NULL);
}

TEST(any_access_from_any_thread)
{
	setup(NULL);
	vfx_hammer(&v, hammer, NSEC);
	devices_pause(&v.fx.vmm);
	CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	vfx_close(&v);
}

/* Periodic interrupts at the highest rate from the library's thread, in a VM that stops and goes. */
TEST(ticks_on_the_hosts_clock)
{
	const struct device_class *cls = device_class_find("mc146818");
	struct device_place place = { .on = DEVICE_ON_IO, .base = BASE, .nirqs = 1 };
	struct vcpu *vcpu = hfx_open(&v.fx);

	place.irq[0] = v.fx.irq;
	dev = device_create(&v.fx.vmm, cls, "rtc", fx_node(&v.fx, "rtc", cls), &place);
	CHECK(dev != NULL);
	devices_resume(&v.fx.vmm);
	out(A, 0x23);
	out(B, PIE | H24);
	for (unsigned n = 0; n < 500; n++) {
		(void)in(C);
		for (int i = 0; i < 300000 && !irq(); i++) {
			usleep(50);
			if (n % 10 == 0)
				hfx_stop_and_go(&v.fx);
		}
		CHECK(irq());
	}
	vm_vcpu_close(vcpu);
	fx_close(&v.fx);
}

TEST_MAIN()
