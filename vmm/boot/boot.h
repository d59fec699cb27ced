/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.h - direct boot: a kernel file is put into RAM and vCPU 0 into the state that its boot protocol asks for, as a
 * boot loader would leave them.
 *
 * A protocol is a table, struct boot_protocol, in the folder of its architecture and in boot.c's list; which one a file is for is
 * found out by the file.  What all of them need is here.
 *
 * A file is hostile input: everything in it is checked before it is used.
 */
#ifndef _HYVE_BOOT_H_
#define	_HYVE_BOOT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmmapi.h>

#include "../config/config.h"

#define	BOOT_E820_MAX	32
#define	BOOT_MODULES_MAX 16

/* Types of the memory map (ACPI 6.5 table 15.4). */
#define	BOOT_RAM	1U
#define	BOOT_RESERVED	2U
#define	BOOT_ACPI	3U

struct boot_range {
	uint64_t	base, len;
	uint32_t	type;
};

/* A file in memory, read whole. */
struct boot_file {
	const char	*path;		/* for sentences */
	const uint8_t	*data;
	size_t		 len;
	const char	*cmdline;	/* modules: what follows the path */
};

struct boot_protocol;
struct dt_blob;

struct boot_spec {
	/* A loader put a kernel into RAM, and vCPU 0 where it begins: the machine adds what that kernel looks for.  Nothing else counts. */
	bool		 loaded;
	struct boot_file kernel;
	struct boot_file modules[BOOT_MODULES_MAX];	/* the first is the initrd of Linux and PVH */
	unsigned	 nmodules;
	const char	*cmdline;	/* not NULL */
	const struct boot_protocol *protocol;		/* NULL: the one that the file is for */
	uint64_t	 rsdp;		/* ACPI root pointer; 0: none */
	struct dt_blob	*fdt;		/* the machine's devicetree, to which the loader adds what it chose; NULL: none */
	struct boot_range map[BOOT_E820_MAX];		/* sorted; RAM must hold the kernel */
	unsigned	 nmap;
};

struct boot_protocol {
	const char	*name;		/* "pvh": for a person to choose it by */
	const char	*doc;		/* "PVH": for sentences */
	enum vm_arch	 arch;
	/* Whether a file is of this kind.  NULL: no file says so, the protocol has to be chosen. */
	bool		(*probe)(const struct boot_file *f);
	/* What is wrong with a file that looks like one of this kind but is none: -1 with a sentence; 0: nothing.  May be NULL. */
	int		(*explain)(const struct boot_file *f);
	/*
	 * Load spec->kernel and what goes with it into RAM, and set up vcpu, which is vCPU 0 in power-on state and does not
	 * run.  -1 with a sentence.
	 */
	int		(*load)(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec);
};

extern const struct boot_protocol boot_linux_amd64, boot_pvh, boot_multiboot;
extern const struct boot_protocol boot_linux_arm64, boot_raw_arm64;

/* The keys below "boot", and those of each module below "boot.module.N", N being 0 to BOOT_MODULES_MAX - 1. */
extern const struct config_keys boot_keys, boot_module_keys;

/* The i-th protocol, NULL behind the last. */
const struct boot_protocol *boot_protocol_at(unsigned i);
/*
 * The protocol called name for an architecture.
 * Errors: NULL with ENOENT and a sentence that lists those that there are.
 */
const struct boot_protocol *boot_protocol_find(enum vm_arch arch, const char *name);
/* The protocol that a file is for, whatever its architecture; NULL if it is for none, without a sentence. */
const struct boot_protocol *boot_probe(const struct boot_file *f);

/*
 * Load the kernel of spec into vm's RAM and set up vcpu.  *protocol (may be NULL) is what it was.
 *
 * Errors: ENOEXEC (no kernel for this architecture), EINVAL (damaged, or asks for what there is not), ENOMEM (does not fit
 * in RAM), E2BIG (the command line), with a sentence in vmm_errmsg().
 */
int	boot_load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, const struct boot_protocol **protocol);

/* Read a file for boot_spec, at most 2 GiB; data is the caller's to free().  -1 with a sentence. */
int	boot_read_file(const char *path, struct boot_file *file);

/* Inside: for the loaders. */

/* RAM at [gpa, gpa + len) according to the map and to the VM; NULL with a sentence naming what. */
void	*boot_ram(struct vmctx *vm, const struct boot_spec *spec, uint64_t gpa, uint64_t len, const char *what);
/*
 * The highest page-aligned place below limit, and not below floor, where len bytes of RAM are free for a module; 0 with a
 * sentence.
 */
uint64_t boot_place(const struct boot_spec *spec, uint64_t floor, uint64_t limit, uint64_t len, const char *what);

#endif /* _HYVE_BOOT_H_ */
