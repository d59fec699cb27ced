/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64_fixture.h - small programs for the soft arm64 processor, assembled word by word.
 *
 * A program is put at CODE with emit() and run by run() at EL1 or EL0; it ends at end(), or at an exception to EL1:
 * all sixteen vectors are alike and end too.  What was taken is in ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1; vector()
 * says which entry it came in by.  RAM is mapped one to one by page_tables(), or there is no MMU.
 */
#ifndef _TEST_ARM64_FIXTURE_H_
#define	_TEST_ARM64_FIXTURE_H_

#include "arm64/arm64.h"
#include "vm_fixture.h"

#define	RAM	0x40000000ULL
#define	VECTORS	(RAM + 0x10000)
#define	CODE	(RAM + 0x20000)
#define	DATA	(RAM + 0x30000)
#define	TABLES	(RAM + 0x100000)
#define	DONE	0x09000000ULL
#define	X(n)	(VM_ARM64_REG_X0 + (n))

/* Instructions */
#define	SYSWORD(l, o0, o1, n, m, o2, rt)							\
	(0xd5000000U | (uint32_t)(l) << 21 | (uint32_t)(o0) << 19 | (uint32_t)(o1) << 16 |	\
	(uint32_t)(n) << 12 | (uint32_t)(m) << 8 | (uint32_t)(o2) << 5 | (uint32_t)(rt))
#define	MRS(rt, o0, o1, n, m, o2)	SYSWORD(1, o0, o1, n, m, o2, rt)
#define	MSR(rt, o0, o1, n, m, o2)	SYSWORD(0, o0, o1, n, m, o2, rt)
#define	SYS(o1, n, m, o2, rt)		SYSWORD(0, 1, o1, n, m, o2, rt)
#define	NOP		0xd503201fU
#define	DSB		0xd5033f9fU
#define	ISB		0xd5033fdfU
#define	ERET		0xd69f03e0U
#define	SVC(n)		(0xd4000001U | (uint32_t)(n) << 5)
#define	HVC(n)		(0xd4000002U | (uint32_t)(n) << 5)
#define	BRK(n)		(0xd4200000U | (uint32_t)(n) << 5)
#define	LDR(rt, rn)	(0xf9400000U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	STR(rt, rn)	(0xf9000000U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	LDRB(rt, rn)	(0x39400000U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	STRB(rt, rn)	(0x39000000U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	ADDI(rd, rn, v)	(0x91000000U | (uint32_t)(v) << 10 | (uint32_t)(rn) << 5 | (uint32_t)(rd))

#define	EC(esr)		((unsigned)((esr) >> 26) & 0x3f)
#define	ISS(esr)	((uint32_t)(esr) & 0x1ffffff)

static struct vmctx *vm;
static struct vcpu *cpu;
static struct arm64_state *st;
static struct vm_exit ex;
static uint64_t here;

#define	FIXTURE	static inline __attribute__((unused))

#define	get(reg)	tv_get(cpu, (reg))
#define	set(reg, v)	tv_set(cpu, (reg), (v))
#define	peek(gpa)	tv_peek(vm, (gpa))
#define	poke(gpa, v)	tv_poke(vm, (gpa), (v))

FIXTURE void
org(uint64_t at)
{
	here = at;
}

FIXTURE void
emit(uint32_t word)
{
	CHECK_EQ(vm_gpa_write(vm, here, &word, 4), 0);
	here += 4;
}

/* MOVZ and three MOVK */
FIXTURE void
mov(unsigned rd, uint64_t v)
{
	emit(0xd2800000U | (uint32_t)(v & 0xffff) << 5 | rd);
	for (unsigned h = 1; h < 4; h++)
		emit(0xf2800000U | h << 21 | (uint32_t)(v >> (16 * h) & 0xffff) << 5 | rd);
}

/* The end: a store where nobody is.  EL0 gets there with SVC, as its address may not be mapped. */
FIXTURE void
end(void)
{
	emit(SVC(0x7e57));
}

FIXTURE void
new_vm(unsigned ncpus)
{
	vm = tv_new(VM_ARCH_ARM64, 16 << 20, ncpus);
	cpu = vm->vcpus[0];
	st = cpu->state;
	st->oslk = 0;
	set(VM_ARM64_REG_VBAR_EL1, VECTORS);
	set(VM_ARM64_REG_SP_EL1, RAM + 0x8000);
	set(VM_ARM64_REG_CPACR_EL1, 3U << 20);
	/* The vectors leave by a store to DONE, made with the MMU off. */
	for (unsigned i = 0; i < 16; i++) {
		org(VECTORS + i * 0x80);
		emit(0xd2a12000U | 28);		/* mov x28, #0x9000000 */
		emit(MRS(27, 3, 0, 1, 0, 0));
		emit(0x927ff800U | 27 << 5 | 27);	/* and x27, x27, #~1 */
		emit(MSR(27, 3, 0, 1, 0, 0));
		emit(ISB);
		emit(STR(28, 28));
	}
	org(CODE);
}

#define	MORE	(RAM + 0x200000)	/* memory with the attributes of page_tables() */
#define	D_AF	(1ULL << 10)
#define	D_NG	(1ULL << 11)
#define	D_EL0	(1ULL << 6)
#define	D_RO	(1ULL << 7)

FIXTURE void
mmu_on(void)
{
	st->sctlr_el1 |= SCTLR_M;
}

/*
 * RAM one to one by 2 MiB blocks: the first one, with programs and vectors, is read-only for EL1 and EL0, the others
 * have these bits.
 */
FIXTURE void
page_tables(uint64_t bits)
{
	poke(TABLES, (TABLES + 0x1000) | 3);
	poke(TABLES + 0x1000 + 8, (TABLES + 0x2000) | 3);
	poke(TABLES + 0x2000, RAM | D_AF | D_EL0 | D_RO | 1);
	for (unsigned i = 1; i < 8; i++)
		poke(TABLES + 0x2000 + 8 * i, (RAM + i * 0x200000ULL) | D_AF | bits | 1);
	st->mair_el1 = 0x00ff;
	st->ttbr0_el1 = st->ttbr1_el1 = TABLES;
	st->tcr_el1 = 16 | 16 << 16 | 2ULL << 30 | 2ULL << 32 | 1ULL << 36;
	mmu_on();
}

FIXTURE void
run_as(uint64_t pstate)
{
	set(VM_ARM64_REG_PC, CODE);
	set(VM_ARM64_REG_PSTATE, pstate);
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_MMIO && ex.u.mmio.gpa == DONE, "exit %d at 0x%llx", (int)ex.code,
	    (unsigned long long)ex.pc);
}

FIXTURE void
run(unsigned el)
{
	run_as(el == 0 ? PSTATE_EL0T : PSTATE_DAIF | PSTATE_EL1H);
}

FIXTURE uint64_t
esr(void)
{
	return (get(VM_ARM64_REG_ESR_EL1));
}

FIXTURE unsigned
vector(void)
{
	return ((unsigned)(ex.pc - VECTORS) & ~0x7fU);
}

/* Did the program come to its end? */
FIXTURE bool
ended(void)
{
	return (EC(esr()) == EC_SVC && ISS(esr()) == 0x7e57);
}

#endif /* _TEST_ARM64_FIXTURE_H_ */
