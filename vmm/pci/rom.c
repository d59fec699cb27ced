/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rom.c - expansion ROMs of functions (PCI 6.2.5.2, PCI Firmware 3.0 chapter 5): what firmware runs to boot from a device.
 *
 * One image file serves several devices, or says of none that it is for it (iPXE's for the RTL8029).  Firmware asks for the function's
 * own identity, so that is written into the images; those of a BIOS have a checksum, which is kept right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../boot/boot.h"
#include "../error.h"
#include "pci_internal.h"
#include "rom.h"

#define	ROM_MIN		2048U
#define	ROM_MAX		(16U << 20)
#define	UNIT		512U		/* of lengths of images */

/* Header of an image, and the structure that it leads to. */
#define	OFF_PCIR	0x18
#define	OFF_SUM		0x06		/* free for the checksum in images of a BIOS */
#define	HEADER		0x1a
#define	PCIR_VENDOR	0x04
#define	PCIR_DEVICE	0x06
#define	PCIR_LEN	0x10
#define	PCIR_TYPE	0x14
#define	PCIR_LAST	0x15		/* bit 7: no image behind it */
#define	PCIR_SIZE	0x18
#define	TYPE_BIOS	0

static unsigned
get16(const uint8_t *p)
{
	return (p[0] | (unsigned)p[1] << 8);
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void
sum_to_zero(uint8_t *image, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + image[i]);
	image[OFF_SUM] = (uint8_t)(image[OFF_SUM] - sum);
}

unsigned
pci_rom_adopt(uint8_t *rom, size_t len, uint16_t vendor, uint16_t device)
{
	unsigned n = 0;
	size_t at = 0, size;
	uint8_t *image, *pcir;

	do {
		image = rom + at;
		if (len - at < HEADER || get16(image) != 0xaa55 || len - at < get16(image + OFF_PCIR) + (size_t)PCIR_SIZE)
			return (n);
		pcir = image + get16(image + OFF_PCIR);
		size = (size_t)get16(pcir + PCIR_LEN) * UNIT;
		if (memcmp(pcir, "PCIR", 4) != 0 || size == 0 || size > len - at)
			return (n);
		if (get16(pcir + PCIR_VENDOR) != vendor || get16(pcir + PCIR_DEVICE) != device) {
			put16(pcir + PCIR_VENDOR, vendor);
			put16(pcir + PCIR_DEVICE, device);
			if (pcir[PCIR_TYPE] == TYPE_BIOS)
				sum_to_zero(image, size);
		}
		n++;
		at += size;
	} while ((pcir[PCIR_LAST] & 0x80) == 0);
	return (n);
}

/* vCPU's thread; the image never changes. */
static uint64_t
rom_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	const struct pci_fn *fn = arg;
	uint64_t v = UINT64_MAX;

	if (off < fn->romlen)
		memcpy(&v, fn->rom + off, size < fn->romlen - off ? size : fn->romlen - off);
	return (v);
}

static const struct pci_bar_ops rom_ops = { .read = rom_read };

int
pci_add_rom(struct pci_fn *fn, const char *path)
{
	struct boot_file file;
	uint64_t size = ROM_MIN;

	if (boot_read_file(path, &file) != 0)
		return (vmm_fail(errno, "%s: ROM: %s", fn->dev->name, vmm_errmsg()));
	fn->rom = (uint8_t *)(uintptr_t)file.data;
	fn->romlen = file.len;
	while (size < file.len && size < ROM_MAX)
		size *= 2;
	if (file.len > ROM_MAX ||
	    pci_rom_adopt(fn->rom, fn->romlen, (uint16_t)pci_load(fn, PCI_VENDOR, 2), (uint16_t)pci_load(fn, PCI_DEVICE, 2)) == 0)
		return (vmm_fail(EINVAL, "%s: '%s' is no option ROM for a PCI device", fn->dev->name, path));
	return (pci_add_bar(fn, PCI_ROM, PCI_BAR_ROM, size, &rom_ops, fn));
}
