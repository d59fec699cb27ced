/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * root_port.h - the slot of a PCI Express root port (root_port.c), for the machine that puts devices into it and takes them out.
 *
 * A device that is configured behind a port is created with place.port of the port, then put in by root_port_insert().  While the guest
 * runs, what is put in tells the guest so, and it switches the slot on (PCIe 6.7).  To take it out one presses the slot's button; the guest
 * lets go of the device and switches the slot off, and only then does it go.
 *
 * Every function is the control thread's, in no callback of a device.
 */
#ifndef _HYVE_ROOT_PORT_H_
#define	_HYVE_ROOT_PORT_H_

#include "pci.h"

/* Registers of the header (PCI-to-PCI Bridge Architecture 3.2), for who sets them as firmware does. */
#define	ROOT_PORT_BUSES		0x18	/* primary, secondary, subordinate */
#define	ROOT_PORT_IO		0x1c	/* base and limit, a byte each */
#define	ROOT_PORT_MEM		0x20	/* base and limit, a word each */
#define	ROOT_PORT_PREF		0x24
#define	ROOT_PORT_PREF_UPPER	0x28	/* upper halves of base and limit */

/* Its class. */
#define	ROOT_PORT		"root-port"

/* What dev is as a port; NULL: it is another device. */
struct pci_port *root_port_of(struct device *dev);
/* What was created behind it is in its slot now.  While a guest runs, hot is true: it is told. */
void	root_port_insert(struct device *dev, bool hot);

/*
 * Take out what is in the slot.  ROOT_PORT_OFF: the slot is off and stays so until the caller, now, ends the device and calls
 * root_port_removed().  ROOT_PORT_ASKED: the guest was asked, and the owner is called when it has answered.  -1 with EBUSY and a sentence: it
 * was asked before.  It is asked again if it has taken note of that and done nothing about it for 6 seconds of the VM's clock.
 */
enum { ROOT_PORT_OFF, ROOT_PORT_ASKED };
int	root_port_eject(struct device *dev);
/* Whether the guest was asked and has not answered. */
bool	root_port_ejecting(struct device *dev);
/* What was in the slot is no more. */
void	root_port_removed(struct device *dev);

/* Who is called, on the control thread, about what is in the slot.  NULL: nobody. */
struct root_port_owner {
	/* The guest has let go of it after root_port_eject(): as ROOT_PORT_OFF. */
	void	(*released)(void *arg, struct device *dev);
	/* The guest keeps it (PCIe 6.7.1.1.2: the power indicator, which blinked, is on again): it may be asked again. */
	void	(*kept)(void *arg, struct device *dev);
	void	*arg;
};
void	root_port_set_owner(struct device *dev, const struct root_port_owner *owner);

#endif /* _HYVE_ROOT_PORT_H_ */
