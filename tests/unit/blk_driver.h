/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_driver.h - the driver's side of virtio-blk, for tests: requests of three descriptors, each with room of its own.
 */
#ifndef _BLK_DRIVER_H_
#define	_BLK_DRIVER_H_

#include "vq_driver.h"

#define	DATA	0x200000ULL
#define	HEAD	0x1f0000ULL
#define	STATUS	0x1f8000ULL

static struct fx fx;
static struct vdrv d;
static uint8_t *data, *head, *status;

/* A disk over the image at path with more keys; NULL with a sentence. */
static inline struct device *
blk_make(const char *path, const char *keys)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1, .irq = { fx.irq } };
	char text[512];

	(void)snprintf(text, sizeof(text), "disk.path=%s\n%s", path, keys);
	return (fx_make_with(&fx, "virtio-blk", "disk", &place, text));
}

/* The driver starts, with a ring of num descriptors. */
static inline void
blk_start(uint64_t features, unsigned num)
{
	devices_resume(&fx.vmm);
	v_start(&d, &fx, features, num);
	data = vm_map_gpa(fx.vmm.vm, DATA, 0x100000);
	head = vm_map_gpa(fx.vmm.vm, HEAD, 4096);
	status = vm_map_gpa(fx.vmm.vm, STATUS, 4096);
	CHECK(data != NULL && head != NULL && status != NULL);
}

/* Put a request in descriptors 3n and the two behind it, and make it available. */
static inline void
blk_request(unsigned n, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len, bool in)
{
	struct { uint32_t type, reserved; uint64_t sector; } h = { type, 0, sector };
	unsigned at = 3 * n;

	memcpy(head + 64 * n, &h, sizeof(h));
	status[n] = 0xee;
	d.desc[at] = (struct vdesc){ HEAD + 64 * n, sizeof(h), D_NEXT, (uint16_t)(len != 0 ? at + 1 : at + 2) };
	d.desc[at + 1] = (struct vdesc){ gpa, len, D_NEXT | (in ? D_WRITE : 0), (uint16_t)(at + 2) };
	d.desc[at + 2] = (struct vdesc){ STATUS + n, 1, D_WRITE, 0 };
	v_avail(&d, (uint16_t)at);
}

/* Notify, and wait for so many answers in all. */
static inline void
blk_answers(uint16_t n)
{
	v_write(&fx, V_NOTIFY, 0);
	for (unsigned i = 0; __atomic_load_n(&d.used[1], __ATOMIC_ACQUIRE) != n; i++) {
		CHECKF(i < 1200000, "%u of %u answers", d.used[1], n);
		fx_turn(&fx);
		usleep(50);
	}
}

#endif /* _BLK_DRIVER_H_ */
