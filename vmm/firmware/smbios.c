/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smbios.c - SMBIOS structures (DMTF DSP0134; sections are those of version 3.0.0).
 *
 * A structure is a header, fixed fields and a list of strings; fields name strings by number.  Structures refer to each other by
 * handle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "checksum.h"
#include "fw_cfg.h"
#include "smbios.h"

#define	STRINGS_MAX	8		/* of a structure */

/* Handles: type in the high byte, so that they are told apart at sight. */
#define	HANDLE(type, n)	((uint16_t)((type) << 8 | (n)))

static const struct config_key keys[] = {
	KEY_STRING("bios.vendor", "hyve", "vendor of the firmware"),
	KEY_STRING("bios.version", "1.0", "version of the firmware"),
	KEY_STRING("bios.release_date", "01/01/2024", "date of the firmware, mm/dd/yyyy"),
	KEY_STRING("system.manufacturer", "hyve", "who made the machine"),
	KEY_STRING("system.product_name", "Virtual Machine", "name of the machine"),
	KEY_STRING("system.version", "1.0", "version of the machine"),
	KEY_STRING("system.serial_number", NULL, "serial number of the machine"),
	KEY_STRING("system.sku", NULL, "order number of the machine"),
	KEY_STRING("system.family_name", "Virtual Machine", "family that the machine belongs to"),
	KEY_STRING("chassis.manufacturer", "hyve", "who made the chassis"),
	KEY_STRING("chassis.version", "1.0", "version of the chassis"),
	KEY_STRING("chassis.serial_number", NULL, "serial number of the chassis"),
	KEY_STRING("chassis.asset_tag", NULL, "asset tag of the chassis"),
	KEY_STRING("chassis.sku", NULL, "order number of the chassis"),
};

const struct config_keys smbios_keys = {
	.key = keys,
	.nkeys = sizeof(keys) / sizeof(keys[0]),
};

struct out {
	uint8_t		*buf;
	size_t		 len, cap;
	bool		 failed;
	size_t		 start;		/* of the structure that is being written */
	const char	*string[STRINGS_MAX];
	unsigned	 nstrings;
	unsigned	 count;
};

static void
bytes(struct out *o, const void *p, size_t n)
{
	if (!o->failed && o->cap - o->len < n) {
		size_t cap = (o->cap + n) * 2;
		uint8_t *buf = realloc(o->buf, cap);

		if (buf == NULL)
			o->failed = true;
		else {
			o->buf = buf;
			o->cap = cap;
		}
	}
	if (o->failed)
		return;
	memcpy(o->buf + o->len, p, n);
	o->len += n;
}

static void
num(struct out *o, uint64_t v, unsigned n)
{
	uint8_t b[8];

	for (unsigned i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	bytes(o, b, n);
}

/* The number of a string; 0 for none. */
static void
text(struct out *o, const char *s)
{
	if (s == NULL || s[0] == '\0' || o->nstrings == STRINGS_MAX) {
		num(o, 0, 1);
		return;
	}
	o->string[o->nstrings++] = s;
	num(o, o->nstrings, 1);
}

/* 6.1.2: type, length (put in by close()), handle. */
static void
begin(struct out *o, uint8_t type, uint16_t handle)
{
	o->start = o->len;
	o->nstrings = 0;
	num(o, type, 1);
	num(o, 0, 1);
	num(o, handle, 2);
}

/* 6.1.3: the strings, and a zero more; without strings two zeros. */
static void
end(struct out *o)
{
	if (!o->failed)
		o->buf[o->start + 1] = (uint8_t)(o->len - o->start);
	for (unsigned i = 0; i < o->nstrings; i++)
		bytes(o, o->string[i], strlen(o->string[i]) + 1);
	num(o, 0, o->nstrings != 0 ? 1 : 2);
	o->count++;
}

/* 7.1 */
static void
bios(struct out *o, struct config_node *c)
{
	begin(o, 0, HANDLE(0, 0));
	text(o, config_str(c, "bios.vendor"));
	text(o, config_str(c, "bios.version"));
	num(o, 0, 2);			/* address: no segment of a PC's BIOS */
	text(o, config_str(c, "bios.release_date"));
	num(o, 0, 1);
	num(o, 1ULL << 3, 8);		/* characteristics are not given */
	num(o, 0, 1);
	num(o, 1U << 4 | 1U << 3, 1);	/* a virtual machine; UEFI */
	num(o, 0xff, 1);		/* releases: none */
	num(o, 0xff, 1);
	num(o, 0xff, 1);
	num(o, 0xff, 1);
	end(o);
}

/* 7.2.1: the first three fields are little-endian numbers in the structure, the text has them in order. */
static void
uuid(struct out *o, struct config *cfg)
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct config_value val;
	uint8_t wire[16] = { 0 };

	/* All zeros: not settable, none given (7.2.1). */
	if (config_get(config_node(cfg, ""), "uuid", &val) == 0 && val.text != NULL) {
		for (unsigned i = 0; i < 16; i++)
			wire[i] = val.u.uuid[order[i]];
	}
	bytes(o, wire, sizeof(wire));
}

/* 7.2 */
static void
machine(struct out *o, struct config *cfg, struct config_node *c)
{
	begin(o, 1, HANDLE(1, 0));
	text(o, config_str(c, "system.manufacturer"));
	text(o, config_str(c, "system.product_name"));
	text(o, config_str(c, "system.version"));
	text(o, config_str(c, "system.serial_number"));
	uuid(o, cfg);
	num(o, 6, 1);			/* wake-up: power switch */
	text(o, config_str(c, "system.sku"));
	text(o, config_str(c, "system.family_name"));
	end(o);
}

/* 7.4 */
static void
chassis(struct out *o, struct config_node *c)
{
	begin(o, 3, HANDLE(3, 0));
	text(o, config_str(c, "chassis.manufacturer"));
	num(o, 1, 1);			/* other */
	text(o, config_str(c, "chassis.version"));
	text(o, config_str(c, "chassis.serial_number"));
	text(o, config_str(c, "chassis.asset_tag"));
	num(o, 3, 1);			/* boot-up, power and thermal state: safe */
	num(o, 3, 1);
	num(o, 3, 1);
	num(o, 2, 1);			/* security: unknown */
	num(o, 0, 4);
	num(o, 0, 1);			/* height, power cords: unspecified */
	num(o, 0, 1);
	num(o, 0, 1);			/* no elements */
	num(o, 0, 1);
	text(o, config_str(c, "chassis.sku"));
	end(o);
}

static unsigned
at_most(unsigned v, unsigned max)
{
	return (v < max ? v : max);
}

/* 7.5 */
static void
processor(struct out *o, const struct smbios_spec *spec, unsigned n)
{
	unsigned threads = spec->cores * spec->threads;

	begin(o, 4, HANDLE(4, n));
	text(o, "CPU");
	num(o, 3, 1);			/* central processor */
	num(o, at_most(spec->cpu_family, 0xfe), 1);	/* 0xfe: the wide field counts */
	text(o, "hyve");
	num(o, 0, 8);
	text(o, spec->cpu_version);
	num(o, 0, 1);			/* voltage; clocks: unknown */
	num(o, 0, 6);
	num(o, 1U << 6 | 1, 1);		/* populated, enabled */
	num(o, 1, 1);			/* upgrade: other */
	num(o, 0xffff, 2);		/* caches are not told */
	num(o, 0xffff, 2);
	num(o, 0xffff, 2);
	num(o, 0, 3);			/* no serial number, asset tag, part number */
	num(o, at_most(spec->cores, 0xff), 1);
	num(o, at_most(spec->cores, 0xff), 1);
	num(o, at_most(threads, 0xff), 1);
	num(o, 1U << 2 | (spec->cores > 1 ? 1U << 3 : 0) | (spec->threads > 1 ? 1U << 4 : 0), 2);	/* 64 bits, cores, threads */
	num(o, spec->cpu_family, 2);
	num(o, at_most(spec->cores, 0xfffe), 2);
	num(o, at_most(spec->cores, 0xfffe), 2);
	num(o, at_most(threads, 0xfffe), 2);
	end(o);
}

/* 7.17 */
static void
memory_array(struct out *o, uint64_t total)
{
	begin(o, 16, HANDLE(16, 0));
	num(o, 1, 1);			/* other place */
	num(o, 3, 1);			/* system memory */
	num(o, 6, 1);			/* corrected by the host */
	num(o, 0x80000000U, 4);		/* the wide capacity counts */
	num(o, 0xfffe, 2);
	num(o, 1, 2);
	num(o, total, 8);
	end(o);
}

/* 7.18: one module of all the RAM. */
static void
memory_module(struct out *o, uint64_t total)
{
	uint64_t mib = (total + (1 << 20) - 1) >> 20;

	begin(o, 17, HANDLE(17, 0));
	num(o, HANDLE(16, 0), 2);
	num(o, 0xfffe, 2);
	num(o, 0xffff, 2);		/* widths: unknown */
	num(o, 0xffff, 2);
	num(o, mib < 0x7fff ? mib : 0x7fff, 2);
	num(o, 9, 1);			/* DIMM */
	num(o, 0, 1);
	text(o, "DIMM 0");
	num(o, 0, 1);
	num(o, 7, 1);			/* RAM */
	num(o, 1U << 1, 2);		/* other */
	num(o, 0, 2);
	text(o, "hyve");
	num(o, 0, 3);
	num(o, 0, 1);
	num(o, mib < 0x7fff ? 0 : mib, 4);
	num(o, 0, 2);
	num(o, 0, 6);
	end(o);
}

/* 7.20: in KiB, or in bytes where these do not reach. */
static void
memory_range(struct out *o, unsigned n, uint64_t base, uint64_t len)
{
	uint64_t last = base + len - 1;
	bool wide = (last >> 10) >= UINT32_MAX;

	begin(o, 19, HANDLE(19, n));
	num(o, wide ? UINT32_MAX : base >> 10, 4);
	num(o, wide ? UINT32_MAX : last >> 10, 4);
	num(o, HANDLE(16, 0), 2);
	num(o, 1, 1);
	num(o, wide ? base : 0, 8);
	num(o, wide ? last : 0, 8);
	end(o);
}

/* 7.33: no errors. */
static void
boot_status(struct out *o)
{
	begin(o, 32, HANDLE(32, 0));
	num(o, 0, 6);
	num(o, 0, 1);
	end(o);
}

/* 5.2.2: the 64-bit entry point. */
static void
make_anchor(uint8_t a[SMBIOS_ANCHOR], size_t len)
{
	memset(a, 0, SMBIOS_ANCHOR);
	memcpy(a, "_SM3_", 5);
	a[6] = SMBIOS_ANCHOR;
	a[7] = 3;			/* version 3.0 */
	a[10] = 1;
	for (unsigned i = 0; i < 4; i++)
		a[12 + i] = (uint8_t)(len >> (8 * i));
	a[5] = (uint8_t)-byte_sum(a, SMBIOS_ANCHOR);
}

int
smbios_build(const struct smbios_spec *spec, struct smbios *s)
{
	struct config_node *c = config_node(spec->config, "smbios");
	struct out o = { .buf = NULL };
	uint64_t total = 0;

	for (unsigned i = 0; i < spec->nram; i++)
		total += spec->ram[i].len;
	bios(&o, c);
	machine(&o, spec->config, c);
	chassis(&o, c);
	for (unsigned i = 0; i < spec->sockets; i++)
		processor(&o, spec, i);
	memory_array(&o, total);
	memory_module(&o, total);
	for (unsigned i = 0; i < spec->nram; i++)
		memory_range(&o, i, spec->ram[i].base, spec->ram[i].len);
	boot_status(&o);
	begin(&o, 127, HANDLE(127, 0));
	end(&o);
	if (o.failed) {
		free(o.buf);
		return (vmm_fail(ENOMEM, "no memory for the SMBIOS structures"));
	}
	make_anchor(s->anchor, o.len);
	s->tables = o.buf;
	s->len = o.len;
	return (0);
}

void
smbios_free(struct smbios *s)
{
	free(s->tables);
	s->tables = NULL;
}

int
smbios_publish(const struct smbios *s, struct device *fw_cfg)
{
	if (fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-anchor", s->anchor, sizeof(s->anchor)) != 0)
		return (-1);
	return (fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-tables", s->tables, s->len));
}
