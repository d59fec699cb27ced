/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loader.c - gives ACPI tables to firmware, which decides itself where they go.
 *
 * Firmware reads two files with tables and a third with commands of 128 bytes: allocate memory for a file and read it, add a file's
 * address to a number in another, put in a checksum.  This is the list of fix-ups of an acpi_blob in other words.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../firmware/fw_cfg.h"
#include "tables.h"

#define	TABLES	"etc/acpi/tables"
#define	RSDP	"etc/acpi/rsdp"
#define	LOADER	"etc/table-loader"

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };

#define	ZONE_HIGH	1		/* any RAM */
#define	ZONE_FSEG	2		/* where a PC's system looks for it */

struct command {
	uint32_t	 what;
	union {
		struct {
			char	 file[56];
			uint32_t align;
			uint8_t	 zone;
		} __attribute__((packed)) allocate;
		struct {
			char	 file[56], target[56];
			uint32_t offset;
			uint8_t	 size;
		} __attribute__((packed)) pointer;
		struct {
			char	 file[56];
			uint32_t offset, start, len;
		} __attribute__((packed)) checksum;
		uint8_t	 space[124];
	} u;
};
_Static_assert(sizeof(struct command) == 128, "loader command");

static void
name(char to[static 56], const char *from)
{
	memcpy(to, from, strlen(from));
}

static struct command
allocate(const char *file, unsigned align, unsigned zone)
{
	struct command c = { .what = htole32(ALLOCATE) };

	name(c.u.allocate.file, file);
	c.u.allocate.align = htole32(align);
	c.u.allocate.zone = (uint8_t)zone;
	return (c);
}

static struct command
checksum(const char *file, size_t offset, size_t start, size_t len)
{
	struct command c = { .what = htole32(ADD_CHECKSUM) };

	name(c.u.checksum.file, file);
	c.u.checksum.offset = htole32((uint32_t)offset);
	c.u.checksum.start = htole32((uint32_t)start);
	c.u.checksum.len = htole32((uint32_t)len);
	return (c);
}

static struct command
pointer(const struct acpi_fixup *f)
{
	struct command c = { .what = htole32(ADD_POINTER) };

	name(c.u.pointer.file, f->in_rsdp ? RSDP : TABLES);
	name(c.u.pointer.target, TABLES);
	c.u.pointer.offset = htole32(f->off);
	c.u.pointer.size = f->size;
	return (c);
}

/* Pointers first: checksums are over what they have become. */
static size_t
commands(const struct acpi_blob *blob, struct command *c)
{
	struct command *first = c;

	*c++ = allocate(RSDP, 16, ZONE_FSEG);
	*c++ = allocate(TABLES, 64, ZONE_HIGH);
	for (unsigned i = 0; i < blob->nfixups; i++)
		*c++ = pointer(&blob->fixup[i]);
	for (unsigned i = 0; i < blob->ntables; i++)
		*c++ = checksum(TABLES, blob->table[i].off + 9U, blob->table[i].off, blob->table[i].len);
	*c++ = checksum(RSDP, 8, 0, 20);
	*c++ = checksum(RSDP, 32, 0, sizeof(blob->rsdp));
	return ((size_t)(c - first));
}

int
acpi_publish(const struct acpi_blob *blob, struct device *fw_cfg)
{
	struct command list[ACPI_FIXUPS_MAX + ACPI_TABLES_MAX + 4];
	uint8_t *tables = malloc(blob->len), rsdp[sizeof(blob->rsdp)];
	size_t n = commands(blob, list);
	int error;

	if (tables == NULL)
		return (vmm_fail(ENOMEM, "no memory for the ACPI tables"));
	memcpy(tables, blob->tables, blob->len);
	memcpy(rsdp, blob->rsdp, sizeof(rsdp));
	/* Offsets where addresses will be, and zeros where checksums will be. */
	for (unsigned i = 0; i < blob->nfixups; i++) {
		const struct acpi_fixup *f = &blob->fixup[i];
		uint64_t target = htole64(f->target);

		memcpy((f->in_rsdp ? rsdp : tables) + f->off, &target, f->size);
	}
	for (unsigned i = 0; i < blob->ntables; i++)
		tables[blob->table[i].off + 9U] = 0;
	rsdp[8] = rsdp[32] = 0;
	error = fw_cfg_add_file(fw_cfg, TABLES, tables, blob->len);
	if (error == 0)
		error = fw_cfg_add_file(fw_cfg, RSDP, rsdp, sizeof(rsdp));
	if (error == 0)
		error = fw_cfg_add_file(fw_cfg, LOADER, list, n * sizeof(list[0]));
	free(tables);
	return (error);
}
