/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alu.h - integer arithmetic by the host's own instructions, so that results and flags, the undefined
 * ones too, are those of silicon.
 *
 * LAHF and SETO fetch the flags behind an instruction; before one that leaves some of them alone they
 * are set by SAHF and an addition that overflows.
 */
#ifndef _VMMAPI_SOFT_AMD64_ALU_H_
#define	_VMMAPI_SOFT_AMD64_ALU_H_

#include "cpu.h"

/* AX as the pieces below have it: AH the low byte of the flags, AL the overflow flag. */
X86_INLINE unsigned
alu_ax(uint64_t rflags)
{
	return ((unsigned)(rflags & 0xff) << 8 | (unsigned)((rflags >> 11) & 1));
}

X86_INLINE uint64_t
alu_fl(unsigned ax)
{
	return ((ax >> 8 & 0xff) | (ax & 1) << 11);
}

/* Put AX into the arithmetic flags.  LAHF's fixed bits are those of RFLAGS. */
X86_INLINE void
alu_set(struct x86 *x, unsigned ax)
{
	x->s->rflags = (x->s->rflags & ~(uint64_t)(FL_ARITH | 0x2a)) | alu_fl(ax);
}

#define	ALU_SEED	"addb $0x7f, %%al; sahf; "
#define	ALU_FLAGS	"; lahf; seto %%al"

/* One instruction on a variable, with the size's suffix and operands chosen by a constant. */
#define	ALU_SIZES(size, CASE) do {						\
	switch (size) {								\
	case 1:									\
		CASE("b", "b");							\
		break;								\
	case 2:									\
		CASE("w", "w");							\
		break;								\
	case 4:									\
		CASE("l", "k");							\
		break;								\
	default:								\
		CASE("q", "q");							\
		break;								\
	}									\
} while (0)

enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };

/* a op b; bits of the result beyond size are not to be used. */
X86_INLINE uint64_t
alu2(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t rflags, unsigned *flags)
{
	unsigned ax = 0;

#define	PLAIN(insn, suffix, m)							\
	__asm__(insn suffix " %" m "[b], %" m "[a]" ALU_FLAGS			\
	    : [a] "+r" (a), "=a" (ax) : [b] "r" (b) : "cc")
/* BT moves the carry flag into place. */
#define	CARRY(insn, suffix, m)							\
	__asm__("btl $0, %k[f]; " insn suffix " %" m "[b], %" m "[a]" ALU_FLAGS	\
	    : [a] "+r" (a), "=a" (ax) : [b] "r" (b), [f] "r" (rflags) : "cc")
#define	ADD(suffix, m)	PLAIN("add", suffix, m)
#define	OR(suffix, m)	PLAIN("or", suffix, m)
#define	ADC(suffix, m)	CARRY("adc", suffix, m)
#define	SBB(suffix, m)	CARRY("sbb", suffix, m)
#define	AND(suffix, m)	PLAIN("and", suffix, m)
#define	SUB(suffix, m)	PLAIN("sub", suffix, m)
#define	XOR(suffix, m)	PLAIN("xor", suffix, m)
#define	CMP(suffix, m)	PLAIN("cmp", suffix, m)
#define	TEST(suffix, m)	PLAIN("test", suffix, m)
	switch (op) {
	case ALU_ADD:
		ALU_SIZES(size, ADD);
		break;
	case ALU_OR:
		ALU_SIZES(size, OR);
		break;
	case ALU_ADC:
		ALU_SIZES(size, ADC);
		break;
	case ALU_SBB:
		ALU_SIZES(size, SBB);
		break;
	case ALU_AND:
		ALU_SIZES(size, AND);
		break;
	case ALU_SUB:
		ALU_SIZES(size, SUB);
		break;
	case ALU_XOR:
		ALU_SIZES(size, XOR);
		break;
	case ALU_CMP:
		ALU_SIZES(size, CMP);
		break;
	case ALU_TEST:
		ALU_SIZES(size, TEST);
		break;
	}
#undef	PLAIN
#undef	CARRY
#undef	ADD
#undef	OR
#undef	ADC
#undef	SBB
#undef	AND
#undef	SUB
#undef	XOR
#undef	CMP
#undef	TEST
	*flags = ax;
	return (a);
}

enum alu_op1 { ALU_INC, ALU_DEC, ALU_NEG, ALU_NOT };

/* op a.  INC and DEC keep the carry flag, NOT all of them. */
X86_INLINE uint64_t
alu1(enum alu_op1 op, unsigned size, uint64_t a, uint64_t rflags, unsigned *flags)
{
	unsigned ax = alu_ax(rflags);

#define	PLAIN(insn, suffix, m)							\
	__asm__(insn suffix " %" m "[a]" ALU_FLAGS : [a] "+r" (a), "=a" (ax) : : "cc")
#define	CARRY(insn, suffix, m)							\
	__asm__("btl $0, %k[f]; " insn suffix " %" m "[a]" ALU_FLAGS		\
	    : [a] "+r" (a), "=a" (ax) : [f] "r" (rflags) : "cc")
#define	INC(suffix, m)	CARRY("inc", suffix, m)
#define	DEC(suffix, m)	CARRY("dec", suffix, m)
#define	NEG(suffix, m)	PLAIN("neg", suffix, m)
	switch (op) {
	case ALU_INC:
		ALU_SIZES(size, INC);
		break;
	case ALU_DEC:
		ALU_SIZES(size, DEC);
		break;
	case ALU_NEG:
		ALU_SIZES(size, NEG);
		break;
	case ALU_NOT:
		a = ~a;
		break;
	}
#undef	PLAIN
#undef	CARRY
#undef	INC
#undef	DEC
#undef	NEG
	*flags = ax;
	return (a);
}

#endif /* _VMMAPI_SOFT_AMD64_ALU_H_ */
