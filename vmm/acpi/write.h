/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.h - what the files that build ACPI tables share (ACPI 6.5 chapter 5).
 *
 * Tables are written one after the other; a table's place is its offset.  Running out of memory is told by acpi_end().
 */
#ifndef _HYVE_ACPI_WRITE_H_
#define	_HYVE_ACPI_WRITE_H_

#include "aml.h"
#include "tables.h"

struct acpi_out {
	struct aml	 a;		/* only its buffer */
	struct acpi_blob *blob;
	const char	*id;		/* OEM table id: 8 bytes */
};

void	acpi_begin(struct acpi_out *o, struct acpi_blob *blob, const char id[static 8]);
/* Behind the last table: the list of those that a system is to find.  -1 with a sentence. */
int	acpi_end(struct acpi_out *o, const uint32_t *table, unsigned n);

void	acpi_num(struct acpi_out *o, uint64_t v, unsigned n);
void	acpi_zeros(struct acpi_out *o, unsigned n);
void	acpi_align(struct acpi_out *o, unsigned to);
void	acpi_pointer(struct acpi_out *o, unsigned size, uint32_t target);
uint32_t acpi_open_table(struct acpi_out *o, const char *sig, unsigned revision);
void	acpi_close_table(struct acpi_out *o, uint32_t at);

#define	ACPI_SPACE_MEM	0
#define	ACPI_SPACE_IO	1
void	acpi_address(struct acpi_out *o, uint8_t space, uint64_t addr, unsigned bytes);

#define	FADT_WBINVD	(1U << 0)
#define	FADT_PROC_C1	(1U << 2)
#define	FADT_SLP_BUTTON	(1U << 5)	/* there is no fixed sleep button; the power button is fixed */
#define	FADT_RTC_FIXED	(1U << 6)	/* no RTC wake in fixed registers */
#define	FADT_TMR_32	(1U << 8)
#define	FADT_RESET	(1U << 10)
#define	FADT_REDUCED	(1U << 20)	/* there is no fixed hardware */

#define	FADT_ARM_PSCI	(1U << 0)
#define	FADT_ARM_HVC	(1U << 1)	/* PSCI by HVC, not SMC */

/* What machines differ in. */
struct acpi_fadt {
	uint32_t	 facs, dsdt;
	bool		 has_facs;
	unsigned	 sci;
	uint16_t	 pm_base;	/* event, control, timer, GPE0 at 0, 4, 8, 0x20; 0: none of them */
	uint8_t		 century;
	uint16_t	 boot, arm_boot;
	uint32_t	 flags;
	uint16_t	 reset_port;	/* 0: none */
	uint8_t		 reset_value, minor;
};
uint32_t acpi_fadt(struct acpi_out *o, const struct acpi_fadt *f);
uint32_t acpi_mcfg(struct acpi_out *o, uint64_t ecam, unsigned last_bus);

/* Pieces of a DSDT. */
void	acpi_processors(struct aml *a, unsigned n);
/* Package name, a _PRT: pin p of device d uses gsi[(d + p) % n], or, if there are links, the link device of that number. */
void	acpi_routing(struct aml *a, const char *name, const unsigned *gsi, const char *const *link, unsigned n);
void	acpi_osc(struct aml *a);

#endif /* _HYVE_ACPI_WRITE_H_ */
