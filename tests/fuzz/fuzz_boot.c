/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_boot.c - kernels of anyone: a file into a VM of 4 MiB, with modules and a command line.
 *
 * The first byte says how many modules there are and how large, the second how long the command line is; the rest is the kernel.
 * What is loaded must start inside RAM, and nothing may be written where the map has none.
 */
#include <stdlib.h>
#include <string.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>

#include "../boot_files.h"
#include "boot/boot.h"
#include "error.h"
#include "fuzz.h"

#define	MEM	(4U << 20)
#define	LOW	0x9fc00U
#define	HIGH	0x100000U

static const uint8_t code[] = { 0xeb, 0xfe };

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const unsigned elf[] = { BF_PVH, BF_PVH | BF_WIDE, BF_MULTIBOOT, BF_MULTIBOOT | BF_WIDE, BF_WIDE };
	struct bf f;

	if (n == 0) {
		bf_linux(&f, code, sizeof(code));
		bf_put(&f, 0x258, 8, 0x200000);
	} else if (n == 1) {
		bf_flat(&f, code, sizeof(code));
	} else if (n - 2 < sizeof(elf) / sizeof(elf[0])) {
		bf_elf(&f, elf[n - 2], code, sizeof(code));
	} else {
		return (0);
	}
	if (f.len + 2 > max)
		return (0);
	buf[0] = n == 0 ? 0x11 : 0x33;
	buf[1] = 20;
	memcpy(buf + 2, f.d, f.len);
	return (f.len + 2);
}

/* libFuzzer knows no fuzz_seed(): now and then it gets one in place of what it has. */
size_t	LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t	LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t n = size < 64 || seed % 256 == 0 ? fuzz_seed(seed / 256 % 7, data, max) : 0;

	return (LLVMFuzzerMutate(data, n != 0 ? n : size, max));
}

static struct vmctx *vm;
static struct vcpu *vcpu;
static uint8_t *mem;

static void
open_vm(void)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT };

	vm = vm_new(&spec);
	if (vm == NULL || vm_setup_memory(vm, MEM, VM_MMAP_ALL) != 0 || (vcpu = vm_vcpu_open(vm, 0)) == NULL)
		abort();
	mem = vm_map_gpa(vm, 0, MEM);
	if (mem == NULL)
		abort();
	memset(mem + LOW, 0x5a, HIGH - LOW);
}

static void
check_hole(void)
{
	/* Each byte is like the one before it. */
	if (mem[LOW] != 0x5a || memcmp(mem + LOW, mem + LOW + 1, HIGH - LOW - 1) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char cmdline[0x8000 + 256];
	struct boot_spec spec = {
		.cmdline = cmdline, .rsdp = 0xf0000, .nmap = 3,
		.map = { { 0, LOW, BOOT_RAM }, { LOW, HIGH - LOW, BOOT_RESERVED }, { HIGH, MEM - HIGH, BOOT_RAM } },
	};
	const struct boot_protocol *protocol;
	uint64_t rip;
	size_t n;

	if (size < 3)
		return (0);
	if (vm == NULL)
		open_vm();
	n = data[1] < 0xf0 ? data[1] : 0x8000 - 0xf8U + data[1];
	memset(cmdline, 'c', n);
	cmdline[n] = '\0';
	spec.kernel = (struct boot_file){ .path = "kernel", .data = data + 2, .len = size - 2, .cmdline = "" };
	spec.nmodules = data[0] & 0xf;
	for (unsigned i = 0; i < spec.nmodules; i++) {
		n = (size_t)(data[0] >> 4) * 512 + 1;
		spec.modules[i] = (struct boot_file){ .path = "module", .data = data, .len = n < size ? n : size,
		    .cmdline = cmdline };
	}
	if (boot_load(vm, vcpu, &spec, &protocol) != 0) {
		if (vmm_errmsg()[0] == '\0')
			abort();
	} else {
		if (vm_get_register(vcpu, VM_AMD64_REG_RIP, &rip) != 0 || rip < HIGH || rip >= MEM ||
		    protocol->doc == NULL)
			abort();
	}
	check_hole();
	return (0);
}
