/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_option_rom.c - files given as option ROMs: whatever is in one, only bytes of it change, and those of identities and checksums.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pci/rom.h"

/* Two images, the first of a BIOS. */
size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const uint8_t head[] = { 0x55, 0xaa, 1 }, pcir[] = "PCIR\xec\x10\x29\x80\0\0\x18\0\0\0\0\2\1\0\0\0\0\0\0";

	if (n > 1 || max < 1024)
		return (0);
	memset(buf, 0, 1024);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *p = buf + 512 * i;

		memcpy(p, head, sizeof(head));
		p[0x18] = 0x20;
		memcpy(p + 0x20, pcir, sizeof(pcir));
		p[0x30] = 1;
		p[0x34] = i == 0 ? 0 : 3;
		p[0x35] = i == n ? 0x80 : 0;
	}
	return (512 * (n + 1));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *rom = malloc(size + 1);
	size_t changed = 0;
	unsigned n;

	if (rom == NULL)
		abort();
	memcpy(rom, data, size);
	n = pci_rom_adopt(rom, size, 0x1af4, 0x1041);
	for (size_t i = 0; i < size; i++)
		changed += rom[i] != data[i];
	/* Each image has four bytes of identity and one of a checksum. */
	if (n > size / 512 || changed > 5 * (size_t)n)
		abort();
	/* What is adopted stays as it is. */
	if (pci_rom_adopt(rom, size, 0x1af4, 0x1041) < n)
		abort();
	free(rom);
	return (0);
}
