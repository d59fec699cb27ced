/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pvh.c - ELF kernels with a PVH entry (Xen's docs/misc/pvh.pandoc; struct hvm_start_info version 1).
 */
#include <errno.h>
#include <string.h>

#include "../../error.h"
#include "amd64.h"

#define	START_MAGIC	0x336ec578U

struct start_info {
	uint32_t	magic, version, flags, nr_modules;
	uint64_t	modlist, cmdline, rsdp, memmap;
	uint32_t	memmap_entries, reserved;
};

struct modlist_entry {
	uint64_t	paddr, size, cmdline, reserved;
};

struct memmap_entry {
	uint64_t	addr, size;
	uint32_t	type, reserved;
};

/* Where the memory map is, behind the start information. */
#define	MEMMAP		(BOOT_INFO + 0x100)

_Static_assert(0x100 + BOOT_E820_MAX * sizeof(struct memmap_entry) <= 0x2000, "BOOT_INFO");
_Static_assert(BOOT_MODULES_MAX * sizeof(struct modlist_entry) <= 0x2000, "BOOT_MODLIST");

static bool
is_pvh(const struct boot_file *f)
{
	struct elf_image elf;

	return (elf_parse(f, &elf) == 0 && elf.has_pvh);
}

static int
load_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor)
{
	struct modlist_entry list[BOOT_MODULES_MAX] = { { 0 } };
	struct boot_module place[BOOT_MODULES_MAX];

	if (boot_modules(vm, spec, floor, place) != 0)
		return (-1);
	for (unsigned i = 0; i < spec->nmodules; i++) {
		list[i].paddr = place[i].at;
		list[i].size = spec->modules[i].len;
		list[i].cmdline = spec->modules[i].cmdline[0] != '\0' ? place[i].args : 0;
	}
	return (vm_gpa_write(vm, BOOT_MODLIST, list, sizeof(list)) == 0 ? 0 : vmm_fail_vm("'%s'", spec->kernel.path));
}

/* An ELF file that cannot be read, or is for another processor. */
static int
explain(const struct boot_file *f)
{
	struct elf_image elf;

	return (f->len >= 4 && memcmp(f->data, "\177ELF", 4) == 0 ? elf_parse(f, &elf) : 0);
}

static int
load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec)
{
	struct memmap_entry map[BOOT_E820_MAX] = { { 0 } };
	struct start_info info = { .magic = START_MAGIC, .version = 1 };
	struct elf_image elf;
	uint64_t end;
	uint32_t entry;

	if (boot_check_cmdline(spec) != 0 || elf_parse(&spec->kernel, &elf) != 0 ||
	    elf_entry(spec, &elf, elf.pvh_entry, &entry) != 0 || elf_load(vm, spec, &elf, &end) != 0 ||
	    load_modules(vm, spec, end) != 0)
		return (-1);
	for (unsigned i = 0; i < spec->nmap; i++)
		map[i] = (struct memmap_entry){ .addr = spec->map[i].base, .size = spec->map[i].len, .type = spec->map[i].type };
	info.nr_modules = spec->nmodules;
	info.modlist = spec->nmodules != 0 ? BOOT_MODLIST : 0;
	info.cmdline = BOOT_CMDLINE;
	info.rsdp = spec->rsdp;
	info.memmap = MEMMAP;
	info.memmap_entries = spec->nmap;
	if (vm_gpa_write(vm, BOOT_CMDLINE, spec->cmdline, strlen(spec->cmdline) + 1) != 0 ||
	    vm_gpa_write(vm, MEMMAP, map, spec->nmap * sizeof(map[0])) != 0 ||
	    vm_gpa_write(vm, BOOT_INFO, &info, sizeof(info)) != 0)
		return (vmm_fail_vm("'%s'", spec->kernel.path));
	return (boot_enter_flat32(vm, vcpu, entry, 0, BOOT_INFO));
}

const struct boot_protocol boot_pvh = {
	.name = "pvh",
	.doc = "ELF with a PVH entry",
	.arch = VM_ARCH_AMD64,
	.probe = is_pvh,
	.explain = explain,
	.load = load,
};
