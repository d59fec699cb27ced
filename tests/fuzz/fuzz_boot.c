/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_boot.c - kernels of anyone: a file into a VM of 4 MiB, with modules and a command line; and into one of each architecture.
 *
 * The first byte says how many modules there are and how large, the second how long the command line is; the rest is the kernel.
 * What is loaded must start inside RAM, and nothing may be written where the map has none.
 */
#include <stdlib.h>
#include <string.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <zlib.h>

#include "../boot_files.h"
#include "boot/boot.h"
#include "error.h"
#include "firmware/fdt.h"
#include "fuzz.h"

#define	MEM	(4U << 20)
#define	LOW	0x9fc00U
#define	HIGH	0x100000U
#define	RAM64	0x40000000ULL

static const uint8_t code[] = { 0xeb, 0xfe };

#define	SEEDS	10

/* An Image, with an EFI stub, and compressed. */
static size_t
seed_image(unsigned n, uint8_t *buf, size_t max)
{
	z_stream z = { .avail_out = (uInt)max - 2, .next_out = buf + 2 };
	struct bf f;

	bf_image(&f, n == 1, code, sizeof(code));
	buf[0] = 0x11;
	buf[1] = 20;
	if (n < 2) {
		memcpy(buf + 2, f.d, f.len);
		return (f.len + 2);
	}
	z.next_in = f.d;
	z.avail_in = (uInt)f.len;
	if (deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END ||
	    deflateEnd(&z) != Z_OK)
		abort();
	return (max - z.avail_out);
}

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
	} else if (n < SEEDS && max > sizeof(f.d)) {
		return (seed_image(n + 3 - SEEDS, buf, max));
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
	size_t n = size < 64 || seed % 256 == 0 ? fuzz_seed(seed / 256 % SEEDS, data, max) : 0;

	return (LLVMFuzzerMutate(data, n != 0 ? n : size, max));
}

static struct vmctx *vm, *vm64;
static struct vcpu *vcpu, *vcpu64;
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

/* The same file for an arm64 guest, by what it says or as a raw image: what starts is in RAM and so is its devicetree. */
static void
load_arm64(const struct boot_spec *from, bool raw)
{
	struct vm_spec vmspec = { .size = sizeof(vmspec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };
	struct boot_spec spec = *from;
	struct dt_blob fdt;
	struct dt_writer w;
	uint64_t pc, dtb;

	if (vm64 == NULL && ((vm64 = vm_new(&vmspec)) == NULL || vm_setup_memory(vm64, MEM, VM_MMAP_ALL) != 0 ||
	    (vcpu64 = vm_vcpu_open(vm64, 0)) == NULL))
		abort();
	if (dt_begin(&w) != 0)
		abort();
	dt_node(&w, "chosen", DT_NO_UNIT);
	dt_end(&w);
	if (dt_finish(&w, &fdt) != 0)
		abort();
	spec.fdt = &fdt;
	spec.protocol = raw ? &boot_raw_arm64 : NULL;
	spec.map[0] = (struct boot_range){ RAM64, MEM, BOOT_RAM };
	spec.nmap = 1;
	if (boot_load(vm64, vcpu64, &spec, NULL) != 0) {
		if (vmm_errmsg()[0] == '\0')
			abort();
	} else if (vm_get_register(vcpu64, VM_ARM64_REG_PC, &pc) != 0 || pc < RAM64 || pc - RAM64 >= MEM ||
	    vm_get_register(vcpu64, VM_ARM64_REG_X0, &dtb) != 0 || dtb < RAM64 || dtb - RAM64 >= MEM) {
		abort();
	}
	dt_free(&fdt);
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
	load_arm64(&spec, (data[1] & 1) != 0);
	return (0);
}
