/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parts.h - what machines are put together from: interrupt lines, devices at fixed places, PCI slots and root ports.
 *
 * All on the control thread, in a machine's init, with struct machine's parts zeroed before.
 */
#ifndef _HYVE_PARTS_H_
#define	_HYVE_PARTS_H_

#include "../pci/pci.h"
#include "machine.h"

#define	PARTS_NOLINE	(-1)

/* A device at a fixed place. */
struct part {
	const char	*device;	/* class */
	const char	*name;		/* instance */
	const char	*node;		/* of its keys */
	unsigned	 on;		/* DEVICE_ON_MMIO or _IO */
	uint64_t	 base;
	unsigned	 nlines;
	unsigned	 line[DEVICE_MAXIRQ];
	bool		 console;	/* a serial port: it is connected to the machine's console, if there is one */
};

/*
 * The segment, and where its pins go: pin A of slot d is on line + d % nlines, and slots from first to last are the
 * configuration's.  -1 with a sentence.
 */
struct parts_pci {
	struct pci_host_spec host;
	unsigned	 line, nlines;
	unsigned	 first, last;
};
int	parts_pci(struct machine *m, const struct parts_pci *pci);
struct pci_host *parts_pci_host(struct machine *m);

/* An interrupt handle that lives as long as the machine; NULL with a sentence. */
struct vm_irq *parts_line(struct machine *m, unsigned line);
/* Make a device; NULL with a sentence. */
struct device *parts_add(struct machine *m, const struct part *part);
/* The same for a function of the segment; base is what the class makes of it. */
struct device *parts_add_pci(struct machine *m, const char *device, const char *name, const char *node, uint8_t devfn,
	    uint64_t base);
/* The devices of the configuration, pci.0.SLOT.0 and pci.SLOT.0.0.  -1 with a sentence. */
int	parts_add_slots(struct machine *m);

#define	PARTS_SLOTS	32
/* The root port in a slot; NULL: there is none. */
struct device *parts_port(struct machine *m, unsigned slot);
/* The device behind the root port in a slot; NULL: there is none. */
struct device *parts_behind(struct machine *m, unsigned slot);
/* The node of the keys of what is behind the root port in a slot: "pci.4.0.0". */
#define	PARTS_NODE_LEN	16
const char *parts_node_behind(unsigned slot, char name[PARTS_NODE_LEN]);
/* Make a device behind the root port in a slot, of the keys there; root_port_insert() is the caller's.  NULL with a sentence. */
struct device *parts_add_behind(struct machine *m, const char *device, unsigned slot);

/* The end of all of it: devices, the segment, lines.  Also after an init that failed half-way. */
void	parts_fini(struct machine *m);

#endif /* _HYVE_PARTS_H_ */
