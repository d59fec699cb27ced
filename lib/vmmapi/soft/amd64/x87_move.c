/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_move.c - x87 data transfer (SDM vol. 1 8.3.3): loads and stores of floating-point numbers,
 * integers and packed decimals, constants, exchanges and conditional moves.
 */
#include "x87.h"

/*
 * Ten bytes are eight and two: the first eight have their faults first, and have to be aligned
 * where that is checked (SDM vol. 3 table 6-7).
 */
static enum x86_status
load80_slow(struct x86 *x, const struct x86_insn *i, uint64_t ea, struct x87_reg *v)
{
	TRY(x86_load_seg(x, (enum amd64_seg)i->seg, ea, 8, &v->m));
	return (x86_load_seg(x, (enum amd64_seg)i->seg, ea + 8, 2, &v->se));
}

static enum x86_status
probe80(struct x86 *x, const struct x86_insn *i, uint64_t ea)
{
	TRY(x86_probe(x, (enum amd64_seg)i->seg, ea, 8, true));
	return (x86_probe(x, (enum amd64_seg)i->seg, ea + 8, 2, true));
}

static enum x86_status
store80_slow(struct x86 *x, const struct x86_insn *i, uint64_t ea, const struct x87_reg *v)
{
	TRY(probe80(x, i, ea));
	TRY(x86_store_seg(x, (enum amd64_seg)i->seg, ea, 8, v->m));
	return (x86_store_seg(x, (enum amd64_seg)i->seg, ea + 8, 2, v->se));
}

X86_INLINE enum x86_status
load80(struct x86 *x, const struct x86_insn *i, struct x87_reg *v)
{
	uint64_t ea = x86_ea(x, i);
	const uint8_t *p = NULL;

	if (likely((i->flags & XI_FLAT) != 0))
		p = soft_tlb_hit(x->row, x->tag, ea, 10, false);
	if (unlikely(p == NULL))
		return (load80_slow(x, i, ea, v));
	v->m = host_load(p, 8);
	v->se = host_load(p + 8, 2);
	return (X_DONE);
}

X86_INLINE enum x86_status
store80(struct x86 *x, const struct x86_insn *i, const struct x87_reg *v)
{
	uint64_t ea = x86_ea(x, i);
	uint8_t *p = NULL;

	if (likely((i->flags & XI_FLAT) != 0))
		p = soft_tlb_hit(x->wrow, x->tag, ea, 10, true);
	if (unlikely(p == NULL))
		return (store80_slow(x, i, ea, v));
	host_store(p, 8, v->m);
	host_store(p + 8, 2, v->se);
	return (X_DONE);
}

/* Loads */

/* Push what was loaded, now that the stack is looked at. */
X86_INLINE enum x86_status
load_push(struct x86 *x, const struct x86_insn *i, struct x87 *f, struct x87_reg v)
{
	x87_point(x, i, f);
	if (unlikely(x87_valid(f, 7))) {
		if (x87_stack_fault(f, true))
			x87_push(f, X87_INDEFINITE);
		return (X_DONE);
	}
	x87_cc(f, X87_C1, 0);
	x87_push(f, v);
	return (X_DONE);
}

X86_INLINE uint16_t
host_fld32(const struct x87_reg *a, const void *b, struct x87_reg *r)
{
	uint16_t sw;

	__asm__ volatile("flds %2; fnstsw %1; fstpt %0" : "=m" (X87_OUT(10, r)), "=a" (sw) :
	    "m" (X87_IN(4, b)) : "st");
	return (sw);
}

X86_INLINE uint16_t
host_fld64(const struct x87_reg *a, const void *b, struct x87_reg *r)
{
	uint16_t sw;

	__asm__ volatile("fldl %2; fnstsw %1; fstpt %0" : "=m" (X87_OUT(10, r)), "=a" (sw) :
	    "m" (X87_IN(8, b)) : "st");
	return (sw);
}

/* Denormals raise #D here, signaling NaNs #I; those of 80 bits are loaded as they are. */
static enum x86_status
load_odd(struct x86 *x, const struct x86_insn *i, struct x87 *f, x87_host *fn, const uint64_t *v)
{
	struct x87_reg r;

	/* The stack fault comes first (SDM vol. 1 4.9.2). */
	if (x87_valid(f, 7))
		return (load_push(x, i, f, X87_INDEFINITE));
	x87_point(x, i, f);
	if (x87_compute(f, fn, X87_K_LOAD, 0, NULL, v, &r))
		x87_push(f, r);
	return (X_DONE);
}

static enum x86_status
fld32(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;
	unsigned e;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, 4, &v));
	e = v >> 23 & 0xff;
	if (unlikely(e == 0xff || (e == 0 && (v & 0x7fffff) != 0)))
		return (load_odd(x, i, f, host_fld32, &v));
	return (load_push(x, i, f, (struct x87_reg){
	    .m = e == 0 ? 0 : X87_INT_BIT | (v & 0x7fffff) << 40,
	    .se = (v >> 16 & 0x8000) | (e == 0 ? 0 : e + 0x3fff - 0x7f) }));
}

static enum x86_status
fld64(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0, frac;
	unsigned e;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, 8, &v));
	e = v >> 52 & 0x7ff;
	frac = v << 11 & ~X87_INT_BIT;
	if (unlikely(e == 0x7ff || (e == 0 && frac != 0)))
		return (load_odd(x, i, f, host_fld64, &v));
	return (load_push(x, i, f, (struct x87_reg){
	    .m = e == 0 ? 0 : X87_INT_BIT | frac,
	    .se = (v >> 48 & 0x8000) | (e == 0 ? 0 : e + 0x3fff - 0x3ff) }));
}

static enum x86_status
fld80(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v = { 0, 0 };

	X87_BEGIN(x, f);
	TRY(load80(x, i, &v));
	return (load_push(x, i, f, v));
}

static enum x86_status
fld_st(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v;

	X87_BEGIN(x, f);
	/* Which fault it is, if it is both, the manual does not say. */
	if (unlikely(!x87_valid(f, i->r[0]))) {
		x87_point(x, i, f);
		if (x87_stack_fault(f, false))
			x87_push(f, X87_INDEFINITE);
		return (X_DONE);
	}
	v = f->st[i->r[0]];
	return (load_push(x, i, f, v));
}

X86_INLINE enum x86_status
fild(struct x86 *x, const struct x86_insn *i, unsigned size)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, size, &v));
	return (load_push(x, i, f, x87_from_int(x86_sext(v, size))));
}

static enum x86_status
fild16(struct x86 *x, const struct x86_insn *i)
{
	return (fild(x, i, 2));
}

static enum x86_status
fild32(struct x86 *x, const struct x86_insn *i)
{
	return (fild(x, i, 4));
}

static enum x86_status
fild64(struct x86 *x, const struct x86_insn *i)
{
	return (fild(x, i, 8));
}

X86_INLINE uint16_t
host_fbld(const struct x87_reg *a, const void *b, struct x87_reg *r)
{
	uint16_t sw;

	__asm__ volatile("fbld %2; fnstsw %1; fstpt %0" : "=m" (X87_OUT(10, r)), "=a" (sw) :
	    "m" (X87_IN(10, b)) : "st");
	return (sw);
}

static enum x86_status
fbld(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v = { 0, 0 }, r;

	X87_BEGIN(x, f);
	TRY(load80(x, i, &v));
	/* Digits that are none give what the host makes of them; there are no exceptions. */
	(void)x87_execute(f, host_fbld, NULL, &v, &r);
	return (load_push(x, i, f, r));
}

/* Constants are rounded as FCW.RC says (SDM vol. 1 8.3.2). */
#define	CONSTANT(name)								\
X86_INLINE uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile(#name "; fnstsw %1; fstpt %0" : "=m" (X87_OUT(10, r)), "=a" (sw) :	\
	    : "st");								\
	return (sw);								\
}
CONSTANT(fld1)
CONSTANT(fldl2t)
CONSTANT(fldl2e)
CONSTANT(fldpi)
CONSTANT(fldlg2)
CONSTANT(fldln2)
CONSTANT(fldz)

static enum x86_status
constant(struct x86 *x, const struct x86_insn *i)
{
	static x87_host *const fn[] = {
		host_fld1, host_fldl2t, host_fldl2e, host_fldpi, host_fldlg2, host_fldln2,
		host_fldz,
	};
	struct x87 *f = x87_of(x);
	struct x87_reg r;

	X87_BEGIN(x, f);
	(void)x87_execute(f, fn[i->arg - X87_CONST], NULL, NULL, &r);
	return (load_push(x, i, f, r));
}

/* Stores */

/*
 * Store v of size bytes, which is the result or the answer to a masked exception; fsw is what the
 * conversion made of the status, to be kept once nothing can fail any more.  Where an unmasked
 * exception keeps the result from memory, processors still look whether it could go there.
 */
X86_INLINE enum x86_status
store_done(struct x86 *x, const struct x86_insn *i, struct x87 *f, uint16_t fsw, unsigned size,
    const struct x87_reg *v, bool deliver, bool pop)
{
	if (unlikely(!deliver) && size == 10)
		TRY(probe80(x, i, x86_ea(x, i)));
	else if (unlikely(!deliver))
		TRY(x86_probe(x, (enum amd64_seg)i->seg, x86_ea(x, i), size, true));
	else if (size == 10)
		TRY(store80(x, i, v));
	else
		TRY(x86_store(x, i, size, v->m));
	f->fsw = fsw;
	x87_point(x, i, f);
	if (deliver && pop)
		x87_pop(f);
	return (X_DONE);
}

#define	STORE(name, text, size)							\
X86_INLINE uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %2; " text " %0; fnstsw %1" : "=m" (X87_OUT(size, r)), \
	    "=a" (sw) : "m" (X87_IN(10, a)) : "st");				\
	return (sw);								\
}
STORE(fst32, "fstps", 4)
STORE(fst64, "fstpl", 8)
STORE(fist16, "fistps", 2)
STORE(fist32, "fistpl", 4)
STORE(fist64, "fistpll", 8)
STORE(fisttp16, "fisttps", 2)
STORE(fisttp32, "fisttpl", 4)
STORE(fisttp64, "fisttpll", 8)
STORE(fbstp, "fbstp", 10)

/* indefinite: what is stored if ST(0) is empty. */
X86_INLINE enum x86_status
store(struct x86 *x, const struct x86_insn *i, x87_host *fn, unsigned kind, unsigned size,
    struct x87_reg indefinite, bool pop)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v = indefinite;
	uint16_t before = f->fsw, after;
	bool deliver;

	X87_BEGIN(x, f);
	if (unlikely(!x87_valid(f, 0)))
		deliver = x87_stack_fault(f, false);
	else
		deliver = x87_compute(f, fn, kind, 0, &f->st[0], NULL, &v);
	/* The store itself may still fault. */
	after = f->fsw;
	f->fsw = before;
	return (store_done(x, i, f, after, size, &v, deliver, pop));
}

#define	STORE_OP(name, fn, kind, size, pop, ...)				\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	return (store(x, i, fn, kind, size, (struct x87_reg){ __VA_ARGS__ }, pop));	\
}
STORE_OP(fst32, host_fst32, X87_K_STORE32, 4, false, 0xffc00000, 0)
STORE_OP(fst64, host_fst64, X87_K_STORE64, 8, false, 0xfff8000000000000ULL, 0)
STORE_OP(fstp32, host_fst32, X87_K_STORE32, 4, true, 0xffc00000, 0)
STORE_OP(fstp64, host_fst64, X87_K_STORE64, 8, true, 0xfff8000000000000ULL, 0)
STORE_OP(fist16, host_fist16, X87_K_PLAIN, 2, false, 0x8000, 0)
STORE_OP(fist32, host_fist32, X87_K_PLAIN, 4, false, 0x80000000, 0)
STORE_OP(fistp16, host_fist16, X87_K_PLAIN, 2, true, 0x8000, 0)
STORE_OP(fistp32, host_fist32, X87_K_PLAIN, 4, true, 0x80000000, 0)
STORE_OP(fistp64, host_fist64, X87_K_PLAIN, 8, true, 0x8000000000000000ULL, 0)
STORE_OP(fisttp16, host_fisttp16, X87_K_PLAIN, 2, true, 0x8000, 0)
STORE_OP(fisttp32, host_fisttp32, X87_K_PLAIN, 4, true, 0x80000000, 0)
STORE_OP(fisttp64, host_fisttp64, X87_K_PLAIN, 8, true, 0x8000000000000000ULL, 0)
STORE_OP(fbstp, host_fbstp, X87_K_PLAIN, 10, true, 0xc000000000000000ULL, 0xffff)

/* As it is: no conversion, no exception but the stack's. */
static enum x86_status
fstp80(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v = X87_INDEFINITE;
	uint16_t before = f->fsw, after;
	bool deliver = true;

	X87_BEGIN(x, f);
	if (unlikely(!x87_valid(f, 0))) {
		deliver = x87_stack_fault(f, false);
	} else {
		v = f->st[0];
		x87_cc(f, X87_C1, 0);
	}
	after = f->fsw;
	f->fsw = before;
	return (store_done(x, i, f, after, 10, &v, deliver, true));
}

X86_INLINE enum x86_status
fst_st(struct x86 *x, const struct x86_insn *i, bool pop)
{
	struct x87 *f = x87_of(x);
	struct x87_reg v = X87_INDEFINITE;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
	} else {
		v = f->st[0];
		x87_cc(f, X87_C1, 0);
	}
	x87_set(f, i->r[0], v);
	if (pop)
		x87_pop(f);
	return (X_DONE);
}

static enum x86_status
fst_reg(struct x86 *x, const struct x86_insn *i)
{
	return (fst_st(x, i, false));
}

static enum x86_status
fstp_reg(struct x86 *x, const struct x86_insn *i)
{
	return (fst_st(x, i, true));
}

/*
 * D9 D8+i, which the manual does not have: where FSTP finds nothing to store, this stores nothing
 * and pops.
 */
static enum x86_status
fstpnce(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	x87_cc(f, X87_C1, 0);
	if (x87_valid(f, 0))
		x87_set(f, i->r[0], f->st[0]);
	x87_pop(f);
	return (X_DONE);
}

/* Between registers */

static enum x86_status
fxch(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	unsigned n = i->r[0];
	struct x87_reg a, b;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0) || !x87_valid(f, n))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
		if (!x87_valid(f, 0))
			x87_set(f, 0, X87_INDEFINITE);
		if (!x87_valid(f, n))
			x87_set(f, n, X87_INDEFINITE);
	} else {
		x87_cc(f, X87_C1, 0);
	}
	a = f->st[0];
	b = f->st[n];
	x87_set(f, 0, b);
	x87_set(f, n, a);
	return (X_DONE);
}

/* The low two bits of the condition, as encoded, choose CF, ZF, either, PF; the third inverts. */
static enum x86_status
fcmov(struct x86 *x, const struct x86_insn *i)
{
	static const uint8_t flags[4] = { FL_CF, FL_ZF, FL_CF | FL_ZF, FL_PF };
	unsigned cond = i->arg - X87_FCMOV;
	struct x87 *f = x87_of(x);
	bool take = ((x->s->rflags & flags[cond & 3]) != 0) != (cond >= 4);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	/* An empty register is one whatever the condition says (SDM vol. 2 FCMOVcc). */
	if (unlikely(!x87_valid(f, 0) || !x87_valid(f, i->r[0]))) {
		if (x87_stack_fault(f, false))
			x87_set(f, 0, X87_INDEFINITE);
		return (X_DONE);
	}
	if (take)
		x87_set(f, 0, f->st[i->r[0]]);
	return (X_DONE);
}

/* Decoding */

static x86_op *
memory_op(unsigned arg, unsigned bits)
{
	static const struct {
		uint8_t	 arg, bits;
		x86_op	*fn;
	} ops[] = {
		{ X87_FLD, 32, fld32 }, { X87_FLD, 64, fld64 }, { X87_FLD, 80, fld80 },
		{ X87_FST, 32, fst32 }, { X87_FST, 64, fst64 },
		{ X87_FSTP, 32, fstp32 }, { X87_FSTP, 64, fstp64 }, { X87_FSTP, 80, fstp80 },
		{ X87_FILD, 16, fild16 }, { X87_FILD, 32, fild32 }, { X87_FILD, 64, fild64 },
		{ X87_FIST, 16, fist16 }, { X87_FIST, 32, fist32 },
		{ X87_FISTP, 16, fistp16 }, { X87_FISTP, 32, fistp32 }, { X87_FISTP, 64, fistp64 },
		{ X87_FISTTP, 16, fisttp16 }, { X87_FISTTP, 32, fisttp32 },
		{ X87_FISTTP, 64, fisttp64 },
		{ X87_FBLD, 80, fbld }, { X87_FBSTP, 80, fbstp },
	};

	for (size_t n = 0; n < nitems(ops); n++) {
		if (ops[n].arg == arg && ops[n].bits == bits)
			return (ops[n].fn);
	}
	return (NULL);
}

bool
x87_bind_move(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	x87_bind(i, d);
	if (x86_is_mem(d, 0))
		i->fn = memory_op(arg, d->op[0].size);
	else if (arg == X87_FLD)
		i->fn = fld_st;
	else if (arg == X87_FST)
		i->fn = fst_reg;
	else if (arg == X87_FSTP)
		i->fn = fstp_reg;
	else if (arg == X87_FSTPNCE)
		i->fn = fstpnce;
	else if (arg == X87_FXCH)
		i->fn = fxch;
	else
		i->fn = arg >= X87_CONST ? constant : fcmov;
	return (i->fn != NULL);
}
