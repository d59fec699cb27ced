/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_cmp.c - x87 comparisons and classification (SDM vol. 1 8.3.6).
 */
#include "x87.h"

#define	UNORDERED	(X87_C0 | X87_C2 | X87_C3)

/* Ordered comparisons are invalid with any NaN, unordered ones with signaling NaNs only. */
#define	HOST(name, text, size)							\
X86_INLINE uint16_t								\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile(text : "=a" (sw) : "m" (X87_IN(10, a)),		\
	    "m" (X87_IN(size, b)) : "st", "st(1)");				\
	return (sw);								\
}
HOST(fcom, "fldt %2; fldt %1; fcompp; fnstsw %0", 10)
HOST(fucom, "fldt %2; fldt %1; fucompp; fnstsw %0", 10)
HOST(fcom32, "fldt %1; fcomps %2; fnstsw %0", 4)
HOST(fcom64, "fldt %1; fcompl %2; fnstsw %0", 8)

/* Compare ST(0) with b, if it can be; then pop. */
X86_INLINE enum x86_status
compare(struct x86 *x, const struct x86_insn *i, struct x87 *f, x87_host *fn, bool valid,
    const void *b, unsigned pops)
{
	x87_point(x, i, f);
	if (unlikely(!valid || !x87_valid(f, 0))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
		x87_cc(f, UNORDERED, UNORDERED);
	} else if (!x87_compute(f, fn, X87_K_COMPARE, X87_CC, &f->st[0], b, NULL)) {
		return (X_DONE);
	}
	for (; pops > 0; pops--)
		x87_pop(f);
	return (X_DONE);
}

X86_INLINE enum x86_status
compare_st(struct x86 *x, const struct x86_insn *i, x87_host *fn, unsigned n, unsigned pops)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	return (compare(x, i, f, fn, x87_valid(f, n), &f->st[n], pops));
}

static enum x86_status
fcom(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fcom, i->r[0], 0));
}

static enum x86_status
fcomp(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fcom, i->r[0], 1));
}

static enum x86_status
fcompp(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fcom, 1, 2));
}

static enum x86_status
fucom(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fucom, i->r[0], 0));
}

static enum x86_status
fucomp(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fucom, i->r[0], 1));
}

static enum x86_status
fucompp(struct x86 *x, const struct x86_insn *i)
{
	return (compare_st(x, i, host_fucom, 1, 2));
}

/* With memory: i->arg says whether to pop. */
static enum x86_status
fcom_m32(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, 4, &v));
	return (compare(x, i, f, host_fcom32, true, &v, i->arg == X87_FCOMP));
}

static enum x86_status
fcom_m64(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, 8, &v));
	return (compare(x, i, f, host_fcom64, true, &v, i->arg == X87_FCOMP));
}

static enum x86_status
fcom_int(struct x86 *x, const struct x86_insn *i, unsigned size)
{
	struct x87 *f = x87_of(x);
	struct x87_reg b;
	uint64_t v = 0;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, size, &v));
	b = x87_from_int(x86_sext(v, size));
	return (compare(x, i, f, host_fcom, true, &b, i->arg == X87_FCOMP));
}

static enum x86_status
fcom_i16(struct x86 *x, const struct x86_insn *i)
{
	return (fcom_int(x, i, 2));
}

static enum x86_status
fcom_i32(struct x86 *x, const struct x86_insn *i)
{
	return (fcom_int(x, i, 4));
}

static enum x86_status
ftst(struct x86 *x, const struct x86_insn *i)
{
	static const struct x87_reg zero;
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	return (compare(x, i, f, host_fcom, true, &zero, 0));
}

/*
 * Into RFLAGS (SDM vol. 2 FCOMI): C0, C2, C3 are CF, PF, ZF, and stay themselves as they were.  An
 * unmasked invalid operation leaves CF, PF, ZF alone.  OF, SF and AF are cleared in any case.
 */
X86_INLINE enum x86_status
compare_flags(struct x86 *x, const struct x86_insn *i, x87_host *fn, bool pop)
{
	struct x87 *f = x87_of(x);
	unsigned n = i->r[0];
	uint16_t cc = UNORDERED, before = f->fsw;
	bool done;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0) || !x87_valid(f, n))) {
		done = x87_stack_fault(f, false);
	} else {
		done = x87_compute(f, fn, X87_K_COMPARE, X87_CC, &f->st[0], &f->st[n], NULL);
		cc = f->fsw;
		x87_cc(f, UNORDERED, before);
	}
	if (unlikely((f->fsw & ~f->fcw & X87_IE) != 0)) {
		x86_flags(x, 0, FL_OF | FL_SF | FL_AF);
		return (X_DONE);
	}
	x86_flags(x, ((cc & X87_C0) != 0 ? FL_CF : 0) | ((cc & X87_C2) != 0 ? FL_PF : 0) |
	    ((cc & X87_C3) != 0 ? FL_ZF : 0), FL_ARITH);
	if (done && pop)
		x87_pop(f);
	return (X_DONE);
}

static enum x86_status
fcomi(struct x86 *x, const struct x86_insn *i)
{
	return (compare_flags(x, i, host_fcom, i->arg == X87_FCOMIP));
}

static enum x86_status
fucomi(struct x86 *x, const struct x86_insn *i)
{
	return (compare_flags(x, i, host_fucom, i->arg == X87_FUCOMIP));
}

/* SDM vol. 1 table 8-8; an empty register has a sign, too. */
static unsigned
classify(const struct x87_reg *r)
{
	unsigned e = r->se & 0x7fff;

	if (e == 0)
		return (r->m == 0 ? X87_C3 : X87_C3 | X87_C2);
	if ((r->m & X87_INT_BIT) == 0)
		return (0);			/* not supported (8.2.2) */
	if (e == 0x7fff)
		return (r->m == X87_INT_BIT ? X87_C2 | X87_C0 : X87_C0);
	return (X87_C2);
}

static enum x86_status
fxam(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	unsigned cc;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	cc = x87_valid(f, 0) ? classify(&f->st[0]) : X87_C3 | X87_C0;
	if ((f->st[0].se & 0x8000) != 0)
		cc |= X87_C1;
	x87_cc(f, X87_CC, cc);
	return (X_DONE);
}

/* Decoding */

bool
x87_bind_cmp(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	/* by the low bits of the first byte */
	static x86_op *const mem[8] = {
		[0] = fcom_m32, [2] = fcom_i32, [4] = fcom_m64, [6] = fcom_i16,
	};
	static x86_op *const ops[] = {
		[X87_FCOM] = fcom, [X87_FCOMP] = fcomp, [X87_FCOMPP] = fcompp, [X87_FUCOM] = fucom,
		[X87_FUCOMP] = fucomp, [X87_FUCOMPP] = fucompp, [X87_FCOMI] = fcomi,
		[X87_FCOMIP] = fcomi, [X87_FUCOMI] = fucomi, [X87_FUCOMIP] = fucomi,
		[X87_FTST] = ftst, [X87_FXAM] = fxam,
	};

	x87_bind(i, d);
	i->fn = d->z->raw.modrm.mod == 3 ? ops[arg] : mem[d->z->opcode & 7];
	return (true);
}
