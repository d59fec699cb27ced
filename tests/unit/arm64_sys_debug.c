/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Self-hosted debug on the soft arm64 processor: breakpoints, watchpoints, software step (Arm ARM D2).
 */
#include "arm64_fixture.h"

#define	MDE	0x8000U
#define	KDE	0x2000U
#define	SS	0x0001U
#define	ON	0x1U
#define	EL1	(1U << 1)
#define	EL0	(2U << 1)
#define	BAS(m)	((uint64_t)(m) << 5)
#define	LOADS	(1U << 3)
#define	STORES	(2U << 3)
#define	SVC_END	(ended())
#define	WNR	0x40U
#define	ISV	0x1000000U
#define	EX	0x40U

/* Four NOPs and the end. */
static void
nops(void)
{
	org(CODE);
	for (unsigned i = 0; i < 4; i++)
		emit(NOP);
	end();
}

TEST(breakpoints_stop_before_their_instruction)
{
	new_vm(1);
	nops();
	st->mdscr_el1 = MDE;
	st->dbgbvr[2] = CODE + 8;
	st->dbgbcr[2] = ON | EL0 | BAS(0xf);
	run(0);
	CHECK_EQ(EC(esr()), EC_BREAKPOINT);
	CHECK_EQ(ISS(esr()), FSC_DEBUG);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 8);
	CHECK_EQ(vector(), 0x400);
	/* Not enabled: itself, for this level, by MDE, by the locks. */
	st->dbgbcr[2] = EL0 | BAS(0xf);
	run(0);
	CHECK(ended());
	st->dbgbcr[2] = ON | EL1 | BAS(0xf);
	run(0);
	CHECK(ended());
	st->dbgbcr[2] = ON | EL0 | BAS(0xf) | 2U << 14;		/* Secure only */
	run(0);
	CHECK(ended());
	st->dbgbcr[2] = ON | EL0 | BAS(0xf);
	st->mdscr_el1 = 0;
	run(0);
	CHECK(ended());
	st->mdscr_el1 = MDE;
	st->oslk = 1;
	run(0);
	CHECK(ended());
	st->oslk = 0;
	st->osdlr = 1;
	run(0);
	CHECK(ended());
	vm_close(vm);
}

TEST(el1_needs_kde_and_an_open_mask)
{
	new_vm(1);
	nops();
	st->dbgbvr[0] = CODE + 4;
	st->dbgbcr[0] = ON | EL1 | BAS(0xf);
	st->mdscr_el1 = MDE;
	run_as(PSTATE_EL1H);
	CHECK(ended());
	st->mdscr_el1 = MDE | KDE;
	run_as(PSTATE_EL1H | PSTATE_D);
	CHECK(ended());
	run_as(PSTATE_EL1H);
	CHECK_EQ(EC(esr()), EC_BREAKPOINT + 1);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 4);
	/* Opened by the program itself. */
	org(CODE);
	emit(0xd50348ff);			/* msr daifclr, #8 */
	end();
	run_as(PSTATE_EL1H | PSTATE_DAIF);
	CHECK_EQ(EC(esr()), EC_BREAKPOINT + 1);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 4);
	vm_close(vm);
}

TEST(contexts_can_be_asked_for)
{
	new_vm(1);
	nops();
	st->mdscr_el1 = MDE;
	st->dbgbvr[1] = CODE + 4;
	st->dbgbcr[1] = ON | EL0 | BAS(0xf) | 5U << 16 | 1U << 20;	/* linked to 5 */
	st->dbgbvr[5] = 77;
	st->dbgbcr[5] = ON | EL0 | 3U << 20;
	st->contextidr_el1 = 76;
	run(0);
	CHECK(ended());
	st->contextidr_el1 = 77;
	run(0);
	CHECK_EQ(EC(esr()), EC_BREAKPOINT);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 4);
	/* By context alone: any instruction. */
	st->dbgbcr[1] = 0;
	st->dbgbcr[5] = ON | EL0 | 2U << 20;
	run(0);
	CHECK_EQ(EC(esr()), EC_BREAKPOINT);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE);
	vm_close(vm);
}

/* An access at EL0 to the address in X1. */
static void
access_at(uint32_t word, uint64_t va)
{
	org(CODE);
	mov(1, va);
	emit(word);
	end();
	run(0);
}

static void
hit(uint64_t far, uint32_t wnr)
{
	CHECKF(EC(esr()) == EC_WATCHPOINT, "esr 0x%llx", (unsigned long long)esr());
	CHECK_EQ(ISS(esr()), FSC_DEBUG | wnr);
	CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), far);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 16);
}

TEST(watchpoints_watch_their_bytes)
{
	new_vm(1);
	st->mdscr_el1 = MDE;
	st->dbgwvr[3] = DATA;
	st->dbgwcr[3] = ON | EL0 | LOADS | STORES | BAS(0x3c);		/* bytes 2 to 5 */
	access_at(LDR(2, 1), DATA);
	hit(DATA + 2, 0);
	access_at(STR(2, 1), DATA);
	hit(DATA + 2, WNR);
	access_at(LDRB(2, 1), DATA + 5);
	hit(DATA + 5, 0);
	access_at(LDRB(2, 1), DATA + 1);
	CHECK(ended());
	access_at(STRB(2, 1), DATA + 6);
	CHECK(ended());
	access_at(LDR(2, 1), DATA + 8);
	CHECK(ended());
	access_at(SYS(3, 7, 4, 1, 1), DATA);				/* DC ZVA, not allowed at EL0 here */
	CHECK_EQ(EC(esr()), EC_SYSREG);
	st->sctlr_el1 |= 1U << 14;
	poke(DATA, 0x1234);
	/* Memory with the MMU off is Device, where DC ZVA faults for alignment; so with it on. */
	page_tables(D_EL0);
	st->dbgwvr[3] = MORE + 0x40;
	access_at(SYS(3, 7, 4, 1, 1), MORE + 0x40);
	hit(MORE + 0x42, WNR);
	/* Only loads, only stores. */
	mmu_on();
	st->dbgwcr[3] = ON | EL0 | LOADS | BAS(0xff);
	access_at(STR(2, 1), MORE + 0x40);
	CHECK(ended());
	mmu_on();
	access_at(LDR(2, 1), MORE + 0x40);
	hit(MORE + 0x40, 0);
	/* A word's address has four bytes. */
	st->dbgwvr[3] = DATA + 4;
	st->dbgwcr[3] = ON | EL0 | STORES | BAS(0xff);
	access_at(STRB(2, 1), DATA + 7);
	hit(DATA + 7, WNR);
	access_at(STRB(2, 1), DATA + 8);
	CHECK(ended());
	/* A range of 2 KiB. */
	st->dbgwvr[3] = DATA;
	st->dbgwcr[3] = ON | EL0 | STORES | BAS(0xff) | 11U << 24;
	access_at(STRB(2, 1), DATA + 0x7ff);
	hit(DATA + 0x7ff, WNR);
	access_at(STRB(2, 1), DATA + 0x800);
	CHECK(ended());
	/* Nothing was stored by what was stopped. */
	CHECK_EQ(peek(DATA + 0x7f8), 0);
	vm_close(vm);
}

/* Nothing goes by unseen: LDTR and STTR at EL1 are EL0's accesses, structures, and what both reads and writes. */
TEST(watchpoints_see_every_kind_of_access)
{
	static const struct {
		uint32_t word, wcr, iss;
		uint8_t el;
		bool hits;
	} t[] = {
		{ 0xf8400822, EL0 | LOADS, 0, 1, true },		/* ldtr x2, [x1] */
		{ 0xf8400822, EL1 | LOADS, 0, 1, false },
		{ 0xf8000822, EL0 | STORES, WNR, 1, true },		/* sttr */
		{ 0xf8000822, EL0 | LOADS, WNR, 1, false },
		{ 0x4c407020, EL0 | LOADS, 0, 0, true },		/* ld1 {v0.16b}, [x1] */
		{ 0x4c007020, EL0 | STORES, WNR, 0, true },		/* st1 */
		{ 0x4c408020, EL0 | LOADS, 0, 0, true },		/* ld2 {v0.16b, v1.16b} */
		{ 0x4c008020, EL0 | STORES, WNR, 0, true },		/* st2 */
		{ 0x4d408420, EL0 | LOADS, 0, 0, true },		/* ld1 {v0.d}[1] */
		{ 0xad400020, EL0 | LOADS, 0, 0, true },		/* ldp q0, q0 */
		{ 0xc85f7c22, EL0 | LOADS, 0, 0, true },		/* ldxr x2, [x1] */
		{ 0xc8037c22, EL0 | LOADS, WNR, 0, false },		/* stxr w3, x2, [x1] */
		{ 0xc8037c22, EL0 | STORES, WNR, 0, true },
		{ 0xf8220023, EL0 | LOADS, 0, 0, true },		/* ldadd x2, x3, [x1] */
		{ 0xf8220023, EL0 | STORES, WNR, 0, true },
		{ 0xf8220023, EL0 | LOADS | STORES, 0, 0, true },
		{ 0xc8a27c23, EL0 | LOADS, 0, 0, true },		/* cas x2, x3, [x1] */
		{ 0xc8dffc22, EL0 | LOADS, 0, 0, true },		/* ldar */
		{ 0xc89ffc22, EL0 | STORES, WNR, 0, true },		/* stlr */
	};

	new_vm(1);
	page_tables(D_EL0);
	st->dbgwvr[3] = MORE + 0x40;
	for (size_t n = 0; n < nitems(t); n++) {
		/* First without, so that everything is in the TLB and may be fast. */
		for (unsigned on = 0; on < 2; on++) {
			mmu_on();
			st->mdscr_el1 = on != 0 ? MDE | KDE : 0;
			st->dbgwcr[3] = ON | t[n].wcr | BAS(0xff);
			org(CODE);
			mov(1, MORE + 0x40);
			emit(t[n].word);
			end();
			run_as(t[n].el == 0 ? PSTATE_EL0T : PSTATE_EL1H);
			if (on == 0 || !t[n].hits) {
				CHECKF(ended(), "%zu: esr 0x%llx", n, (unsigned long long)esr());
				continue;
			}
			CHECKF(EC(esr()) == EC_WATCHPOINT + t[n].el, "%zu: esr 0x%llx", n, (unsigned long long)esr());
			CHECK_EQ(ISS(esr()), FSC_DEBUG | t[n].iss);
			CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), MORE + 0x40);
		}
	}
	vm_close(vm);
}

TEST(a_step_is_one_instruction)
{
	new_vm(1);
	nops();
	st->mdscr_el1 = SS;
	run_as(PSTATE_EL0T | PSTATE_SS);
	CHECK_EQ(EC(esr()), EC_STEP);
	CHECK_EQ(ISS(esr()), ISV | FSC_DEBUG);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 4);
	CHECK_EQ(get(VM_ARM64_REG_SPSR_EL1) & PSTATE_SS, 0);
	/* Pending from the start: nothing is executed. */
	run_as(PSTATE_EL0T);
	CHECK_EQ(EC(esr()), EC_STEP);
	CHECK_EQ(ISS(esr()), FSC_DEBUG);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE);
	/* A Load-Exclusive says so. */
	org(CODE);
	emit(0xc85f7c22);			/* ldxr x2, [x1] */
	end();
	set(X(1), DATA);
	run_as(PSTATE_EL0T | PSTATE_SS);
	CHECK_EQ(EC(esr()), EC_STEP);
	CHECK_EQ(ISS(esr()), ISV | EX | FSC_DEBUG);
	vm_close(vm);
}

TEST(exceptions_within_a_step)
{
	new_vm(1);
	st->mdscr_el1 = SS;
	/* SVC is done: the step is over when it returns. */
	org(CODE);
	end();
	run_as(PSTATE_EL0T | PSTATE_SS);
	CHECK(ended());
	CHECK_EQ(get(VM_ARM64_REG_SPSR_EL1) & PSTATE_SS, 0);
	/* What faulted is to be stepped again. */
	org(CODE);
	emit(0);
	run_as(PSTATE_EL0T | PSTATE_SS);
	CHECK_EQ(EC(esr()), EC_UNKNOWN);
	CHECK_EQ(get(VM_ARM64_REG_SPSR_EL1) & PSTATE_SS, PSTATE_SS);
	vm_close(vm);
}

TEST(eret_begins_a_step)
{
	new_vm(1);
	org(CODE + 0x100);
	emit(NOP);
	end();
	org(CODE);
	mov(1, CODE + 0x100);
	mov(2, PSTATE_SS);
	mov(3, SS);
	emit(MSR(3, 2, 0, 0, 2, 2));		/* MDSCR_EL1 */
	emit(MSR(1, 3, 0, 4, 0, 1));		/* ELR_EL1 */
	emit(MSR(2, 3, 0, 4, 0, 0));		/* SPSR_EL1 */
	emit(ERET);
	run(1);
	CHECK_EQ(EC(esr()), EC_STEP);
	CHECK_EQ(ISS(esr()), ISV | FSC_DEBUG);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 0x104);
	vm_close(vm);
}

TEST_MAIN()
