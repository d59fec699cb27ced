/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.h - the ACPI tables of machines (ACPI 6.5 chapter 5).
 *
 * They are built without knowing where they go: one blob of tables and a root pointer, with a list of the places where addresses
 * of tables are.  For direct boot acpi_place() puts them into RAM; firmware is given the list and does that itself.
 */
#ifndef _HYVE_ACPI_TABLES_H_
#define	_HYVE_ACPI_TABLES_H_

#include <vmmapi.h>

struct device;

#define	ACPI_PIRQS	8
#define	ACPI_FIXUPS_MAX	64
#define	ACPI_TABLES_MAX	16

/* A device on ports for the DSDT. */
struct acpi_isa_dev {
	const char	*name;		/* four characters */
	const char	*hid;		/* "PNP0501" */
	unsigned	 uid;
	uint16_t	 port;
	uint8_t		 len;		/* 0: no ports */
	int		 line;		/* -1: none */
	uint16_t	 port2;		/* another port, of one byte; 0: none */
};

struct acpi_pc {
	unsigned	 ncpus;		/* APIC ids 0 to ncpus - 1 */
	/* PCI host bridge */
	uint64_t	 ecam;		/* 0: none */
	uint16_t	 io_base, io_last;
	uint64_t	 mem32_base, mem32_last, mem64_base, mem64_last;	/* mem64_base 0: none */
	/* Lines of the I/O APIC: pin p of device d uses pirq[(d + p) % ACPI_PIRQS]; the LPC bridge routes the same to the 8259s. */
	unsigned	 pirq[ACPI_PIRQS];
	uint8_t		 lpc;		/* device and function */
	/* fixed hardware */
	uint16_t	 pm_base;	/* event, control, timer, GPE0 at 0, 4, 8, 0x20 */
	unsigned	 sci;
	bool		 timer32;
	uint64_t	 hpet;		/* 0: none */
	uint32_t	 hpet_id;	/* low half of its capabilities */
	bool		 rtc;
	bool		 i8042;		/* told by a flag; its keyboard and mouse are to be in isa */
	const struct acpi_isa_dev *isa;
	unsigned	 nisa;
};

/* A device in memory for the DSDT. */
struct acpi_mmio_dev {
	const char	*name;		/* four characters */
	const char	*hid;		/* "ARMH0011" */
	unsigned	 uid;
	uint64_t	 base;
	uint32_t	 len;
	int		 gsi;		/* level, active high; -1: none */
	bool		 coherent;	/* it reaches memory as the processors see it */
};

/* Machines with Arm processors, hardware-reduced: nothing is at a fixed place but what is said here. */
struct acpi_virt {
	unsigned	 ncpus;
	const uint64_t	*mpidr;		/* affinity fields of each */
	uint64_t	 gicd, gicr, its;	/* its 0: none */
	uint32_t	 gicr_len;
	/* private interrupts of the generic timer (INTIDs), 0: none */
	unsigned	 timer_secure, timer_phys, timer_virt, timer_hyp;
	/* PCI host bridge */
	uint64_t	 ecam;
	unsigned	 last_bus;
	uint64_t	 io_addr, io_len;	/* where ports 0 to io_len - 1 are in memory; len 0: none */
	uint64_t	 mem32_base, mem32_last, mem64_base, mem64_last;	/* mem64_base 0: none */
	unsigned	 pirq[4];	/* GSIs; pin p of device d uses pirq[(d + p) % 4] */
	const struct acpi_mmio_dev *dev;
	unsigned	 ndev;
	const struct acpi_mmio_dev *console;	/* a PL011 of dev; NULL: none */
	/* a PL061 with the power button at a pin; base 0: none */
	struct acpi_mmio_dev gpio;
	unsigned	 power_pin;
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

/* Value of SLP_TYP for soft off, as \_S5 says; OVMF, which does not read that, writes it too. */
#define	ACPI_SLP_S5	0U

/* Build the tables of a PC; of a machine with Arm processors.  -1 with a sentence (ENOMEM). */
int	acpi_build_pc(const struct acpi_pc *spec, struct acpi_blob *blob);
int	acpi_build_virt(const struct acpi_virt *spec, struct acpi_blob *blob);
void	acpi_free(struct acpi_blob *blob);
/* Put the tables at base and the root pointer at rsdp, in RAM.  -1 with a sentence. */
int	acpi_place(struct acpi_blob *blob, struct vmctx *vm, uint64_t base, uint64_t len, uint64_t rsdp);

/*
 * Give them to firmware, which places them itself: files and a list of what to do with them, in a fw_cfg device.  -1 with a
 * sentence.
 */
int	acpi_publish(const struct acpi_blob *blob, struct device *fw_cfg);

#endif /* _HYVE_ACPI_TABLES_H_ */
