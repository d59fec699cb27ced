/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64.h - what the boot protocols of amd64 share: ELF files, modules, places below 1 MiB, entry states.
 *
 * Linux' 64-bit entry of a bzImage (its Documentation/arch/x86/boot.rst), PVH (an ELF file with a XEN_ELFNOTE_PHYS32_ENTRY note,
 * Xen's docs/misc/pvh.pandoc), and multiboot 1 (a header in the first 8 KiB, Multiboot specification 0.6.96).
 */
#ifndef _HYVE_BOOT_AMD64_H_
#define	_HYVE_BOOT_AMD64_H_

#include "../boot.h"

/* entry.c */

/* E2BIG with a sentence if the command line does not fit at BOOT_CMDLINE. */
int	boot_check_cmdline(const struct boot_spec *spec);
/* Where a module and its command line went. */
struct boot_module {
	uint64_t	 at;
	uint32_t	 args;
};
/* Put all modules and their command lines into RAM below 4 GiB, not below floor.  -1 with a sentence. */
int	boot_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor,
	    struct boot_module place[static BOOT_MODULES_MAX]);
/* Entry states: 32-bit protected mode without paging, 64-bit mode with the first 4 GiB mapped. */
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

/* Places below 1 MiB; the loaders use RAM below 0x98000 and where the kernel and its modules go. */
#define	BOOT_GDT	0x1000U
#define	BOOT_STACK	0x8000U
#define	BOOT_INFO	0x8000U		/* boot_params, start_info or multiboot information: 8 KiB */
#define	BOOT_MODLIST	0xa000U		/* 8 KiB */
#define	BOOT_TABLES	0xc000U		/* page tables: 6 pages */
#define	BOOT_CMDLINE	0x20000U
#define	BOOT_CMDLINE_MAX 0x8000U
#define	BOOT_MODARGS	0x28000U	/* command lines of modules */
#define	BOOT_MODARGS_MAX 0x8000U

#endif /* _HYVE_BOOT_AMD64_H_ */
