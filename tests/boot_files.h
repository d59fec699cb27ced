/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_files.h - kernels of every boot protocol, made from nothing: for the loader's test and its fuzz target.
 *
 * The code that a kernel executes is the caller's.  Files are smaller than 4 KiB, a fuzzer's default limit.
 */
#ifndef _BOOT_FILES_H_
#define	_BOOT_FILES_H_

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bf {
	uint8_t	 d[0x4000];
	size_t	 len;
};

static inline void
bf_put(struct bf *f, size_t off, unsigned size, uint64_t v)
{
	memcpy(f->d + off, &v, size);
}

/* A bzImage: two sectors of setup, then the kernel proper, whose 64-bit entry is 0x200 behind its start. */
#define	BF_LINUX_SETUP	0x400
#define	BF_LINUX_LEN	0x800
#define	BF_LINUX_AT	0x400000
#define	BF_LINUX_ALIGN	0x200000
#define	BF_LINUX_INIT	0x100000
#define	BF_LINUX_CMDMAX	255

static inline void
bf_linux(struct bf *f, const void *code, size_t len)
{
	memset(f, 0, sizeof(*f));
	bf_put(f, 0x1f1, 1, BF_LINUX_SETUP / 512 - 1);
	bf_put(f, 0x1f4, 4, BF_LINUX_LEN / 16);
	bf_put(f, 0x1fa, 2, 0xffff);
	bf_put(f, 0x1fe, 2, 0xaa55);
	bf_put(f, 0x200, 2, 0x66eb);			/* the header ends at 0x268 */
	memcpy(f->d + 0x202, "HdrS", 4);
	bf_put(f, 0x206, 2, 0x020f);
	bf_put(f, 0x211, 1, 1);
	bf_put(f, 0x214, 4, 0x100000);
	bf_put(f, 0x218, 8, 0x1111111122222222);	/* the loader's to set */
	bf_put(f, 0x22c, 4, 0x7fffffff);
	bf_put(f, 0x230, 4, BF_LINUX_ALIGN);
	bf_put(f, 0x234, 1, 1);
	bf_put(f, 0x236, 2, 1);
	bf_put(f, 0x238, 4, BF_LINUX_CMDMAX);
	bf_put(f, 0x258, 8, BF_LINUX_AT);
	bf_put(f, 0x260, 4, BF_LINUX_INIT);
	memcpy(f->d + BF_LINUX_SETUP + 0x200, code, len);
	memset(f->d + BF_LINUX_SETUP + BF_LINUX_LEN - 4, 0xe5, 4);
	f->len = BF_LINUX_SETUP + BF_LINUX_LEN;
}

/*
 * An ELF file: headers, a note at BF_ELF_NOTE if it has one, and one segment: a multiboot header if it has one, and code
 * behind 0x20 bytes.
 */
#define	BF_ELF_AT	0x100000
#define	BF_ELF_ENTRY	(BF_ELF_AT + 0x20)
#define	BF_ELF_NOTE	0x200
#define	BF_ELF_OFF	0x400
#define	BF_ELF_FILESZ	0x800
#define	BF_ELF_MEMSZ	0x3000
#define	BF_PHDR64	sizeof(Elf64_Ehdr)
#define	BF_PHDR32	sizeof(Elf32_Ehdr)

enum { BF_WIDE = 1, BF_PVH = 2, BF_MULTIBOOT = 4 };

static inline void
bf_elf(struct bf *f, unsigned what, const void *code, size_t len)
{
	const Elf64_Phdr load = { .p_type = PT_LOAD, .p_flags = PF_X | PF_R | PF_W, .p_offset = BF_ELF_OFF,
	    .p_vaddr = BF_ELF_AT, .p_paddr = BF_ELF_AT, .p_filesz = BF_ELF_FILESZ, .p_memsz = BF_ELF_MEMSZ, .p_align = 0x1000 };
	const Elf64_Phdr note = { .p_type = PT_NOTE, .p_offset = BF_ELF_NOTE, .p_filesz = 20, .p_memsz = 20, .p_align = 4 };
	const Elf64_Phdr *ph[] = { &load, &note };
	unsigned n = (what & BF_PVH) != 0 ? 2 : 1;

	memset(f, 0, sizeof(*f));
	if ((what & BF_WIDE) != 0) {
		Elf64_Ehdr eh = { .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_entry = BF_ELF_ENTRY,
		    .e_phoff = sizeof(eh), .e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (uint16_t)n };

		memcpy(f->d, &eh, sizeof(eh));
		for (unsigned i = 0; i < n; i++)
			memcpy(f->d + sizeof(eh) + i * sizeof(*ph[0]), ph[i], sizeof(*ph[0]));
	} else {
		Elf32_Ehdr eh = { .e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT, .e_entry = BF_ELF_ENTRY,
		    .e_phoff = sizeof(eh), .e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = (uint16_t)n };

		memcpy(f->d, &eh, sizeof(eh));
		for (unsigned i = 0; i < n; i++) {
			Elf32_Phdr p = { .p_type = ph[i]->p_type, .p_flags = ph[i]->p_flags,
			    .p_offset = (uint32_t)ph[i]->p_offset,
			    .p_vaddr = (uint32_t)ph[i]->p_vaddr, .p_paddr = (uint32_t)ph[i]->p_paddr,
			    .p_filesz = (uint32_t)ph[i]->p_filesz, .p_memsz = (uint32_t)ph[i]->p_memsz,
			    .p_align = (uint32_t)ph[i]->p_align };

			memcpy(f->d + sizeof(eh) + i * sizeof(p), &p, sizeof(p));
		}
	}
	memcpy(f->d, ELFMAG, SELFMAG);
	f->d[EI_CLASS] = (what & BF_WIDE) != 0 ? ELFCLASS64 : ELFCLASS32;
	f->d[EI_DATA] = ELFDATA2LSB;
	f->d[EI_VERSION] = EV_CURRENT;
	if ((what & BF_PVH) != 0) {
		bf_put(f, BF_ELF_NOTE, 4, 4);
		bf_put(f, BF_ELF_NOTE + 4, 4, 4);
		bf_put(f, BF_ELF_NOTE + 8, 4, 18);
		memcpy(f->d + BF_ELF_NOTE + 12, "Xen", 4);
		bf_put(f, BF_ELF_NOTE + 16, 4, BF_ELF_ENTRY);
	}
	if ((what & BF_MULTIBOOT) != 0) {
		bf_put(f, BF_ELF_OFF, 4, 0x1badb002);
		bf_put(f, BF_ELF_OFF + 4, 4, 3);
		bf_put(f, BF_ELF_OFF + 8, 4, 0U - 0x1badb002 - 3);
	}
	memcpy(f->d + BF_ELF_OFF + 0x20, code, len);
	memset(f->d + BF_ELF_OFF + BF_ELF_FILESZ - 4, 0xe5, 4);
	f->len = BF_ELF_OFF + BF_ELF_FILESZ;
}

/* A flat multiboot kernel, placed by its header, which is BF_FLAT_HEADER behind the start of what is loaded. */
#define	BF_FLAT_OFF	0x10		/* of what is loaded */
#define	BF_FLAT_HEADER	0x40
#define	BF_FLAT_AT	0x200000
#define	BF_FLAT_ENTRY	(BF_FLAT_AT + 0x80)
#define	BF_FLAT_LEN	0x800
#define	BF_FLAT_BSS	0x2000

static inline void
bf_flat(struct bf *f, const void *code, size_t len)
{
	const uint32_t flags = 0x10003;
	size_t h = BF_FLAT_OFF + BF_FLAT_HEADER;

	memset(f, 0, sizeof(*f));
	bf_put(f, h, 4, 0x1badb002);
	bf_put(f, h + 4, 4, flags);
	bf_put(f, h + 8, 4, 0U - 0x1badb002 - flags);
	bf_put(f, h + 12, 4, BF_FLAT_AT + BF_FLAT_HEADER);
	bf_put(f, h + 16, 4, BF_FLAT_AT);
	bf_put(f, h + 20, 4, BF_FLAT_AT + BF_FLAT_LEN);
	bf_put(f, h + 24, 4, BF_FLAT_AT + BF_FLAT_LEN + BF_FLAT_BSS);
	bf_put(f, h + 28, 4, BF_FLAT_ENTRY);
	memcpy(f->d + BF_FLAT_OFF + 0x80, code, len);
	memset(f->d + BF_FLAT_OFF + BF_FLAT_LEN - 4, 0xe5, 4);
	f->len = BF_FLAT_OFF + BF_FLAT_LEN;
}

/*
 * An arm64 Image whose code is behind the header; with an EFI stub, a PE header that has one section, all of the file behind the
 * headers.
 */
#define	BF_IMAGE_LEN	0x800
#define	BF_IMAGE_SIZE	0x4000		/* in memory */
#define	BF_IMAGE_PE	0x100
#define	BF_IMAGE_SECTION (BF_IMAGE_PE + 24 + 0x70)
#define	BF_IMAGE_CODE	0x200

static inline void
bf_image(struct bf *f, bool efi, const void *code, size_t len)
{
	memset(f, 0, sizeof(*f));
	/* ccmp x18, #0, #0xd, pl, which is "MZ", and a branch to the code */
	bf_put(f, 0, 4, efi ? 0xfa405a4d : 0xd503201f);
	bf_put(f, 4, 4, 0x14000000 | (BF_IMAGE_CODE - 4) / 4);
	bf_put(f, 16, 8, BF_IMAGE_SIZE);
	bf_put(f, 24, 8, 0xa);
	memcpy(f->d + 56, "ARM\x64", 4);
	if (efi) {
		bf_put(f, 60, 4, BF_IMAGE_PE);
		memcpy(f->d + BF_IMAGE_PE, "PE\0\0", 4);
		bf_put(f, BF_IMAGE_PE + 4, 2, 0xaa64);
		bf_put(f, BF_IMAGE_PE + 6, 2, 1);
		bf_put(f, BF_IMAGE_PE + 20, 2, 0x70);
		bf_put(f, BF_IMAGE_SECTION + 16, 4, BF_IMAGE_LEN - BF_IMAGE_CODE);
		bf_put(f, BF_IMAGE_SECTION + 20, 4, BF_IMAGE_CODE);
	}
	memcpy(f->d + BF_IMAGE_CODE, code, len);
	memset(f->d + BF_IMAGE_LEN - 4, 0xe5, 4);
	f->len = BF_IMAGE_LEN;
}

#endif /* _BOOT_FILES_H_ */
