/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loader.c - a loader as out-of-tree ones are: it fills a named VM, gives up its privileges on the
 * way, never closes anything and exits.  It uses the committed interface under bhyve's names,
 * includes what such loaders include and nothing else of libvmmapi, and makes its calls in their
 * order.
 *
 *	loader [-S] -b 32|64 -m SIZE -p PATTERN NAME
 *
 * -S wires the memory.  PATTERN is a number that the guest finds in RBX and puts out at port 0x80,
 * and that the loader leaves in memory.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <x86/segments.h>
#include <x86/specialreg.h>
#include <machine/vmm.h>
#include <vmmapi.h>

#include "loader.h"

#if !defined(VMMAPI_VERSION) || VMMAPI_VERSION < 0200
#error "struct vcpu is needed"
#endif
#ifndef VM_MEM_F_WIRED
#error "loaders test for this macro"
#endif

#define	NOBODY	65534
#define	GB	(1024UL * 1024 * 1024)

/* Like a loader's: every call must succeed, also in a build without assertions. */
#define	MUST(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "loader: %s: %s\n", #cond, strerror(errno));	\
		_exit(1);							\
	}									\
} while (0)

static struct vmctx *ctx;
static struct vcpu *vcpu;
static uint8_t *low, *high;
static size_t lowsize, highsize;

/* mov eax, ebx; out 0x80, eax; mov al, 'h'; out 0x80, al; hlt: the same bytes with 32-bit and with 64-bit code. */
static const uint8_t code[] = { 0x89, 0xd8, 0xe7, 0x80, 0xb0, 'h', 0xe6, 0x80, 0xf4 };

static void
open_vm(const char *name, size_t memsize, int wired)
{
	int error, val, reinit = 0;

	error = vm_create(name);
	if (error != 0) {
		MUST(errno == EEXIST);
		reinit = 1;
	}
	ctx = vm_open(name);
	MUST(ctx != NULL);
	if (reinit)
		MUST(vm_reinit(ctx) == 0);
	vcpu = vm_vcpu_open(ctx, 0);
	MUST(vcpu != NULL);

	val = 0;
	MUST(vm_get_capability(vcpu, VM_CAP_UNRESTRICTED_GUEST, &val) == 0);
	MUST(vm_set_capability(vcpu, VM_CAP_UNRESTRICTED_GUEST, 1) == 0);
	if (wired)
		vm_set_memflags(ctx, VM_MEM_F_WIRED);
	MUST(vm_setup_memory(ctx, memsize, VM_MMAP_ALL) == 0);

	lowsize = vm_get_lowmem_limit(ctx);
	if (lowsize > memsize)
		lowsize = memsize;
	highsize = memsize - lowsize;
	low = vm_map_gpa(ctx, 0, lowsize);
	MUST(low != NULL);
	if (highsize != 0) {
		high = vm_map_gpa(ctx, 4 * GB, highsize);
		MUST(high != NULL);
	}
}

static void
drop_privileges(void)
{
	if (geteuid() != 0)
		return;
	MUST(setgid(NOBODY) == 0);
	MUST(setuid(NOBODY) == 0);
	MUST(setuid(0) != 0);
}

static void
set(enum vm_reg_name reg, uint64_t val)
{
	MUST(vm_set_register(vcpu, reg, val) == 0);
}

static void
desc(enum vm_reg_name reg, uint64_t base, uint32_t limit, uint32_t access)
{
	MUST(vm_set_desc(vcpu, reg, base, limit, access) == 0);
}

/* Flat protected mode, as the 32-bit boot protocol wants it. */
static void
boot32(uint32_t pattern)
{
	static const uint64_t gdt[] = { 0, 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL, 0x00008b000000ffffULL };

	memcpy(low + LOADER_GDT, gdt, sizeof(gdt));
	set(VM_REG_GUEST_CR0, CR0_PE);
	set(VM_REG_GUEST_CR4, 0);
	set(VM_REG_GUEST_RFLAGS, 0x2);
	desc(VM_REG_GUEST_CS, 0, 0xffffffff, 0xc09b);
	set(VM_REG_GUEST_CS, GSEL(2, SEL_KPL));
	desc(VM_REG_GUEST_DS, 0, 0xffffffff, 0xc093);
	desc(VM_REG_GUEST_ES, 0, 0xffffffff, 0xc093);
	desc(VM_REG_GUEST_FS, 0, 0xffffffff, 0xc093);
	desc(VM_REG_GUEST_GS, 0, 0xffffffff, 0xc093);
	desc(VM_REG_GUEST_SS, 0, 0xffffffff, 0xc093);
	set(VM_REG_GUEST_DS, GSEL(3, SEL_KPL));
	set(VM_REG_GUEST_ES, GSEL(3, SEL_KPL));
	set(VM_REG_GUEST_FS, GSEL(3, SEL_KPL));
	set(VM_REG_GUEST_GS, GSEL(3, SEL_KPL));
	set(VM_REG_GUEST_SS, GSEL(3, SEL_KPL));
	desc(VM_REG_GUEST_TR, 0, 0x1000, 0x8b);
	set(VM_REG_GUEST_TR, GSEL(4, SEL_KPL));
	desc(VM_REG_GUEST_LDTR, 0, 0xffff, 0x10082);
	set(VM_REG_GUEST_LDTR, 0);
	desc(VM_REG_GUEST_GDTR, LOADER_GDT, sizeof(gdt) - 1, 0);

	set(VM_REG_GUEST_RSP, LOADER_STACK);
	set(VM_REG_GUEST_RIP, LOADER_CODE);
	set(VM_REG_GUEST_RSI, 0x51);
	set(VM_REG_GUEST_RBP, 0);
	set(VM_REG_GUEST_RDI, 0xd1);
	set(VM_REG_GUEST_RBX, pattern);
	set(VM_REG_GUEST_RAX, LOADER_RAX);
	set(VM_REG_GUEST_RCX, 0xc1);
	set(VM_REG_GUEST_RDX, 0xd0);
}

/* Long mode over page tables that map the first 2 MiB to themselves, as a FreeBSD kernel is entered. */
static void
boot64(uint32_t pattern)
{
	uint64_t *pt = (uint64_t *)(void *)(low + LOADER_PT), *gdt = (uint64_t *)(void *)(low + LOADER_GDT);

	pt[0] = (LOADER_PT + 0x1000) | 3;
	pt[512] = (LOADER_PT + 0x2000) | 3;
	pt[1024] = 0x83;
	vm_setup_freebsd_gdt(gdt);
	MUST(vm_setup_freebsd_registers(vcpu, LOADER_CODE, LOADER_PT, LOADER_GDT, LOADER_STACK) == 0);
	set(VM_REG_GUEST_RAX, LOADER_RAX);
	set(VM_REG_GUEST_RBX, pattern);
	set(VM_REG_GUEST_RCX, 0xc1);
	set(VM_REG_GUEST_RDX, 0xd0);
	set(VM_REG_GUEST_RSI, 0x51);
}

int
main(int argc, char **argv)
{
	uint32_t pattern = 0;
	size_t memsize = 0;
	int opt, bits = 32, wired = 0;

	while ((opt = getopt(argc, argv, "Sb:m:p:")) != -1) {
		switch (opt) {
		case 'S':
			wired = 1;
			break;
		case 'b':
			bits = atoi(optarg);
			break;
		case 'm':
			MUST(vm_parse_memsize(optarg, &memsize) == 0);
			break;
		case 'p':
			pattern = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		default:
			_exit(64);
		}
	}
	if (optind != argc - 1 || memsize == 0)
		_exit(64);
	open_vm(argv[optind], memsize, wired);
	drop_privileges();

	memcpy(low + LOADER_CODE, code, sizeof(code));
	memcpy(low + LOADER_MARK, &pattern, sizeof(pattern));
	memcpy(low + lowsize - sizeof(pattern), &pattern, sizeof(pattern));
	if (high != NULL)
		memcpy(high + highsize - sizeof(pattern), &pattern, sizeof(pattern));
	if (bits == 64)
		boot64(pattern);
	else
		boot32(pattern);
	/* no vm_close(), no atexit() handler */
	_exit(0);
}
