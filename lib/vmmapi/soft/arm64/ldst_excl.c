/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst_excl.c - exclusive and ordered loads and stores, compare and swap, atomic operations (Arm ARM C4.1.4, B2.9, C6.2).
 *
 * The monitor of a vCPU remembers what was loaded, and from where; the store succeeds if memory still holds that, by the host's compare-and-swap.
 * It is state: a loop of the two takes as many instructions in a VM that was saved and taken up between them.
 * Acquire and release are sequentially consistent on the host, which keeps a store-release before a later load-acquire (B2.3.7).
 */
#include <string.h>

#include "mem.h"

/* Memory at va, aligned. */
A64_INLINE enum a64_status
ref_of(struct a64 *c, uint64_t va, unsigned size, int prot, struct a64_ref *ref)
{
	const struct soft_tlbe *e = &c->row[prot != VM_PROT_READ][(va >> 12) & (SOFT_TLB_SIZE - 1)];

	if (likely((prot != VM_PROT_READ ? e->wtag : e->rtag) == (SOFT_PAGE(va) | a64_tag(c, va)) && (va & (size - 1)) == 0)) {
		ref->p = (void *)(uintptr_t)(va + e->addend);
		ref->gpa = e->gpa | (va & 4095);
		ref->slow = false;
		return (A_DONE);
	}
	return (a64_atomic_slow(c, va, size, prot, ref));
}

static void
stored(struct a64 *c, const struct a64_ref *ref, unsigned size)
{
	if (ref->slow)
		soft_wrote(c->cpu, ref->gpa, size);
}

static uint64_t
ordered_load(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return (__atomic_load_n((const uint8_t *)p, __ATOMIC_SEQ_CST));
	case 2:
		return (__atomic_load_n((const uint16_t *)p, __ATOMIC_SEQ_CST));
	case 4:
		return (__atomic_load_n((const uint32_t *)p, __ATOMIC_SEQ_CST));
	default:
		return (__atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST));
	}
}

static void
ordered_store(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_SEQ_CST);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_SEQ_CST);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_SEQ_CST);
		break;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_SEQ_CST);
		break;
	}
}

/* *p = new if it is old; *old becomes what was there. */
static bool
cas(void *p, unsigned size, uint64_t *old, uint64_t new)
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

/* STLR and LDAR, also of devices.  arg is the size. */

static enum a64_status
ldar(struct a64 *c, const struct a64_insn *i)
{
	uint64_t va, v = 0;
	const void *p;

	TRY(base_of(c, i, &va));
	p = (va & (i->arg - 1U)) == 0 ? soft_tlb_hit(c->row[0], a64_tag(c, va), va, i->arg, false) : NULL;
	if (likely(p != NULL)) {
		v = ordered_load(p, i->arg);
	} else {
		TRY(a64_read(c, va, i->arg, i->arg, A64_ALIGNED, &v));
		atomic_thread_fence(memory_order_seq_cst);
	}
	R(i->rd) = v;
	return (A_DONE);
}

static enum a64_status
stlr(struct a64 *c, const struct a64_insn *i)
{
	uint64_t va, v = R(i->rd);
	void *p;

	TRY(base_of(c, i, &va));
	p = (va & (i->arg - 1U)) == 0 ? soft_tlb_hit(c->row[1], a64_tag(c, va), va, i->arg, true) : NULL;
	if (likely(p != NULL)) {
		ordered_store(p, i->arg, v);
		return (A_DONE);
	}
	TRY(a64_write(c, va, i->arg, i->arg, A64_ALIGNED, &v));
	atomic_thread_fence(memory_order_seq_cst);
	return (A_DONE);
}

/* Exclusives: arg is the size of all, arg2 whether it is a pair. */

static void
set_pair(struct a64 *c, const struct a64_insn *i, const uint64_t v[2])
{
	if (i->arg == 16) {
		R(i->rd) = v[0];
		R(i->ra) = v[1];
	} else if (i->arg2 != 0) {
		R(i->rd) = (uint32_t)v[0];
		R(i->ra) = v[0] >> 32;
	} else {
		R(i->rd) = v[0];
	}
}

static enum a64_status
ldxr(struct a64 *c, const struct a64_insn *i)
{
	struct a64_ref ref;
	uint64_t va;

	TRY(base_of(c, i, &va));
	TRY(ref_of(c, va, i->arg, VM_PROT_READ, &ref));
	c->s->excl_val[1] = 0;
	if (i->arg == 16)
		host_load16(ref.p, c->s->excl_val);
	else
		c->s->excl_val[0] = ordered_load(ref.p, i->arg);
	c->s->excl_gpa = ref.gpa;
	c->s->excl_size = i->arg;
	set_pair(c, i, c->s->excl_val);
	return (A_DONE);
}

/* Rs, the status, is rm. */
static enum a64_status
stxr(struct a64 *c, const struct a64_insn *i)
{
	uint64_t va, v[2] = { R(i->rd), 0 }, old[2] = { c->s->excl_val[0], c->s->excl_val[1] };
	struct a64_ref ref;
	bool ok = false;

	if (i->arg == 16)
		v[1] = R(i->ra);
	else if (i->arg2 != 0)
		v[0] = (uint32_t)v[0] | R(i->ra) << 32;
	TRY(base_of(c, i, &va));
	TRY(ref_of(c, va, i->arg, VM_PROT_WRITE, &ref));
	if (c->s->excl_gpa == ref.gpa && c->s->excl_size == i->arg) {
		ok = i->arg == 16 ? host_cas16(ref.p, old, v) : cas(ref.p, i->arg, old, v[0]);
		if (ok)
			stored(c, &ref, i->arg);
	}
	c->s->excl_size = 0;
	R(i->rm) = ok ? 0 : 1;
	return (A_DONE);
}

/* Compare and swap: Rs is rm; of a pair they are rm and rm + 1, rd and rd + 1. */

static enum a64_status
op_cas(struct a64 *c, const struct a64_insn *i)
{
	uint64_t va, old = R(i->ra);
	struct a64_ref ref;

	TRY(base_of(c, i, &va));
	TRY(ref_of(c, va, i->arg, VM_PROT_RW, &ref));
	if (cas(ref.p, i->arg, &old, R(i->rd)))
		stored(c, &ref, i->arg);
	R(i->rm) = i->arg == 8 ? old : old & ((1ULL << (8 * i->arg)) - 1);
	return (A_DONE);
}

static enum a64_status
casp(struct a64 *c, const struct a64_insn *i)
{
	unsigned rs = a64_bits(i->word, 20, 16), rt = i->word & 31;
	uint64_t va, old[2] = { a64_x(c, rs), a64_x(c, rs + 1) }, new[2] = { a64_x(c, rt), a64_x(c, rt + 1) };
	struct a64_ref ref;
	bool ok;

	TRY(base_of(c, i, &va));
	TRY(ref_of(c, va, i->arg, VM_PROT_RW, &ref));
	if (i->arg == 16) {
		ok = host_cas16(ref.p, old, new);
	} else {
		old[0] = (uint32_t)old[0] | old[1] << 32;
		ok = cas(ref.p, 8, old, (uint32_t)new[0] | new[1] << 32);
		old[1] = old[0] >> 32;
		old[0] = (uint32_t)old[0];
	}
	if (ok)
		stored(c, &ref, i->arg);
	a64_set_x(c, rs, true, old[0]);
	a64_set_x(c, rs + 1, true, old[1]);
	return (A_DONE);
}

/* o2:L:o1 are bits 23:21, o0 is bit 15: acquire and release are always kept. */
bool
a64_decode_ldst_excl(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	unsigned size = 1U << (w >> 30), kind = a64_bits(w, 23, 21), rs = a64_bits(w, 20, 16), rt2 = a64_bits(w, 14, 10);
	bool pair = (kind & 1) != 0, is_load = (kind & 2) != 0;

	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rd = is_load ? dst(w & 31) : src(w & 31);
	i->ra = is_load ? dst(rt2) : src(rt2);
	i->rm = dst(rs);
	i->arg = (uint8_t)size;
	switch (kind) {
	case 0:
	case 2:
		i->fn = is_load ? ldxr : stxr;
		return (true);
	case 1:
	case 3:
		if (size >= 4) {
			i->arg = (uint8_t)(2 * size);
			i->arg2 = pair;
			i->fn = is_load ? ldxr : stxr;
			return (true);
		}
		/* CASP: bit 30 is the size */
		if ((features & A64_F_LSE) == 0 || rt2 != 31 || (rs & 1) != 0 || (w & 1) != 0)
			return (false);
		i->arg = size == 1 ? 8 : 16;
		i->fn = casp;
		return (true);
	case 4:
	case 6:
		i->fn = is_load ? ldar : stlr;
		return (true);
	default:
		if ((features & A64_F_LSE) == 0 || rt2 != 31)
			return (false);
		i->rd = src(w & 31);
		i->ra = src(rs);
		i->fn = op_cas;
		return (true);
	}
}

/* LDADD and its kin, SWP, by the host's atomics; minimum and maximum by compare-and-swap.  arg is opc. */

#define	LOOP(type, new)	do {								\
	type was_ = __atomic_load_n((type *)p, __ATOMIC_RELAXED);			\
											\
	while (!__atomic_compare_exchange_n((type *)p, &was_, (type)(new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
		;									\
	return (was_);									\
} while (0)

#define	ATOMIC(bits)									\
	static uint64_t									\
	atomic##bits(void *p, unsigned op, uint64_t v)					\
	{										\
		uint##bits##_t arg = (uint##bits##_t)v;					\
											\
		switch (op) {								\
		case 0:									\
			return (__atomic_fetch_add((uint##bits##_t *)p, arg, __ATOMIC_SEQ_CST));	\
		case 1:									\
			return (__atomic_fetch_and((uint##bits##_t *)p, (uint##bits##_t)~arg, __ATOMIC_SEQ_CST)); \
		case 2:									\
			return (__atomic_fetch_xor((uint##bits##_t *)p, arg, __ATOMIC_SEQ_CST));	\
		case 3:									\
			return (__atomic_fetch_or((uint##bits##_t *)p, arg, __ATOMIC_SEQ_CST));	\
		case 4:									\
			LOOP(uint##bits##_t, (int##bits##_t)was_ > (int##bits##_t)arg ? was_ : arg);	\
		case 5:									\
			LOOP(uint##bits##_t, (int##bits##_t)was_ < (int##bits##_t)arg ? was_ : arg);	\
		case 6:									\
			LOOP(uint##bits##_t, was_ > arg ? was_ : arg);			\
		case 7:									\
			LOOP(uint##bits##_t, was_ < arg ? was_ : arg);			\
		default:								\
			return (__atomic_exchange_n((uint##bits##_t *)p, arg, __ATOMIC_SEQ_CST));	\
		}									\
	}

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

static enum a64_status
atomic_op(struct a64 *c, const struct a64_insn *i)
{
	static uint64_t (*const ops[4])(void *, unsigned, uint64_t) = { atomic8, atomic16, atomic32, atomic64 };
	unsigned size = 1U << i->arg2;
	struct a64_ref ref;
	uint64_t va;

	TRY(base_of(c, i, &va));
	TRY(ref_of(c, va, size, VM_PROT_RW, &ref));
	R(i->rd) = ops[i->arg2](ref.p, i->arg, R(i->rm));
	stored(c, &ref, size);
	return (A_DONE);
}

/* Bits 21 set and 11:10 clear of "load/store register". */
bool
a64_decode_atomic(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rm = src(a64_bits(w, 20, 16));
	i->rd = dst(w & 31);
	i->arg = (uint8_t)a64_bits(w, 15, 12);
	i->arg2 = (uint8_t)(w >> 30);
	if ((w & 0x00fffc00) == 0x00bfc000) {		/* LDAPR */
		i->arg = (uint8_t)(1U << (w >> 30));
		i->fn = ldar;
		return (true);
	}
	i->fn = atomic_op;
	return (i->arg <= 8 && (features & A64_F_LSE) != 0);
}
