/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl031.c - the PrimeCell real-time clock (Arm PL031 Technical Reference Manual, DDI 0224C, "TRM"): seconds, and an alarm.
 *
 * Seconds are those of the VM's clock, so the time stands while the VM is paused, is virtual when the clock is, and moves with the
 * state.  Nothing is counted: what the registers show is an offset to the clock, and whether the alarm's second came is worked out when
 * someone looks.  A deadline exists only for an alarm that is enabled and not yet pending.  The clock is one with a battery: it
 * runs from the start and shows the time of day, and only the interrupt is reset.
 *
 * The chip's lock guards everything.
 */
#include "../chip.h"
#include "../primecell.h"
#include "walltime.h"

#define	PART	0x031
#define	NS	1000000000ULL

/* Registers (TRM table 3-1). */
#define	R_DR	0x000		/* seconds */
#define	R_MR	0x004		/* of the alarm */
#define	R_LR	0x008		/* sets the seconds */
#define	R_CR	0x00c
#define	R_IMSC	0x010
#define	R_RIS	0x014
#define	R_MIS	0x018
#define	R_ICR	0x01c

#define	ALARM	1U		/* the bit of the interrupt registers */
#define	CR_RUN	1U		/* reads as 1 from when it was first set on (TRM 3.3.4): a clock with a battery was */

struct rtc {
	struct chip	 chip;		/* its timer counts nanoseconds */

	/* state */
	uint64_t	 zero;		/* count of the VM's clock at which the seconds were 0, modulo 2^64 */
	uint64_t	 seen;		/* count up to which the alarm was looked for */
	uint32_t	 mr, lr;
	uint8_t		 imsc, ris;
};
CHIP_FIRST(struct rtc, chip);

/* Seconds at a count of the clock.  They wrap around at 32 bits. */
static uint64_t
seconds(const struct rtc *r, uint64_t count)
{
	return ((count - r->zero) / NS);
}

/* The count at which the alarm's second begins, the first one after the second of count. */
static uint64_t
next_alarm(const struct rtc *r, uint64_t count)
{
	uint64_t now = seconds(r, count);
	uint32_t ahead = r->mr - (uint32_t)now;

	return (r->zero + (now + (ahead != 0 ? ahead : 1ULL << 32)) * NS);
}

/* Did the alarm's second begin since someone looked? */
static void
rtc_catch_up(void *soft)
{
	struct rtc *r = soft;
	uint64_t now = vm_timer_count(r->chip.timer);

	/* The VM's clock was set back: there is no such thing here. */
	if ((int64_t)(now - r->seen) <= 0)
		return;
	if ((int64_t)(now - next_alarm(r, r->seen)) >= 0)
		r->ris = ALARM;
	r->seen = now;
}

static bool
rtc_level(const void *soft)
{
	const struct rtc *r = soft;

	return ((r->ris & r->imsc) != 0);
}

static bool
rtc_deadline(const void *soft, uint64_t *count)
{
	const struct rtc *r = soft;

	*count = next_alarm(r, r->seen);
	return (r->imsc != 0 && r->ris == 0);
}

/* The comparator sees the second that it is, not only one that begins. */
static void
compare(struct rtc *r)
{
	if ((uint32_t)seconds(r, r->seen) == r->mr)
		r->ris = ALARM;
}

static void
set_seconds(struct rtc *r, uint64_t s, uint64_t ns)
{
	r->seen = vm_timer_count(r->chip.timer);
	r->zero = r->seen - s * NS - ns;
}

static uint32_t
rtc_read(void *soft, uint64_t reg)
{
	const struct rtc *r = soft;

	switch (reg) {
	case R_DR:
		return ((uint32_t)seconds(r, r->seen));
	case R_MR:
		return (r->mr);
	case R_LR:
		return (r->lr);
	case R_CR:
		return (CR_RUN);
	case R_IMSC:
		return (r->imsc);
	case R_RIS:
		return (r->ris);
	case R_MIS:
		return (r->ris & r->imsc);
	default:
		return (reg >= PRIMECELL_ID ? primecell_id(PART, 0, reg) : 0);
	}
}

static void
rtc_write(void *soft, uint64_t reg, uint32_t val)
{
	struct rtc *r = soft;

	switch (reg) {
	case R_MR:
		r->mr = val;
		compare(r);
		break;
	case R_LR:
		r->lr = val;
		set_seconds(r, val, 0);
		compare(r);
		break;
	case R_IMSC:
		r->imsc = val & ALARM;
		break;
	case R_ICR:
		r->ris &= (uint8_t)~val;
		break;
	}
}

static int
rtc_open(struct device *dev)
{
	struct tm tm;
	long nsec;

	if (walltime_start(dev, &tm, &nsec) != 0)
		return (-1);
	/* The register has 32 bits: dates from 2106 on are those of 136 years before. */
	set_seconds(dev->soft, (uint32_t)timegm(&tm), (uint64_t)nsec);
	return (0);
}

static void
rtc_reset(void *soft)
{
	struct rtc *r = soft;

	r->mr = r->lr = 0;
	r->imsc = r->ris = 0;
}

static void
rtc_describe(struct device *dev, struct device_description *desc)
{
	desc->compatible = "arm,pl031 arm,primecell";
	desc->node = "rtc";
	desc->clocks = "apb_pclk";
}

/* What no PL031 can be in. */
static int
rtc_check(void *obj)
{
	const struct rtc *r = obj;

	if ((r->imsc & ~ALARM) != 0 || (r->ris & ~ALARM) != 0)
		return (vm_state_complain("a control register has bits that do not exist"));
	return (0);
}

static const struct config_key keys[] = {
	WALLTIME_KEYS,
};

static const struct vm_state_field fields[] = {
	VM_STATE_U64(struct rtc, zero), VM_STATE_U64(struct rtc, seen), VM_STATE_U32(struct rtc, mr),
	VM_STATE_U32(struct rtc, lr), VM_STATE_U8(struct rtc, imsc), VM_STATE_U8(struct rtc, ris),
};

static const struct vm_state_table state = VM_STATE_TABLE("pl031", 1, 1, fields, rtc_check);

static const struct chip_ops ops = {
	.bus = CHIP_WORDS,
	.hz = NS,
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

DEVICE_CLASS(pl031, "pl031", "PrimeCell real-time clock", keys, &state,
    .on = DEVICE_ON_MMIO,
    .range_len = PRIMECELL_LEN,
    .nirqs = 1,
    .size = sizeof(struct rtc),
    .init = rtc_init,
    CHIP_LIFE,
    .describe = rtc_describe);
