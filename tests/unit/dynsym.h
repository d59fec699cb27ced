/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dynsym.h - the names that libvmmapi.so exports, with their versions, read from its file.
 *
 * The program must be linked with the shared library.
 */
#ifndef _DYNSYM_H_
#define	_DYNSYM_H_

#include <sys/mman.h>
#include <sys/stat.h>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>

#include "../test.h"

struct symbol {
	const char	*name;
	const char	*version;	/* "" without one */
};

static struct symbol *symbols;
static size_t nsymbols;
static const uint8_t *image;
static size_t imagesize;

static int
find_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *base = strrchr(info->dlpi_name, '/');

	if (base == NULL || strncmp(base, "/libvmmapi.so", 13) != 0)
		return (0);
	snprintf(arg, 4096, "%s", info->dlpi_name);
	return (1);
}

static const void *
at(uint64_t offset, uint64_t len)
{
	CHECKF(offset <= imagesize && len <= imagesize - offset, "the library's file is shorter than it says");
	return (image + offset);
}

static const Elf64_Shdr *
section(const Elf64_Ehdr *eh, uint32_t type)
{
	const Elf64_Shdr *sh = at(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(*sh));

	for (unsigned i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type == type)
			return (&sh[i]);
	}
	FAIL("the library has no section of type %u", type);
}

/* Name of version index ndx. */
static const char *
version_name(const Elf64_Ehdr *eh, unsigned ndx)
{
	const Elf64_Shdr *sh = at(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(*sh)), *vd = section(eh, SHT_GNU_verdef);
	const char *str = at(sh[vd->sh_link].sh_offset, sh[vd->sh_link].sh_size);
	const uint8_t *p = at(vd->sh_offset, vd->sh_size);

	for (unsigned i = 0; i < vd->sh_info; i++) {
		const Elf64_Verdef *def = (const void *)p;
		const Elf64_Verdaux *aux = (const void *)(p + def->vd_aux);

		if (def->vd_ndx == ndx)
			return (str + aux->vda_name);
		p += def->vd_next;
	}
	return ("");
}

/* Read the names that the library defines for others, with their versions. */
static void
read_library(void)
{
	char path[4096] = "";
	const Elf64_Ehdr *eh;
	const Elf64_Shdr *dyn, *sh;
	const Elf64_Sym *sym;
	const Elf64_Versym *ver;
	const char *str;
	struct stat st;
	size_t n;
	int fd;

	if (dl_iterate_phdr(find_library, path) == 0)
		SKIP("this program is not linked with libvmmapi.so");
	fd = open(path, O_RDONLY);
	CHECKF(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
	imagesize = (size_t)st.st_size;
	image = mmap(NULL, imagesize, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(image != MAP_FAILED);
	close(fd);
	eh = at(0, sizeof(*eh));
	CHECK(memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 && eh->e_ident[EI_CLASS] == ELFCLASS64);
	sh = at(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(*sh));
	dyn = section(eh, SHT_DYNSYM);
	sym = at(dyn->sh_offset, dyn->sh_size);
	n = dyn->sh_size / sizeof(*sym);
	str = at(sh[dyn->sh_link].sh_offset, sh[dyn->sh_link].sh_size);
	ver = at(section(eh, SHT_GNU_versym)->sh_offset, n * sizeof(*ver));
	symbols = calloc(n, sizeof(*symbols));
	CHECK(symbols != NULL);
	for (size_t i = 0; i < n; i++) {
		if (sym[i].st_shndx == SHN_UNDEF || ELF64_ST_BIND(sym[i].st_info) == STB_LOCAL)
			continue;
		/* the versions' own names */
		if (sym[i].st_shndx == SHN_ABS && ELF64_ST_TYPE(sym[i].st_info) == STT_OBJECT)
			continue;
		symbols[nsymbols++] = (struct symbol){ str + sym[i].st_name, version_name(eh, ver[i] & 0x7fff) };
	}
}

#endif /* _DYNSYM_H_ */
