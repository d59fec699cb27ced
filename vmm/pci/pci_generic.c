/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_generic.c - the host bridge of a machine whose firmware tables say where its windows are: an identity and no registers.
 */
#include "pci.h"

/* Of a generic host bridge, by which guests' tools know a virtual machine's. */
#define	VENDOR		0x1b36
#define	DEVICE		0x0008
#define	SUBVENDOR	0x1af4
#define	SUBDEVICE	0x1100

struct bridge {
	struct pci_fn	 fn;
};

static int
bridge_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = VENDOR, .device = DEVICE, .subvendor = SUBVENDOR, .subdevice = SUBDEVICE, .class_code = 0x060000,
	};

	return (pci_init(&((struct bridge *)dev->soft)->fn, dev, &ident, NULL));
}

static void
bridge_fini(struct device *dev)
{
	pci_fini(&((struct bridge *)dev->soft)->fn);
}

static void
bridge_reset(struct device *dev)
{
	pci_reset(&((struct bridge *)dev->soft)->fn);
}

static void
bridge_pause(struct device *dev)
{
	pci_pause(&((struct bridge *)dev->soft)->fn);
}

static void
bridge_resume(struct device *dev)
{
	pci_resume(&((struct bridge *)dev->soft)->fn);
}

static const struct vm_state_field fields[] = { PCI_STATE(struct bridge) };

static const struct vm_state_table state = VM_STATE_TABLE("pci-generic", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(pci_generic, "pci-generic", "generic PCI Express host bridge", &state,
    .on = DEVICE_ON_PCI,
    .size = sizeof(struct bridge),
    .init = bridge_init,
    .fini = bridge_fini,
    .reset = bridge_reset,
    .pause = bridge_pause,
    .resume = bridge_resume);
