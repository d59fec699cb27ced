/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_pm.c - the ACPI fixed hardware (ACPI 6.4 section 4.8): PM1 event and control registers with power button and soft off, an
 * empty GPE0 block, and the reset register at port 0xcf9 (4.8.3.6).
 *
 * There is no SMI command port: the machine is in ACPI mode from the start, so SCI_EN is always set.
 *
 * p->lock guards the state.  The timer's functions may be called with it held.
 */
#include <errno.h>
#include <pthread.h>

#include "../device.h"
#include "../error.h"
#include "../line.h"
#include "../timer/acpi_pm_timer.h"
#include "acpi_pm.h"
#include "tables.h"

#define	LEN		0x80

/* Registers */
#define	PM1_STS		0x00
#define	PM1_EN		0x02
#define	PM1_CNT		0x04
#define	GPE0		0x20
#define	GPE0_LEN	16		/* status, then enable */
#define	SMI_EN		0x30
#define	APMC_EN		0x20U

/* PM1 status and enable (4.8.3.1, 4.8.3.2.1) */
#define	TMR		0x0001U
#define	GBL		0x0020U
#define	PWRBTN		0x0100U
#define	RTC		0x0400U		/* enable only: its status never comes */
#define	WAK		0x8000U		/* status only */
#define	STS_KNOWN	(TMR | GBL | PWRBTN | WAK)
#define	EN_KNOWN	(TMR | GBL | PWRBTN | RTC)

/* PM1 control (4.8.3.2.1) */
#define	SCI_EN		0x0001U
#define	CNT_KEPT	0x1c02U		/* BM_RLD, SLP_TYP */
#define	SLP_TYP(v)	(((v) >> 10) & 7)
#define	SLP_EN		0x2000U

/* Reset control (as the ICH has it at 0xcf9): SYS_RST selects a hard reset, RST_CPU's rising edge makes it. */
#define	RESET_PORT	0xcf9
#define	SYS_RST		0x02U
#define	RST_CPU		0x04U

struct acpi_pm {
	struct device	*dev;
	struct device	*timer;
	struct vm_range	*range, *reset_range;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */

	/* state; without the timer's bits */
	uint16_t	 sts, en, cnt;
	uint8_t		 gpe_en[GPE0_LEN / 2];
	uint8_t		 rst;
};

static uint16_t
status(const struct acpi_pm *p)
{
	return ((uint16_t)(p->sts | (p->timer != NULL && acpi_pm_timer_sts(p->timer) ? TMR : 0)));
}

static uint16_t
enabled(const struct acpi_pm *p)
{
	return ((uint16_t)(p->en | (p->timer != NULL && acpi_pm_timer_en(p->timer) ? TMR : 0)));
}

/* The SCI is level: as long as an enabled status is set (4.8.3.1). */
static void
update(struct acpi_pm *p)
{
	if (p->active)
		device_line(p->dev, p->dev->place.irq[0], (status(p) & enabled(p) & EN_KNOWN) != 0);
}

/* Library's thread. */
static void
timer_event(void *arg)
{
	struct acpi_pm *p = arg;

	pthread_mutex_lock(&p->lock);
	update(p);
	pthread_mutex_unlock(&p->lock);
}

void
acpi_pm_set_timer(struct device *dev, struct device *timer)
{
	struct acpi_pm *p = dev->soft;

	if (p->timer != NULL)
		acpi_pm_timer_on_sts(p->timer, NULL, NULL);
	p->timer = timer;
	if (timer != NULL)
		acpi_pm_timer_on_sts(timer, timer_event, p);
}

void
acpi_pm_power_button(struct device *dev)
{
	struct acpi_pm *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->sts |= PWRBTN;
	update(p);
	pthread_mutex_unlock(&p->lock);
}

/* Registers are bytes here, so that every width and offset means what it says. */
static uint8_t
read_byte(struct acpi_pm *p, unsigned off)
{
	if (off < PM1_EN)
		return ((uint8_t)(status(p) >> (8 * (off - PM1_STS))));
	if (off < PM1_CNT)
		return ((uint8_t)(enabled(p) >> (8 * (off - PM1_EN))));
	if (off < PM1_CNT + 2)
		return ((uint8_t)((p->cnt | SCI_EN) >> (8 * (off - PM1_CNT))));
	if (off >= GPE0 + GPE0_LEN / 2 && off < GPE0 + GPE0_LEN)
		return (p->gpe_en[off - GPE0 - GPE0_LEN / 2]);
	/* There is no system management mode for software to ask for: it sees that done, and does not try (ICH9, 13.8.3.9). */
	if (off == SMI_EN)
		return (APMC_EN);
	return (0);
}

static void
write_sts(struct acpi_pm *p, uint16_t v)
{
	p->sts &= (uint16_t)~v;
	if ((v & TMR) != 0 && p->timer != NULL)
		acpi_pm_timer_clear_sts(p->timer);
}

static void
write_en(struct acpi_pm *p, uint16_t v)
{
	p->en = v & EN_KNOWN & (uint16_t)~TMR;
	if (p->timer != NULL)
		acpi_pm_timer_set_en(p->timer, (v & TMR) != 0);
}

/* true: power off, which is to be done without the lock. */
static bool
write_byte(struct acpi_pm *p, unsigned off, uint8_t v)
{
	unsigned sh = 8 * (off & 1);

	if (off < PM1_EN) {
		write_sts(p, (uint16_t)((unsigned)v << sh) & STS_KNOWN);
	} else if (off < PM1_CNT) {
		write_en(p, (uint16_t)((enabled(p) & ~(0xffU << sh)) | (unsigned)v << sh));
	} else if (off < PM1_CNT + 2) {
		uint16_t cnt = (uint16_t)((p->cnt & ~(0xffU << sh)) | (unsigned)v << sh);

		p->cnt = cnt & CNT_KEPT;
		if ((cnt & SLP_EN) != 0 && SLP_TYP(cnt) == ACPI_SLP_S5)
			return (true);
		if ((cnt & SLP_EN) != 0)
			device_guest_log(p->dev, "sleep type %u, which no sleeping state has, is ignored", SLP_TYP(cnt));
	} else if (off >= GPE0 + GPE0_LEN / 2 && off < GPE0 + GPE0_LEN) {
		p->gpe_en[off - GPE0 - GPE0_LEN / 2] = v;
	}
	return (false);
}

static uint64_t
pm_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct acpi_pm *p = arg;
	uint64_t v = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)read_byte(p, (unsigned)off + i) << (8 * i);
	pthread_mutex_unlock(&p->lock);
	return (v);
}

static void
pm_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *p = arg;
	bool end = false;

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < size; i++)
		end |= write_byte(p, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
	update(p);
	pthread_mutex_unlock(&p->lock);
	if (end)
		(void)vm_suspend(p->dev->vmm->vm, VM_SUSPEND_POWEROFF);
}

static uint64_t
reset_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct acpi_pm *p = arg;
	uint64_t v;

	pthread_mutex_lock(&p->lock);
	v = p->rst;
	pthread_mutex_unlock(&p->lock);
	return (v);
}

static void
reset_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *p = arg;
	bool rise;

	pthread_mutex_lock(&p->lock);
	rise = (val & RST_CPU) != 0 && (p->rst & RST_CPU) == 0;
	p->rst = (uint8_t)val & SYS_RST;
	pthread_mutex_unlock(&p->lock);
	if (rise)
		(void)vm_suspend(p->dev->vmm->vm, VM_SUSPEND_RESET);
}

/* Life */

static void
pm_fini(struct device *dev)
{
	struct acpi_pm *p = dev->soft;

	acpi_pm_set_timer(dev, NULL);
	vm_range_remove(p->reset_range);
	vm_range_remove(p->range);
	(void)vm_range_sync(dev->vmm->vm);
	pthread_mutex_destroy(&p->lock);
}

static int
pm_init(struct device *dev)
{
	struct acpi_pm *p = dev->soft;
	struct vm_range_spec reset = {
		.name = dev->name, .space = VM_SPACE_IO, .base = RESET_PORT, .len = 1, .read = reset_read,
		.write = reset_write, .arg = p, .priority = 1,	/* inside of PCI's configuration ports */
	};

	p->dev = dev;
	pthread_mutex_init(&p->lock, NULL);
	p->range = device_claim(dev, LEN, pm_read, pm_write, p);
	if (p->range != NULL) {
		p->reset_range = vm_range_add(dev->vmm->vm, &reset);
		if (p->reset_range == NULL)
			(void)vmm_fail_vm("%s", dev->name);
	}
	if (p->range == NULL || p->reset_range == NULL) {
		pm_fini(dev);
		return (-1);
	}
	return (0);
}

static void
pm_reset(struct device *dev)
{
	struct acpi_pm *p = dev->soft;

	p->sts = p->en = p->cnt = 0;
	p->rst = 0;
	for (unsigned i = 0; i < sizeof(p->gpe_en); i++)
		p->gpe_en[i] = 0;
	(void)vm_irq_deassert(dev->place.irq[0]);
}

static void
pm_pause(struct device *dev)
{
	struct acpi_pm *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->active = false;
	pthread_mutex_unlock(&p->lock);
}

static void
pm_resume(struct device *dev)
{
	struct acpi_pm *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->active = true;
	update(p);
	pthread_mutex_unlock(&p->lock);
}

static int
pm_check(void *obj)
{
	const struct acpi_pm *p = obj;

	if ((p->sts & ~(GBL | PWRBTN | WAK)) != 0 || (p->en & ~(GBL | PWRBTN | RTC)) != 0 || (p->cnt & ~CNT_KEPT) != 0 ||
	    (p->rst & ~SYS_RST) != 0)
		return (vm_state_complain("acpi-pm: reserved bits are set"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_U16(struct acpi_pm, sts), VM_STATE_U16(struct acpi_pm, en), VM_STATE_U16(struct acpi_pm, cnt),
	VM_STATE_BYTES(struct acpi_pm, gpe_en), VM_STATE_U8(struct acpi_pm, rst),
};

static const struct vm_state_table state = VM_STATE_TABLE("acpi-pm", 1, 1, fields, pm_check);

DEVICE_CLASS_NOKEYS(acpi_pm, "acpi-pm", "ACPI power management: power button, soft off, reset", &state,
    .on = DEVICE_ON_IO,
    .range_len = LEN,
    .nirqs = 1,
    .size = sizeof(struct acpi_pm),
    .init = pm_init,
    .fini = pm_fini,
    .reset = pm_reset,
    .pause = pm_pause,
    .resume = pm_resume);
