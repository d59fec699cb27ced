/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * q35.h - the two chipset functions of every PC, which firmware knows it by.
 *
 * "q35-host"	the host bridge, at 00:00.0.  PCIEXBAR is where pci_host_ecam() was when it was made, and
 *		moves that; it saves and resets port 0xcf8 too, if place.base is not 0.
 * "ich9-lpc"	the bridge to what is on ports, at 00:1f.0.  PMBASE is place.base: where the machine put
 *		the ACPI registers; 0: nowhere.
 *
 * Neither has interrupts.  The LPC bridge routes those of PCI: PIRQA to PIRQH, which are the pins of slots d with d % 8 the same, go to
 * inputs of the 8259s as its registers say.  They are on pins of the I/O APIC in any case, which is the machine's.
 */
#ifndef _HYVE_Q35_H_
#define	_HYVE_Q35_H_

#include "pci.h"

#define	Q35_HOST_DEVFN	PCI_DEVFN(0, 0)
#define	Q35_LPC_DEVFN	PCI_DEVFN(31, 0)

#define	Q35_PIRQS	8
#define	Q35_ISA_LINES	16

/*
 * The handles on inputs of the 8259s, by number; those that the chip cannot route to are NULL.  They outlive the bridge.  Control thread,
 * while paused.
 */
void	q35_lpc_set_isa(struct device *lpc, struct vm_irq *const isa[Q35_ISA_LINES]);
/* Whether a PIRQ can be routed to an input (ICH9 13.1.9). */
bool	q35_lpc_routes_to(unsigned line);
/* What firmware does: route each PIRQ to an input, and tell drivers by their interrupt line registers.  Control thread, vCPUs parked. */
void	q35_lpc_route(struct device *lpc, const uint8_t line[Q35_PIRQS]);

#endif /* _HYVE_Q35_H_ */
