/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vq_driver.h - the driver's side of a virtqueue and of virtio over MMIO, for tests: plain, and
 * free to do wrong.
 */
#ifndef _VQ_DRIVER_H_
#define	_VQ_DRIVER_H_

#include "virtio/virtio.h"
#include "vmm_fixture.h"

#define	VM_BASE		0xd0000000ULL	/* registers of the device */

/* Registers (virtio 1.2 table 4.1). */
enum {
	V_MAGIC = 0x00, V_VERSION = 0x04, V_ID = 0x08, V_VENDOR = 0x0c, V_FEATURES = 0x10, V_FEATURES_SEL = 0x14,
	V_DRIVER = 0x20, V_DRIVER_SEL = 0x24, V_QSEL = 0x30, V_QMAX = 0x34, V_QNUM = 0x38, V_QREADY = 0x44,
	V_NOTIFY = 0x50, V_ISR = 0x60, V_ACK = 0x64, V_STATUS = 0x70, V_DESC = 0x80, V_AVAIL = 0x90, V_USED = 0xa0,
	V_SHMLEN = 0xb0, V_GEN = 0xfc, V_CONFIG = 0x100,
};

#define	D_NEXT		1
#define	D_WRITE		2
#define	D_INDIRECT	4

struct vdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Rings of one queue in guest memory, seen through vm_map_gpa() as a guest would. */
struct vdrv {
	struct fx	*fx;
	unsigned	 num;
	uint64_t	 gpa;		/* desc here, avail 16 KiB and used 32 KiB behind */
	struct vdesc	*desc;
	uint16_t	*avail;		/* flags, idx, ring[num], used_event */
	uint16_t	*used;		/* flags, idx, elements from byte 4 */
	uint16_t	 seen;
};

static inline uint32_t
v_read(struct fx *fx, unsigned reg)
{
	return ((uint32_t)fx_read(fx, VM_SPACE_MEM, VM_BASE + reg, 4));
}

static inline void
v_write(struct fx *fx, unsigned reg, uint32_t val)
{
	fx_write(fx, VM_SPACE_MEM, VM_BASE + reg, 4, val);
}

/* Map the rings at gpa and clear them. */
static inline void
v_rings(struct vdrv *d, struct fx *fx, uint64_t gpa, unsigned num)
{
	uint8_t *p = vm_map_gpa(fx->vmm.vm, gpa, 0x10000);

	CHECK(p != NULL);
	memset(p, 0, 0x10000);
	*d = (struct vdrv){ .fx = fx, .num = num, .gpa = gpa };
	d->desc = (void *)p;
	d->avail = (void *)(p + 0x4000);
	d->used = (void *)(p + 0x8000);
}

/* Tell the device where queue q is. */
static inline void
v_queue(struct vdrv *d, unsigned q)
{
	struct fx *fx = d->fx;

	v_write(fx, V_QSEL, q);
	v_write(fx, V_QNUM, d->num);
	v_write(fx, V_DESC, (uint32_t)d->gpa);
	v_write(fx, V_DESC + 4, (uint32_t)(d->gpa >> 32));
	v_write(fx, V_AVAIL, (uint32_t)d->gpa + 0x4000);
	v_write(fx, V_AVAIL + 4, (uint32_t)(d->gpa >> 32));
	v_write(fx, V_USED, (uint32_t)d->gpa + 0x8000);
	v_write(fx, V_USED + 4, (uint32_t)(d->gpa >> 32));
	v_write(fx, V_QREADY, 1);
}

/* Section 3.1.1 up to FEATURES_OK; returns whether it stayed. */
static inline bool
v_negotiate(struct fx *fx, uint64_t features)
{
	v_write(fx, V_STATUS, 0);
	v_write(fx, V_STATUS, 1);
	v_write(fx, V_STATUS, 3);
	v_write(fx, V_DRIVER_SEL, 0);
	v_write(fx, V_DRIVER, (uint32_t)features);
	v_write(fx, V_DRIVER_SEL, 1);
	v_write(fx, V_DRIVER, (uint32_t)(features >> 32));
	v_write(fx, V_STATUS, 0xb);
	return ((v_read(fx, V_STATUS) & 8) != 0);
}

/* All of section 3.1.1 for a device with one queue. */
static inline void
v_start(struct vdrv *d, struct fx *fx, uint64_t features, unsigned num)
{
	CHECK(v_negotiate(fx, features | VIRTIO_F_VERSION_1));
	v_rings(d, fx, 0x100000, num);
	v_queue(d, 0);
	CHECK_EQ(v_read(fx, V_QREADY), 1);
	v_write(fx, V_STATUS, 0xf);
	CHECK_EQ(v_read(fx, V_STATUS), 0xf);
	fx_turn(fx);
}

/* Make the chain that begins at head available. */
static inline void
v_avail(struct vdrv *d, uint16_t head)
{
	d->avail[2 + d->avail[1] % d->num] = head;
	__atomic_store_n(&d->avail[1], (uint16_t)(d->avail[1] + 1), __ATOMIC_RELEASE);
}

static inline uint32_t
v_used_id(const struct vdrv *d, uint16_t i)
{
	return (((const uint32_t *)(const void *)d->used)[1 + 2 * (i % d->num)]);
}

static inline uint32_t
v_used_len(const struct vdrv *d, uint16_t i)
{
	return (((const uint32_t *)(const void *)d->used)[2 + 2 * (i % d->num)]);
}

#endif /* _VQ_DRIVER_H_ */
