/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_arm64_guest.h - a virtual machine for tests of the software arm64 processor's instructions.
 */
#ifndef _SOFT_ARM64_GUEST_H_
#define	_SOFT_ARM64_GUEST_H_

#include <string.h>

#include <vmmapi/arm64.h>

#include "vm_fixture.h"

#define	RAM		0x40000000ULL
#define	VECTORS		(RAM + 0x10000)
#define	TABLES		(RAM + 0x20000)
#define	DATA		(RAM + 0x40000)
#define	DONE		0x9000000ULL
#define	X(n)		((int)VM_ARM64_REG_X0 + (n))

static struct vmctx *vm;
static struct vcpu *cpu;
static struct vm_exit ex;

#define	get(reg)	tv_get(cpu, (reg))
#define	set(reg, v)	tv_set(cpu, (reg), (v))
#define	peek(gpa)	tv_peek(vm, (gpa))
#define	poke(gpa, v)	tv_poke(vm, (gpa), (v))

static inline void
load_code(uint64_t gpa, const uint32_t *code, size_t size)
{
	CHECK_EQ(vm_gpa_write(vm, gpa, code, size), 0);
}

static inline void
new_vm(void)
{
	/* Exceptions leave ESR in X20, FAR in X21, ELR in X22. */
	static const uint32_t vector[] = { 0xd5385214, 0xd5386015, 0xd5384036, 0xd2a1201e, 0xf90003de };

	vm = tv_new(VM_ARCH_ARM64, 16 << 20, 0);
	cpu = tv_cpu(vm, 0);
	set(VM_ARM64_REG_SP_EL1, RAM + 0x30000);
	set(VM_ARM64_REG_VBAR_EL1, VECTORS);
	for (unsigned i = 0; i < 16; i++)
		load_code(VECTORS + 0x80 * i, vector, sizeof(vector));
}

/* Execute instructions at RAM, to the store that ends them or their exception. */
static inline void
execute(const uint32_t *words, unsigned n)
{
	static const uint32_t end[] = { 0xd2a1201e, 0xf90003de };	/* mov x30, #0x9000000; str x30, [x30] */

	load_code(RAM, words, 4 * n);
	load_code(RAM + 4 * n, end, sizeof(end));
	set(VM_ARM64_REG_PC, RAM);
	set(X(20), 0);
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_MMIO && ex.u.mmio.gpa == DONE, "exit %d at 0x%llx", (int)ex.code,
	    (unsigned long long)ex.pc);
}

static inline void
one(uint32_t word)
{
	execute(&word, 1);
}

/* Identity for all of RAM as Normal memory and the devices, EL1 only; 4 KiB pages at 0x80000000: DATA, none, DATA + 0x1000. */
static inline void
mmu_on(void)
{
	poke(TABLES, (TABLES + 0x1000) | 3);
	poke(TABLES + 0x1000, 0x400 | 4 | 1);
	poke(TABLES + 0x1000 + 8, RAM | 0x400 | 1);
	poke(TABLES + 0x1000 + 16, (TABLES + 0x2000) | 3);
	poke(TABLES + 0x2000, (TABLES + 0x3000) | 3);
	poke(TABLES + 0x3000, DATA | 0x400 | 3);
	poke(TABLES + 0x3000 + 16, (DATA + 0x1000) | 0x400 | 3);
	poke(TABLES + 0x3000 + 24, (DATA + 0x3000) | 0x400 | 3);
	set(VM_ARM64_REG_TTBR0_EL1, TABLES);
	set(VM_ARM64_REG_TCR_EL1, 16 | 16 << 16 | 2ULL << 30 | 2ULL << 32);
	set(VM_ARM64_REG_MAIR_EL1, 0x00ff);
	set(VM_ARM64_REG_SCTLR_EL1, 0x30d00801);
}

#endif /* _SOFT_ARM64_GUEST_H_ */
