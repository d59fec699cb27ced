/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rom.h - expansion ROMs of functions.
 */
#ifndef _HYVE_PCI_ROM_H_
#define	_HYVE_PCI_ROM_H_

#include <stddef.h>
#include <stdint.h>

#include "pci.h"

/*
 * Give a function the ROM of an image file, with the function's identity in it.  Control thread, in the class's init behind pci_init();
 * the copy is pci_fini()'s.  -1 with a sentence: no such file, EINVAL (no option ROM, more than 16 MiB), ENOMEM.
 */
int	pci_add_rom(struct pci_fn *fn, const char *path);

/* Write an identity into the images of a ROM; how many there are, up to the first that is damaged. */
unsigned pci_rom_adopt(uint8_t *rom, size_t len, uint16_t vendor, uint16_t device);

#endif /* _HYVE_PCI_ROM_H_ */
