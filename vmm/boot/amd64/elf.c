/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * elf.c - ELF executables for x86, as far as booting them needs.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../../error.h"
#include "amd64.h"

#define	NOTE_PHYS32_ENTRY	18	/* XEN_ELFNOTE_PHYS32_ENTRY */

/* Program headers in the larger form. */
static int
program_header(const struct boot_file *f, bool wide, uint64_t off, Elf64_Phdr *ph)
{
	Elf32_Phdr narrow;
	size_t size = wide ? sizeof(*ph) : sizeof(narrow);

	if (off > f->len || f->len - off < size)
		return (-1);
	if (wide) {
		memcpy(ph, f->data + off, size);
		return (0);
	}
	memcpy(&narrow, f->data + off, size);
	*ph = (Elf64_Phdr){
		.p_type = narrow.p_type, .p_offset = narrow.p_offset, .p_vaddr = narrow.p_vaddr, .p_paddr = narrow.p_paddr,
		.p_filesz = narrow.p_filesz, .p_memsz = narrow.p_memsz, .p_align = narrow.p_align,
	};
	return (0);
}

/* Look for the PVH entry in the notes at [off, off + len). */
static void
read_notes(const struct boot_file *f, uint64_t off, uint64_t len, uint64_t align, struct elf_image *elf)
{
	uint64_t end = off + len, name, desc;
	Elf64_Nhdr n;

	if (align != 8)			/* each note and its description are aligned so (gABI, "Note Section") */
		align = 4;
	while (end - off >= sizeof(n)) {
		memcpy(&n, f->data + off, sizeof(n));
		name = off + sizeof(n);
		desc = off + ((sizeof(n) + n.n_namesz + align - 1) & ~(align - 1));
		off = desc + ((n.n_descsz + align - 1) & ~(align - 1));
		if (desc > end || end - desc < n.n_descsz)
			return;
		if (n.n_type == NOTE_PHYS32_ENTRY && n.n_namesz == 4 && memcmp(f->data + name, "Xen", 4) == 0 &&
		    (n.n_descsz == 4 || n.n_descsz == 8)) {
			elf->pvh_entry = 0;
			memcpy(&elf->pvh_entry, f->data + desc, n.n_descsz);
			elf->has_pvh = elf->pvh_entry <= UINT32_MAX;
		}
		if (off > end)		/* the padding of the last note need not be there */
			return;
	}
}

static int
add_load(const struct boot_file *f, const Elf64_Phdr *ph, struct elf_image *elf)
{
	if (ph->p_memsz == 0)
		return (0);
	if (ph->p_filesz > ph->p_memsz || ph->p_paddr + ph->p_memsz < ph->p_paddr)
		return (vmm_fail(EINVAL, "'%s' has an impossible segment", f->path));
	if (elf->nload == ELF_LOADS_MAX)
		return (vmm_fail(EINVAL, "'%s' has more than %u segments", f->path, ELF_LOADS_MAX));
	for (unsigned i = 0; i < elf->nload; i++) {
		const struct elf_load *l = &elf->load[i];

		if (ph->p_paddr < l->paddr + l->memsz && l->paddr < ph->p_paddr + ph->p_memsz)
			return (vmm_fail(EINVAL, "'%s' has two segments for address %#" PRIx64, f->path,
			    ph->p_paddr < l->paddr ? l->paddr : ph->p_paddr));
	}
	elf->load[elf->nload++] = (struct elf_load){ .paddr = ph->p_paddr, .filesz = ph->p_filesz, .memsz = ph->p_memsz,
	    .offset = ph->p_offset, .vaddr = ph->p_vaddr };
	return (0);
}

int
elf_parse(const struct boot_file *f, struct elf_image *elf)
{
	Elf64_Ehdr eh;
	Elf32_Ehdr narrow;
	uint64_t phoff;
	unsigned phnum, phentsize, type;

	memset(elf, 0, sizeof(*elf));
	if (f->len < sizeof(narrow) || memcmp(f->data, ELFMAG, SELFMAG) != 0)
		return (vmm_fail(ENOEXEC, "'%s' is no ELF file", f->path));
	elf->wide = f->data[EI_CLASS] == ELFCLASS64;
	if (elf->wide && f->len >= sizeof(eh)) {
		memcpy(&eh, f->data, sizeof(eh));
		phoff = eh.e_phoff;
		phnum = eh.e_phnum;
		phentsize = eh.e_phentsize;
		elf->entry = eh.e_entry;
		type = eh.e_machine;
	} else if (f->data[EI_CLASS] == ELFCLASS32) {
		memcpy(&narrow, f->data, sizeof(narrow));
		phoff = narrow.e_phoff;
		phnum = narrow.e_phnum;
		phentsize = narrow.e_phentsize;
		elf->entry = narrow.e_entry;
		type = narrow.e_machine;
	} else {
		return (vmm_fail(EINVAL, "'%s' is a damaged ELF file", f->path));
	}
	if (f->data[EI_DATA] != ELFDATA2LSB || (type != EM_386 && type != EM_X86_64))
		return (vmm_fail(ENOEXEC, "'%s' is an ELF file for another processor", f->path));
	if (phnum != 0 && phentsize < (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return (vmm_fail(EINVAL, "'%s' has program headers of %u bytes", f->path, phentsize));
	for (unsigned i = 0; i < phnum; i++) {
		Elf64_Phdr ph;

		if (program_header(f, elf->wide, phoff + (uint64_t)i * phentsize, &ph) != 0)
			return (vmm_fail(EINVAL, "'%s' is cut off in its program headers", f->path));
		if (ph.p_type != PT_LOAD && ph.p_type != PT_NOTE)
			continue;
		if (ph.p_offset > f->len || f->len - ph.p_offset < ph.p_filesz)
			return (vmm_fail(EINVAL, "'%s' is cut off: segment %u ends behind the file", f->path, i));
		if (ph.p_type == PT_NOTE)
			read_notes(f, ph.p_offset, ph.p_filesz, ph.p_align, elf);
		else if (add_load(f, &ph, elf) != 0)
			return (-1);
	}
	return (0);
}

int
elf_load(struct vmctx *vm, const struct boot_spec *spec, const struct elf_image *elf, uint64_t *end)
{
	*end = 0;
	if (elf->nload == 0)
		return (vmm_fail(EINVAL, "'%s' has nothing to load", spec->kernel.path));
	for (unsigned i = 0; i < elf->nload; i++) {
		const struct elf_load *l = &elf->load[i];
		uint8_t *to;

		/* What a loader keeps there would be lost. */
		if (l->paddr < 0x100000)
			return (vmm_fail(EINVAL, "'%s' wants a segment below 1 MiB, at %#" PRIx64, spec->kernel.path, l->paddr));
		to = boot_ram(vm, spec, l->paddr, l->memsz, "a segment");
		if (to == NULL)
			return (-1);
		memcpy(to, spec->kernel.data + l->offset, l->filesz);
		memset(to + l->filesz, 0, l->memsz - l->filesz);
		if (l->paddr + l->memsz > *end)
			*end = l->paddr + l->memsz;
	}
	return (0);
}

int
elf_entry(const struct boot_spec *spec, const struct elf_image *elf, uint64_t entry, uint32_t *at)
{
	const struct elf_load *l;

	for (unsigned i = 0; i < elf->nload; i++) {
		l = &elf->load[i];
		if (entry >= l->paddr && entry - l->paddr < l->memsz && entry <= UINT32_MAX) {
			*at = (uint32_t)entry;
			return (0);
		}
	}
	/* Kernels that are linked high name their entry as they see it when they have page tables. */
	for (unsigned i = 0; i < elf->nload; i++) {
		l = &elf->load[i];
		if (entry >= l->vaddr && entry - l->vaddr < l->memsz && l->paddr + (entry - l->vaddr) <= UINT32_MAX) {
			*at = (uint32_t)(l->paddr + (entry - l->vaddr));
			return (0);
		}
	}
	return (vmm_fail(EINVAL, "'%s' is to start at %#" PRIx64 ", where nothing of it is", spec->kernel.path, entry));
}
