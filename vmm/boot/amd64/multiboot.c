/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multiboot.c - multiboot 1 kernels: ELF32, or placed by the addresses of their header (Multiboot specification 0.6.96).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../../error.h"
#include "amd64.h"

#define	HEADER_MAGIC	0x1badb002U
#define	LOADER_MAGIC	0x2badb002U
#define	SEARCH_LEN	8192U

/* Flags of the header (3.1.2). */
#define	WANTS_PAGES	0x00000001U	/* page-aligned modules: they always are */
#define	WANTS_MEMORY	0x00000002U
#define	WANTS_VIDEO	0x00000004U
#define	HAS_ADDRESSES	0x00010000U
#define	UNKNOWN		0x0000fff8U	/* must be understood, and are not */

struct header {
	uint32_t	magic, flags, checksum;
	uint32_t	header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

/* Flags of the information (3.3). */
#define	INFO_MEMORY	0x001U
#define	INFO_CMDLINE	0x004U
#define	INFO_MODS	0x008U
#define	INFO_MMAP	0x040U
#define	INFO_LOADER	0x200U

struct info {
	uint32_t	flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t	syms[4];
	uint32_t	mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

struct module {
	uint32_t	start, end, string, reserved;
};

struct mmap_entry {
	uint32_t	size;		/* of what follows */
	uint64_t	base, len;
	uint32_t	type;
} __attribute__((packed));

#define	MMAP		(BOOT_INFO + 0x200)
#define	NAME		(BOOT_INFO + 0x100)
static const char name[] = "hyve";

_Static_assert(0x200 + BOOT_E820_MAX * sizeof(struct mmap_entry) <= 0x2000, "BOOT_INFO");

/* The header and where it is in the file. */
static bool
find_header(const struct boot_file *f, struct header *h, size_t *off)
{
	size_t end = f->len < SEARCH_LEN ? f->len : SEARCH_LEN;
	uint32_t w[3];

	for (*off = 0; *off + sizeof(w) <= end; *off += 4) {
		memcpy(w, f->data + *off, sizeof(w));
		if (w[0] != HEADER_MAGIC || w[0] + w[1] + w[2] != 0)
			continue;
		memset(h, 0, sizeof(*h));
		memcpy(h, f->data + *off, f->len - *off < sizeof(*h) ? f->len - *off : sizeof(*h));
		return (true);
	}
	return (false);
}

static bool
is_multiboot(const struct boot_file *f)
{
	struct header h;
	size_t off;

	return (find_header(f, &h, &off));
}

/* By the header's addresses (3.1.3). */
static int
load_addresses(struct vmctx *vm, const struct boot_spec *spec, const struct header *h, size_t off, uint64_t *end)
{
	const struct boot_file *f = &spec->kernel;
	uint64_t from, filesz, memsz;
	uint8_t *to;

	if (f->len - off < sizeof(*h))
		return (vmm_fail(EINVAL, "'%s' is cut off in its multiboot header", f->path));
	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > off)
		return (vmm_fail(EINVAL, "'%s': the multiboot header's load address is not in the file", f->path));
	from = off - (h->header_addr - h->load_addr);
	filesz = h->load_end_addr != 0 ? (uint64_t)h->load_end_addr - h->load_addr : f->len - from;
	if (h->load_end_addr != 0 && (h->load_end_addr < h->load_addr || filesz > f->len - from))
		return (vmm_fail(EINVAL, "'%s': the multiboot header's load end is behind the file's", f->path));
	memsz = filesz;
	if (h->bss_end_addr != 0) {
		if (h->bss_end_addr < h->load_addr + filesz)
			return (vmm_fail(EINVAL, "'%s': the multiboot header's end of bss is before the data's", f->path));
		memsz = (uint64_t)h->bss_end_addr - h->load_addr;
	}
	if (h->load_addr < 0x100000)
		return (vmm_fail(EINVAL, "'%s' wants to be loaded below 1 MiB, at %#" PRIx32, f->path, h->load_addr));
	if (h->entry_addr < h->load_addr || h->entry_addr - h->load_addr >= memsz)
		return (vmm_fail(EINVAL, "'%s' is to start at %#" PRIx32 ", where nothing of it is", f->path, h->entry_addr));
	to = boot_ram(vm, spec, h->load_addr, memsz, "the kernel");
	if (to == NULL)
		return (-1);
	memcpy(to, f->data + from, filesz);
	memset(to + filesz, 0, memsz - filesz);
	*end = h->load_addr + memsz;
	return (0);
}

static int
load_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor)
{
	struct module list[BOOT_MODULES_MAX] = { { 0 } };
	struct boot_module place[BOOT_MODULES_MAX];

	if (boot_modules(vm, spec, floor, place) != 0)
		return (-1);
	for (unsigned i = 0; i < spec->nmodules; i++) {
		list[i].start = (uint32_t)place[i].at;
		list[i].end = (uint32_t)(place[i].at + spec->modules[i].len);
		list[i].string = place[i].args;
	}
	return (vm_gpa_write(vm, BOOT_MODLIST, list, sizeof(list)) == 0 ? 0 : vmm_fail_vm("'%s'", spec->kernel.path));
}

/* KiB of RAM from an address on, up to the first hole or to limit. */
static uint32_t
ram_kib(const struct boot_spec *spec, uint64_t from, uint64_t limit)
{
	for (unsigned i = 0; i < spec->nmap; i++) {
		const struct boot_range *r = &spec->map[i];
		uint64_t end = r->base + r->len < limit ? r->base + r->len : limit;

		if (r->type == BOOT_RAM && r->base <= from && end > from)
			return ((uint32_t)((end - from) >> 10));
	}
	return (0);
}

static int
load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec)
{
	struct mmap_entry map[BOOT_E820_MAX];
	struct info info = { .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER };
	struct elf_image elf = { .entry = 0 };
	struct header h;
	uint64_t end;
	uint32_t entry;
	size_t off;

	if (boot_check_cmdline(spec) != 0)
		return (-1);
	if (!find_header(&spec->kernel, &h, &off))
		return (vmm_fail(ENOEXEC, "'%s' has no multiboot header", spec->kernel.path));
	if ((h.flags & (UNKNOWN | WANTS_VIDEO)) != 0)
		return (vmm_fail(EINVAL, "'%s' asks for multiboot features (flags %#" PRIx32 ") that there are not", spec->kernel.path,
		    h.flags));
	if ((h.flags & HAS_ADDRESSES) != 0) {
		if (load_addresses(vm, spec, &h, off, &end) != 0)
			return (-1);
		entry = h.entry_addr;
	} else {
		if (elf_parse(&spec->kernel, &elf) != 0)
			return (-1);
		if (elf.wide)
			return (vmm_fail(EINVAL, "'%s' is a multiboot kernel in a 64-bit ELF file; multiboot has 32-bit ones only",
			    spec->kernel.path));
		if (elf_entry(spec, &elf, elf.entry, &entry) != 0 || elf_load(vm, spec, &elf, &end) != 0)
			return (-1);
	}
	if (load_modules(vm, spec, end) != 0)
		return (-1);
	for (unsigned i = 0; i < spec->nmap; i++)
		map[i] = (struct mmap_entry){ .size = sizeof(map[0]) - 4, .base = spec->map[i].base, .len = spec->map[i].len,
		    .type = spec->map[i].type };
	info.mem_lower = ram_kib(spec, 0, 640 << 10);
	info.mem_upper = ram_kib(spec, 0x100000, 1ULL << 32);
	info.cmdline = BOOT_CMDLINE;
	info.mods_count = spec->nmodules;
	info.mods_addr = BOOT_MODLIST;
	info.mmap_length = spec->nmap * (uint32_t)sizeof(map[0]);
	info.mmap_addr = MMAP;
	info.boot_loader_name = NAME;
	if (vm_gpa_write(vm, BOOT_CMDLINE, spec->cmdline, strlen(spec->cmdline) + 1) != 0 ||
	    vm_gpa_write(vm, MMAP, map, info.mmap_length) != 0 || vm_gpa_write(vm, NAME, name, sizeof(name)) != 0 ||
	    vm_gpa_write(vm, BOOT_INFO, &info, sizeof(info)) != 0)
		return (vmm_fail_vm("'%s'", spec->kernel.path));
	return (boot_enter_flat32(vm, vcpu, entry, LOADER_MAGIC, BOOT_INFO));
}

const struct boot_protocol boot_multiboot = {
	.name = "multiboot",
	.doc = "multiboot",
	.arch = VM_ARCH_AMD64,
	.probe = is_multiboot,
	.load = load,
};
