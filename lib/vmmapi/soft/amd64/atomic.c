/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomic.c - CMPXCHG, XADD, CMPXCHG8B and CMPXCHG16B with and without LOCK, XCHG with memory, and
 * the LOCK forms of arith.c (Intel SDM vol. 2; vol. 3 8.1.2).
 */
#include "alu.h"
#include "atomic.h"
#include "decode.h"

/*
 * LOCK ADD and so on: the operation is in i->arg.  Once for the host's memory, once for
 * x86_atomic().
 */
struct lock {
	uint64_t	 b, rflags;
	unsigned	 op, size, ax;
	bool		 one;
};

X86_INLINE uint64_t
compute(struct lock *l, unsigned size, bool one, uint64_t a)
{
#define	TWO(op)									\
	case op:								\
		return (alu2(op, size, a, l->b, l->rflags, &l->ax))
#define	ONE(op)									\
	case op:								\
		return (alu1(op, size, a, l->rflags, &l->ax))
	if (one) {
		switch (l->op) {
		ONE(ALU_INC);
		ONE(ALU_DEC);
		ONE(ALU_NEG);
		default:
		ONE(ALU_NOT);
		}
	}
	switch (l->op) {
	TWO(ALU_ADD);
	TWO(ALU_OR);
	TWO(ALU_ADC);
	TWO(ALU_SBB);
	TWO(ALU_AND);
	TWO(ALU_SUB);
	default:
	TWO(ALU_XOR);
	}
#undef	TWO
#undef	ONE
}

static bool
lock_fn(void *arg, const void *old, void *new)
{
	struct lock *l = arg;
	uint64_t v = 0;

	memcpy(&v, old, l->size);
	switch (l->size) {
	case 1:
		v = compute(l, 1, l->one, v);
		break;
	case 2:
		v = compute(l, 2, l->one, v);
		break;
	case 4:
		v = compute(l, 4, l->one, v);
		break;
	default:
		v = compute(l, 8, l->one, v);
		break;
	}
	memcpy(new, &v, l->size);
	return (true);
}

X86_INLINE enum x86_status
lock(struct x86 *x, const struct x86_insn *i, unsigned size, bool one, uint64_t b)
{
	struct lock l = { .b = b, .rflags = x->s->rflags, .op = i->arg, .size = size, .one = one };
	uint64_t lin = 0, old, v;
	void *p;

	TRY(x86_address(x, i, size, true, &lin));
	p = atomic_host(x, lin, size);
	if (likely(p != NULL)) {
		old = host_load(p, size);
		do
			v = compute(&l, size, one, old);
		while (!atomic_cas(p, size, &old, v));
	} else {
		TRY(x86_atomic(x, i, size, lock_fn, &l));
	}
	if (!one || l.op != ALU_NOT)
		alu_set(x, l.ax);
	return (X_DONE);
}

#define	LOCKED(size)								\
static enum x86_status								\
lock##size##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (lock(x, i, size, false, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
lock##size##_i(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (lock(x, i, size, false, i->imm));				\
}										\
static enum x86_status								\
lock##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (lock(x, i, size, true, 0));					\
}

LOCKED(1)
LOCKED(2)
LOCKED(4)
LOCKED(8)

x86_op *
x86_lock_two(unsigned size, bool imm)
{
	static x86_op *const fns[4][2] = {
		{ lock1_r, lock1_i }, { lock2_r, lock2_i }, { lock4_r, lock4_i }, { lock8_r, lock8_i },
	};

	return (fns[x86_size_index(size)][imm]);
}

x86_op *
x86_lock_one(unsigned size)
{
	static x86_op *const fns[4] = { lock1, lock2, lock4, lock8 };

	return (fns[x86_size_index(size)]);
}

/* XCHG with memory is locked with or without the prefix. */

static bool
xchg_fn(void *arg, const void *old, void *new)
{
	uint64_t *v = arg;	/* to store, what was there, size */

	v[1] = 0;
	memcpy(&v[1], old, v[2]);
	memcpy(new, &v[0], v[2]);
	return (true);
}

X86_INLINE enum x86_status
xchg(struct x86 *x, const struct x86_insn *i, unsigned size, unsigned reg)
{
	uint64_t lin = 0, v[3] = { x86_reg(x, reg, size), 0, size };
	void *p;

	TRY(x86_address(x, i, size, true, &lin));
	p = atomic_host(x, lin, size);
	if (likely(p != NULL)) {
		v[1] = host_load(p, size);
		while (!atomic_cas(p, size, &v[1], v[0]))
			continue;
	} else {
		TRY(x86_atomic(x, i, size, xchg_fn, v));
	}
	x86_reg_set(x, reg, size, v[1]);
	return (X_DONE);
}

/* XADD: the sum goes to the destination, what was there to the source; flags of ADD. */

static bool
xadd_fn(void *arg, const void *old, void *new)
{
	uint64_t *v = arg;	/* to add, what was there, size */
	uint64_t sum;

	v[1] = 0;
	memcpy(&v[1], old, v[2]);
	sum = v[1] + v[0];
	memcpy(new, &sum, v[2]);
	return (true);
}

X86_INLINE enum x86_status
xadd(struct x86 *x, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t lin = 0, v[3] = { x86_reg(x, i->r[1], size), 0, size }, sum;
	struct x86_ref ref;
	unsigned ax;
	void *p;

	if (!mem)
		v[1] = x86_reg(x, i->r[0], size);
	else if ((i->flags & XI_LOCK) == 0)
		TRY(x86_rmw_load(x, i, size, &ref, &v[1]));
	else {
		TRY(x86_address(x, i, size, true, &lin));
		p = atomic_host(x, lin, size);
		if (likely(p != NULL)) {
			v[1] = host_load(p, size);
			while (!atomic_cas(p, size, &v[1], v[1] + v[0]))
				continue;
		} else {
			TRY(x86_atomic(x, i, size, xadd_fn, v));
		}
	}
	sum = alu2(ALU_ADD, size, v[1], v[0], 0, &ax);
	if (mem && (i->flags & XI_LOCK) == 0)
		TRY(x86_rmw_store(x, i, size, &ref, sum));
	x86_reg_set(x, i->r[1], size, v[1]);
	if (!mem)
		x86_reg_set(x, i->r[0], size, sum);
	alu_set(x, ax);
	return (X_DONE);
}

/*
 * CMPXCHG.  The destination is written in any case, with what was there if it was not equal; a
 * register is not.
 */

static bool
cmpxchg_fn(void *arg, const void *old, void *new)
{
	uint64_t *v = arg;	/* to store, what was there, size, accumulator */

	v[1] = 0;
	memcpy(&v[1], old, v[2]);
	memcpy(new, &v[0], v[2]);
	return (v[1] == v[3]);
}

X86_INLINE enum x86_status
cmpxchg(struct x86 *x, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t lin = 0, acc = x86_gpr(x, RAX, size), v[4] = { x86_reg(x, i->r[1], size), 0, size, acc };
	struct x86_ref ref;
	unsigned ax;
	void *p;

	if (!mem) {
		v[1] = x86_reg(x, i->r[0], size);
		if (v[1] == acc)
			x86_reg_set(x, i->r[0], size, v[0]);
	} else if ((i->flags & XI_LOCK) == 0) {
		TRY(x86_rmw_load(x, i, size, &ref, &v[1]));
		TRY(x86_rmw_store(x, i, size, &ref, v[1] == acc ? v[0] : v[1]));
	} else {
		TRY(x86_address(x, i, size, true, &lin));
		p = atomic_host(x, lin, size);
		v[1] = acc;
		if (likely(p != NULL))
			(void)atomic_cas(p, size, &v[1], v[0]);
		else
			TRY(x86_atomic(x, i, size, cmpxchg_fn, v));
	}
	(void)alu2(ALU_CMP, size, acc, v[1], 0, &ax);
	if (v[1] != acc)
		x86_gpr_set(x, RAX, size, v[1]);
	alu_set(x, ax);
	return (X_DONE);
}

#define	FORMS(size)								\
static enum x86_status								\
xchg##size##_rr(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t a = x86_reg(x, i->r[0], size);					\
										\
	x86_reg_set(x, i->r[0], size, x86_reg(x, i->r[1], size));		\
	x86_reg_set(x, i->r[1], size, a);					\
	return (X_DONE);								\
}										\
static enum x86_status								\
xchg##size##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (xchg(x, i, size, i->arg));					\
}										\
static enum x86_status								\
xadd##size##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (xadd(x, i, size, false));					\
}										\
static enum x86_status								\
xadd##size##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (xadd(x, i, size, true));					\
}										\
static enum x86_status								\
cmpxchg##size##_r(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (cmpxchg(x, i, size, false));					\
}										\
static enum x86_status								\
cmpxchg##size##_m(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (cmpxchg(x, i, size, true));					\
}

FORMS(1)
FORMS(2)
FORMS(4)
FORMS(8)

enum { XCHG, XADD, CMPXCHG };

static bool
bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	F(name, size, r)	{ name##size##r, name##size##_m }
#define	ROW(name, r)	{ F(name, 1, r), F(name, 2, r), F(name, 4, r), F(name, 8, r) }
	static x86_op *const fns[][4][2] = {
		[XCHG] = ROW(xchg, _rr), [XADD] = ROW(xadd, _r), [CMPXCHG] = ROW(cmpxchg, _r),
	};
#undef	F
#undef	ROW
	bool mem = (i->flags & XI_MEM) != 0;

	/* The order of XCHG's operands is of no matter; arg is the register of the form with memory. */
	if (arg == XCHG && mem)
		i->arg = i->r[x86_is_mem(d, 0) ? 1 : 0];
	i->fn = fns[arg][x86_size_index(i->opsize)][mem];
	return (true);
}

/* F3 90 is PAUSE, but with REX.B it is XCHG of R8, which Zydis overlooks. */
static bool
bind_not_pause(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const fns[] = { NULL, xchg2_rr, xchg4_rr, xchg8_rr };

	if (d->z->raw.rex.B == 0)
		return (false);
	i->opsize = d->z->raw.rex.W != 0 ? 8 : (d->z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0 ? 2 : 4;
	i->r[0] = 8 * R8;
	i->r[1] = 8 * RAX;
	i->fn = fns[x86_size_index(i->opsize)];
	return (true);
}

/* CMPXCHG8B, CMPXCHG16B: only ZF changes */

struct pair {
	uint64_t	 old[2], cmp[2], new[2];
	unsigned	 size;
	bool		 equal;
};

static bool
pair_fn(void *arg, const void *old, void *new)
{
	struct pair *p = arg;

	memset(p->old, 0, sizeof(p->old));
	memcpy(p->old, old, p->size);
	p->equal = memcmp(p->old, p->cmp, p->size) == 0;
	memcpy(new, p->new, p->size);
	return (p->equal);
}

static enum x86_status
cmpxchg8b(struct x86 *x, const struct x86_insn *i)
{
	struct pair p = { .size = 8 };
	struct x86_ref ref;

	p.cmp[0] = x86_gpr(x, RDX, 4) << 32 | x86_gpr(x, RAX, 4);
	p.new[0] = x86_gpr(x, RCX, 4) << 32 | x86_gpr(x, RBX, 4);
	if ((i->flags & XI_LOCK) != 0) {
		TRY(x86_atomic(x, i, 8, pair_fn, &p));
	} else {
		TRY(x86_rmw_load(x, i, 8, &ref, &p.old[0]));
		p.equal = p.old[0] == p.cmp[0];
		TRY(x86_rmw_store(x, i, 8, &ref, p.equal ? p.new[0] : p.old[0]));
	}
	if (!p.equal) {
		x86_gpr_set(x, RAX, 4, p.old[0]);
		x86_gpr_set(x, RDX, 4, p.old[0] >> 32);
	}
	x86_flags(x, p.equal ? FL_ZF : 0, FL_ZF);
	return (X_DONE);
}

/* Without LOCK it may be atomic all the same. */
static enum x86_status
cmpxchg16b(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_state *s = x->s;
	struct pair p = {
		.cmp = { s->gpr[RAX], s->gpr[RDX] }, .new = { s->gpr[RBX], s->gpr[RCX] }, .size = 16,
	};
	uint64_t lin = 0;

	TRY(x86_address(x, i, 16, true, &lin));
	if ((lin & 15) != 0)
		return (GP0(x));
	TRY(x86_atomic(x, i, 16, pair_fn, &p));
	if (!p.equal) {
		s->gpr[RAX] = p.old[0];
		s->gpr[RDX] = p.old[1];
	}
	x86_flags(x, p.equal ? FL_ZF : 0, FL_ZF);
	return (X_DONE);
}

const struct x86_opdesc x86_ops_atomic[] = {
	{ ZYDIS_MNEMONIC_XCHG, 0, XCHG, NULL, bind },
	{ ZYDIS_MNEMONIC_PAUSE, 0, 0, NULL, bind_not_pause },
	{ ZYDIS_MNEMONIC_XADD, 0, XADD, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPXCHG, 0, CMPXCHG, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPXCHG8B, 0, 0, cmpxchg8b, NULL },
	{ ZYDIS_MNEMONIC_CMPXCHG16B, 0, 0, cmpxchg16b, NULL },
	{ 0 },
};
