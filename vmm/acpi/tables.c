/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.c - the PC's ACPI tables: RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG and HPET.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "aml.h"
#include "tables.h"

#define	HEADER_LEN	36

/* Writing */

struct out {
	struct aml	 a;		/* only its buffer */
	struct acpi_blob *blob;
};

static void
num(struct out *o, uint64_t v, unsigned n)
{
	aml_bytes(&o->a, &v, n);
}

static void
zeros(struct out *o, unsigned n)
{
	while (n-- > 0)
		num(o, 0, 1);
}

static void
align(struct out *o, unsigned to)
{
	while (o->a.len % to != 0)
		num(o, 0, 1);
}

/* The address of what is at offset target, in size bytes here. */
static void
pointer(struct out *o, unsigned size, uint32_t target)
{
	struct acpi_blob *b = o->blob;

	if (b->nfixups < ACPI_FIXUPS_MAX)
		b->fixup[b->nfixups++] = (struct acpi_fixup){ .off = (uint32_t)o->a.len, .size = (uint8_t)size, .target = target };
	num(o, target, size);
}

/* 5.2.6; the length is put in by close_table(). */
static uint32_t
open_table(struct out *o, const char *sig, unsigned revision)
{
	uint32_t at;

	align(o, 64);
	at = (uint32_t)o->a.len;
	aml_bytes(&o->a, sig, 4);
	num(o, 0, 4);
	num(o, revision, 1);
	num(o, 0, 1);
	aml_bytes(&o->a, "HYVE  ", 6);
	aml_bytes(&o->a, "HYVEPC  ", 8);
	num(o, 1, 4);
	aml_bytes(&o->a, "HYVE", 4);
	num(o, 1, 4);
	return (at);
}

static void
close_table(struct out *o, uint32_t at)
{
	struct acpi_blob *b = o->blob;
	uint32_t len = (uint32_t)o->a.len - at;

	if (o->a.failed || b->ntables == ACPI_TABLES_MAX)
		return;
	memcpy(o->a.buf + at + 4, &len, 4);
	b->table[b->ntables].off = at;
	b->table[b->ntables++].len = len;
}

/* DSDT */

static void
processors(struct aml *a, unsigned n)
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

/* What is not a PCI device but takes addresses: the configuration window, the chips. */
static void
motherboard(struct aml *a, const struct acpi_spec *s)
{
	aml_device(a, "MBRD");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C02");
	aml_name(a, "_UID");
	aml_int(a, 1);
	aml_name(a, "_CRS");
	aml_template(a);
	if (s->ecam != 0)
		aml_res_mem32(a, (uint32_t)s->ecam, 256U << 20);
	aml_res_mem32(a, 0xfec00000U, 0x1000);
	aml_res_mem32(a, 0xfee00000U, 0x1000);
	aml_res_io(a, s->pm_base, 0x80);
	aml_res_io(a, 0x20, 2);
	aml_res_io(a, 0xa0, 2);
	aml_res_io(a, 0x40, 4);
	aml_res_io(a, 0x61, 1);
	aml_close(a);
	aml_close(a);
}

/* 6.2.13: pin p of device d. */
static void
routing(struct aml *a, const struct acpi_spec *s)
{
	aml_name(a, "_PRT");
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
			aml_int(a, 0);
			aml_element(a);
			aml_int(a, s->pirq[(dev + pin) % ACPI_PIRQS]);
			aml_close(a);
		}
	}
	aml_close(a);
}

/*
 * _OSC (6.2.11, PCI firmware specification 4.5): the system may use nothing of what it asks for control of, as there is neither
 * hot-plug nor error reporting.  CreateDWordField(Arg3, 8, CDW3) And(CDW3, 0, CDW3) Return(Arg3)
 */
static void
osc(struct aml *a)
{
	static const uint8_t body[] = {
		0x8a, 0x6b, 0x0a, 0x08, 'C', 'D', 'W', '3',
		0x7b, 'C', 'D', 'W', '3', 0x00, 'C', 'D', 'W', '3',
		0xa4, 0x6b,
	};

	aml_method(a, "_OSC", 4);
	aml_bytes(a, body, sizeof(body));
	aml_close(a);
}

static void
host_bridge(struct aml *a, const struct acpi_spec *s)
{
	aml_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisaid(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_SEG");
	aml_int(a, 0);
	aml_name(a, "_BBN");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	aml_template(a);
	aml_res_bus(a, 0, 0xff);
	aml_res_io(a, 0xcf8, 8);
	aml_res_io_window(a, 0, 0xcf7);
	aml_res_io_window(a, s->io_base, s->io_last);
	aml_res_mem_window(a, 0xa0000, 0xbffff);
	aml_res_mem_window(a, s->mem32_base, s->mem32_last);
	if (s->mem64_base != 0)
		aml_res_mem_window(a, s->mem64_base, s->mem64_last);
	aml_close(a);
	routing(a, s);
	osc(a);
	aml_close(a);
}

static void
isa_device(struct aml *a, const struct acpi_isa_dev *d)
{
	aml_device(a, d->name);
	aml_name(a, "_HID");
	aml_eisaid(a, d->hid);
	aml_name(a, "_UID");
	aml_int(a, d->uid);
	aml_name(a, "_CRS");
	aml_template(a);
	aml_res_io(a, d->port, d->len);
	if (d->line >= 0)
		aml_res_irq(a, (unsigned)d->line);
	aml_close(a);
	aml_close(a);
}

static void
dsdt_body(struct aml *a, const struct acpi_spec *s)
{
	/* 16.1.1: the value for PM1a_CNT, and nothing for PM1b. */
	aml_name(a, "\\_S5_");
	aml_package(a);
	aml_element(a);
	aml_int(a, ACPI_SLP_S5);
	for (int i = 0; i < 3; i++) {
		aml_element(a);
		aml_int(a, 0);
	}
	aml_close(a);
	aml_scope(a, "\\_SB_");
	processors(a, s->ncpus);
	motherboard(a, s);
	host_bridge(a, s);
	for (unsigned i = 0; i < s->nisa; i++)
		isa_device(a, &s->isa[i]);
	aml_close(a);
}

static uint32_t
dsdt(struct out *o, const struct acpi_spec *s)
{
	uint32_t at = open_table(o, "DSDT", 2);

	dsdt_body(&o->a, s);
	close_table(o, at);
	return (at);
}

/* FACS (5.2.10): 64 bytes, aligned to that. */
static uint32_t
facs(struct out *o)
{
	uint32_t at;

	align(o, 64);
	at = (uint32_t)o->a.len;
	aml_bytes(&o->a, "FACS", 4);
	num(o, 64, 4);
	zeros(o, 24);
	num(o, 2, 1);
	zeros(o, 31);
	return (at);
}

/* Generic address structure (5.2.3.2) of a port. */
static void
port(struct out *o, uint16_t addr, unsigned bytes)
{
	num(o, 1, 1);
	num(o, addr == 0 ? 0 : 8 * bytes, 1);
	num(o, 0, 1);
	num(o, addr == 0 ? 0 : bytes == 2 ? 2 : bytes == 4 ? 3 : 1, 1);	/* access size */
	num(o, addr, 8);
}

#define	FADT_WBINVD	(1U << 0)
#define	FADT_PROC_C1	(1U << 2)
#define	FADT_SLP_BUTTON	(1U << 5)	/* there is no fixed sleep button; the power button is fixed */
#define	FADT_RTC_FIXED	(1U << 6)	/* no RTC wake in fixed registers */
#define	FADT_TMR_32	(1U << 8)
#define	FADT_RESET	(1U << 10)

#define	BOOT_LEGACY	(1U << 0)	/* devices on the LPC bus */
#define	BOOT_NO_VGA	(1U << 2)
#define	BOOT_NO_ASPM	(1U << 4)
#define	BOOT_NO_RTC	(1U << 5)

/* FADT (5.2.9) of revision 6. */
static uint32_t
fadt(struct out *o, const struct acpi_spec *s, uint32_t facs_at, uint32_t dsdt_at)
{
	uint32_t at = open_table(o, "FACP", 6);
	uint32_t flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RTC_FIXED | FADT_RESET;
	uint16_t boot = BOOT_LEGACY | BOOT_NO_VGA | BOOT_NO_ASPM;

	if (s->timer32)
		flags |= FADT_TMR_32;
	if (!s->rtc)
		boot |= BOOT_NO_RTC;
	pointer(o, 4, facs_at);
	pointer(o, 4, dsdt_at);
	num(o, 0, 1);
	num(o, 0, 1);			/* profile: unspecified */
	num(o, s->sci, 2);
	num(o, 0, 4);			/* no SMI command: always in ACPI mode */
	zeros(o, 4);
	num(o, s->pm_base, 4);		/* PM1a event, PM1b event */
	num(o, 0, 4);
	num(o, s->pm_base + 4U, 4);	/* PM1a control, PM1b control, PM2 control */
	num(o, 0, 4);
	num(o, 0, 4);
	num(o, s->pm_base + 8U, 4);	/* timer */
	num(o, s->pm_base + 0x20U, 4);	/* GPE0, GPE1 */
	num(o, 0, 4);
	num(o, 4, 1);			/* lengths of these */
	num(o, 2, 1);
	num(o, 0, 1);
	num(o, 4, 1);
	num(o, 16, 1);
	num(o, 0, 1);
	num(o, 0, 1);
	num(o, 0, 1);
	num(o, 0xfff, 2);		/* C2 and C3 are not supported */
	num(o, 0xfff, 2);
	zeros(o, 4);			/* flush size and stride: WBINVD does it */
	zeros(o, 4);			/* duty cycle; day and month alarms */
	num(o, s->rtc ? 0x32 : 0, 1);	/* century in the RTC's memory */
	num(o, boot, 2);
	num(o, 0, 1);
	num(o, flags, 4);
	port(o, 0xcf9, 1);
	num(o, 0x06, 1);		/* the value that resets */
	num(o, 0, 2);
	num(o, 5, 1);			/* FADT 6.5 */
	num(o, 0, 8);			/* X_FIRMWARE_CTRL: the 32-bit one is used */
	pointer(o, 8, dsdt_at);
	port(o, s->pm_base, 4);
	port(o, 0, 4);
	port(o, (uint16_t)(s->pm_base + 4), 2);
	port(o, 0, 2);
	port(o, 0, 1);
	port(o, (uint16_t)(s->pm_base + 8), 4);
	port(o, (uint16_t)(s->pm_base + 0x20), 16);
	port(o, 0, 1);
	port(o, 0, 1);
	port(o, 0, 1);
	aml_bytes(&o->a, "HYVE\0\0\0\0", 8);
	close_table(o, at);
	return (at);
}

/* Interrupt source override (5.2.12.5). */
static void
override(struct out *o, unsigned source, unsigned gsi, unsigned flags)
{
	num(o, 2, 1);
	num(o, 10, 1);
	num(o, 0, 1);
	num(o, source, 1);
	num(o, gsi, 4);
	num(o, flags, 2);
}

/* MADT (5.2.12) */
static uint32_t
madt(struct out *o, const struct acpi_spec *s)
{
	uint32_t at = open_table(o, "APIC", 5);

	num(o, 0xfee00000U, 4);
	num(o, 1, 4);			/* a pair of 8259s too */
	for (unsigned i = 0; i < s->ncpus; i++) {
		num(o, 0, 1);
		num(o, 8, 1);
		num(o, i, 1);
		num(o, i, 1);
		num(o, 1, 4);
	}
	num(o, 1, 1);			/* I/O APIC */
	num(o, 12, 1);
	num(o, 0, 1);
	num(o, 0, 1);
	num(o, 0xfec00000U, 4);
	num(o, 0, 4);
	override(o, 0, 2, 0);
	override(o, s->sci, s->sci, 0xd);	/* level, active high */
	num(o, 4, 1);			/* NMI on LINT1 of all processors */
	num(o, 6, 1);
	num(o, 0xff, 1);
	num(o, 0, 2);
	num(o, 1, 1);
	close_table(o, at);
	return (at);
}

/* PCI firmware specification 3.3, table 4-2 */
static uint32_t
mcfg(struct out *o, const struct acpi_spec *s)
{
	uint32_t at = open_table(o, "MCFG", 1);

	zeros(o, 8);
	num(o, s->ecam, 8);
	num(o, 0, 2);
	num(o, 0, 1);
	num(o, 0xff, 1);
	zeros(o, 4);
	close_table(o, at);
	return (at);
}

/* IA-PC HPET 1.0a, 3.2.4 */
static uint32_t
hpet(struct out *o, const struct acpi_spec *s)
{
	uint32_t at = open_table(o, "HPET", 1);

	num(o, s->hpet_id, 4);
	num(o, 0, 1);
	num(o, 64, 1);
	num(o, 0, 1);
	num(o, 0, 1);
	num(o, s->hpet, 8);
	num(o, 0, 1);
	num(o, 0x80, 2);
	num(o, 0, 1);
	close_table(o, at);
	return (at);
}

static uint8_t
sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

int
acpi_build(const struct acpi_spec *spec, struct acpi_blob *blob)
{
	struct out o = { .blob = blob };
	uint32_t list[ACPI_TABLES_MAX], dsdt_at, facs_at, at;
	unsigned n = 0;

	memset(blob, 0, sizeof(*blob));
	aml_begin(&o.a);
	facs_at = facs(&o);
	dsdt_at = dsdt(&o, spec);
	list[n++] = fadt(&o, spec, facs_at, dsdt_at);
	list[n++] = madt(&o, spec);
	if (spec->ecam != 0)
		list[n++] = mcfg(&o, spec);
	if (spec->hpet != 0)
		list[n++] = hpet(&o, spec);
	at = open_table(&o, "XSDT", 1);
	for (unsigned i = 0; i < n; i++)
		pointer(&o, 8, list[i]);
	close_table(&o, at);
	blob->tables = aml_end(&o.a, &blob->len);
	if (blob->tables == NULL)
		return (vmm_fail(ENOMEM, "no memory for the ACPI tables"));
	for (unsigned i = 0; i < blob->ntables; i++) {
		uint8_t *t = blob->tables + blob->table[i].off;

		t[9] = (uint8_t)-sum(t, blob->table[i].len);
	}
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
		t[9] = (uint8_t)-sum(t, blob->table[i].len);
	}
	blob->rsdp[8] = blob->rsdp[32] = 0;
	blob->rsdp[8] = (uint8_t)-sum(blob->rsdp, 20);
	blob->rsdp[32] = (uint8_t)-sum(blob->rsdp, sizeof(blob->rsdp));
	if (vm_gpa_write(vm, base, blob->tables, blob->len) != 0 ||
	    vm_gpa_write(vm, rsdp, blob->rsdp, sizeof(blob->rsdp)) != 0)
		return (-1);
	return (0);
}
