/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.c - what the ACPI tables of all machines have in common: writing tables and fix-ups, FADT, MCFG, XSDT and RSDP, pieces of
 * DSDTs, and putting all of it into RAM.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../firmware/checksum.h"
#include "write.h"

void
acpi_num(struct acpi_out *o, uint64_t v, unsigned n)
{
	aml_bytes(&o->a, &v, n);
}

void
acpi_zeros(struct acpi_out *o, unsigned n)
{
	while (n-- > 0)
		acpi_num(o, 0, 1);
}

void
acpi_align(struct acpi_out *o, unsigned to)
{
	while (o->a.len % to != 0)
		acpi_num(o, 0, 1);
}

/* The address of what is at offset target, in size bytes here. */
void
acpi_pointer(struct acpi_out *o, unsigned size, uint32_t target)
{
	struct acpi_blob *b = o->blob;

	if (b->nfixups < ACPI_FIXUPS_MAX)
		b->fixup[b->nfixups++] = (struct acpi_fixup){ .off = (uint32_t)o->a.len, .size = (uint8_t)size, .target = target };
	acpi_num(o, target, size);
}

/* 5.2.6; the length is put in by acpi_close_table(). */
uint32_t
acpi_open_table(struct acpi_out *o, const char *sig, unsigned revision)
{
	uint32_t at;

	acpi_align(o, 64);
	at = (uint32_t)o->a.len;
	aml_bytes(&o->a, sig, 4);
	acpi_num(o, 0, 4);
	acpi_num(o, revision, 1);
	acpi_num(o, 0, 1);
	aml_bytes(&o->a, "HYVE  ", 6);
	aml_bytes(&o->a, o->id, 8);
	acpi_num(o, 1, 4);
	aml_bytes(&o->a, "HYVE", 4);
	acpi_num(o, 1, 4);
	return (at);
}

void
acpi_close_table(struct acpi_out *o, uint32_t at)
{
	struct acpi_blob *b = o->blob;
	uint32_t len = (uint32_t)o->a.len - at;

	if (o->a.failed || b->ntables == ACPI_TABLES_MAX)
		return;
	memcpy(o->a.buf + at + 4, &len, 4);
	b->table[b->ntables].off = at;
	b->table[b->ntables++].len = len;
}

/* Pieces of a DSDT */

void
acpi_processors(struct aml *a, unsigned n)
{
	char name[8];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_device(a, name);
		aml_name(a, "_HID");
		aml_str(a, "ACPI0007");
		aml_name(a, "_UID");
		aml_int(a, i);
		aml_close(a);
	}
}

/* 6.2.13: pin p of device d. */
void
acpi_routing(struct aml *a, const char *name, const unsigned *gsi, const char *const *link, unsigned n)
{
	aml_name(a, name);
	aml_package(a);
	for (unsigned dev = 0; dev < 32; dev++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_element(a);
			aml_package(a);
			aml_element(a);
			aml_int(a, (uint64_t)dev << 16 | 0xffff);
			aml_element(a);
			aml_int(a, pin);
			aml_element(a);
			if (link != NULL)
				aml_ref(a, link[(dev + pin) % n]);
			else
				aml_int(a, 0);
			aml_element(a);
			aml_int(a, link != NULL ? 0 : gsi[(dev + pin) % n]);
			aml_close(a);
		}
	}
	aml_close(a);
}

/*
 * _OSC (6.2.11, PCI firmware specification 3.2, 4.5.1): the system controls hot-plug of root ports, their power management events and the
 * PCI Express capability, and nothing else of what it asks for, as there is no error reporting.
 *
 *	CreateDWordField (Arg3, 0, CDW1) CreateDWordField (Arg3, 8, CDW3)
 *	If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) {
 *		Local0 = CDW3 & 0x15
 *		If (Local0 != CDW3) { CDW1 |= 0x10 }	// it did not get all
 *		CDW3 = Local0
 *	} Else { CDW1 |= 4 }				// not this one
 *	Return (Arg3)
 */
void
acpi_osc(struct aml *a)
{
	static const uint8_t body[] = {
		0x8a, 0x6b, 0x00, 'C', 'D', 'W', '1',
		0x8a, 0x6b, 0x0a, 0x08, 'C', 'D', 'W', '3',
		0xa0, 0x39, 0x93, 0x68, 0x11, 0x13, 0x0a, 0x10,
		0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,
		0x7b, 'C', 'D', 'W', '3', 0x0a, 0x15, 0x60,
		0xa0, 0x13, 0x92, 0x93, 0x60, 'C', 'D', 'W', '3',
		0x7d, 'C', 'D', 'W', '1', 0x0a, 0x10, 'C', 'D', 'W', '1',
		0x70, 0x60, 'C', 'D', 'W', '3',
		0xa1, 0x0c, 0x7d, 'C', 'D', 'W', '1', 0x0a, 0x04, 'C', 'D', 'W', '1',
		0xa4, 0x6b,
	};

	aml_method(a, "_OSC", 4);
	aml_bytes(a, body, sizeof(body));
	aml_close(a);
}

/* Generic address structure (5.2.3.2); of memory if it is no port. */
void
acpi_address(struct acpi_out *o, uint8_t space, uint64_t addr, unsigned bytes)
{
	acpi_num(o, addr == 0 ? 1 : space, 1);
	acpi_num(o, addr == 0 ? 0 : 8 * bytes, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, addr == 0 ? 0 : bytes == 2 ? 2 : bytes == 4 ? 3 : 1, 1);	/* access size */
	acpi_num(o, addr, 8);
}

/* A port in the fixed hardware's block, none without one. */
static uint16_t
fixed(const struct acpi_fadt *f, unsigned off)
{
	return ((uint16_t)(f->pm_base != 0 ? f->pm_base + off : 0));
}

/* The fixed hardware's ports and their lengths, as the oldest part of the FADT has them. */
static void
fixed_ports(struct acpi_out *o, const struct acpi_fadt *f)
{
	bool has = f->pm_base != 0;

	acpi_num(o, fixed(f, 0), 4);		/* PM1a event, PM1b event */
	acpi_num(o, 0, 4);
	acpi_num(o, fixed(f, 4), 4);		/* PM1a control, PM1b control, PM2 control */
	acpi_num(o, 0, 4);
	acpi_num(o, 0, 4);
	acpi_num(o, fixed(f, 8), 4);		/* timer */
	acpi_num(o, fixed(f, 0x20), 4);		/* GPE0, GPE1 */
	acpi_num(o, 0, 4);
	acpi_num(o, has ? 4 : 0, 1);		/* lengths of these */
	acpi_num(o, has ? 2 : 0, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, has ? 4 : 0, 1);
	acpi_num(o, has ? 16 : 0, 1);
	acpi_zeros(o, 3);
	acpi_num(o, has ? 0xfff : 0, 2);	/* C2 and C3 are not supported */
	acpi_num(o, has ? 0xfff : 0, 2);
}

/* FADT (5.2.9) of revision 6. */
uint32_t
acpi_fadt(struct acpi_out *o, const struct acpi_fadt *f)
{
	uint32_t at = acpi_open_table(o, "FACP", 6);

	/* Without fixed hardware only the wide pointer is used: RAM may lie anywhere. */
	if (f->has_facs) {
		acpi_pointer(o, 4, f->facs);
		acpi_pointer(o, 4, f->dsdt);
	} else
		acpi_zeros(o, 8);
	acpi_num(o, 0, 1);
	acpi_num(o, 0, 1);			/* profile: unspecified */
	acpi_num(o, f->sci, 2);
	acpi_num(o, 0, 4);			/* no SMI command: always in ACPI mode */
	acpi_zeros(o, 4);
	fixed_ports(o, f);
	acpi_zeros(o, 4);			/* flush size and stride: WBINVD does it */
	acpi_zeros(o, 4);			/* duty cycle; day and month alarms */
	acpi_num(o, f->century, 1);		/* in the RTC's memory */
	acpi_num(o, f->boot, 2);
	acpi_num(o, 0, 1);
	acpi_num(o, f->flags, 4);
	acpi_address(o, ACPI_SPACE_IO, f->reset_port, 1);
	acpi_num(o, f->reset_value, 1);
	acpi_num(o, f->arm_boot, 2);
	acpi_num(o, f->minor, 1);
	acpi_num(o, 0, 8);			/* X_FIRMWARE_CTRL: the 32-bit one is used */
	acpi_pointer(o, 8, f->dsdt);
	acpi_address(o, ACPI_SPACE_IO, fixed(f, 0), 4);
	acpi_address(o, ACPI_SPACE_IO, 0, 4);
	acpi_address(o, ACPI_SPACE_IO, fixed(f, 4), 2);
	acpi_address(o, ACPI_SPACE_IO, 0, 2);
	acpi_address(o, ACPI_SPACE_IO, 0, 1);
	acpi_address(o, ACPI_SPACE_IO, fixed(f, 8), 4);
	acpi_address(o, ACPI_SPACE_IO, fixed(f, 0x20), 16);
	acpi_address(o, ACPI_SPACE_IO, 0, 1);
	acpi_address(o, ACPI_SPACE_IO, 0, 1);
	acpi_address(o, ACPI_SPACE_IO, 0, 1);
	aml_bytes(&o->a, "HYVE\0\0\0\0", 8);
	acpi_close_table(o, at);
	return (at);
}

/* PCI firmware specification 3.3, table 4-2 */
uint32_t
acpi_mcfg(struct acpi_out *o, uint64_t ecam, unsigned last_bus)
{
	uint32_t at = acpi_open_table(o, "MCFG", 1);

	acpi_zeros(o, 8);
	acpi_num(o, ecam, 8);
	acpi_num(o, 0, 2);
	acpi_num(o, 0, 1);
	acpi_num(o, last_bus, 1);
	acpi_zeros(o, 4);
	acpi_close_table(o, at);
	return (at);
}

/* The whole */

void
acpi_begin(struct acpi_out *o, struct acpi_blob *blob, const char id[static 8])
{
	memset(blob, 0, sizeof(*blob));
	o->blob = blob;
	o->id = id;
	aml_begin(&o->a);
}

int
acpi_end(struct acpi_out *o, const uint32_t *table, unsigned n)
{
	struct acpi_blob *blob = o->blob;
	uint32_t at = acpi_open_table(o, "XSDT", 1);

	for (unsigned i = 0; i < n; i++)
		acpi_pointer(o, 8, table[i]);
	acpi_close_table(o, at);
	blob->tables = aml_end(&o->a, &blob->len);
	if (blob->tables == NULL)
		return (vmm_fail(ENOMEM, "no memory for the ACPI tables"));
	/* RSDP (5.2.5.3) */
	memcpy(blob->rsdp, "RSD PTR ", 8);
	memcpy(blob->rsdp + 9, "HYVE  ", 6);
	blob->rsdp[15] = 2;
	blob->rsdp[20] = sizeof(blob->rsdp);
	blob->fixup[blob->nfixups++] = (struct acpi_fixup){ .in_rsdp = true, .off = 24, .size = 8, .target = at };
	return (0);
}

void
acpi_free(struct acpi_blob *blob)
{
	free(blob->tables);
	blob->tables = NULL;
}

int
acpi_place(struct acpi_blob *blob, struct vmctx *vm, uint64_t base, uint64_t len, uint64_t rsdp)
{
	if (blob->len > len)
		return (vmm_fail(ENOSPC, "the ACPI tables have %zu bytes, and there is room for %llu", blob->len,
		    (unsigned long long)len));
	for (unsigned i = 0; i < blob->nfixups; i++) {
		const struct acpi_fixup *f = &blob->fixup[i];
		uint64_t addr = base + f->target;

		memcpy((f->in_rsdp ? blob->rsdp : blob->tables) + f->off, &addr, f->size);
	}
	for (unsigned i = 0; i < blob->ntables; i++) {
		uint8_t *t = blob->tables + blob->table[i].off;

		t[9] = 0;
		t[9] = (uint8_t)-byte_sum(t, blob->table[i].len);
	}
	blob->rsdp[8] = blob->rsdp[32] = 0;
	blob->rsdp[8] = (uint8_t)-byte_sum(blob->rsdp, 20);
	blob->rsdp[32] = (uint8_t)-byte_sum(blob->rsdp, sizeof(blob->rsdp));
	if (vm_gpa_write(vm, base, blob->tables, blob->len) != 0 ||
	    vm_gpa_write(vm, rsdp, blob->rsdp, sizeof(blob->rsdp)) != 0)
		return (-1);
	return (0);
}
