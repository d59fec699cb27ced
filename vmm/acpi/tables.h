/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.h - the PC's ACPI tables (ACPI 6.5 chapter 5).
 *
 * They are built without knowing where they go: one blob of tables and a root pointer, with a list of the places where addresses
 * of tables are.  For direct boot acpi_place() puts them into RAM; firmware is given the list and does that itself.
 */
#ifndef _HYVE_ACPI_TABLES_H_
#define	_HYVE_ACPI_TABLES_H_

#include <vmmapi.h>

#define	ACPI_PIRQS	8
#define	ACPI_FIXUPS_MAX	64
#define	ACPI_TABLES_MAX	16

/* A device on ports for the DSDT. */
struct acpi_isa_dev {
	const char	*name;		/* four characters */
	const char	*hid;		/* "PNP0501" */
	unsigned	 uid;
	uint16_t	 port;
	uint8_t		 len;
	int		 line;		/* -1: none */
};

struct acpi_spec {
	unsigned	 ncpus;		/* APIC ids 0 to ncpus - 1 */
	/* PCI host bridge */
	uint64_t	 ecam;		/* 0: none */
	uint16_t	 io_base, io_last;
	uint64_t	 mem32_base, mem32_last, mem64_base, mem64_last;	/* mem64_base 0: none */
	unsigned	 pirq[ACPI_PIRQS];	/* lines; pin p of device d uses pirq[(d + p) % ACPI_PIRQS] */
	/* fixed hardware */
	uint16_t	 pm_base;	/* event, control, timer, GPE0 at 0, 4, 8, 0x20 */
	unsigned	 sci;
	bool		 timer32;
	uint64_t	 hpet;		/* 0: none */
	uint32_t	 hpet_id;	/* low half of its capabilities */
	bool		 rtc;
	const struct acpi_isa_dev *isa;
	unsigned	 nisa;
};

struct acpi_blob {
	uint8_t		*tables;	/* everything but the root pointer */
	size_t		 len;
	uint8_t		 rsdp[36];
	struct acpi_fixup {
		bool	 in_rsdp;
		uint32_t off;		/* of the address */
		uint8_t	 size;
		uint32_t target;	/* offset in tables */
	} fixup[ACPI_FIXUPS_MAX];
	unsigned	 nfixups;
	struct {
		uint32_t off, len;
	} table[ACPI_TABLES_MAX];	/* each has a checksum at 9, but the FACS */
	unsigned	 ntables;
};

/* Value of SLP_TYP for soft off, as \_S5 says. */
#define	ACPI_SLP_S5	5U

/* Build the tables.  -1 with a sentence (ENOMEM). */
int	acpi_build(const struct acpi_spec *spec, struct acpi_blob *blob);
void	acpi_free(struct acpi_blob *blob);
/* Put the tables at base and the root pointer at rsdp, in RAM.  -1 with a sentence. */
int	acpi_place(struct acpi_blob *blob, struct vmctx *vm, uint64_t base, uint64_t len, uint64_t rsdp);

#endif /* _HYVE_ACPI_TABLES_H_ */
