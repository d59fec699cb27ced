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

/*
 * Pins by the 8259s: a link device (6.2.11) for each of the LPC bridge's PIRQ registers, whose low nibble is the input, and whose bit 7
 * says that it is not routed.  Methods that all of them use come first; byte code is as in 20.2.5.
 */
#define	LINK_LINES	(1U << 5 | 1U << 10 | 1U << 11)

static const char *const links[ACPI_PIRQS] = {
	"LPC_.LNKA", "LPC_.LNKB", "LPC_.LNKC", "LPC_.LNKD", "LPC_.LNKE", "LPC_.LNKF", "LPC_.LNKG", "LPC_.LNKH",
};

/* _STA of a register: If (Arg0 & 0x80) { Return (0x09) } Return (0x0B) */
static const uint8_t link_status[] = {
	0xa0, 0x09, 0x7b, 0x68, 0x0a, 0x80, 0x00, 0xa4, 0x0a, 0x09,
	0xa4, 0x0a, 0x0b,
};

/*
 * _CRS of a register: Local0 = Buffer (6) { an IRQ descriptor without a line, end tag }; If (!(Arg0 & 0x80)) { Local1 = 1 << (Arg0 & 0x0F);
 * Local0[1] = Local1 & 0xFF; Local0[2] = Local1 >> 8 } Return (Local0)
 */
static const uint8_t link_resources[] = {
	0x70, 0x11, 0x09, 0x0a, 0x06, 0x23, 0x00, 0x00, 0x18, 0x79, 0x00, 0x60,
	0xa0, 0x24, 0x92, 0x7b, 0x68, 0x0a, 0x80, 0x00,
	0x79, 0x01, 0x7b, 0x68, 0x0a, 0x0f, 0x00, 0x61,
	0x70, 0x7b, 0x61, 0x0a, 0xff, 0x00, 0x88, 0x60, 0x01, 0x00,
	0x70, 0x7a, 0x61, 0x0a, 0x08, 0x00, 0x88, 0x60, 0x0a, 0x02, 0x00,
	0xa4, 0x60,
};

/*
 * The register for resources: Local0 = the line's number and 1, out of Arg0[1] | Arg0[2] << 8; If (Local0) { Local0--; Return (Local0) }
 * Return (0x80)
 */
static const uint8_t link_register[] = {
	0x7d, 0x83, 0x88, 0x68, 0x01, 0x00, 0x79, 0x83, 0x88, 0x68, 0x0a, 0x02, 0x00, 0x0a, 0x08, 0x00, 0x60,
	0x82, 0x60, 0x60,
	0xa0, 0x06, 0x60, 0x76, 0x60, 0xa4, 0x60,
	0xa4, 0x0a, 0x80,
};

/* OperationRegion (PIRR, PCI_Config, 0x60, 0x0C); Field (PIRR, ByteAcc) { PRQA to PRQD, 8 bits each, 32 of others, PRQE to PRQH } */
static const uint8_t link_registers[] = {
	0x5b, 0x80, 'P', 'I', 'R', 'R', 0x02, 0x0a, 0x60, 0x0a, 0x0c,
	0x5b, 0x81, 0x30, 'P', 'I', 'R', 'R', 0x01,
	'P', 'R', 'Q', 'A', 8, 'P', 'R', 'Q', 'B', 8, 'P', 'R', 'Q', 'C', 8, 'P', 'R', 'Q', 'D', 8, 0x00, 32,
	'P', 'R', 'Q', 'E', 8, 'P', 'R', 'Q', 'F', 8, 'P', 'R', 'Q', 'G', 8, 'P', 'R', 'Q', 'H', 8,
};

/* If (PICF) { Return (PRTA) } Return (PRTP) */
static const uint8_t prt[] = {
	0xa0, 0x0a, 'P', 'I', 'C', 'F', 0xa4, 'P', 'R', 'T', 'A',
	0xa4, 'P', 'R', 'T', 'P',
};

#define	AML_RETURN	0xa4
#define	AML_STORE	0x70
#define	AML_ARG0	0x68

static void
op(struct aml *a, uint8_t v)
{
	aml_bytes(a, &v, 1);
}

static void
method(struct aml *a, const char *name, const uint8_t *body, size_t len)
{
	aml_method(a, name, 1);
	aml_bytes(a, body, len);
	aml_close(a);
}

/* Return (how (reg)) */
static void
link_method(struct aml *a, const char *name, const char *how, const char *reg)
{
	aml_method(a, name, 0);
	op(a, AML_RETURN);
	aml_ref(a, how);
	aml_ref(a, reg);
	aml_close(a);
}

static void
link_device(struct aml *a, unsigned n)
{
	const char reg[] = { 'P', 'R', 'Q', (char)('A' + n), '\0' };

	aml_device(a, links[n] + 5);
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C0F");
	aml_name(a, "_UID");
	aml_int(a, n);
	aml_name(a, "_PRS");
	aml_template(a);
	aml_res_irqs(a, LINK_LINES);
	aml_close(a);
	link_method(a, "_STA", "LSTA", reg);
	link_method(a, "_CRS", "LCRS", reg);
	aml_method(a, "_DIS", 0);		/* reg = 0x80 */
	op(a, AML_STORE);
	aml_int(a, 0x80);
	aml_ref(a, reg);
	aml_close(a);
	aml_method(a, "_SRS", 1);		/* reg = LREG (Arg0) */
	op(a, AML_STORE);
	aml_ref(a, "LREG");
	op(a, AML_ARG0);
	aml_ref(a, reg);
	aml_close(a);
	aml_close(a);
}

static void
lpc_bridge(struct aml *a, const struct acpi_pc *s)
{
	aml_device(a, "LPC_");
	aml_name(a, "_ADR");
	aml_int(a, (uint64_t)(s->lpc >> 3) << 16 | (s->lpc & 7));
	aml_bytes(a, link_registers, sizeof(link_registers));
	method(a, "LSTA", link_status, sizeof(link_status));
	method(a, "LCRS", link_resources, sizeof(link_resources));
	method(a, "LREG", link_register, sizeof(link_register));
	for (unsigned i = 0; i < ACPI_PIRQS; i++)
		link_device(a, i);
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
	lpc_bridge(a, s);
	acpi_routing(a, "PRTP", NULL, links, ACPI_PIRQS);
	acpi_routing(a, "PRTA", s->pirq, NULL, ACPI_PIRQS);
	aml_method(a, "_PRT", 0);
	aml_bytes(a, prt, sizeof(prt));
	aml_close(a);
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
	if (d->port2 != 0)
		aml_res_io(a, d->port2, 1);
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
	/* 5.8.1: 0 for the 8259s, until the system says otherwise. */
	aml_name(a, "PICF");
	aml_int(a, 0);
	aml_method(a, "\\_PIC", 1);		/* PICF = Arg0 */
	op(a, AML_STORE);
	op(a, AML_ARG0);
	aml_ref(a, "PICF");
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
