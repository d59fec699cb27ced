/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst_arm64.c - A64 loads and stores (Arm ARM C4.1.4): single and pair, exclusive, ordered, and atomic.
 *
 * Accesses to guest memory are atomic when aligned (Arm ARM B2.2.1).  Plain ones are relaxed, as the architecture's are; acquire and release
 * are sequentially consistent on the host, which keeps a store-release before a later load-acquire (B2.3.7).
 */
#include <string.h>

#include "a64.h"

static uint64_t
host_load(const void *p, unsigned size, bool ordered)
{
	uint64_t v = 0;

	if (((uintptr_t)p & (size - 1)) != 0) {
		memcpy(&v, p, size);
		return (v);
	}
#define	LOAD(type)	(ordered ? __atomic_load_n((const type *)p, __ATOMIC_SEQ_CST) :	\
	    __atomic_load_n((const type *)p, __ATOMIC_RELAXED))
	switch (size) {
	case 1:
		return (LOAD(uint8_t));
	case 2:
		return (LOAD(uint16_t));
	case 4:
		return (LOAD(uint32_t));
	default:
		return (LOAD(uint64_t));
	}
#undef LOAD
}

static void
host_store(void *p, unsigned size, uint64_t v, bool ordered)
{
	if (((uintptr_t)p & (size - 1)) != 0) {
		memcpy(p, &v, size);
		return;
	}
#define	STORE(type) do {								\
	if (ordered)									\
		__atomic_store_n((type *)p, (type)v, __ATOMIC_SEQ_CST);			\
	else										\
		__atomic_store_n((type *)p, (type)v, __ATOMIC_RELAXED);			\
} while (0)
	switch (size) {
	case 1:
		STORE(uint8_t);
		break;
	case 2:
		STORE(uint16_t);
		break;
	case 4:
		STORE(uint32_t);
		break;
	default:
		STORE(uint64_t);
		break;
	}
#undef STORE
}

/* *p = new if it is old; *old becomes what was there. */
static bool
host_cas(void *p, unsigned size, uint64_t *old, uint64_t new)
{
	uint8_t o1 = (uint8_t)*old;
	uint16_t o2 = (uint16_t)*old;
	uint32_t o4 = (uint32_t)*old;
	bool ok;

	switch (size) {
	case 1:
		ok = __atomic_compare_exchange_n((uint8_t *)p, &o1, (uint8_t)new, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_SEQ_CST);
		*old = o1;
		break;
	case 2:
		ok = __atomic_compare_exchange_n((uint16_t *)p, &o2, (uint16_t)new, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_SEQ_CST);
		*old = o2;
		break;
	case 4:
		ok = __atomic_compare_exchange_n((uint32_t *)p, &o4, (uint32_t)new, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_SEQ_CST);
		*old = o4;
		break;
	default:
		ok = __atomic_compare_exchange_n((uint64_t *)p, old, new, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_SEQ_CST);
		break;
	}
	return (ok);
}

static bool
crosses(uint64_t va, unsigned size)
{
	return ((va & (VM_PAGE_SIZE - 1)) + size > VM_PAGE_SIZE);
}

/*
 * Everything that can fault about an access of total bytes in elements of size: translation of its first and its last page, and
 * alignment, which Device memory and SCTLR_EL1.A demand (Arm ARM B2.5.2).  hi is the walk of the last byte's page.
 */
static enum a64_result
check(struct a64 *c, uint64_t va, unsigned size, unsigned total, int prot, bool el0, bool align,
    struct arm64_walk *lo, struct arm64_walk *hi)
{
	enum a64_result r;
	uint64_t last = (va + total - 1) & ~(uint64_t)(VM_PAGE_SIZE - 1);

	if ((r = a64_translate(c, va, prot, el0, lo)) != A64_NEXT)
		return (r);
	*hi = *lo;
	if (crosses(va, total) && (r = a64_translate(c, last, prot, el0, hi)) != A64_NEXT)
		return (r);
	if ((va & (size - 1)) != 0 &&
	    (align || lo->device || hi->device || (c->s->sctlr_el1 & SCTLR_A) != 0))
		return (a64_fault(c, a64_abort_esr(c, EC_DABT, FSC_ALIGNMENT, (prot & VM_PROT_WRITE) != 0), va));
	return (A64_NEXT);
}

/* Byte i of an access that begins at va. */
static vm_paddr_t
byte_gpa(uint64_t va, unsigned i, const struct arm64_walk *lo, const struct arm64_walk *hi)
{
	unsigned left = (unsigned)(VM_PAGE_SIZE - (va & (VM_PAGE_SIZE - 1)));

	return (i < left ? lo->gpa + i : hi->gpa + (i - left));
}

/* Load size bytes at off from va, which check() has passed. */
static enum a64_result
load(struct a64 *c, uint64_t va, unsigned off, unsigned size, bool ordered, const struct arm64_walk *lo,
    const struct arm64_walk *hi, uint64_t *val)
{
	vm_paddr_t gpa = byte_gpa(va, off, lo, hi);
	uint64_t part, v = 0;
	const void *p;

	if (!crosses(va + off, size)) {
		if ((p = soft_host(c->cpu, gpa, size, VM_PROT_READ)) != NULL) {
			*val = host_load(p, size, ordered);
			return (A64_NEXT);
		}
		a64_drop_fetch(c);
		if (soft_load(c->cpu, gpa, size, val) == SOFT_DONE)
			return (A64_NEXT);
		goto stop;
	}
	/* The pages behind the halves need not be neighbours. */
	for (unsigned i = 0; i < size; i++) {
		a64_drop_fetch(c);
		if (soft_load(c->cpu, byte_gpa(va, off + i, lo, hi), 1, &part) != SOFT_DONE)
			goto stop;
		v |= part << (8 * i);
	}
	*val = v;
	return (A64_NEXT);
stop:
	c->vcpu->exit.insn_len = 4;
	c->stop = SOFT_EXIT;
	return (A64_STOP);
}

static void
exit_length(struct a64 *c)
{
	struct soft_cpu *cpu = c->cpu;

	(cpu->nlater == 0 ? &c->vcpu->exit : &cpu->later[cpu->nlater - 1])->insn_len = 4;
	c->late = true;
}

static void
store(struct a64 *c, uint64_t va, unsigned off, unsigned size, bool ordered, const struct arm64_walk *lo,
    const struct arm64_walk *hi, uint64_t val)
{
	vm_paddr_t gpa = byte_gpa(va, off, lo, hi);
	void *p;

	if (!crosses(va + off, size)) {
		if ((p = soft_host(c->cpu, gpa, size, VM_PROT_WRITE)) != NULL) {
			host_store(p, size, val, ordered);
			return;
		}
		a64_drop_fetch(c);
		if (soft_store(c->cpu, gpa, size, val) != SOFT_DONE)
			exit_length(c);
		return;
	}
	for (unsigned i = 0; i < size; i++) {
		a64_drop_fetch(c);
		if (soft_store(c->cpu, byte_gpa(va, off + i, lo, hi), 1, val >> (8 * i) & 0xff) != SOFT_DONE)
			exit_length(c);
	}
}

/* The base register; SP must be aligned to 16 where SCTLR_EL1 asks for it (Arm ARM D1.8.2). */
static enum a64_result
base(struct a64 *c, unsigned rn, uint64_t *va)
{
	uint64_t check_bit = a64_el0(c) ? SCTLR_SA0 : SCTLR_SA;

	if (rn != 31) {
		*va = c->s->x[rn];
		return (A64_NEXT);
	}
	*va = *a64_sp(c);
	if ((*va & 15) != 0 && (c->s->sctlr_el1 & check_bit) != 0)
		return (a64_exception(c, ESR_EC(EC_SP_ALIGN) | ESR_IL, c->s->pc));
	return (A64_NEXT);
}

static void
writeback(struct a64 *c, unsigned rn, uint64_t va)
{
	if (rn == 31)
		*a64_sp(c) = va;
	else
		c->s->x[rn] = va;
}

/* One register: opc is the instruction's (store, load, load signed to 64 and to 32 bits). */
static enum a64_result
single(struct a64 *c, uint32_t insn, uint64_t va, bool el0)
{
	unsigned size = 1U << (insn >> 30), opc = a64_bits(insn, 23, 22), rt = insn & 31;
	struct arm64_walk lo, hi;
	enum a64_result r;
	uint64_t v = 0;

	if (opc == 0) {
		if ((r = check(c, va, size, size, VM_PROT_WRITE, el0, false, &lo, &hi)) != A64_NEXT)
			return (r);
		store(c, va, 0, size, false, &lo, &hi, a64_x(c, rt));
		return (A64_NEXT);
	}
	if ((r = check(c, va, size, size, VM_PROT_READ, el0, false, &lo, &hi)) != A64_NEXT ||
	    (r = load(c, va, 0, size, false, &lo, &hi, &v)) != A64_NEXT)
		return (r);
	if (opc >= 2)
		v = (uint64_t)a64_sext(v, 8 * size);
	a64_set_x(c, rt, opc != 3, v);
	return (A64_NEXT);
}

/* Prefetches are hints; what is left of size 3 and of size 2 with opc 3 is not allocated. */
static bool
is_prefetch(uint32_t insn)
{
	return (insn >> 30 == 3 && a64_bits(insn, 23, 22) == 2);
}

static bool
unallocated(uint32_t insn)
{
	return (a64_bits(insn, 23, 22) == 3 && insn >> 30 >= 2);
}

static enum a64_result	atomic(struct a64 *c, uint32_t insn);

static enum a64_result
ldst_register(struct a64 *c, uint32_t insn)
{
	unsigned rn = a64_bits(insn, 9, 5), mode = a64_bits(insn, 11, 10), option = a64_bits(insn, 15, 13);
	uint64_t va, off, m;
	enum a64_result r;

	if (a64_bits(insn, 24, 24) == 0 && a64_bits(insn, 21, 21) != 0 && mode != 2)
		return (mode == 0 ? atomic(c, insn) : a64_undefined(c));
	if (unallocated(insn))
		return (a64_undefined(c));
	if (a64_bits(insn, 24, 24) != 0) {			/* unsigned offset */
		if (is_prefetch(insn))
			return (A64_NEXT);
		if ((r = base(c, rn, &va)) != A64_NEXT)
			return (r);
		return (single(c, insn, va + ((uint64_t)a64_bits(insn, 21, 10) << (insn >> 30)), a64_el0(c)));
	}
	if (a64_bits(insn, 21, 21) != 0) {			/* register offset */
		if ((option & 2) == 0)
			return (a64_undefined(c));
		if (is_prefetch(insn))
			return (A64_NEXT);
		if ((r = base(c, rn, &va)) != A64_NEXT)
			return (r);
		m = a64_x(c, a64_bits(insn, 20, 16));
		if ((option & 1) == 0)
			m = (option & 4) != 0 ? (uint64_t)(int64_t)(int32_t)m : (uint32_t)m;
		return (single(c, insn, va + (m << (a64_bits(insn, 12, 12) != 0 ? insn >> 30 : 0)), a64_el0(c)));
	}
	off = (uint64_t)a64_sext(a64_bits(insn, 20, 12), 9);
	if (is_prefetch(insn))
		return (mode == 0 ? A64_NEXT : a64_undefined(c));
	if ((r = base(c, rn, &va)) != A64_NEXT)
		return (r);
	switch (mode) {
	case 0:		/* unscaled */
		return (single(c, insn, va + off, a64_el0(c)));
	case 1:		/* post-indexed: of a load into its own base the base wins, as for all UNPREDICTABLE ones here */
		if ((r = single(c, insn, va, a64_el0(c))) == A64_NEXT)
			writeback(c, rn, va + off);
		return (r);
	case 2:		/* unprivileged: as EL0 would */
		return (single(c, insn, va + off, true));
	default:	/* pre-indexed */
		if ((r = single(c, insn, va + off, a64_el0(c))) == A64_NEXT)
			writeback(c, rn, va + off);
		return (r);
	}
}

static enum a64_result
ldst_literal(struct a64 *c, uint32_t insn)
{
	uint64_t va = c->s->pc + (uint64_t)a64_sext((uint64_t)a64_bits(insn, 23, 5) << 2, 21), v;
	unsigned opc = insn >> 30, size = opc == 1 ? 8 : 4;
	struct arm64_walk lo, hi;
	enum a64_result r;

	if (opc == 3)
		return (A64_NEXT);		/* PRFM */
	if ((r = check(c, va, size, size, VM_PROT_READ, a64_el0(c), false, &lo, &hi)) != A64_NEXT ||
	    (r = load(c, va, 0, size, false, &lo, &hi, &v)) != A64_NEXT)
		return (r);
	a64_set_x(c, insn & 31, true, opc == 2 ? (uint64_t)a64_sext(v, 32) : v);
	return (A64_NEXT);
}

static enum a64_result
ldst_pair(struct a64 *c, uint32_t insn)
{
	unsigned opc = insn >> 30, mode = a64_bits(insn, 24, 23), rn = a64_bits(insn, 9, 5);
	unsigned rt = insn & 31, rt2 = a64_bits(insn, 14, 10), size = opc == 2 ? 8 : 4;
	bool is_load = a64_bits(insn, 22, 22) != 0;
	uint64_t va, off, v1 = 0, v2 = 0, at;
	struct arm64_walk lo, hi;
	enum a64_result r;

	if (opc == 3 || (opc == 1 && (!is_load || mode == 0)))
		return (a64_undefined(c));
	off = (uint64_t)a64_sext(a64_bits(insn, 21, 15), 7) * size;
	if ((r = base(c, rn, &va)) != A64_NEXT)
		return (r);
	at = mode == 1 ? va : va + off;
	if ((r = check(c, at, size, 2 * size, is_load ? VM_PROT_READ : VM_PROT_WRITE, a64_el0(c), false, &lo,
	    &hi)) != A64_NEXT)
		return (r);
	if (is_load) {
		if ((r = load(c, at, 0, size, false, &lo, &hi, &v1)) != A64_NEXT ||
		    (r = load(c, at, size, size, false, &lo, &hi, &v2)) != A64_NEXT)
			return (r);
		if (opc == 1) {
			v1 = (uint64_t)a64_sext(v1, 32);
			v2 = (uint64_t)a64_sext(v2, 32);
		}
		a64_set_x(c, rt, true, v1);
		a64_set_x(c, rt2, true, v2);
	} else {
		store(c, at, 0, size, false, &lo, &hi, a64_x(c, rt));
		store(c, at, size, size, false, &lo, &hi, a64_x(c, rt2));
	}
	if (mode == 1 || mode == 3)
		writeback(c, rn, va + off);
	return (A64_NEXT);
}

/*
 * Host address for an exclusive or atomic access: aligned memory.  Elsewhere the architecture lets an implementation report an unsupported
 * exclusive or atomic access (Arm ARM B2.9.2, D13.2.37 DFSC 0b110101), and this one does.
 */
static enum a64_result
atomic_host(struct a64 *c, uint64_t va, unsigned size, int prot, vm_paddr_t *gpa, void **p)
{
	struct arm64_walk lo, hi;
	enum a64_result r;

	if ((r = check(c, va, size, size, prot, a64_el0(c), true, &lo, &hi)) != A64_NEXT)
		return (r);
	*gpa = lo.gpa;
	if ((*p = soft_host(c->cpu, lo.gpa, size, prot)) == NULL)
		return (a64_fault(c, a64_abort_esr(c, EC_DABT, FSC_EXCLUSIVE, (prot & VM_PROT_WRITE) != 0), va));
	return (A64_NEXT);
}

static uint64_t
truncate_to(uint64_t v, unsigned size)
{
	return (size == 8 ? v : v & ((1ULL << (8 * size)) - 1));
}

/* LDADD and its kin, SWP: opc of the second source (Arm ARM C4.1.4, Atomic memory operations). */
static uint64_t
atomic_result(unsigned opc, uint64_t old, uint64_t arg, unsigned size)
{
	int64_t so = a64_sext(old, 8 * size), sa = a64_sext(arg, 8 * size);

	arg = truncate_to(arg, size);
	switch (opc) {
	case 0:
		return (old + arg);
	case 1:
		return (old & ~arg);
	case 2:
		return (old ^ arg);
	case 3:
		return (old | arg);
	case 4:
		return (so > sa ? old : arg);
	case 5:
		return (so < sa ? old : arg);
	case 6:
		return (old > arg ? old : arg);
	case 7:
		return (old < arg ? old : arg);
	default:
		return (arg);		/* SWP */
	}
}

static enum a64_result
atomic(struct a64 *c, uint32_t insn)
{
	unsigned size = 1U << (insn >> 30), rt = insn & 31;
	unsigned opc = a64_bits(insn, 15, 12);
	uint64_t va, old, arg = a64_x(c, a64_bits(insn, 20, 16)), want;
	enum a64_result r;
	vm_paddr_t gpa;
	void *p;

	if ((r = base(c, a64_bits(insn, 9, 5), &va)) != A64_NEXT)
		return (r);
	if (opc == 0xc && a64_bits(insn, 23, 22) == 2 && a64_bits(insn, 20, 16) == 31) {	/* LDAPR */
		if ((r = atomic_host(c, va, size, VM_PROT_READ, &gpa, &p)) != A64_NEXT)
			return (r);
		a64_set_x(c, rt, true, host_load(p, size, true));
		return (A64_NEXT);
	}
	if (opc > 8)
		return (a64_undefined(c));
	if ((r = atomic_host(c, va, size, VM_PROT_RW, &gpa, &p)) != A64_NEXT)
		return (r);
	old = host_load(p, size, false);
	do {
		want = old;
	} while (!host_cas(p, size, &old, truncate_to(atomic_result(opc, want, arg, size), size)));
	a64_set_x(c, rt, true, old);
	return (A64_NEXT);
}

/* The monitor remembers what was loaded; the store succeeds if the memory still holds it. */
static enum a64_result
load_exclusive(struct a64 *c, uint32_t insn, uint64_t va, unsigned size, bool pair)
{
	unsigned total = pair ? 2 * size : size;
	enum a64_result r;
	vm_paddr_t gpa;
	uint64_t v;
	void *p;

	if ((r = atomic_host(c, va, total, VM_PROT_READ, &gpa, &p)) != A64_NEXT)
		return (r);
	v = host_load(p, total, a64_bits(insn, 15, 15) != 0);
	c->excl = true;
	c->excl_gpa = gpa;
	c->excl_size = total;
	c->excl_val = v;
	if (pair) {
		a64_set_x(c, insn & 31, false, v);
		a64_set_x(c, a64_bits(insn, 14, 10), false, v >> 32);
	} else {
		a64_set_x(c, insn & 31, true, v);
	}
	return (A64_NEXT);
}

static enum a64_result
store_exclusive(struct a64 *c, uint32_t insn, uint64_t va, unsigned size, bool pair)
{
	unsigned total = pair ? 2 * size : size;
	uint64_t v = a64_x(c, insn & 31), old = c->excl_val;
	enum a64_result r;
	vm_paddr_t gpa;
	bool ok = false;
	void *p;

	if (pair)
		v = (uint32_t)v | a64_x(c, a64_bits(insn, 14, 10)) << 32;
	if ((r = atomic_host(c, va, total, VM_PROT_WRITE, &gpa, &p)) != A64_NEXT)
		return (r);
	if (c->excl && c->excl_gpa == gpa && c->excl_size == total)
		ok = host_cas(p, total, &old, truncate_to(v, total));
	c->excl = false;
	a64_set_x(c, a64_bits(insn, 20, 16), false, ok ? 0 : 1);
	return (A64_NEXT);
}

static enum a64_result
compare_and_swap(struct a64 *c, uint32_t insn, uint64_t va, unsigned size)
{
	unsigned rs = a64_bits(insn, 20, 16);
	enum a64_result r;
	uint64_t old;
	vm_paddr_t gpa;
	void *p;

	if ((r = atomic_host(c, va, size, VM_PROT_RW, &gpa, &p)) != A64_NEXT)
		return (r);
	old = truncate_to(a64_x(c, rs), size);
	(void)host_cas(p, size, &old, truncate_to(a64_x(c, insn & 31), size));
	a64_set_x(c, rs, true, old);
	return (A64_NEXT);
}

/*
 * Load/store exclusive, ordered, and CAS.  o2:L:o1 are bits 23:21.  Pairs of doublewords would take 128-bit atomics and are UNDEFINED, and so is
 * CASP: ID_AA64ISAR0_EL1 does not offer FEAT_LSE.
 */
static enum a64_result
ldst_exclusive(struct a64 *c, uint32_t insn)
{
	unsigned size = 1U << (insn >> 30), kind = a64_bits(insn, 23, 21);
	struct arm64_walk lo, hi;
	enum a64_result r;
	uint64_t va, v;

	if ((r = base(c, a64_bits(insn, 9, 5), &va)) != A64_NEXT)
		return (r);
	switch (kind) {
	case 0:
		return (store_exclusive(c, insn, va, size, false));
	case 2:
		return (load_exclusive(c, insn, va, size, false));
	case 1:
	case 3:
		if (size != 4)
			return (a64_undefined(c));
		return (kind == 1 ? store_exclusive(c, insn, va, size, true) : load_exclusive(c, insn, va, size, true));
	case 4:		/* STLR, STLLR */
		if ((r = check(c, va, size, size, VM_PROT_WRITE, a64_el0(c), true, &lo, &hi)) != A64_NEXT)
			return (r);
		store(c, va, 0, size, true, &lo, &hi, a64_x(c, insn & 31));
		return (A64_NEXT);
	case 6:		/* LDAR, LDLAR */
		if ((r = check(c, va, size, size, VM_PROT_READ, a64_el0(c), true, &lo, &hi)) != A64_NEXT ||
		    (r = load(c, va, 0, size, true, &lo, &hi, &v)) != A64_NEXT)
			return (r);
		a64_set_x(c, insn & 31, true, v);
		return (A64_NEXT);
	default:	/* CAS */
		if (a64_bits(insn, 14, 10) != 31)
			return (a64_undefined(c));
		return (compare_and_swap(c, insn, va, size));
	}
}

enum a64_result
a64_ldst(struct a64 *c, uint32_t insn)
{
	if (a64_bits(insn, 26, 26) != 0)
		return (a64_fp(c));
	if ((insn & 0x3f000000) == 0x08000000)
		return (ldst_exclusive(c, insn));
	if ((insn & 0x3b000000) == 0x18000000)
		return (ldst_literal(c, insn));
	if ((insn & 0x3a000000) == 0x28000000)
		return (ldst_pair(c, insn));
	if ((insn & 0x3a000000) == 0x38000000)
		return (ldst_register(c, insn));
	return (a64_undefined(c));
}
