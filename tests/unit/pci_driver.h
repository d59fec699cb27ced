/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_driver.h - for tests that are the driver of one function: the machine it is in and the driver's memory there, another machine that it
 * moves to, and drivers on several processors.
 */
#ifndef _PCI_DRIVER_H_
#define	_PCI_DRIVER_H_

#include "pci_fixture.h"

#define	SLOT		PCI_DEVFN(4, 0)

static struct fx fx;
static struct pci_host *host;
static struct device *dev;
static uint8_t *ram;

/* Whether the function answers, and may reach memory. */
static inline void
pd_bus(bool master)
{
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | (master ? PCI_CMD_MASTER : 0));
}

/* The device that was made in fx gets its addresses and may be used. */
static inline void
pd_start(void)
{
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	ram = vm_map_gpa(fx.vmm.vm, 0, FX_MEM);
	CHECK(ram != NULL);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	pd_bus(true);
}

/* As the machine's reset, after which the function gets its addresses anew. */
static inline void
pd_reset(void)
{
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	fx_reset(&fx);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	pd_bus(true);
}

static inline void
pd_close(void)
{
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

/*
 * What is paused here is loaded into another machine with its own device on h, which takes the place of fx and runs.  Its log stays with to.
 */
static inline void
pd_move(struct fx *to, struct pci_host *h, struct device *other)
{
	CHECKF(other != NULL, "%s", vmm_errmsg());
	fx_move(&fx, to);
	CHECK_EQ(vm_gpa_write(to->vmm.vm, 0, ram, FX_MEM), 0);
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
	fx = *to;
	host = h;
	dev = other;
	dev->vmm = &fx.vmm;
	ram = vm_map_gpa(fx.vmm.vm, 0, FX_MEM);
	devices_resume(&fx.vmm);
}

/* One of several processors, for fx_hammer_start(): the bus, given and taken away, and what touch() does with numbers. */
static inline void *
pd_hammer(void *arg, void (*touch)(uint32_t v))
{
	uint64_t seed = (uintptr_t)arg;

	for (unsigned i = 0; i < (TEST_SANITIZED ? 300U : 2000U) * (unsigned)test_long(10); i++) {
		uint32_t v = (uint32_t)(test_random(&seed) >> 20);

		if (v % 8 == 0)
			pd_bus((v & 0x100) != 0);
		else
			touch(v);
	}
	return (NULL);
}

#endif /* _PCI_DRIVER_H_ */
