/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables_pc.c - the PC's ACPI tables: FACS, DSDT, FADT, MADT, MCFG and HPET.
 */
#include <string.h>

#include "write.h"

/* DSDT */

/* What is not a PCI device but takes addresses: the configuration window, the chips. */
static void
motherboard(struct aml *a, const struct acpi_pc *s)
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
	aml_res_io(a, 0x92, 1);
	aml_close(a);
	aml_close(a);
}

static void
host_bridge(struct aml *a, const struct acpi_pc *s)
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
	acpi_routing(a, s->pirq, ACPI_PIRQS);
	acpi_osc(a);
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
	if (d->len != 0)
		aml_res_io(a, d->port, d->len);
	if (d->second != 0)
		aml_res_io(a, d->second, 1);
	if (d->line >= 0)
		aml_res_irq(a, (unsigned)d->line);
	aml_close(a);
	aml_close(a);
}

static void
dsdt_body(struct aml *a, const struct acpi_pc *s)
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
	acpi_processors(a, s->ncpus);
	motherboard(a, s);
	host_bridge(a, s);
	for (unsigned i = 0; i < s->nisa; i++)
		isa_device(a, &s->isa[i]);
	aml_close(a);
}

/* FACS (5.2.10): 64 bytes, aligned to that. */
static uint32_t
facs(struct acpi_out *o)
{
	uint32_t at;

	acpi_align(o, 64);
	at = (uint32_t)o->a.len;
	aml_bytes(&o->a, "FACS", 4);
	acpi_num(o, 64, 4);
	acpi_zeros(o, 24);
	acpi_num(o, 2, 1);
	acpi_zeros(o, 31);
	return (at);
}

#define	BOOT_LEGACY	(1U << 0)	/* devices on the LPC bus */
#define	BOOT_8042	(1U << 1)
#define	BOOT_NO_VGA	(1U << 2)
#define	BOOT_NO_ASPM	(1U << 4)
#define	BOOT_NO_RTC	(1U << 5)

static uint32_t
fadt(struct acpi_out *o, const struct acpi_pc *s, uint32_t facs_at, uint32_t dsdt_at)
{
	const struct acpi_fadt f = {
		.facs = facs_at, .has_facs = true, .dsdt = dsdt_at, .sci = s->sci, .pm_base = s->pm_base,
		.century = s->rtc ? 0x32 : 0,
		.boot = BOOT_LEGACY | BOOT_NO_VGA | BOOT_NO_ASPM | (s->rtc ? 0 : BOOT_NO_RTC) | (s->i8042 ? BOOT_8042 : 0),
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RTC_FIXED | FADT_RESET |
		    (s->timer32 ? FADT_TMR_32 : 0),
		.reset_port = 0xcf9, .reset_value = 0x06, .minor = 5,
	};

	return (acpi_fadt(o, &f));
}

/* Interrupt source override (5.2.12.5). */
static void
override(struct acpi_out *o, unsigned source, unsigned gsi, unsigned flags)
{
	acpi_num(o, 2, 1);
	acpi_num(o, 10, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, source, 1);
	acpi_num(o, gsi, 4);
	acpi_num(o, flags, 2);
}

/* MADT (5.2.12) */
static uint32_t
madt(struct acpi_out *o, const struct acpi_pc *s)
{
	uint32_t at = acpi_open_table(o, "APIC", 5);

	acpi_num(o, 0xfee00000U, 4);
	acpi_num(o, 1, 4);			/* a pair of 8259s too */
	for (unsigned i = 0; i < s->ncpus; i++) {
		acpi_num(o, 0, 1);
		acpi_num(o, 8, 1);
		acpi_num(o, i, 1);
		acpi_num(o, i, 1);
		acpi_num(o, 1, 4);
	}
	acpi_num(o, 1, 1);			/* I/O APIC */
	acpi_num(o, 12, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, 0xfec00000U, 4);
	acpi_num(o, 0, 4);
	override(o, 0, 2, 0);
	override(o, s->sci, s->sci, 0xd);	/* level, active high */
	acpi_num(o, 4, 1);			/* NMI on LINT1 of all processors */
	acpi_num(o, 6, 1);
	acpi_num(o, 0xff, 1);
	acpi_num(o, 0, 2);
	acpi_num(o, 1, 1);
	acpi_close_table(o, at);
	return (at);
}

/* IA-PC HPET 1.0a, 3.2.4 */
static uint32_t
hpet(struct acpi_out *o, const struct acpi_pc *s)
{
	uint32_t at = acpi_open_table(o, "HPET", 1);

	acpi_num(o, s->hpet_id, 4);
	acpi_num(o, 0, 1);
	acpi_num(o, 64, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, 0, 1);
	acpi_num(o, s->hpet, 8);
	acpi_num(o, 0, 1);
	acpi_num(o, 0x80, 2);
	acpi_num(o, 0, 1);
	acpi_close_table(o, at);
	return (at);
}

static uint32_t
dsdt(struct acpi_out *o, const struct acpi_pc *s)
{
	uint32_t at = acpi_open_table(o, "DSDT", 2);

	dsdt_body(&o->a, s);
	acpi_close_table(o, at);
	return (at);
}

int
acpi_build_pc(const struct acpi_pc *spec, struct acpi_blob *blob)
{
	struct acpi_out o;
	uint32_t list[ACPI_TABLES_MAX], dsdt_at, facs_at;
	unsigned n = 0;

	acpi_begin(&o, blob, "HYVEPC  ");
	facs_at = facs(&o);
	dsdt_at = dsdt(&o, spec);
	list[n++] = fadt(&o, spec, facs_at, dsdt_at);
	list[n++] = madt(&o, spec);
	if (spec->ecam != 0)
		list[n++] = acpi_mcfg(&o, spec->ecam, 0xff);
	if (spec->hpet != 0)
		list[n++] = hpet(&o, spec);
	return (acpi_end(&o, list, n));
}
