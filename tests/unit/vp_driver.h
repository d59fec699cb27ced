/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vp_driver.h - the driver's side of virtio over PCI, for tests: finds its way by the capabilities, as
 * a guest does, and is free to do wrong.  Rings are vq_driver.h's.
 */
#ifndef _VP_DRIVER_H_
#define	_VP_DRIVER_H_

#include "pci_fixture.h"
#include "vq_driver.h"

/* Types of structures (virtio 1.2 section 4.1.4). */
enum { VP_COMMON = 1, VP_NOTIFY, VP_ISR, VP_DEVICE, VP_PCI, VP_TYPES };

/* struct virtio_pci_common_cfg (4.1.4.3). */
enum {
	P_FEATURES_SEL = 0x00, P_FEATURES = 0x04, P_DRIVER_SEL = 0x08, P_DRIVER = 0x0c, P_CVECTOR = 0x10,
	P_NQUEUES = 0x12, P_STATUS = 0x14, P_GEN = 0x15, P_QSEL = 0x16, P_QSIZE = 0x18, P_QVECTOR = 0x1a,
	P_QENABLE = 0x1c, P_QNOTIFY = 0x1e, P_DESC = 0x20, P_AVAIL = 0x28, P_USED = 0x30,
};

#define	NO_VECTOR	0xffffU

struct vpdrv {
	struct fx	*fx;
	unsigned	 devfn;
	unsigned	 cap[VP_TYPES];		/* of the first structure of a type; 0: none */
	uint64_t	 at[VP_TYPES];
	uint32_t	 len[VP_TYPES];
	uint32_t	 step;			/* notify_off_multiplier */
};

/* Find the structures, and switch on memory and bus mastering. */
static inline void
vp_probe(struct vpdrv *p, struct fx *fx, unsigned devfn)
{
	*p = (struct vpdrv){ .fx = fx, .devfn = devfn };
	for (unsigned off = 0; (off = cfg_cap(fx, devfn, 0x09, off)) != 0;) {
		unsigned type = cfg_r(fx, devfn, off + 3, 1);

		CHECK(type > 0 && type < VP_TYPES && p->cap[type] == 0);
		CHECK(cfg_r(fx, devfn, off + 2, 1) >= 16);
		p->cap[type] = off;
		p->at[type] = cfg_bar(fx, devfn, cfg_r(fx, devfn, off + 4, 1)) + cfg_r(fx, devfn, off + 8, 4);
		p->len[type] = cfg_r(fx, devfn, off + 12, 4);
		if (type == VP_NOTIFY)
			p->step = cfg_r(fx, devfn, off + 16, 4);
	}
	cfg_w(fx, devfn, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
}

static inline uint64_t
vp_r(const struct vpdrv *p, unsigned reg, unsigned size)
{
	return (fx_read(p->fx, VM_SPACE_MEM, p->at[VP_COMMON] + reg, size));
}

static inline void
vp_w(const struct vpdrv *p, unsigned reg, unsigned size, uint64_t val)
{
	fx_write(p->fx, VM_SPACE_MEM, p->at[VP_COMMON] + reg, size, val);
}

static inline uint8_t
vp_isr(const struct vpdrv *p)
{
	return ((uint8_t)fx_read(p->fx, VM_SPACE_MEM, p->at[VP_ISR], 1));
}

static inline void
vp_notify(const struct vpdrv *p, unsigned q)
{
	unsigned off;

	vp_w(p, P_QSEL, 2, q);
	off = (unsigned)vp_r(p, P_QNOTIFY, 2) * p->step;
	CHECK(off + 2 <= p->len[VP_NOTIFY]);
	fx_write(p->fx, VM_SPACE_MEM, p->at[VP_NOTIFY] + off, 2, q);
}

/* Section 3.1.1 up to FEATURES_OK; returns whether it stayed. */
static inline bool
vp_negotiate(const struct vpdrv *p, uint64_t features)
{
	vp_w(p, P_STATUS, 1, 0);
	CHECK_EQ(vp_r(p, P_STATUS, 1), 0);
	vp_w(p, P_STATUS, 1, 1);
	vp_w(p, P_STATUS, 1, 3);
	vp_w(p, P_DRIVER_SEL, 4, 0);
	vp_w(p, P_DRIVER, 4, (uint32_t)features);
	vp_w(p, P_DRIVER_SEL, 4, 1);
	vp_w(p, P_DRIVER, 4, features >> 32);
	vp_w(p, P_STATUS, 1, 0xb);
	return ((vp_r(p, P_STATUS, 1) & 8) != 0);
}

/* Tell the device where queue q is, with vector vec for its interrupts. */
static inline void
vp_queue(const struct vpdrv *p, const struct vdrv *d, unsigned q, unsigned vec)
{
	vp_w(p, P_QSEL, 2, q);
	vp_w(p, P_QSIZE, 2, d->num);
	vp_w(p, P_DESC, 4, (uint32_t)d->gpa);
	vp_w(p, P_DESC + 4, 4, d->gpa >> 32);
	vp_w(p, P_AVAIL, 4, (uint32_t)d->gpa + 0x4000);
	vp_w(p, P_AVAIL + 4, 4, d->gpa >> 32);
	vp_w(p, P_USED, 4, (uint32_t)d->gpa + 0x8000);
	vp_w(p, P_USED + 4, 4, d->gpa >> 32);
	vp_w(p, P_QVECTOR, 2, vec);
	CHECK_EQ(vp_r(p, P_QVECTOR, 2), vec);
	vp_w(p, P_QENABLE, 2, 1);
}

/* All of section 3.1.1 for a device with one queue. */
static inline void
vp_start(const struct vpdrv *p, struct vdrv *d, uint64_t features, unsigned num, unsigned vec)
{
	CHECK(vp_negotiate(p, features | VIRTIO_F_VERSION_1));
	v_rings(d, p->fx, 0x100000, num);
	vp_queue(p, d, 0, vec);
	CHECK_EQ(vp_r(p, P_QENABLE, 2), 1);
	vp_w(p, P_STATUS, 1, 0xf);
	CHECK_EQ(vp_r(p, P_STATUS, 1), 0xf);
	fx_turn(p->fx);
}

#endif /* _VP_DRIVER_H_ */
