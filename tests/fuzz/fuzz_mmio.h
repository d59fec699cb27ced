/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_mmio.h - for targets that play the driver of a virtio device on MMIO: a VM with one, its registers (virtio 1.2 section 4.2.2), and rings.
 */
#ifndef _FUZZ_MMIO_H_
#define	_FUZZ_MMIO_H_

#include "fuzz_devices.h"

#define	FUZZ_MMIO	0xd0000000ULL

struct fuzz_mmio {
	struct vmm	 vmm;
	uint8_t		*ram;
};

/* A device of a class, called v, with keys in lines "v.key=value". */
static inline void
fuzz_mmio_open(struct fuzz_mmio *g, const char *cls, const char *keys)
{
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = FUZZ_MMIO, .nirqs = 1 };

	g->ram = fuzz_vm_open(&g->vmm);
	place.irq[0] = vm_irq_open_line(g->vmm.vm, 5);
	if (place.irq[0] == NULL || config_declare(g->vmm.config, "", &config_global_keys) != 0)
		abort();
	(void)fuzz_device(&g->vmm, cls, "v", keys, &place);
}

static inline void
fuzz_mmio_write(struct fuzz_mmio *g, unsigned off, unsigned size, uint64_t val)
{
	(void)vm_access(g->vmm.vm, VM_SPACE_MEM, FUZZ_MMIO + off, size, true, &val);
}

static inline void
fuzz_mmio_reg(struct fuzz_mmio *g, unsigned off, uint64_t val)
{
	fuzz_mmio_write(g, off, 4, val);
}

static inline uint32_t
fuzz_mmio_get(struct fuzz_mmio *g, unsigned off)
{
	uint64_t val = 0;

	(void)vm_access(g->vmm.vm, VM_SPACE_MEM, FUZZ_MMIO + off, 4, false, &val);
	return ((uint32_t)val);
}

/* As at the beginning, and section 3.1.1 with what is asked for of the features that are offered, and queues of num entries. */
static inline void
fuzz_mmio_start(struct fuzz_mmio *g, uint64_t features, unsigned nqueues, unsigned num)
{
	fuzz_restart(&g->vmm, g->ram);
	fuzz_mmio_reg(g, 0x70, 0);
	fuzz_mmio_reg(g, 0x70, 3);
	for (unsigned i = 0; i < 2; i++) {
		fuzz_mmio_reg(g, 0x14, i);
		fuzz_mmio_reg(g, 0x24, i);
		fuzz_mmio_reg(g, 0x20, fuzz_mmio_get(g, 0x10) & ((uint32_t)(features >> (32 * i)) | i));
	}
	fuzz_mmio_reg(g, 0x70, 0xb);
	for (unsigned q = 0; q < nqueues; q++) {
		fuzz_mmio_reg(g, 0x30, q);
		fuzz_mmio_reg(g, 0x38, num);
		fuzz_mmio_reg(g, 0x80, FUZZ_RINGS(q));
		fuzz_mmio_reg(g, 0x90, FUZZ_RINGS(q) + 0x4000);
		fuzz_mmio_reg(g, 0xa0, FUZZ_RINGS(q) + 0x8000);
		fuzz_mmio_reg(g, 0x44, 1);
	}
	fuzz_mmio_reg(g, 0x70, 0xf);
}

/* The device goes on; its status has no bit that there is none. */
static inline void
fuzz_mmio_turn(struct fuzz_mmio *g)
{
	if (event_loop_once(g->vmm.loop, 0) != 0 || (fuzz_mmio_get(g, 0x70) & ~0xcfU) != 0)
		abort();
}

/* Whatever was done to it, a reset makes it idle, without an interrupt. */
static inline void
fuzz_mmio_stop(struct fuzz_mmio *g)
{
	fuzz_mmio_reg(g, 0x70, 0);
	if (fuzz_mmio_get(g, 0x70) != 0 || fuzz_mmio_get(g, 0x60) != 0)
		abort();
}

#endif /* _FUZZ_MMIO_H_ */
