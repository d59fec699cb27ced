/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mc146818.c - the real-time clock and battery-backed RAM of a PC: Motorola MC146818A data sheet
 * ("DS"), and what the PC/AT and its successors added: 128 bytes behind ports 0x70 and 0x71 with
 * the NMI mask in bit 7 of the index, a second bank behind 0x72 and 0x73, a century byte.
 *
 * The oscillator is 32.768 kHz of the VM's clock, so the time of day stands while the VM is paused,
 * is virtual when the clock is, and moves with the state.  Nothing is counted: the divider chain is
 * a number that is brought up to date when someone looks, and the updates and periodic taps that
 * passed since then are worked out.  A deadline exists only for an interrupt that is enabled and
 * not yet pending, so a guest that does not read register C costs nothing.
 *
 * Time, calendar and alarm are kept as the bytes that were written; an update advances those that
 * carry.  So changing the format without setting the time does what it does on the chip (DS,
 * "Time, Calendar, and Alarm Locations").
 *
 * The chip's lock guards everything.
 */
#include <errno.h>
#include <string.h>

#include "../chip.h"
#include "../error.h"
#include "mc146818.h"
#include "walltime.h"

#define	HZ		32768
#define	NS		1000000000ULL
#define	DAY		86400
#define	BANK		128

/* Ports. */
enum { P_INDEX, P_DATA, P_INDEX2, P_DATA2, P_COUNT };

#define	INDEX_MASK	0x7f
#define	INDEX_NMI	0x80

/* Bytes (DS figure 12), and the PC's century. */
enum {
	R_SEC,
	R_SEC_ALARM,
	R_MIN,
	R_MIN_ALARM,
	R_HOUR,
	R_HOUR_ALARM,
	R_WDAY,
	R_MDAY,
	R_MON,
	R_YEAR,
	R_A,
	R_B,
	R_C,
	R_D,
	R_RAM,
	R_CENTURY = MC146818_CENTURY
};

#define	A_UIP		0x80
#define	A_DV(a)		(((a) >> 4) & 7U)
#define	A_RS(a)		((a) & 0x0fU)
#define	DV_RUN		2U		/* 32.768 kHz */
#define	DV_RESET(dv)	(((dv) & 6U) == 6U)

#define	B_SET		0x80
#define	B_UIE		0x10
#define	B_DM		0x04		/* binary */
#define	B_24		0x02

#define	C_IRQF		0x80
#define	C_PF		0x40		/* these three are at the bits of their enables in B */
#define	C_AF		0x20
#define	C_UF		0x10
#define	C_FLAGS		(C_PF | C_AF | C_UF)

#define	D_VRT		0x80

#define	HOUR_PM		0x80
#define	ALARM_ANY	0xc0		/* both bits: "don't care" (DS, same place) */

/*
 * With a 32.768 kHz time base an update takes 1984 us, and UIP is set 244 us before it begins (DS
 * table 5); the new time is there when it ends.
 */
#define	UPDATE_TICKS	(65U + 8U)

struct rtc {
	struct chip	 chip;		/* its timer counts HZ */

	/* state */
	uint8_t		 index, index2;
	uint8_t		 ram[BANK], ram2[BANK];
	uint64_t	 chain;		/* ticks in the divider chain; an update ends at multiples of HZ */
	uint64_t	 seen;		/* timer count when chain was right */
};
CHIP_FIRST(struct rtc, chip);

/* Formats */

static unsigned
decode(const struct rtc *r, uint8_t v)
{
	return ((r->ram[R_B] & B_DM) != 0 ? v : (v >> 4) * 10U + (v & 0x0fU));
}

static uint8_t
encode(const struct rtc *r, unsigned v)
{
	return ((uint8_t)((r->ram[R_B] & B_DM) != 0 ? v : v / 10 << 4 | v % 10));
}

static unsigned
decode_hour(const struct rtc *r, uint8_t v)
{
	if ((r->ram[R_B] & B_24) != 0)
		return (decode(r, v) % 24);
	return (decode(r, v & (uint8_t)~HOUR_PM) % 12 + ((v & HOUR_PM) != 0 ? 12 : 0));
}

static uint8_t
encode_hour(const struct rtc *r, unsigned hour)
{
	if ((r->ram[R_B] & B_24) != 0)
		return (encode(r, hour));
	return ((uint8_t)(encode(r, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0)));
}

/* The calendar: Gregorian, with the century byte; years 0 to 9999. */

#define	ERA_DAYS	146097		/* of 400 years */

static bool
is_leap(unsigned year)
{
	return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static unsigned
month_days(unsigned year, unsigned mon)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return (days[mon - 1] + (mon == 2 && is_leap(year) ? 1U : 0U));
}

struct date {
	unsigned	year, mon, mday;
};

/* Days later; whole eras first, so that the loops are short. */
static void
add_days(struct date *d, uint64_t days)
{
	unsigned len;

	d->year = (unsigned)((d->year + days / ERA_DAYS % 25 * 400) % 10000);
	days %= ERA_DAYS;
	while (days != 0) {
		len = month_days(d->year, d->mon);
		/* A date that no month has, as a guest that sets one byte after the other makes it. */
		if (d->mday > len)
			d->mday = len;
		if (days <= len - d->mday) {
			d->mday += (unsigned)days;
			return;
		}
		days -= len - d->mday + 1;
		d->mday = 1;
		if (++d->mon > 12) {
			d->mon = 1;
			d->year = (d->year + 1) % 10000;
		}
	}
}

static void
advance_date(struct rtc *r, uint64_t days)
{
	struct date d = {
		.year = decode(r, r->ram[R_CENTURY]) % 100 * 100 + decode(r, r->ram[R_YEAR]) % 100,
		.mon = decode(r, r->ram[R_MON]),
		.mday = decode(r, r->ram[R_MDAY]),
	};
	struct date old;

	if (d.mon < 1 || d.mon > 12)
		d.mon = 1;
	if (d.mday < 1)
		d.mday = 1;
	old = d;
	add_days(&d, days);
	r->ram[R_WDAY] = encode(r, (unsigned)((decode(r, r->ram[R_WDAY]) + 6 + days) % 7 + 1));
	r->ram[R_MDAY] = encode(r, d.mday);
	if (d.mon != old.mon)
		r->ram[R_MON] = encode(r, d.mon);
	if (d.year != old.year) {
		r->ram[R_YEAR] = encode(r, d.year % 100);
		r->ram[R_CENTURY] = encode(r, d.year / 100);
	}
}

/* Time of day and alarm */

static unsigned
time_of_day(const struct rtc *r)
{
	return (decode_hour(r, r->ram[R_HOUR]) * 3600 + decode(r, r->ram[R_MIN]) % 60 * 60 +
	    decode(r, r->ram[R_SEC]) % 60);
}

static bool
alarm_is(uint8_t alarm, uint8_t val)
{
	return ((alarm & ALARM_ANY) == ALARM_ANY || alarm == val);
}

/* Updates until the alarm matches, 1 to DAY; 0 if it never does. */
static unsigned
next_alarm(const struct rtc *r)
{
	unsigned start = time_of_day(r), t = start + 1, tod;

	while (t <= start + DAY) {
		tod = t % DAY;
		if (!alarm_is(r->ram[R_HOUR_ALARM], encode_hour(r, tod / 3600)))
			t += 3600 - tod % 3600;
		else if (!alarm_is(r->ram[R_MIN_ALARM], encode(r, tod / 60 % 60)))
			t += 60 - tod % 60;
		else if (!alarm_is(r->ram[R_SEC_ALARM], encode(r, tod % 60)))
			t++;
		else
			return (t - start);
	}
	return (0);
}

/* n updates passed. */
static void
advance(struct rtc *r, uint64_t n)
{
	unsigned old = time_of_day(r), alarm = next_alarm(r), tod;

	r->ram[R_C] |= C_UF;
	if (alarm != 0 && alarm <= n)
		r->ram[R_C] |= C_AF;
	tod = (unsigned)((old + n) % DAY);
	r->ram[R_SEC] = encode(r, tod % 60);
	if (n + old % 60 >= 60)
		r->ram[R_MIN] = encode(r, tod / 60 % 60);
	if (n + old % 3600 >= 3600)
		r->ram[R_HOUR] = encode_hour(r, tod / 3600);
	if (n + old >= DAY)
		advance_date(r, (n + old) / DAY);
}

/* The divider chain */

/* Other divider settings are for other crystals, or stop the chain (DS table 4). */
static bool
running(const struct rtc *r)
{
	return (A_DV(r->ram[R_A]) == DV_RUN);
}

/* Ticks from one periodic interrupt to the next, 0 for none (DS table 5, 32.768 kHz). */
static unsigned
period(const struct rtc *r)
{
	unsigned rs = A_RS(r->ram[R_A]);

	if (rs == 0)
		return (0);
	return (1U << (rs < 3 ? rs + 6 : rs - 1));
}

/* Bring the chain and what hangs on it up to date. */
static void
rtc_catch_up(void *soft)
{
	struct rtc *r = soft;
	uint64_t now = vm_timer_count(r->chip.timer), passed = now - r->seen, old = r->chain;
	unsigned p = period(r);

	r->seen = now;
	/* The VM's clock was set back: there is no such thing here. */
	if (!running(r) || (int64_t)passed <= 0)
		return;
	r->chain += passed;
	if (p != 0 && r->chain / p != old / p)
		r->ram[R_C] |= C_PF;
	if ((r->ram[R_B] & B_SET) == 0 && r->chain / HZ != old / HZ)
		advance(r, r->chain / HZ - old / HZ);
}

static bool
update_in_progress(const struct rtc *r)
{
	return (running(r) && (r->ram[R_B] & B_SET) == 0 && r->chain % HZ >= HZ - UPDATE_TICKS);
}

/* Ticks until the first flag is set whose interrupt is enabled, 0 for none. */
static uint64_t
next_event(const struct rtc *r)
{
	uint8_t wanted = r->ram[R_B] & (uint8_t)~r->ram[R_C];
	uint64_t next = 0, t;
	unsigned alarm;

	if (!running(r))
		return (0);
	if ((wanted & C_PF) != 0 && period(r) != 0)
		next = period(r) - r->chain % period(r);
	if ((r->ram[R_B] & B_SET) != 0)
		return (next);
	t = HZ - r->chain % HZ;
	if ((wanted & C_UF) != 0 && (next == 0 || t < next))
		next = t;
	if ((wanted & C_AF) != 0 && (alarm = next_alarm(r)) != 0) {
		t += (alarm - 1) * (uint64_t)HZ;
		if (next == 0 || t < next)
			next = t;
	}
	return (next);
}

static bool
rtc_level(const void *soft)
{
	const struct rtc *r = soft;

	return ((r->ram[R_B] & r->ram[R_C] & C_FLAGS) != 0);
}

static bool
rtc_deadline(const void *soft, uint64_t *count)
{
	const struct rtc *r = soft;
	uint64_t next = next_event(r);

	*count = r->seen + next;
	return (next != 0);
}

/* Registers */

static uint8_t
peek(const struct rtc *r, unsigned reg)
{
	switch (reg) {
	case R_A:
		return (r->ram[R_A] | (update_in_progress(r) ? A_UIP : 0));
	case R_C:
		return (r->ram[R_C] | (rtc_level(r) ? C_IRQF : 0));
	default:
		return (r->ram[reg]);
	}
}

static uint8_t
read_reg(struct rtc *r, unsigned reg)
{
	uint8_t val = peek(r, reg);

	if (reg == R_C)
		r->ram[R_C] = 0;
	return (val);
}

static void
write_a(struct rtc *r, uint8_t val)
{
	r->ram[R_A] = val & (uint8_t)~A_UIP;
	/* "The first update begins one-half second after the divider reset is removed" (DS, register A). */
	if (DV_RESET(A_DV(val)))
		r->chain = HZ / 2;
}

static void
write_b(struct rtc *r, uint8_t val)
{
	/* "SET going high clears UIE" (DS, register B).  SQWE and DSE are kept: no pin, no such rule here. */
	if ((val & B_SET) != 0 && (r->ram[R_B] & B_SET) == 0)
		val &= (uint8_t)~B_UIE;
	r->ram[R_B] = val;
}

static void
write_reg(struct rtc *r, unsigned reg, uint8_t val)
{
	switch (reg) {
	case R_A:
		write_a(r, val);
		break;
	case R_B:
		write_b(r, val);
		break;
	case R_C:		/* read-only */
	case R_D:
		break;
	default:
		r->ram[reg] = val;
		break;
	}
}

static uint32_t
rtc_read(void *soft, uint64_t port)
{
	struct rtc *r = soft;

	switch (port) {
	case P_INDEX:		/* write-only on the PC/AT; firmware of later machines reads it */
		return (r->index);
	case P_DATA:
		return (read_reg(r, r->index & INDEX_MASK));
	case P_INDEX2:
		return (r->index2);
	default:
		return (r->ram2[r->index2 & INDEX_MASK]);
	}
}

static void
rtc_write(void *soft, uint64_t port, uint32_t word)
{
	struct rtc *r = soft;
	uint8_t val = (uint8_t)word;

	switch (port) {
	case P_INDEX:
		r->index = val;
		break;
	case P_DATA:
		write_reg(r, r->index & INDEX_MASK, val);
		break;
	case P_INDEX2:
		r->index2 = val;
		break;
	default:
		r->ram2[r->index2 & INDEX_MASK] = val;
		break;
	}
}

/* Life */

static void
set_time(struct rtc *r, const struct tm *tm)
{
	unsigned year = (unsigned)(tm->tm_year + 1900) % 10000;

	/* A host's leap second has no place here. */
	r->ram[R_SEC] = encode(r, tm->tm_sec > 59 ? 59 : (unsigned)tm->tm_sec);
	r->ram[R_MIN] = encode(r, (unsigned)tm->tm_min);
	r->ram[R_HOUR] = encode_hour(r, (unsigned)tm->tm_hour);
	r->ram[R_WDAY] = encode(r, (unsigned)tm->tm_wday + 1);
	r->ram[R_MDAY] = encode(r, (unsigned)tm->tm_mday);
	r->ram[R_MON] = encode(r, (unsigned)tm->tm_mon + 1);
	r->ram[R_YEAR] = encode(r, year % 100);
	r->ram[R_CENTURY] = encode(r, year / 100);
}

/* What the battery kept: time, registers A and B, and RAM. */
static int
rtc_open(struct device *dev)
{
	struct rtc *r = dev->soft;
	struct tm tm;
	long nsec;

	r->ram[R_A] = DV_RUN << 4 | 6;		/* 1024 Hz, as the PC/AT's firmware leaves it */
	r->ram[R_B] = B_24;
	r->ram[R_D] = D_VRT;
	if (walltime_start(dev, &tm, &nsec) != 0)
		return (-1);
	set_time(r, &tm);
	r->chain = (uint64_t)nsec * HZ / NS;
	r->seen = vm_timer_count(r->chip.timer);
	return (0);
}

/* The RESET pin (DS): interrupts and square wave off, flags cleared; time and RAM have a battery. */
static void
rtc_reset(void *soft)
{
	struct rtc *r = soft;

	r->ram[R_B] &= (uint8_t)~(C_FLAGS | 0x08);
	r->ram[R_C] = 0;
	r->index = r->index2 = 0;
}

static void
rtc_describe(struct device *dev, struct device_description *desc)
{
	desc->compatible = "motorola,mc146818";
	desc->hid = "PNP0B00";
}

static const struct chip_ops ops = {
	.bus = CHIP_BYTES,
	.hz = HZ,
	.open = rtc_open,
	.reset = rtc_reset,
	.catch_up = rtc_catch_up,
	.level = rtc_level,
	.deadline = rtc_deadline,
	.read = rtc_read,
	.write = rtc_write,
};

static int
rtc_init(struct device *dev)
{
	return (chip_init(dev, &ops));
}

/* The interface to the machine. */

/* Index of a byte as an offset in one of the banks; NULL if dev is no RTC or has no such byte. */
static struct rtc *
rtc_of(struct device *dev, unsigned index)
{
	return (dev != NULL && dev->cls->init == rtc_init && index < MC146818_SIZE ? dev->soft : NULL);
}

int
mc146818_set(struct device *dev, unsigned index, uint8_t val)
{
	struct rtc *r = rtc_of(dev, index);

	if (r == NULL || index < R_RAM || index == R_CENTURY)
		return (vmm_fail(EINVAL, "%s: byte %u of CMOS RAM cannot be set", dev != NULL ? dev->name : "rtc",
		    index));
	pthread_mutex_lock(&r->chip.lock);
	*(index < BANK ? &r->ram[index] : &r->ram2[index - BANK]) = val;
	pthread_mutex_unlock(&r->chip.lock);
	return (0);
}

uint8_t
mc146818_get(struct device *dev, unsigned index)
{
	struct rtc *r = rtc_of(dev, index);
	uint8_t val;

	if (r == NULL)
		return (0xff);
	pthread_mutex_lock(&r->chip.lock);
	rtc_catch_up(r);
	val = index < BANK ? peek(r, index) : r->ram2[index - BANK];
	chip_settle(&r->chip);
	pthread_mutex_unlock(&r->chip.lock);
	return (val);
}

bool
mc146818_nmi_masked(struct device *dev)
{
	struct rtc *r = rtc_of(dev, 0);
	bool masked;

	if (r == NULL)
		return (false);
	pthread_mutex_lock(&r->chip.lock);
	masked = (r->index & INDEX_NMI) != 0;
	pthread_mutex_unlock(&r->chip.lock);
	return (masked);
}

/* What no MC146818 can be in. */
static int
rtc_check(void *obj)
{
	const struct rtc *r = obj;

	if ((r->ram[R_A] & A_UIP) != 0 || (r->ram[R_C] & ~C_FLAGS) != 0 || r->ram[R_D] != D_VRT)
		return (vm_state_complain("a control register has bits that do not exist"));
	return (0);
}

static const struct config_key keys[] = {
	WALLTIME_KEYS,
};

static const struct vm_state_field fields[] = {
	VM_STATE_U8(struct rtc, index), VM_STATE_U8(struct rtc, index2),
	VM_STATE_BYTES(struct rtc, ram), VM_STATE_BYTES(struct rtc, ram2),
	VM_STATE_U64(struct rtc, chain), VM_STATE_U64(struct rtc, seen),
};

static const struct vm_state_table state = VM_STATE_TABLE("mc146818", 1, 1, fields, rtc_check);

DEVICE_CLASS(mc146818, "mc146818", "PC/AT real-time clock and CMOS RAM", keys, &state,
    .on = DEVICE_ON_IO,
    .range_len = P_COUNT,
    .nirqs = 1,
    .size = sizeof(struct rtc),
    .init = rtc_init,
    CHIP_LIFE,
    .describe = rtc_describe);
