/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * primecell.h - a PrimeCell peripheral on MMIO in a fixture, and the registers that all of them have.
 */
#ifndef _TEST_PRIMECELL_H_
#define	_TEST_PRIMECELL_H_

#include "vmm_fixture.h"

#define	PC_BASE	0xd0000000ULL

static inline uint32_t
pc_in(struct fx *fx, unsigned reg)
{
	return ((uint32_t)fx_read(fx, VM_SPACE_MEM, PC_BASE + reg, 4));
}

static inline void
pc_out(struct fx *fx, unsigned reg, uint32_t val)
{
	fx_write(fx, VM_SPACE_MEM, PC_BASE + reg, 4, val);
}

static inline struct device *
pc_make(struct fx *fx, const char *device, struct chardev *cd, const char *key, const char *value)
{
	const struct device_class *cls = device_class_find(device);
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = PC_BASE, .nirqs = 1, .irq = { fx->irq }, .chardev = cd };
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	struct config_node *node = fx_node(fx, "dev", cls);
	struct device *dev;

	if (key != NULL)
		CHECKF(config_set(fx->vmm.config, key, value, &origin) == 0, "%s", vmm_errmsg());
	dev = device_create(&fx->vmm, cls, "dev", node, &place);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	return (dev);
}

/* The identification of a part, a byte in each word, and nothing where there is no register. */
static inline void
pc_check_id(struct fx *fx, const uint8_t part[4], unsigned nothing)
{
	static const uint8_t cell[4] = { 0x0d, 0xf0, 0x05, 0xb1 };

	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(pc_in(fx, 0xfe0 + 4 * i), part[i]);
		CHECK_EQ(pc_in(fx, 0xff0 + 4 * i), cell[i]);
		CHECK_EQ(fx_read(fx, VM_SPACE_MEM, PC_BASE + 0xfe0 + 4 * i, 1), part[i]);
		pc_out(fx, 0xfe0 + 4 * i, 0xff);
		CHECK_EQ(pc_in(fx, 0xfe0 + 4 * i), part[i]);
	}
	pc_out(fx, nothing, UINT32_MAX);
	CHECK_EQ(pc_in(fx, nothing), 0);
	/* What of a register an access does not reach is not there. */
	CHECK_EQ(fx_read(fx, VM_SPACE_MEM, PC_BASE + 0xfe1, 1), 0);
}

#endif /* _TEST_PRIMECELL_H_ */
