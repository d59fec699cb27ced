/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * q35.h - the two chipset functions of every PC, which firmware knows it by.
 *
 * "q35-host"	the host bridge, at 00:00.0.  PCIEXBAR is where pci_host_ecam() was when it was made, and
 *		moves that; it saves and resets port 0xcf8 too, if place.base is not 0.
 * "ich9-lpc"	the bridge to what is on ports, at 00:1f.0.  PMBASE is place.base: where the machine put
 *		the ACPI registers; 0: nowhere.
 *
 * Neither has interrupts.
 */
#ifndef _HYVE_Q35_H_
#define	_HYVE_Q35_H_

#include "pci.h"

#define	Q35_HOST_DEVFN	PCI_DEVFN(0, 0)
#define	Q35_LPC_DEVFN	PCI_DEVFN(31, 0)

#endif /* _HYVE_Q35_H_ */
