/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-table walks of an amd64 vCPU (Intel SDM vol. 3 chapter 4) through vm_gva2gpa().
 */
#include <sys/mman.h>

#include "amd64/amd64.h"
#include "vm_fixture.h"

#define	P	0x001ULL
#define	W	0x002ULL
#define	U	0x004ULL
#define	PS	0x080ULL
#define	XD	(1ULL << 63)

static struct vmctx *vm;
static struct vcpu *cpu;
static uint8_t *ram;

static void
start(void)
{
	vm = tv_new(VM_ARCH_AMD64, 4 << 20, 0);
	ram = vm_map_gpa(vm, 0, 4 << 20);
	CHECK(ram != NULL);
	cpu = tv_cpu(vm, 0);
}

static void
stop(void)
{
	vm_vcpu_close(cpu);
	vm_close(vm);
}

static void
mode(uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_CR3, cr3), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_CR4, cr4), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_EFER, efer), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_CR0, cr0), 0);
}

#define	LONG_MODE	mode(0x80010011, 0x1000, 0x20, 0xd00)

static void
put64(uint64_t at, uint64_t val)
{
	memcpy(ram + at, &val, 8);
}

static void
put32(uint64_t at, uint32_t val)
{
	memcpy(ram + at, &val, 4);
}

/* The address, or ~0 for a fault. */
static uint64_t
walk(uint64_t gva, int prot)
{
	vm_paddr_t gpa;
	int fault;

	if (vm_gva2gpa(cpu, gva, prot, &gpa, &fault) != 0)
		FAIL("vm_gva2gpa: %s", vm_errmsg());
	return (fault ? ~0ULL : gpa);
}

#define	R	VM_PROT_READ

TEST(without_paging_addresses_are_physical)
{
	start();
	CHECK_EQ(walk(0x12345, R), 0x12345);
	CHECK_EQ(walk(0xfffffff0, VM_PROT_EXEC), 0xfffffff0);
	CHECK_EQ(walk(0x100001234ULL, R), 0x1234);
	stop();
}

TEST(two_levels)
{
	start();
	mode(0x80010011, 0x1000, 0x10, 0);
	put32(0x1000 + 4 * 1, 0x2000 | P | W);
	put32(0x2000 + 4 * 3, 0xabcde000 | P | W);
	put32(0x2000 + 4 * 4, 0x12345000 | P);
	put32(0x1000 + 4 * 2, 0x00800000 | P | W | PS);
	put32(0x1000 + 4 * 5, 0x00c00000 | 0x12 << 13 | P | PS);	/* PSE-36 */
	put32(0x1000 + 4 * 6, 0x00e00000 | P | PS);			/* bit 21 is reserved */
	put32(0x1000 + 4 * 7, 0x10000000 | P | W);			/* its table is nowhere */
	CHECK_EQ(walk(0x00403123, R), 0xabcde123);
	CHECK_EQ(walk(0x00403123, VM_PROT_WRITE), 0xabcde123);
	CHECK_EQ(walk(0x00404123, R), 0x12345123);
	CHECK_EQ(walk(0x00404123, VM_PROT_WRITE), ~0ULL);
	CHECK_EQ(walk(0x00405123, R), ~0ULL);
	CHECK_EQ(walk(0x00912345, R), 0x00912345);
	CHECK_EQ(walk(0x01400042, R), 0x1200c00042ULL);
	CHECK_EQ(walk(0x01800042, R), ~0ULL);
	CHECK_EQ(walk(0x01c00042, R), ~0ULL);
	/* Without CR0.WP a supervisor may write anything. */
	mode(0x80000011, 0x1000, 0x10, 0);
	CHECK_EQ(walk(0x00404123, VM_PROT_WRITE), 0x12345123);
	/* Without CR4.PSE bit 7 of a directory entry means nothing. */
	mode(0x80010011, 0x1000, 0, 0);
	put32(0x1000 + 4 * 2, 0x2000 | P | W | PS);
	CHECK_EQ(walk(0x00803004, R), 0xabcde004);
	stop();
}

TEST(pae)
{
	start();
	put64(0x1020 + 8 * 0, 0x2000 | P);
	put64(0x1020 + 8 * 3, 0x3000 | P);
	put64(0x2000 + 8 * 1, 0x4000 | P | W);
	put64(0x4000 + 8 * 2, 0x123456000ULL | P | W | XD);
	put64(0x3000 + 8 * 511, 0x240000000ULL | P | W | PS);
	mode(0x80010011, 0x1020, 0x20, 0x800);
	CHECK_EQ(walk(0x00202345, R), 0x123456345ULL);
	CHECK_EQ(walk(0x00202345, VM_PROT_EXEC), ~0ULL);
	CHECK_EQ(walk(0xffe12345, VM_PROT_WRITE), 0x240012345ULL);
	CHECK_EQ(walk(0x40000000, R), ~0ULL);
	/* The pointers that were loaded count, not what memory has since. */
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_PDPTE0, 0x2000 | P), 0);
	CHECK_EQ(walk(0xffe12345, R), ~0ULL);
	CHECK_EQ(walk(0x00202345, R), 0x123456345ULL);
	/* Without EFER.NXE bit 63 is reserved. */
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_EFER, 0), 0);
	CHECK_EQ(walk(0x00202345, R), ~0ULL);
	stop();
}

TEST(four_levels)
{
	start();
	LONG_MODE;
	put64(0x1000 + 8 * 511, 0x2000 | P | W);
	put64(0x2000 + 8 * 510, 0x3000 | P | W);
	put64(0x3000 + 8 * 1, 0x4000 | P | W);
	put64(0x4000 + 8 * 2, 0x5000 | P | W | U);
	put64(0x4000 + 8 * 3, 0x6000 | P | XD);
	put64(0x3000 + 8 * 2, 0x80000000ULL | P | W | PS);
	put64(0x2000 + 8 * 509, 0x2540000000ULL | P | W | PS);
	CHECK_EQ(walk(0xffffffff80202abcULL, R), 0x5abc);
	CHECK_EQ(walk(0xffffffff80202abcULL, VM_PROT_WRITE), 0x5abc);
	CHECK_EQ(walk(0xffffffff80203abcULL, R), 0x6abc);
	CHECK_EQ(walk(0xffffffff80203abcULL, VM_PROT_WRITE), ~0ULL);
	CHECK_EQ(walk(0xffffffff80203abcULL, VM_PROT_EXEC), ~0ULL);
	CHECK_EQ(walk(0xffffffff804abcdeULL, R), 0x800abcdeULL);
	CHECK_EQ(walk(0xffffffff40000000ULL + 0x12345678, R), 0x2540000000ULL + 0x12345678);
	CHECK_EQ(walk(0x1234, R), ~0ULL);
	/* Not canonical. */
	CHECK_EQ(walk(0x0000ff8000000000ULL, R), ~0ULL);
	/* Write permission and execute-disable of an upper level hold below. */
	put64(0x2000 + 8 * 510, 0x3000 | P | XD);
	CHECK_EQ(walk(0xffffffff80202abcULL, R), 0x5abc);
	CHECK_EQ(walk(0xffffffff80202abcULL, VM_PROT_WRITE), ~0ULL);
	CHECK_EQ(walk(0xffffffff80202abcULL, VM_PROT_EXEC), ~0ULL);
	stop();
}

TEST(reserved_bits_fault)
{
	start();
	LONG_MODE;
	put64(0x1000, 0x2000 | P | W);
	put64(0x2000, 0x3000 | P | W);
	put64(0x3000, 0x4000 | P | W);
	put64(0x4000, 0x5000 | P | W);
	CHECK_EQ(walk(0x10, R), 0x5010);
	put64(0x1000, 0x2000 | P | W | PS);
	CHECK_EQ(walk(0x10, R), ~0ULL);
	put64(0x1000, 0x2000 | P | W | 1ULL << 50);
	CHECK_EQ(walk(0x10, R), ~0ULL);
	put64(0x1000, 0x2000 | P | W);
	put64(0x3000, 0x00002000 | P | W | PS);		/* a 2 MiB page that is not aligned */
	CHECK_EQ(walk(0x10, R), ~0ULL);
	put64(0x3000, 0x00001000 | P | W | PS);		/* its PAT bit */
	CHECK_EQ(walk(0x10, R), 0x10);
	put64(0x2000, 0x00200000 | P | W | PS);		/* a 1 GiB page that is not aligned */
	CHECK_EQ(walk(0x10, R), ~0ULL);
	stop();
}

TEST(five_levels)
{
	start();
	mode(0x80010011, 0x1000, 0x1020, 0xd00);
	put64(0x1000 + 8 * 1, 0x2000 | P | W);
	put64(0x2000, 0x3000 | P | W);
	put64(0x3000, 0x4000 | P | W);
	put64(0x4000, 0x5000 | P | W);
	put64(0x5000, 0x6000 | P | W);
	CHECK_EQ(walk(1ULL << 48 | 0x10, R), 0x6010);
	CHECK_EQ(walk(1ULL << 56, R), ~0ULL);
	stop();
}

/* Firmware's first tables are in ROM. */
TEST(tables_in_rom)
{
	uint64_t *rom;

	start();
	rom = vm_create_devmem(vm, VM_BOOTROM, "rom", 0x4000);
	CHECK(rom != MAP_FAILED);
	rom[0] = 0xffffd000 | P | W;
	rom[512] = 0xffffe000 | P | W;
	rom[1024] = P | W | PS;
	CHECK_EQ(vm_mmap_memseg(vm, 0xffffc000, VM_BOOTROM, 0, 0x4000, VM_PROT_READ | VM_PROT_EXEC), 0);
	mode(0x80010011, 0xffffc000, 0x20, 0xd00);
	CHECK_EQ(walk(0x1234, R), 0x1234);
	CHECK_EQ(walk(0x200000, R), ~0ULL);
	stop();
}

/* A table that points to itself, and tables of noise. */
TEST(odd_tables)
{
	uint64_t x = 88172645463325252ULL;

	start();
	LONG_MODE;
	put64(0x1000, 0x1000 | P | W);
	CHECK_EQ(walk(0x10, R), 0x1010);
	for (int i = 0; i < 0x10000; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		put64(0x1000 + (unsigned)i, (x & ~0x3ffff000ULL & ~(0x3ffffULL << 30)) | (x & 0xf000) | P);
	}
	for (int i = 0; i < 100000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		(void)walk(x >> 17, (int)(x & 6) | 1);
	}
	stop();
}

TEST_MAIN()
