/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * muldiv.c - MUL, IMUL, DIV, IDIV (Intel SDM vol. 2).
 *
 * The host computes.  What its division would fault on is found before (#DE: a divisor of zero, a
 * quotient that does not fit).
 */
#include "alu.h"
#include "decode.h"


/* The operand of the forms with an implicit accumulator. */
X86_INLINE enum x86_status
operand(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t *v)
{
	if ((i->flags & XI_MEM) != 0)
		return (x86_load(x, i, size, v));
	*v = x86_reg(x, i->r[0], size);
	return (X_DONE);
}

/* rDX:rAX by host instructions that use the same registers; AL and AH for bytes. */
#define	WIDE(insn, suffix, m)							\
	__asm__("movl %k[ax], %%eax; " ALU_SEED "movq %[lo], %%rax; " insn suffix " %" m "[v];"	\
	    "movq %%rax, %[lo]" ALU_FLAGS "; movl %%eax, %k[ax]"		\
	    : [ax] "+r" (ax), [lo] "+r" (lo), "+d" (hi) : [v] "r" (v) : "rax", "cc")

X86_INLINE enum x86_status
multiply(struct x86 *x, const struct x86_insn *i, unsigned size, bool is_signed)
{
	uint64_t lo = x->s->gpr[RAX], hi = x->s->gpr[RDX], v;
	unsigned ax = alu_ax(x->s->rflags);

	TRY(operand(x, i, size, &v));
#define	MULTIPLY(suffix, m) do {						\
	if (is_signed)								\
		WIDE("imul", suffix, m);					\
	else									\
		WIDE("mul", suffix, m);						\
} while (0)
	ALU_SIZES(size, MULTIPLY);
#undef	MULTIPLY
	x86_gpr_set(x, RAX, size == 1 ? 2 : size, lo);
	if (size != 1)
		x86_gpr_set(x, RDX, size, hi);
	alu_set(x, ax);
	return (X_DONE);
}

/* Would the host's division of lo, hi by v fault? */
X86_INLINE bool
overflows(uint64_t lo, uint64_t hi, uint64_t v, unsigned size, bool is_signed)
{
	uint64_t m = x86_mask(size), q, sign = 1ULL << (8 * size - 1);
	unsigned __int128 n;
	bool nn, vn;

	if (v == 0)
		return (true);
	if (!is_signed)
		return (hi >= v);
	/* The usual case: the dividend is the accumulator's sign extension. */
	if (hi == ((lo & sign) != 0 ? m : 0))
		return (v == m && lo == sign);
	/* By magnitudes: the quotient of the high half says whether it fits at all. */
	nn = (hi & sign) != 0;
	vn = (v & sign) != 0;
	if (nn) {
		hi = ~hi & m;
		lo = -lo & m;
		if (lo == 0)
			hi = (hi + 1) & m;
	}
	if (vn)
		v = -v & m;
	if (hi >= v)
		return (true);
	n = (unsigned __int128)hi << (8 * size) | lo;
	q = (uint64_t)(n / v);
	return (nn == vn ? q >= sign : q > sign);
}

X86_INLINE enum x86_status
divide(struct x86 *x, const struct x86_insn *i, unsigned size, bool is_signed)
{
	uint64_t lo = x->s->gpr[RAX], hi = x->s->gpr[RDX], v;
	unsigned ax = alu_ax(x->s->rflags);

	TRY(operand(x, i, size, &v));
	if (overflows(lo & x86_mask(size), (size == 1 ? lo >> 8 : hi) & x86_mask(size), v, size, is_signed))
		return (x86_fault(x, EXC_DE));
#define	DIVIDE(suffix, m) do {							\
	if (is_signed)								\
		WIDE("idiv", suffix, m);					\
	else									\
		WIDE("div", suffix, m);						\
} while (0)
	ALU_SIZES(size, DIVIDE);
#undef	DIVIDE
	x86_gpr_set(x, RAX, size == 1 ? 2 : size, lo);
	if (size != 1)
		x86_gpr_set(x, RDX, size, hi);
	alu_set(x, ax);
	return (X_DONE);
}

#define	FORMS(size)								\
static enum x86_status								\
mul##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (multiply(x, i, size, false));					\
}										\
static enum x86_status								\
imul##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (multiply(x, i, size, true));					\
}										\
static enum x86_status								\
div##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (divide(x, i, size, false));					\
}										\
static enum x86_status								\
idiv##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (divide(x, i, size, true));					\
}

FORMS(1)
FORMS(2)
FORMS(4)
FORMS(8)

/* IMUL with two or three operands */

X86_INLINE enum x86_status
imul_reg(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t a, uint64_t b)
{
	unsigned ax = alu_ax(x->s->rflags);

#define	IMUL(suffix, m)								\
	__asm__(ALU_SEED "imul" suffix " %" m "[b], %" m "[a]" ALU_FLAGS		\
	    : [a] "+r" (a), "+&a" (ax) : [b] "r" (b) : "cc")
	switch (size) {
	case 2:
		IMUL("w", "w");
		break;
	case 4:
		IMUL("l", "k");
		break;
	default:
		IMUL("q", "q");
		break;
	}
#undef	IMUL
	x86_reg_set(x, i->r[0], size, a);
	alu_set(x, ax);
	return (X_DONE);
}

/* Operands: rr, rm, rri, rmi. */
#define	IMULS(size)								\
static enum x86_status								\
imul##size##_rr(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (imul_reg(x, i, size, x86_reg(x, i->r[0], size), x86_reg(x, i->r[1], size)));	\
}										\
static enum x86_status								\
imul##size##_rm(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t v;								\
										\
	TRY(x86_load(x, i, size, &v));						\
	return (imul_reg(x, i, size, x86_reg(x, i->r[0], size), v));		\
}										\
static enum x86_status								\
imul##size##_rri(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (imul_reg(x, i, size, x86_reg(x, i->r[1], size), i->imm));	\
}										\
static enum x86_status								\
imul##size##_rmi(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t v;								\
										\
	TRY(x86_load(x, i, size, &v));						\
	return (imul_reg(x, i, size, v, i->imm));				\
}

IMULS(2)
IMULS(4)
IMULS(8)

enum { MUL, IMUL, DIV, IDIV };

static bool
bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const one[][4] = {
		[MUL] = { mul1, mul2, mul4, mul8 }, [IMUL] = { imul1, imul2, imul4, imul8 },
		[DIV] = { div1, div2, div4, div8 }, [IDIV] = { idiv1, idiv2, idiv4, idiv8 },
	};
	static x86_op *const more[4][2][2] = {
		{ { 0 } },
		{ { imul2_rr, imul2_rm }, { imul2_rri, imul2_rmi } },
		{ { imul4_rr, imul4_rm }, { imul4_rri, imul4_rmi } },
		{ { imul8_rr, imul8_rm }, { imul8_rri, imul8_rmi } },
	};
	unsigned s = x86_size_index(i->opsize);

	i->fn = d->nop == 1 ? one[arg][s] : more[s][d->nop == 3][x86_is_mem(d, 1)];
	return (i->fn != NULL);
}

const struct x86_opdesc x86_ops_muldiv[] = {
	{ ZYDIS_MNEMONIC_MUL, 0, MUL, NULL, bind },
	{ ZYDIS_MNEMONIC_IMUL, 0, IMUL, NULL, bind },
	{ ZYDIS_MNEMONIC_DIV, 0, DIV, NULL, bind },
	{ ZYDIS_MNEMONIC_IDIV, 0, IDIV, NULL, bind },
	{ 0 },
};
