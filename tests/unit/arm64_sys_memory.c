/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs on the soft arm64 processor see of translation: aborts and their syndromes, maintenance by address,
 * AT, DC ZVA, TLB maintenance of one and of two processors (Arm ARM D5, D13.2.37, C5.3 to C5.5).
 */
#include <pthread.h>

#include "arm64_fixture.h"

#define	WNR	0x40U
#define	CM	0x100U
#define	NOWHERE	0x123456789000ULL	/* translation fault at level 0 */
#define	BLR(rn)	(0xd63f0000U | (uint32_t)(rn) << 5)

/* One instruction on the address in X1; X0 is 0. */
static void
one(unsigned el, uint32_t word, uint64_t va)
{
	mmu_on();
	org(CODE);
	mov(0, 0);
	mov(1, va);
	emit(word);
	end();
	run(el);
}

TEST(aborts_say_what_and_where)
{
	new_vm(1);
	page_tables(D_EL0 | D_RO);
	for (unsigned el = 0; el < 2; el++) {
		one(el, LDR(2, 1), NOWHERE);
		CHECK_EQ(EC(esr()), EC_DABT + el);
		CHECK_EQ(ISS(esr()), FSC_TRANSLATION + 0);
		CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), NOWHERE);
		CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 32);
		one(el, STR(0, 1), 0x80000008);
		CHECK_EQ(EC(esr()), EC_DABT + el);
		CHECK_EQ(ISS(esr()), WNR | (FSC_TRANSLATION + 1));
		one(el, STR(0, 1), MORE + 0x18);
		CHECK_EQ(EC(esr()), EC_DABT + el);
		CHECK_EQ(ISS(esr()), WNR | (FSC_PERMISSION + 2));
		CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), MORE + 0x18);
		one(el, LDR(2, 1), MORE);
		CHECK(ended());
		one(el, BLR(1), 0x80000000);
		CHECK_EQ(EC(esr()), EC_IABT + el);
		CHECK_EQ(ISS(esr()), FSC_TRANSLATION + 1);
		CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), 0x80000000);
		CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), 0x80000000);
		one(el, BLR(1), CODE + 2);
		CHECK_EQ(EC(esr()), EC_PC_ALIGN);
		CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), CODE + 2);
	}
	/* Unprivileged loads have EL0's rights, and EL1's syndrome. */
	page_tables(0);
	one(1, 0xf8400822, MORE);			/* ldtr x2, [x1] */
	CHECK_EQ(EC(esr()), EC_DABT + 1);
	CHECK_EQ(ISS(esr()), FSC_PERMISSION + 2);
	one(1, LDR(2, 1), MORE);
	CHECK(ended());
	one(0, LDR(2, 1), MORE);
	CHECK_EQ(EC(esr()), EC_DABT);
	vm_close(vm);
}

TEST(maintenance_by_address_faults_as_cm)
{
	static const uint32_t readers[] = { SYS(3, 7, 10, 1, 1), SYS(3, 7, 11, 1, 1), SYS(3, 7, 14, 1, 1), SYS(3, 7, 5, 1, 1) };

	new_vm(1);
	page_tables(D_EL0 | D_RO);
	st->sctlr_el1 |= 1U << 26;
	for (unsigned el = 0; el < 2; el++) {
		for (size_t i = 0; i < nitems(readers); i++) {
			one(el, readers[i], MORE);
			CHECK(ended());
			one(el, readers[i], NOWHERE + 5);
			CHECK_EQ(EC(esr()), EC_DABT + el);
			CHECK_EQ(ISS(esr()), CM | WNR | (FSC_TRANSLATION + 0));
			CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), NOWHERE + 5);
		}
	}
	/* DC IVAC destroys data: as a store. */
	one(1, SYS(0, 7, 6, 1, 1), MORE);
	CHECK_EQ(EC(esr()), EC_DABT + 1);
	CHECK_EQ(ISS(esr()), CM | WNR | (FSC_PERMISSION + 2));
	/* By set and way, and all: nothing to do. */
	one(1, SYS(0, 7, 6, 2, 1), 0);
	CHECK(ended());
	one(1, SYS(0, 7, 5, 0, 31), 0);
	CHECK(ended());
	one(1, SYS(0, 7, 1, 0, 31), 0);
	CHECK(ended());
	/* What EL0 may not read it may not clean. */
	page_tables(0);
	one(0, SYS(3, 7, 10, 1, 1), MORE);
	CHECK_EQ(EC(esr()), EC_DABT);
	CHECK_EQ(ISS(esr()), CM | WNR | (FSC_PERMISSION + 2));
	vm_close(vm);
}

TEST(dc_zva_zeroes_its_block)
{
	new_vm(1);
	page_tables(D_EL0);
	st->sctlr_el1 |= 1U << 14;
	for (unsigned el = 0; el < 2; el++) {
		for (unsigned i = 0; i < 24; i++)
			poke(MORE + 8 * i, 0x1111 * (i + 1));
		one(el, SYS(3, 7, 4, 1, 1), MORE + 0x40 + 0x2b);
		CHECK(ended());
		for (unsigned i = 0; i < 24; i++)
			CHECK_EQ(peek(MORE + 8 * i), i >= 8 && i < 16 ? 0 : 0x1111 * (i + 1));
		one(el, SYS(3, 7, 4, 1, 1), CODE);		/* read-only */
		CHECK_EQ(EC(esr()), EC_DABT + el);
		CHECK_EQ(ISS(esr()), WNR | (FSC_PERMISSION + 2));
	}
	vm_close(vm);
}

TEST(at_answers_in_par)
{
	static const uint32_t at[4] = { SYS(0, 7, 8, 0, 1), SYS(0, 7, 8, 1, 1), SYS(0, 7, 8, 2, 1), SYS(0, 7, 8, 3, 1) };

	new_vm(1);
	page_tables(3ULL << 8);				/* inner shareable, EL1 only */
	for (unsigned i = 0; i < 4; i++) {
		one(1, at[i], MORE + 0x5678);
		CHECK(ended());
		/* Attribute 0xff, address, RES1, shareability; or F, with a permission fault at level 2. */
		if (i < 2)
			CHECK_EQ(st->par_el1, 0xff00000000000000 | (MORE + 0x5000) | 0x800 | 3 << 7);
		else
			CHECK_EQ(st->par_el1, 0x800 | (FSC_PERMISSION + 2) << 1 | 1);
		one(1, at[i], NOWHERE);
		CHECK(ended());
		CHECK_EQ(st->par_el1, 0x800 | (FSC_TRANSLATION + 0) << 1 | 1);
	}
	/* A table that is not there. */
	poke(TABLES + 8, 0x1000 | 3);
	one(1, at[0], 0x8000000000);
	CHECK_EQ(EC(esr()), EC_DABT + 1);
	CHECK_EQ(ISS(esr()) & 0x3f, FSC_EXTERNAL_WALK + 1);
	/* Without the MMU: what it is, as Device-nGnRnE. */
	org(CODE);
	mov(1, 0x12345678);
	emit(at[0]);
	end();
	run(1);
	CHECK(ended());
	CHECK_EQ(st->par_el1, 0x12345000 | 0x800 | 2 << 7);
	vm_close(vm);
}

#define	WINDOW	0x80000000ULL
#define	LEAF	(TABLES + 0x4000)

/* A page at WINDOW that is MORE or MORE + 0x1000, whose first words are 1 and 2. */
static void
window(uint64_t bits)
{
	poke(TABLES + 0x1000 + 16, (TABLES + 0x3000) | 3);
	poke(TABLES + 0x3000, LEAF | 3);
	/* The table again at a place that may be written: MORE's neighbour. */
	poke(LEAF, MORE | D_AF | bits | 3);
	poke(MORE, 1);
	poke(MORE + 0x1000, 2);
}

TEST(tlbi_drops_what_it_names)
{
	/* Each form, the operand, whether it is for this page */
	static const struct {
		uint32_t word;
		uint64_t arg;
		uint64_t bits;
	} t[] = {
		{ SYS(0, 8, 7, 0, 31), 0, 0 },
		{ SYS(0, 8, 3, 0, 31), 0, D_NG },
		{ SYS(0, 8, 7, 1, 3), WINDOW >> 12 | 5ULL << 48, D_NG },
		{ SYS(0, 8, 3, 1, 3), WINDOW >> 12 | 5ULL << 48, D_NG },
		{ SYS(0, 8, 7, 1, 3), WINDOW >> 12 | 9ULL << 48, 0 },	/* a global one, whatever the ASID */
		{ SYS(0, 8, 7, 2, 3), 5ULL << 48, D_NG },
		{ SYS(0, 8, 3, 2, 3), 5ULL << 48, D_NG },
		{ SYS(0, 8, 7, 3, 3), WINDOW >> 12, D_NG },
		{ SYS(0, 8, 3, 3, 3), WINDOW >> 12, 0 },
		{ SYS(0, 8, 7, 5, 3), WINDOW >> 12 | 5ULL << 48, D_NG },
		{ SYS(0, 8, 3, 5, 3), WINDOW >> 12 | 5ULL << 48, D_NG },
		{ SYS(0, 8, 7, 7, 3), WINDOW >> 12, D_NG },
		{ SYS(0, 8, 3, 7, 3), WINDOW >> 12, D_NG },
	};

	new_vm(1);
	for (size_t i = 0; i < nitems(t); i++) {
		page_tables(0);
		/* The first block must be writable for the table's sake, and not for EL0. */
		poke(TABLES + 0x2000, RAM | D_AF | 1);
		window(t[i].bits);
		st->ttbr0_el1 = TABLES | 5ULL << 48;
		mmu_on();
		org(CODE);
		mov(1, WINDOW);
		mov(2, LEAF);
		mov(3, t[i].arg);
		mov(4, (MORE + 0x1000) | D_AF | t[i].bits | 3);
		emit(LDR(10, 1));
		emit(STR(4, 2));
		emit(DSB);
		emit(t[i].word);
		emit(DSB);
		emit(ISB);
		emit(LDR(11, 1));
		end();
		run(1);
		CHECKF(ended(), "%zu: esr 0x%llx far 0x%llx", i, (unsigned long long)esr(),
		    (unsigned long long)get(VM_ARM64_REG_FAR_EL1));
		CHECK_EQ(get(X(10)), 1);
		CHECKF(get(X(11)) == 2, "%zu: stale", i);
	}
	vm_close(vm);
}

/* Pages of WINDOW, each somewhere else, with its number and one. */
#define	RUN_PAGES	40U
#define	RUN_TO(i)	(MORE + 0x4000 + (i) * 7 % RUN_PAGES * 0x1000ULL)

/* Load or store a word of each of them in turn; what was loaded is added in X10. */
static void
one_by_one(uint32_t access)
{
	window(0);
	for (unsigned i = 0; i < RUN_PAGES; i++) {
		poke(LEAF + 8 * i, RUN_TO(i) | D_AF | D_EL0 | 3);
		poke(RUN_TO(i), i + 1);
	}
	mmu_on();
	org(CODE);
	mov(1, WINDOW);
	mov(2, WINDOW + 32 * 0x1000);
	mov(3, 0);
	mov(10, 0);
	emit(access);
	emit(0x8b03014a);		/* add x10, x10, x3 */
	emit(0x91400421);		/* add x1, x1, #1, lsl #12 */
	emit(0xeb02003f);		/* cmp x1, x2 */
	emit(0x54000003 | (-4U & 0x7ffff) << 5);	/* b.lo */
	end();
}

/* Pages that are gone through may be translated before they are asked for, each by its own entry. */
TEST(pages_one_by_one)
{
	static const struct {
		uint64_t bits;		/* that the twentieth page's entry has otherwise */
		unsigned load, store;	/* fault, or 0 */
	} t[] = {
		{ 0, 0, 0 },
		{ 1, FSC_TRANSLATION + 3, FSC_TRANSLATION + 3 },
		{ D_AF, FSC_ACCESS + 3, FSC_ACCESS + 3 },
		{ D_RO, 0, FSC_PERMISSION + 3 },
		{ D_EL0, FSC_PERMISSION + 3, FSC_PERMISSION + 3 },
	};

	new_vm(1);
	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned store = 0; store < 2; store++) {
			unsigned fault = store != 0 ? t[i].store : t[i].load;

			page_tables(D_EL0);
			one_by_one(store != 0 ? STR(3, 1) : LDR(3, 1));
			poke(LEAF + 8 * 20, (RUN_TO(20) | D_AF | D_EL0 | 3) ^ t[i].bits);
			run(0);
			for (unsigned n = 0; store != 0 && n < RUN_PAGES; n++)
				CHECK_EQ(peek(RUN_TO(n)), n < (fault != 0 ? 20U : 32U) ? 0 : n + 1);
			if (fault == 0) {
				CHECKF(ended(), "%zu: esr 0x%llx", i, (unsigned long long)esr());
				CHECK_EQ(get(X(10)), store != 0 ? 0 : 32 * 33 / 2);
				continue;
			}
			CHECK_EQ(EC(esr()), EC_DABT);
			CHECK_EQ(ISS(esr()), fault | (store != 0 ? WNR : 0));
			CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), WINDOW + 20 * 0x1000);
		}
	}
	vm_close(vm);
}

TEST(address_spaces_are_apart)
{
	new_vm(1);
	page_tables(0);
	poke(TABLES + 0x2000, RAM | D_AF | 1);
	window(D_NG);
	/* A second set of tables with the other page. */
	poke(TABLES + 0x8000, (TABLES + 0x9000) | 3);
	poke(TABLES + 0x9000 + 8, (TABLES + 0x2000) | 3);
	poke(TABLES + 0x9000 + 16, (TABLES + 0xa000) | 3);
	poke(TABLES + 0xa000, (TABLES + 0xb000) | 3);
	poke(TABLES + 0xb000, (MORE + 0x1000) | D_AF | D_NG | 3);
	st->ttbr0_el1 = TABLES | 1ULL << 48;
	org(CODE);
	mov(1, WINDOW);
	mov(2, TABLES | 1ULL << 48);
	mov(3, (TABLES + 0x8000) | 0xfff1ULL << 48);
	for (unsigned i = 0; i < 3; i++) {
		emit(MSR(2, 3, 0, 2, 0, 0));
		emit(ISB);
		emit(LDR(10 + 2 * i, 1));
		emit(MSR(3, 3, 0, 2, 0, 0));
		emit(ISB);
		emit(LDR(11 + 2 * i, 1));
	}
	end();
	run(1);
	CHECK(ended());
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(get(X(10) + (int)i), 1 + (i & 1));
	vm_close(vm);
}

/* Two processors that remap one page for each other; see below. */

#define	SEQ	(MORE + 0x10000)
#define	ACK	(MORE + 0x10100)
#define	B(n)		(0x14000000U | ((uint32_t)(n) & 0x3ffffff))
#define	CBNZ(rt, n)	(0xb5000000U | ((uint32_t)(n) & 0x7ffff) << 5 | (uint32_t)(rt))
#define	CBZ(rt, n)	(0xb4000000U | ((uint32_t)(n) & 0x7ffff) << 5 | (uint32_t)(rt))
#define	SUB(rd, rn, rm)	(0xcb000000U | (uint32_t)(rm) << 16 | (uint32_t)(rn) << 5 | (uint32_t)(rd))
#define	EOR(rd, rn, rm)	(0xca000000U | (uint32_t)(rm) << 16 | (uint32_t)(rn) << 5 | (uint32_t)(rd))
#define	SUBI(rd, rn, v)	(0xd1000000U | (uint32_t)(v) << 10 | (uint32_t)(rn) << 5 | (uint32_t)(rd))
#define	LDAR(rt, rn)	(0xc8dffc00U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	STLR(rt, rn)	(0xc89ffc00U | (uint32_t)(rn) << 5 | (uint32_t)(rt))
#define	ROUNDS	1500

static void *
second(void *arg)
{
	struct vm_exit *e = arg;

	CHECKF(vm_run(vm->vcpus[1], e) == 0, "%s", vm_errmsg());
	return (NULL);
}

/*
 * The first one changes the mapping, invalidates for all, waits with DSB and tells the round; the second one, which
 * has used the page all the time, must see the new page from then on.  It invalidates as well, so that both wait for
 * each other.
 */
TEST(invalidations_reach_the_other_processor)
{
	struct vm_exit other;
	struct arm64_state *s1;
	pthread_t thread;
	uint64_t loop, wait;

	new_vm(2);
	page_tables(0);
	poke(TABLES + 0x2000, RAM | D_AF | 1);
	window(0);
	mmu_on();
	org(CODE);
	mov(1, WINDOW);
	mov(2, LEAF);
	mov(3, WINDOW >> 12);
	mov(4, SEQ);
	mov(5, ACK);
	mov(6, MORE | D_AF | 3);
	mov(7, 0x1000);
	mov(8, ROUNDS);
	loop = here;
	emit(EOR(6, 6, 7));			/* the other page */
	emit(STR(6, 2));
	emit(DSB);
	emit(SYS(0, 8, 3, 1, 3));
	emit(DSB);
	emit(STLR(8, 4));			/* this round's number */
	wait = here;
	emit(LDAR(9, 5));
	emit(SUB(9, 9, 8));
	emit(CBNZ(9, ((int64_t)wait - (int64_t)here) / 4));
	emit(SUBI(8, 8, 1));
	emit(CBNZ(8, ((int64_t)loop - (int64_t)here) / 4));
	end();

	org(CODE + 0x1000);
	mov(1, WINDOW);
	mov(3, DATA >> 12);			/* something else */
	mov(4, SEQ);
	mov(5, ACK);
	mov(6, ROUNDS + 1);			/* the last round */
	mov(8, 1);				/* what is there */
	mov(12, 3);
	loop = here;
	emit(LDR(9, 1));			/* use the page */
	emit(SYS(0, 8, 3, 1, 3));
	emit(DSB);
	emit(LDAR(10, 4));
	emit(CBZ(10, ((int64_t)loop - (int64_t)here) / 4));
	emit(SUB(11, 10, 6));
	emit(CBZ(11, ((int64_t)loop - (int64_t)here) / 4));
	emit(SUB(8, 12, 8));			/* the other one is expected */
	emit(LDR(9, 1));
	emit(SUB(11, 9, 8));
	emit(CBNZ(11, 5));			/* stale: end with X11 set */
	emit(ADDI(6, 10, 0));
	emit(STLR(10, 5));
	emit(SUBI(11, 10, 1));
	emit(CBNZ(11, ((int64_t)loop - (int64_t)here) / 4));
	end();

	s1 = vm->vcpus[1]->state;
	s1->vbar_el1 = VECTORS;
	s1->mair_el1 = st->mair_el1;
	s1->tcr_el1 = st->tcr_el1;
	s1->ttbr0_el1 = st->ttbr0_el1;
	s1->ttbr1_el1 = st->ttbr1_el1;
	s1->sctlr_el1 = st->sctlr_el1;
	s1->run_state = VM_ARM64_RUNNING;
	CHECK_EQ(vm_set_register(vm->vcpus[1], VM_ARM64_REG_PC, CODE + 0x1000), 0);
	set(VM_ARM64_REG_PC, CODE);
	CHECK_EQ(pthread_create(&thread, NULL, second, &other), 0);
	run(1);
	CHECK(ended());
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(other.code, VM_EXIT_MMIO);
	CHECK_EQ(s1->x[11], 0);
	CHECK_EQ(s1->esr_el1 & 0xffff, 0x7e57);
	CHECK_EQ(peek(ACK), 1);
	vm_close(vm);
}

/* DC ZVA of Device memory is an alignment fault whatever the address (C5.3.28), and FAR_EL1 has the operand; of Normal memory it zeroes. */
TEST(zva_needs_normal_memory)
{
	for (unsigned device = 0; device < 2; device++) {
		new_vm(1);
		page_tables(device != 0 ? 1U << 2 : 0);
		poke(MORE + 0x78, 0x1234);
		org(CODE);
		mov(1, MORE + 0x47);
		emit(SYS(3, 7, 4, 1, 1));
		end();
		run(1);
		if (device == 0) {
			CHECK(ended());
			CHECK_EQ(peek(MORE + 0x78), 0);
		} else {
			CHECK_EQ(EC(esr()), EC_DABT + 1);
			CHECK_EQ(ISS(esr()), WNR | FSC_ALIGNMENT);
			CHECK_EQ(get(VM_ARM64_REG_FAR_EL1), MORE + 0x47);
			CHECK_EQ(peek(MORE + 0x78), 0x1234);
		}
		vm_close(vm);
	}
}

/* What an atomic access does to memory that it may not read is a fault of reading; where only writing is not allowed, of writing. */
TEST(atomics_fault_as_reads_first)
{
	new_vm(1);
	page_tables(0);
	org(CODE);
	mov(1, NOWHERE);
	emit(0xf8220023);		/* ldadd x2, x3, [x1] */
	end();
	run(1);
	CHECK_EQ(ISS(esr()) & WNR, 0);
	mmu_on();
	org(CODE);
	mov(1, DATA);			/* read-only */
	emit(0xf8220023);
	end();
	run(1);
	CHECK_EQ(EC(esr()), EC_DABT + 1);
	CHECK_EQ(ISS(esr()) & WNR, WNR);
	vm_close(vm);
}

TEST_MAIN()
