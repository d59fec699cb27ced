/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * linux.c - a loader of Linux kernels as out-of-tree ones are, such as grub2-bhyve: it fills a named VM with a kernel by its 32-bit boot
 * protocol and exits.  It has nothing of libvmmapi but the committed interface, under bhyve's header names, and tells the kernel
 * nothing of firmware tables: where those are is between the kernel and bhyve.
 *
 *	linux -m SIZE -k KERNEL [-i INITRD] [-c CMDLINE] NAME
 *
 * The boot protocol is in the kernel's documentation (x86/boot.rst), from which the offsets are.
 */
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

#define	GDT		0x9000
#define	PARAMS		0x10000		/* the zero page */
#define	CMDLINE		0x20000
#define	CMDLINE_MAX	0x1000
#define	KERNEL		0x100000
#define	LOW_RAM		0x9fc00
#define	ECAM		0xb0000000U
#define	HIGH_RAM	0x100000000ULL

/* In the file and in the zero page. */
#define	E820_COUNT	0x1e8
#define	SETUP_SECTS	0x1f1
#define	HEADER		0x1f1
#define	HEADER_MAGIC	0x202
#define	JUMP		0x201		/* the header ends that many bytes behind 0x202 */
#define	LOADER_TYPE	0x210
#define	LOAD_FLAGS	0x211
#define	CODE32		0x214
#define	INITRD_AT	0x218
#define	INITRD_LEN	0x21c
#define	CMDLINE_AT	0x228
#define	INITRD_MAX	0x22c
#define	E820		0x2d0

#define	MUST(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "linux: %s: %s\n", #cond, strerror(errno));	\
		_exit(1);							\
	}									\
} while (0)

static struct vmctx *ctx;
static struct vcpu *vcpu;
static uint8_t *low, *params;
static size_t lowsize;

static uint8_t *
read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	long size;

	MUST(f != NULL && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0);
	data = malloc((size_t)size);
	MUST(data != NULL && fread(data, 1, (size_t)size, f) == (size_t)size);
	fclose(f);
	*len = (size_t)size;
	return (data);
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static void
put32(unsigned at, uint32_t v)
{
	memcpy(params + at, &v, sizeof(v));
}

static void
e820(uint64_t base, uint64_t len, uint32_t type)
{
	uint8_t *entry = params + E820 + 20 * params[E820_COUNT];

	if (len == 0)
		return;
	memcpy(entry, &base, 8);
	memcpy(entry + 8, &len, 8);
	memcpy(entry + 16, &type, 4);
	params[E820_COUNT]++;
}

static void
open_vm(const char *name, size_t memsize)
{
	int exists = vm_create(name) != 0;

	MUST(!exists || errno == EEXIST);
	ctx = vm_open(name);
	MUST(ctx != NULL);
	if (exists)
		MUST(vm_reinit(ctx) == 0);
	vcpu = vm_vcpu_open(ctx, 0);
	MUST(vcpu != NULL && vm_setup_memory(ctx, memsize, VM_MMAP_ALL) == 0);
	lowsize = vm_get_lowmem_size(ctx);
	low = vm_map_gpa(ctx, 0, lowsize);
	MUST(low != NULL);
}

static void
load_initrd(const char *path, uint32_t highest)
{
	size_t len, at;
	uint8_t *data = read_file(path, &len);

	at = lowsize < highest ? lowsize : highest;
	MUST(len < at);
	at = (at - len) & ~(size_t)0xfff;
	memcpy(low + at, data, len);
	put32(INITRD_AT, (uint32_t)at);
	put32(INITRD_LEN, (uint32_t)len);
	free(data);
}

static void
load_kernel(const char *kernel, const char *initrd, const char *cmdline)
{
	size_t len, setup, header;
	uint8_t *data = read_file(kernel, &len);

	MUST(len > 0x1000 && memcmp(data + HEADER_MAGIC, "HdrS", 4) == 0 && (data[LOAD_FLAGS] & 1) != 0);
	setup = 512 * (1 + (data[SETUP_SECTS] != 0 ? data[SETUP_SECTS] : 4U));
	header = HEADER_MAGIC + data[JUMP];
	MUST(setup < len && header <= E820 && KERNEL + (len - setup) < lowsize && strlen(cmdline) < CMDLINE_MAX);
	params = low + PARAMS;
	memset(params, 0, 4096);
	memcpy(params + HEADER, data + HEADER, header - HEADER);
	params[LOADER_TYPE] = 0xff;
	memcpy(low + KERNEL, data + setup, len - setup);
	memcpy(low + CMDLINE, cmdline, strlen(cmdline) + 1);
	put32(CMDLINE_AT, CMDLINE);
	put32(CODE32, KERNEL);
	e820(0, LOW_RAM, 1);
	e820(LOW_RAM, 0x100000 - LOW_RAM, 2);
	e820(0x100000, lowsize - 0x100000, 1);
	e820(ECAM, 256U << 20, 2);
	e820(HIGH_RAM, vm_get_highmem_size(ctx), 1);
	if (initrd != NULL)
		load_initrd(initrd, get32(params + INITRD_MAX));
	free(data);
}

static void
set(enum vm_reg_name reg, uint64_t val)
{
	MUST(vm_set_register(vcpu, reg, val) == 0);
}

static void
segment(enum vm_reg_name reg, uint32_t access, uint16_t selector)
{
	MUST(vm_set_desc(vcpu, reg, 0, 0xffffffff, access) == 0);
	set(reg, selector);
}

/* Flat protected mode with __BOOT_CS 0x10 and __BOOT_DS 0x18. */
static void
enter(void)
{
	static const uint64_t gdt[] = { 0, 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL };

	memcpy(low + GDT, gdt, sizeof(gdt));
	MUST(vm_set_desc(vcpu, VM_REG_GUEST_GDTR, GDT, sizeof(gdt) - 1, 0) == 0);
	set(VM_REG_GUEST_CR0, CR0_PE);
	set(VM_REG_GUEST_CR4, 0);
	set(VM_REG_GUEST_RFLAGS, 0x2);
	segment(VM_REG_GUEST_CS, 0xc09b, 0x10);
	segment(VM_REG_GUEST_DS, 0xc093, 0x18);
	segment(VM_REG_GUEST_ES, 0xc093, 0x18);
	segment(VM_REG_GUEST_SS, 0xc093, 0x18);
	segment(VM_REG_GUEST_FS, 0xc093, 0x18);
	segment(VM_REG_GUEST_GS, 0xc093, 0x18);
	set(VM_REG_GUEST_RBX, 0);
	set(VM_REG_GUEST_RBP, 0);
	set(VM_REG_GUEST_RDI, 0);
	set(VM_REG_GUEST_RSP, GDT);
	set(VM_REG_GUEST_RSI, PARAMS);
	set(VM_REG_GUEST_RIP, KERNEL);
}

int
main(int argc, char **argv)
{
	const char *kernel = NULL, *initrd = NULL, *cmdline = "";
	size_t memsize = 0;
	int opt;

	while ((opt = getopt(argc, argv, "m:k:i:c:")) != -1) {
		if (opt == 'm')
			MUST(vm_parse_memsize(optarg, &memsize) == 0);
		else if (opt == 'k')
			kernel = optarg;
		else if (opt == 'i')
			initrd = optarg;
		else if (opt == 'c')
			cmdline = optarg;
		else
			return (2);
	}
	if (kernel == NULL || memsize == 0 || optind + 1 != argc)
		return (2);
	open_vm(argv[optind], memsize);
	load_kernel(kernel, initrd, cmdline);
	enter();
	return (0);
}
