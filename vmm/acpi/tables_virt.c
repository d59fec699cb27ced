/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables_virt.c - the ACPI tables of a machine with Arm processors: DSDT, hardware-reduced FADT, MADT, GTDT, MCFG, SPCR and IORT.
 *
 * Sections are ACPI 6.5's; Arm's own tables are cited by their documents (Arm DEN 0049E for the IORT, Microsoft's SPCR specification).
 */
#include <stdio.h>
#include <string.h>

#include "write.h"

/* DSDT */

static void
named_int(struct aml *a, const char *name, uint64_t v)
{
	aml_name(a, name);
	aml_int(a, v);
}

/* Everything of a device in memory but its end. */
static void
open_device(struct aml *a, const struct acpi_mmio_dev *d)
{
	aml_device(a, d->name);
	aml_name(a, "_HID");
	aml_str(a, d->hid);
	named_int(a, "_UID", d->uid);
	if (d->coherent)
		named_int(a, "_CCA", 1);
	aml_name(a, "_CRS");
	aml_template(a);
	aml_res_mem32(a, (uint32_t)d->base, d->len);
	if (d->gsi >= 0)
		aml_res_gsi(a, (unsigned)d->gsi);
	aml_close(a);
}

/*
 * The power button (4.8.2.2.1.2) is at a pin: its controller says that the pin's rising edge is an event (_AEI, 5.6.5.3), whose method
 * _Exx tells the button.  The pin is the same that a devicetree's gpio-keys name, so that the machine presses one button.
 */
static void
power_button(struct aml *a, const struct acpi_virt *s)
{
	/* Notify(PWRB, 0x80) */
	static const uint8_t body[] = { 0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80 };
	char path[16], event[8];

	aml_device(a, "PWRB");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C0C");
	named_int(a, "_UID", 0);
	aml_close(a);

	(void)snprintf(path, sizeof(path), "\\_SB.%s", s->gpio.name);
	(void)snprintf(event, sizeof(event), "_E%02X", s->power_pin & 0xff);
	open_device(a, &s->gpio);
	aml_name(a, "_AEI");
	aml_template(a);
	aml_res_gpio_event(a, path, s->power_pin);
	aml_close(a);
	aml_method(a, event, 0);
	aml_bytes(a, body, sizeof(body));
	aml_close(a);
	aml_close(a);
}

static uint64_t
ecam_len(const struct acpi_virt *s)
{
	return ((uint64_t)(s->last_bus + 1) << 20);
}

/* The configuration window has to be a device's (PCI firmware specification 3.3, 4.1.2). */
static void
ecam_owner(struct aml *a, const struct acpi_virt *s)
{
	aml_device(a, "RES0");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C02");
	named_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_template(a);
	aml_res_mem(a, s->ecam, ecam_len(s));
	aml_close(a);
	aml_close(a);
}

static void
host_bridge(struct aml *a, const struct acpi_virt *s)
{
	aml_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisaid(a, "PNP0A03");
	named_int(a, "_UID", 0);
	named_int(a, "_SEG", 0);
	named_int(a, "_BBN", 0);
	named_int(a, "_CCA", 1);
	named_int(a, "_CBA", s->ecam);
	aml_name(a, "_CRS");
	aml_template(a);
	aml_res_bus(a, 0, (uint16_t)s->last_bus);
	aml_res_mem_window(a, s->mem32_base, s->mem32_last);
	if (s->io_len != 0)
		aml_res_io_in_memory(a, s->io_addr, s->io_len);
	if (s->mem64_base != 0)
		aml_res_mem_window(a, s->mem64_base, s->mem64_last);
	aml_close(a);
	acpi_routing(a, "_PRT", s->pirq, NULL, 4);
	acpi_osc(a);
	ecam_owner(a, s);
	aml_close(a);
}

static uint32_t
dsdt(struct acpi_out *o, const struct acpi_virt *s)
{
	uint32_t at = acpi_open_table(o, "DSDT", 2);
	struct aml *a = &o->a;

	aml_scope(a, "\\_SB_");
	acpi_processors(a, s->ncpus);
	for (unsigned i = 0; i < s->ndev; i++) {
		open_device(a, &s->dev[i]);
		aml_close(a);
	}
	if (s->gpio.base != 0)
		power_button(a, s);
	if (s->ecam != 0)
		host_bridge(a, s);
	aml_close(a);
	acpi_close_table(o, at);
	return (at);
}

/* 5.2.9: no fixed hardware; processors are started and the machine ended by PSCI. */
static uint32_t
fadt(struct acpi_out *o, uint32_t dsdt_at)
{
	const struct acpi_fadt f = {
		.dsdt = dsdt_at, .flags = FADT_REDUCED, .arm_boot = FADT_ARM_PSCI | FADT_ARM_HVC, .minor = 3,
	};

	return (acpi_fadt(o, &f));
}

/* GICC (5.2.12.14), one per processor; with GICv3 its registers are the processor's own. */
static void
gicc(struct acpi_out *o, unsigned cpu, uint64_t mpidr)
{
	acpi_num(o, 0x0b, 1);
	acpi_num(o, 80, 1);
	acpi_num(o, 0, 2);
	acpi_num(o, cpu, 4);
	acpi_num(o, cpu, 4);		/* _UID */
	acpi_num(o, 1, 4);		/* enabled */
	acpi_zeros(o, 8);		/* parking protocol, performance interrupt: none */
	acpi_zeros(o, 32);		/* parked address; GICC, GICV, GICH: system registers */
	acpi_zeros(o, 12);		/* no maintenance interrupt; redistributor: by the GICR structure */
	acpi_num(o, mpidr, 8);
	acpi_zeros(o, 4);		/* efficiency class; no profiling interrupt */
}

/* MADT (5.2.12) */
static uint32_t
madt(struct acpi_out *o, const struct acpi_virt *s)
{
	uint32_t at = acpi_open_table(o, "APIC", 5);

	acpi_zeros(o, 8);
	acpi_num(o, 0x0c, 1);		/* GICD (5.2.12.15) */
	acpi_num(o, 24, 1);
	acpi_zeros(o, 6);
	acpi_num(o, s->gicd, 8);
	acpi_num(o, 0, 4);
	acpi_num(o, 3, 1);		/* GICv3 */
	acpi_zeros(o, 3);
	for (unsigned i = 0; i < s->ncpus; i++)
		gicc(o, i, s->mpidr[i]);
	acpi_num(o, 0x0e, 1);		/* GICR (5.2.12.17) */
	acpi_num(o, 16, 1);
	acpi_num(o, 0, 2);
	acpi_num(o, s->gicr, 8);
	acpi_num(o, s->gicr_len, 4);
	if (s->its != 0) {
		acpi_num(o, 0x0f, 1);	/* ITS (5.2.12.18) */
		acpi_num(o, 20, 1);
		acpi_zeros(o, 6);
		acpi_num(o, s->its, 8);
		acpi_num(o, 0, 4);
	}
	acpi_close_table(o, at);
	return (at);
}

#define	TIMER_ALWAYS_ON	(1U << 2)	/* and level, active high */

/* GTDT (5.2.25): the timer's registers are the processor's own. */
static uint32_t
gtdt(struct acpi_out *o, const struct acpi_virt *s)
{
	const unsigned irq[] = { s->timer_secure, s->timer_phys, s->timer_virt, s->timer_hyp };
	uint32_t at = acpi_open_table(o, "GTDT", 2);

	acpi_num(o, UINT64_MAX, 8);	/* no memory-mapped counter */
	acpi_num(o, 0, 4);
	for (unsigned i = 0; i < 4; i++) {
		acpi_num(o, irq[i], 4);
		acpi_num(o, irq[i] != 0 ? TIMER_ALWAYS_ON : 0, 4);
	}
	acpi_num(o, UINT64_MAX, 8);
	acpi_zeros(o, 8);		/* no platform timers */
	acpi_close_table(o, at);
	return (at);
}

/* Serial Port Console Redirection, revision 2. */
static uint32_t
spcr(struct acpi_out *o, const struct acpi_mmio_dev *uart)
{
	uint32_t at = acpi_open_table(o, "SPCR", 2);

	acpi_num(o, 3, 1);		/* PL011 */
	acpi_zeros(o, 3);
	acpi_address(o, ACPI_SPACE_MEM, uart->base, 4);
	acpi_num(o, 1U << 3, 1);	/* an interrupt of a GIC */
	acpi_num(o, 0, 1);
	acpi_num(o, uart->gsi >= 0 ? (unsigned)uart->gsi : 0, 4);
	acpi_num(o, 7, 1);		/* 115200 */
	acpi_num(o, 0, 1);		/* no parity */
	acpi_num(o, 1, 1);		/* one stop bit */
	acpi_num(o, 0, 1);
	acpi_num(o, 3, 1);		/* ANSI */
	acpi_num(o, 0, 1);
	acpi_num(o, UINT32_MAX, 4);	/* not on PCI */
	acpi_zeros(o, 12);
	acpi_close_table(o, at);
	return (at);
}

#define	IORT_ITS_NODE	48U		/* behind the header */

/* I/O remapping (Arm DEN 0049E): requester ids of the PCI segment are device ids of the one ITS. */
static uint32_t
iort(struct acpi_out *o)
{
	uint32_t at = acpi_open_table(o, "IORT", 0);

	acpi_num(o, 2, 4);		/* nodes */
	acpi_num(o, IORT_ITS_NODE, 4);
	acpi_num(o, 0, 4);
	acpi_num(o, 0, 1);		/* ITS group (3.1.1.1) */
	acpi_num(o, 24, 2);
	acpi_zeros(o, 13);		/* revision, id, no mappings */
	acpi_num(o, 1, 4);
	acpi_num(o, 0, 4);		/* the ITS's id */
	acpi_num(o, 2, 1);		/* root complex (3.1.1.3) */
	acpi_num(o, 56, 2);
	acpi_num(o, 0, 1);
	acpi_num(o, 0, 4);
	acpi_num(o, 1, 4);		/* mappings, and where */
	acpi_num(o, 36, 4);
	acpi_num(o, 1, 4);		/* coherent */
	acpi_zeros(o, 3);
	acpi_num(o, 3, 1);		/* cacheable and shareable as the processors' */
	acpi_zeros(o, 12);		/* no ATS, segment 0, any address size */
	acpi_num(o, 0, 4);		/* ids 0 to 0xffff are the same at the ITS */
	acpi_num(o, 0xffff, 4);
	acpi_num(o, 0, 4);
	acpi_num(o, IORT_ITS_NODE, 4);
	acpi_num(o, 0, 4);
	acpi_close_table(o, at);
	return (at);
}

int
acpi_build_virt(const struct acpi_virt *spec, struct acpi_blob *blob)
{
	struct acpi_out o;
	uint32_t list[ACPI_TABLES_MAX];
	unsigned n = 0;

	acpi_begin(&o, blob, "HYVEVIRT");
	list[n++] = fadt(&o, dsdt(&o, spec));
	list[n++] = madt(&o, spec);
	list[n++] = gtdt(&o, spec);
	if (spec->ecam != 0)
		list[n++] = acpi_mcfg(&o, spec->ecam, spec->last_bus);
	if (spec->console != NULL)
		list[n++] = spcr(&o, spec->console);
	if (spec->its != 0)
		list[n++] = iort(&o);
	return (acpi_end(&o, list, n));
}
