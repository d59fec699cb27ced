/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm_timer.c - the ACPI power management timer (ACPI 6.4 section 4.8.3.3): 24 or 32 bits that
 * count 3.579545 MHz on the VM's clock.
 *
 * Firmware delays by reading it millions of times, so a read is one look at the clock.  TMR_STS is
 * not kept but worked out: it is set when the count has passed another multiple of half its range
 * than when it was cleared.  A deadline exists only while its interrupt is enabled and it is clear.
 *
 * p->lock guards the state and the deadline.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "../trace.h"
#include "acpi_pm_timer.h"

#define	HZ	3579545
#define	LEN	4

struct pmtimer {
	struct device	*dev;
	struct vm_range	*range;		/* NULL: nowhere */
	struct vm_timer	*timer;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */
	unsigned	 bits;		/* key */
	void		(*fn)(void *arg);
	void		*arg;

	/* state */
	uint8_t		 width;		/* bits, of who wrote the state */
	bool		 en;		/* TMR_EN */
	uint64_t	 origin;	/* timer count at which TMR_VAL was 0 */
	uint64_t	 cleared;	/* changes of the highest bit until TMR_STS was cleared */
};

/* Ticks since the reset, of which TMR_VAL is the low part. */
static uint64_t
ticks(const struct pmtimer *p)
{
	return (vm_timer_count(p->timer) - p->origin);
}

/* Changes of TMR_VAL's highest bit, both ways (4.8.3.3: "every 2.3435 seconds" for 24 bits). */
static uint64_t
carries(const struct pmtimer *p)
{
	return (ticks(p) >> (p->bits - 1));
}

/* n is one look at carries(): a change right after it is what the deadline is for. */
static void
rearm(struct pmtimer *p, uint64_t n)
{
	if (p->active && p->en && n == p->cleared)
		(void)vm_timer_arm(p->timer, p->origin + ((n + 1) << (p->bits - 1)));
	else
		(void)vm_timer_disarm(p->timer);
}

/* Library's thread. */
static void
timer_fired(void *arg)
{
	struct pmtimer *p = arg;
	bool tell;

	TRACE(p->dev->vmm->log, timer__fire, p->dev->name);
	pthread_mutex_lock(&p->lock);
	tell = p->active && p->en && carries(p) != p->cleared;
	pthread_mutex_unlock(&p->lock);
	/* Set while paused, so it stays as it is; vm_pause() has waited for this call. */
	if (tell && p->fn != NULL)
		p->fn(p->arg);
}

/* The interface to the PM block. */

uint32_t
acpi_pm_timer_value(struct device *dev)
{
	const struct pmtimer *p = dev->soft;

	return ((uint32_t)(ticks(p) & (UINT64_MAX >> (64 - p->bits))));
}

unsigned
acpi_pm_timer_bits(struct device *dev)
{
	return (((const struct pmtimer *)dev->soft)->bits);
}

bool
acpi_pm_timer_sts(struct device *dev)
{
	struct pmtimer *p = dev->soft;
	bool sts;

	pthread_mutex_lock(&p->lock);
	sts = carries(p) != p->cleared;
	pthread_mutex_unlock(&p->lock);
	return (sts);
}

void
acpi_pm_timer_clear_sts(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->cleared = carries(p);
	rearm(p, p->cleared);
	pthread_mutex_unlock(&p->lock);
}

bool
acpi_pm_timer_en(struct device *dev)
{
	struct pmtimer *p = dev->soft;
	bool en;

	pthread_mutex_lock(&p->lock);
	en = p->en;
	pthread_mutex_unlock(&p->lock);
	return (en);
}

void
acpi_pm_timer_set_en(struct device *dev, bool en)
{
	struct pmtimer *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->en = en;
	rearm(p, carries(p));
	pthread_mutex_unlock(&p->lock);
}

void
acpi_pm_timer_on_sts(struct device *dev, void (*fn)(void *arg), void *arg)
{
	struct pmtimer *p = dev->soft;

	p->fn = fn;
	p->arg = arg;
}

/* TMR_VAL is read-only; a narrower read is a part of one sample. */
static uint64_t
pmtimer_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct pmtimer *p = arg;
	uint64_t val = acpi_pm_timer_value(p->dev) | 0xffffffffULL << 32;

	/* Behind the register the bus reads as ones. */
	val = val >> (8 * off) | ~(UINT64_MAX >> (8 * off));
	return (size == 8 ? val : val & ((1ULL << (8 * size)) - 1));
}

int
acpi_pm_timer_move(struct device *dev, uint64_t base)
{
	struct pmtimer *p = dev->soft;
	struct vm_range_spec spec = {
		.name = dev->name,
		.space = dev->place.on == DEVICE_ON_IO ? VM_SPACE_IO : VM_SPACE_MEM,
		.base = base,
		.len = LEN,
		.read = pmtimer_read,
		.arg = p,
		.priority = 1,
	};

	vm_range_remove(p->range);
	p->range = NULL;
	if (base == ACPI_PM_TIMER_NOWHERE)
		return (0);
	p->range = vm_range_add(dev->vmm->vm, &spec);
	return (p->range != NULL ? 0 : vmm_fail_vm("%s", dev->name));
}

/* Life */

static void
pmtimer_fini(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	vm_range_remove(p->range);
	(void)vm_range_sync(dev->vmm->vm);
	vm_timer_close(p->timer);
	pthread_mutex_destroy(&p->lock);
}

static int
pmtimer_init(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	p->dev = dev;
	p->bits = config_num(dev->config, "bits") == 0 ? 24 : 32;
	pthread_mutex_init(&p->lock, NULL);
	p->timer = vm_timer_open(dev->vmm->vm, HZ, timer_fired, p);
	if (p->timer == NULL) {
		(void)vmm_fail_vm("%s", dev->name);
		goto fail;
	}
	if (acpi_pm_timer_move(dev, dev->place.base) != 0)
		goto fail;
	return (0);
fail:
	pmtimer_fini(dev);
	return (-1);
}

static void
pmtimer_reset(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->width = (uint8_t)p->bits;
	p->en = false;
	p->origin = vm_timer_count(p->timer);
	p->cleared = 0;
	rearm(p, carries(p));
	pthread_mutex_unlock(&p->lock);
}

static void
pmtimer_pause(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->active = false;
	rearm(p, carries(p));
	pthread_mutex_unlock(&p->lock);
}

static void
pmtimer_resume(struct device *dev)
{
	struct pmtimer *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->active = true;
	rearm(p, carries(p));
	/* A carry that was due when the clock stopped, or in a loaded state, is told now. */
	if (p->en && carries(p) != p->cleared)
		(void)vm_timer_arm(p->timer, vm_timer_count(p->timer));
	pthread_mutex_unlock(&p->lock);
}

/* The guest has read in its tables how wide the timer is. */
static int
pmtimer_check(void *obj)
{
	const struct pmtimer *p = obj;

	if (p->width != p->bits)
		return (vm_state_complain("a timer of %u bits, but this one has %u", p->width, p->bits));
	return (0);
}

static const char *const widths[] = { "24", "32", NULL };

static const struct config_key keys[] = {
	KEY_ENUM("bits", "24", widths, "width of the counter"),
};

static const struct vm_state_field fields[] = {
	VM_STATE_U8(struct pmtimer, width), VM_STATE_BOOL(struct pmtimer, en),
	VM_STATE_U64(struct pmtimer, origin), VM_STATE_U64(struct pmtimer, cleared),
};

static const struct vm_state_table state = VM_STATE_TABLE("acpi-pm-timer", 1, 1, fields, pmtimer_check);

DEVICE_CLASS(acpi_pm_timer, "acpi-pm-timer", "ACPI power management timer", keys, &state,
    .on = DEVICE_ON_MMIO | DEVICE_ON_IO,
    .range_len = LEN,
    .size = sizeof(struct pmtimer),
    .init = pmtimer_init,
    .fini = pmtimer_fini,
    .reset = pmtimer_reset,
    .pause = pmtimer_pause,
    .resume = pmtimer_resume);
