/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.h - direct boot of amd64 kernels: a kernel file is put into RAM and vCPU 0 into the state that its
 * boot protocol asks for, as a boot loader would leave them.
 *
 * Three protocols, found out by the file: Linux (64-bit entry of a bzImage, Linux' Documentation/arch/x86/boot.rst),
 * PVH (an ELF file with a XEN_ELFNOTE_PHYS32_ENTRY note, Xen's docs/misc/pvh.pandoc), and multiboot 1 (a header in the
 * first 8 KiB, Multiboot specification 0.6.96).
 *
 * A file is hostile input: everything in it is checked before it is used.
 */
#ifndef _HYVE_BOOT_H_
#define	_HYVE_BOOT_H_

#include <stddef.h>
#include <stdint.h>

#include <vmmapi.h>

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

struct boot_spec {
	struct boot_file kernel;
	struct boot_file modules[BOOT_MODULES_MAX];	/* the first is the initrd of Linux and PVH */
	unsigned	 nmodules;
	const char	*cmdline;	/* not NULL */
	uint64_t	 rsdp;		/* ACPI root pointer; 0: none */
	struct boot_range map[BOOT_E820_MAX];		/* sorted; RAM below 4 GiB must hold the kernel */
	unsigned	 nmap;
};

enum boot_protocol { BOOT_LINUX, BOOT_PVH, BOOT_MULTIBOOT };

/*
 * Load the kernel of spec into vm's RAM and set up vcpu, which is vCPU 0 and does not run.  *protocol
 * (may be NULL) is what it was.  Uses RAM below 0x98000 and where the kernel and its modules go.
 *
 * Errors: ENOEXEC (no kernel of these kinds), EINVAL (damaged, or asks for what there is not), ENOMEM (does not fit in
 * RAM), E2BIG (the command line), with a sentence in vmm_errmsg().
 */
int	boot_load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, enum boot_protocol *protocol);

/* Read a file for boot_spec, at most 2 GiB; data is the caller's to free().  -1 with a sentence. */
int	boot_read_file(const char *path, struct boot_file *file);

/* Name of a protocol for people. */
const char *boot_protocol_name(enum boot_protocol protocol);

/* Inside: the loaders.  Each is called if its probe says true. */

/* RAM at [gpa, gpa + len) according to the map and to the VM; NULL with a sentence naming what. */
void	*boot_ram(struct vmctx *vm, const struct boot_spec *spec, uint64_t gpa, uint64_t len, const char *what);
/*
 * The highest page-aligned place below limit, and not below floor, where len bytes of RAM are free for a module; 0 with a
 * sentence.
 */
uint64_t boot_place(const struct boot_spec *spec, uint64_t floor, uint64_t limit, uint64_t len, const char *what);
/* Where a module and its command line went. */
struct boot_module {
	uint64_t	 at;
	uint32_t	 args;
};
/* Put all modules and their command lines into RAM below 4 GiB, not below floor.  -1 with a sentence. */
int	boot_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor,
	    struct boot_module place[static BOOT_MODULES_MAX]);

bool	boot_is_linux(const struct boot_file *f);
int	boot_linux(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec);
bool	boot_is_pvh(const struct boot_file *f);
int	boot_pvh(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec);
bool	boot_is_multiboot(const struct boot_file *f);
int	boot_multiboot(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec);

/* Entry states. */
int	boot_enter_flat32(struct vmctx *vm, struct vcpu *vcpu, uint32_t eip, uint32_t eax, uint32_t ebx);
int	boot_enter_long(struct vmctx *vm, struct vcpu *vcpu, uint64_t rip, uint64_t rsi);

/* elf.c */

/* A program segment to load. */
struct elf_load {
	uint64_t	 paddr, vaddr, filesz, memsz, offset;
};
#define	ELF_LOADS_MAX	32

struct elf_image {
	bool		 wide;		/* ELF64 */
	uint64_t	 entry;
	struct elf_load	 load[ELF_LOADS_MAX];
	unsigned	 nload;
	bool		 has_pvh;
	uint64_t	 pvh_entry;
};

/* Read an ELF executable for x86: 0, or -1 with a sentence. */
int	elf_parse(const struct boot_file *f, struct elf_image *elf);
/* Put its segments into RAM; *end is the first address behind the highest. */
int	elf_load(struct vmctx *vm, const struct boot_spec *spec, const struct elf_image *elf, uint64_t *end);
/* The physical address of an entry that is an address of a segment; -1 with a sentence if it is none below 4 GiB. */
int	elf_entry(const struct boot_spec *spec, const struct elf_image *elf, uint64_t entry, uint32_t *at);

/* Places below 1 MiB. */
#define	BOOT_GDT	0x1000U
#define	BOOT_STACK	0x8000U
#define	BOOT_INFO	0x8000U		/* boot_params, start_info or multiboot information: 8 KiB */
#define	BOOT_MODLIST	0xa000U		/* 8 KiB */
#define	BOOT_TABLES	0xc000U		/* page tables: 6 pages */
#define	BOOT_CMDLINE	0x20000U
#define	BOOT_CMDLINE_MAX 0x8000U
#define	BOOT_MODARGS	0x28000U	/* command lines of modules */
#define	BOOT_MODARGS_MAX 0x8000U

#endif /* _HYVE_BOOT_H_ */
