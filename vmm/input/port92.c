/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port92.c - port 0x92 of a PC: fast reset, and the gate of address line 20 (ICH9 data sheet 316972, 13.7.3).
 *
 * The line is let through if this port or the keyboard controller says so.  After a reset this port does, so that the line is free until
 * software takes it back.
 *
 * p->lock guards the state.
 */
#include <pthread.h>

#include <vmmapi/amd64.h>

#include "../device.h"
#include "../error.h"
#include "port92.h"

#define	INIT_NOW	0x01U		/* its rising edge resets */
#define	ALT_A20_GATE	0x02U

struct port92 {
	struct device	*dev;
	struct vm_range	*range;
	pthread_mutex_t	 lock;

	/* state */
	uint8_t		 port;
	bool		 gate;		/* the keyboard controller's */
};

/* Lock held, or paused. */
static void
update(struct port92 *p)
{
	if (vm_amd64_set_a20(p->dev->vmm->vm, (p->port & ALT_A20_GATE) != 0 || p->gate) != 0)
		device_guest_log(p->dev, "%s", vm_errmsg());
}

void
port92_gate(struct device *dev, bool on)
{
	struct port92 *p = dev->soft;

	pthread_mutex_lock(&p->lock);
	p->gate = on;
	update(p);
	pthread_mutex_unlock(&p->lock);
}

static uint64_t
port_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct port92 *p = arg;
	uint64_t v;

	pthread_mutex_lock(&p->lock);
	v = p->port;
	pthread_mutex_unlock(&p->lock);
	return (v);
}

static void
port_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct port92 *p = arg;
	bool reset;

	pthread_mutex_lock(&p->lock);
	reset = (val & ~(uint64_t)p->port & INIT_NOW) != 0;
	p->port = (uint8_t)val & (INIT_NOW | ALT_A20_GATE);
	update(p);
	pthread_mutex_unlock(&p->lock);
	if (reset)
		(void)vm_suspend(p->dev->vmm->vm, VM_SUSPEND_RESET);
}

/* Life */

static void
port92_fini(struct device *dev)
{
	struct port92 *p = dev->soft;

	vm_range_remove(p->range);
	(void)vm_range_sync(dev->vmm->vm);
	pthread_mutex_destroy(&p->lock);
}

static int
port92_init(struct device *dev)
{
	struct port92 *p = dev->soft;

	p->dev = dev;
	pthread_mutex_init(&p->lock, NULL);
	p->range = device_claim(dev, 1, port_read, port_write, p);
	if (p->range == NULL) {
		port92_fini(dev);
		return (-1);
	}
	return (0);
}

/* What the keyboard controller says is the keyboard controller's. */
static void
port92_reset(struct device *dev)
{
	struct port92 *p = dev->soft;

	p->port = ALT_A20_GATE;
	update(p);
}

/* All that happens is under the lock of a vCPU's handler, and those are parked. */
static void
port92_pause(struct device *dev)
{
}

static void
port92_resume(struct device *dev)
{
	update(dev->soft);
}

static int
port92_check(void *obj)
{
	const struct port92 *p = obj;

	if ((p->port & ~(INIT_NOW | ALT_A20_GATE)) != 0)
		return (vm_state_complain("port92: reserved bits are set"));
	return (0);
}

static const struct vm_state_field fields[] = { VM_STATE_U8(struct port92, port), VM_STATE_BOOL(struct port92, gate) };

static const struct vm_state_table state = VM_STATE_TABLE("port92", 1, 1, fields, port92_check);

DEVICE_CLASS_NOKEYS(port92, "port92", "port 0x92 of a PC: fast reset and the gate of address line 20", &state,
    .on = DEVICE_ON_IO,
    .range_len = 1,
    .size = sizeof(struct port92),
    .init = port92_init,
    .fini = port92_fini,
    .reset = port92_reset,
    .pause = port92_pause,
    .resume = port92_resume);
