/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vector.h - what the files of the MMX and SSE instructions share: registers, checks, operands.
 *
 * The registers live in the state page's FXSAVE image (SDM vol. 1 10.5.1).  Instructions execute as
 * the host's own on values in host registers; MMX instructions, too, execute in XMM registers, so
 * that the host's x87 state stays alone.
 */
#ifndef _VMMAPI_SOFT_AMD64_VECTOR_H_
#define	_VMMAPI_SOFT_AMD64_VECTOR_H_

#include <stddef.h>
#include <string.h>

#include "x87.h"

typedef long long vec __attribute__((vector_size(16), may_alias));
typedef long long vec_mem __attribute__((vector_size(16), may_alias, aligned(1)));

/* A register or memory operand by its elements. */
union vec_elems {
	vec		v;
	uint8_t		b[16];
	uint16_t	w[8];
	uint32_t	d[4];
	uint64_t	q[2];
};

_Static_assert(offsetof(struct amd64_state, fxsave) % 16 == 0, "XMM registers are aligned");

#define	FX_XMM		sizeof(struct x87)	/* where XMM0 is */

X86_INLINE vec *
vec_xmm(const struct x86 *x, unsigned n)
{
	return ((vec *)(void *)(x->s->fxsave + FX_XMM + 16 * n));
}

X86_INLINE vec
vec_low(uint64_t v)
{
	return ((vec) { (long long)v, 0 });
}

/*
 * Checks.  An SSE instruction is undefined with CR0.EM or without CR4.OSFXSR, and not available with
 * CR0.TS (SDM vol. 3 13.1, table 13-1).  vec_denied() says which.
 */
enum x86_status vec_denied(struct x86 *x);

#define	SSE_BEGIN(x) do {							\
	if (unlikely((((x)->s->cr0 & (CR0_EM | CR0_TS)) |			\
	    (~(x)->s->cr4 & CR4_OSFXSR)) != 0))					\
		return (vec_denied(x));						\
} while (0)

/* The memory operand.  aligned: most of 16 bytes have to be (SDM vol. 2 2.4, type 4). */
X86_INLINE enum x86_status
vec_load(struct x86 *x, const struct x86_insn *i, bool aligned, vec *v)
{
	uint64_t lin = x86_ea(x, i);
	const void *p;

	if (likely((i->flags & XI_FLAT) != 0 && (!aligned || (lin & 15) == 0))) {
		p = soft_tlb_hit(x->row, x->tag, lin, 16, false);
		if (likely(p != NULL)) {
			__asm__ volatile("movdqu %1, %0" : "=x" (*v) : "m" (*(const vec_mem *)p));
			return (X_DONE);
		}
	}
	return (x86_load16(x, i, aligned, v));
}

X86_INLINE enum x86_status
vec_store(struct x86 *x, const struct x86_insn *i, bool aligned, vec v)
{
	uint64_t lin = x86_ea(x, i);
	void *p;

	if (likely((i->flags & XI_FLAT) != 0 && (!aligned || (lin & 15) == 0))) {
		p = soft_tlb_hit(x->wrow, x->tag, lin, 16, true);
		if (likely(p != NULL)) {
			__asm__ volatile("movdqu %1, %0" : "=m" (*(vec_mem *)p) : "x" (v));
			return (X_DONE);
		}
	}
	return (x86_store16(x, i, aligned, &v));
}

/* The low `size' bytes, the rest zero; 16 are aligned. */
X86_INLINE enum x86_status
vec_load_part(struct x86 *x, const struct x86_insn *i, unsigned size, vec *v)
{
	uint64_t q = 0;

	if (size == 16)
		return (vec_load(x, i, true, v));
	TRY(x86_load(x, i, size, &q));
	*v = vec_low(q);
	return (X_DONE);
}

/* Operand n: a register, or the memory operand as above. */
X86_INLINE enum x86_status
vec_operand(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned size, vec *v)
{
	if ((i->flags & XI_MEM) != 0)
		return (vec_load_part(x, i, size, v));
	*v = *vec_xmm(x, i->r[n]);
	return (X_DONE);
}

/*
 * An instruction on two XMM registers, or a register and memory of `size' bytes, that is the host's
 * own: name_r and name_m.
 */
#define	VEC_DEFINE(mnemonic, name, size)					\
static enum x86_status								\
name##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d = *vec_xmm(x, i->r[0]);						\
										\
	SSE_BEGIN(x);								\
	__asm__(#name " %1, %0" : "+x" (d) : "xm" (*vec_xmm(x, i->r[1])));	\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}										\
										\
static enum x86_status								\
name##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d, s;								\
										\
	SSE_BEGIN(x);								\
	TRY(vec_load_part(x, i, size, &s));					\
	d = *vec_xmm(x, i->r[0]);						\
	__asm__(#name " %1, %0" : "+x" (d) : "x" (s));				\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

/*
 * Rows of a family's table: the kinds of the first two operands choose.  X: XMM register, P: MMX
 * register, M: memory, R: general register or immediate.
 */
#define	VEC_X		0x1U
#define	VEC_P		0x2U
#define	VEC_M		0x4U
#define	VEC_R		0x8U
#define	VEC_XM		(VEC_X | VEC_M)
#define	VEC_PM		(VEC_P | VEC_M)
#define	VEC_RM		(VEC_R | VEC_M)
#define	VEC(mnemonic, first, second, fn)					\
	{ ZYDIS_MNEMONIC_##mnemonic, 0, VEC_##first | VEC_##second << 4, fn, vec_bind }
x86_bind vec_bind;
/* Those of VEC_DEFINE(), FP_DEFINE(). */
#define	VEC_ROWS(mnemonic, name, ...)						\
	VEC(mnemonic, X, X, name##_r), VEC(mnemonic, X, M, name##_m),

/* Byte stores under a mask: MASKMOVDQU, MASKMOVQ (vector.c). */
enum x86_status vec_masked_store(struct x86 *x, const struct x86_insn *i, unsigned size,
    const union vec_elems *v, const union vec_elems *mask);

/*
 * MMX registers are the fractions of the x87 registers (SDM vol. 1 9.2).  The image has the x87
 * registers by their distance from the top of the stack, MMX instructions name them by themselves.
 */
X86_INLINE uint64_t
mmx_get(struct x86 *x, unsigned n)
{
	const struct x87 *f = x87_of(x);

	return (f->st[(n - x87_top(f)) & 7].m);
}

/* Can an MMX instruction execute?  (SDM vol. 3 12.1, 12.5) */
enum x86_status mmx_check(struct x86 *x);
#define	MMX_BEGIN(x)	TRY(mmx_check(x))

/* It does: the stack's top is register 0 and all registers are valid (SDM vol. 3 table 12-1). */
X86_INLINE void
mmx_enter(struct x86 *x)
{
	struct x87 *f = x87_of(x);

	if (unlikely(x87_top(f) != 0))
		x87_set_top(f, 0);
	f->ftw = 0xff;
}

/* Behind mmx_enter(). */
X86_INLINE void
mmx_set(struct x86 *x, unsigned n, uint64_t v)
{
	x87_of(x)->st[n] = (struct x87_reg) { v, 0xffff };
}

/* Conversions between the two sets of registers (sse_cvt.c) check both. */
#define	SSE_MMX_BEGIN(x) do {							\
	SSE_BEGIN(x);								\
	MMX_BEGIN(x);								\
} while (0)

#endif /* _VMMAPI_SOFT_AMD64_VECTOR_H_ */
