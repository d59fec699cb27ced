/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decimal.c - DAA, DAS, AAA, AAS, AAM, AAD and SALC (Intel SDM vol. 2), none of which 64-bit mode
 * has.
 *
 * The flags that the manual leaves undefined are those of the addition or subtraction that makes the
 * adjustment, as on silicon.
 */
#include "alu.h"
#include "decode.h"

#define	AH	1U		/* as a register: its offset */

static enum x86_status
daa(struct x86 *x, const struct x86_insn *i)
{
	uint64_t al = x86_gpr(x, RAX, 1), fl = x->s->rflags;
	bool low = (al & 15) > 9 || (fl & FL_AF) != 0, high = al > 0x99 || (fl & FL_CF) != 0;
	unsigned ax;

	x86_gpr_set(x, RAX, 1, alu2(ALU_ADD, 1, al, (low ? 0x06 : 0) + (high ? 0x60 : 0), fl, &ax));
	alu_set(x, ax);
	x86_flags(x, (high ? FL_CF : 0) | (low ? FL_AF : 0), FL_CF | FL_AF);
	return (X_DONE);
}

/* Here the borrow of the lower digit counts too. */
static enum x86_status
das(struct x86 *x, const struct x86_insn *i)
{
	uint64_t al = x86_gpr(x, RAX, 1), fl = x->s->rflags;
	bool low = (al & 15) > 9 || (fl & FL_AF) != 0, high = al > 0x99 || (fl & FL_CF) != 0;
	unsigned ax;

	x86_gpr_set(x, RAX, 1, alu2(ALU_SUB, 1, al, (low ? 0x06 : 0) + (high ? 0x60 : 0), fl, &ax));
	alu_set(x, ax);
	x86_flags(x, (high || (low && al < 6) ? FL_CF : 0) | (low ? FL_AF : 0), FL_CF | FL_AF);
	return (X_DONE);
}

static enum x86_status
ascii(struct x86 *x, enum alu_op op)
{
	uint64_t v = x86_gpr(x, RAX, 2), fl = x->s->rflags;
	bool adjust = (v & 15) > 9 || (fl & FL_AF) != 0;
	unsigned ax;

	if (op == ALU_ADD)
		v = alu2(ALU_ADD, 2, v, adjust ? 0x106 : 0, fl, &ax);
	else
		v = alu2(ALU_SUB, 2, v, adjust ? 0x106 : 0, fl, &ax);
	x86_gpr_set(x, RAX, 2, v & 0xff0f);
	alu_set(x, ax);
	x86_flags(x, adjust ? FL_CF | FL_AF : 0, FL_CF | FL_AF);
	return (X_DONE);
}

static enum x86_status
aaa(struct x86 *x, const struct x86_insn *i)
{
	return (ascii(x, ALU_ADD));
}

static enum x86_status
aas(struct x86 *x, const struct x86_insn *i)
{
	return (ascii(x, ALU_SUB));
}

static enum x86_status
aam(struct x86 *x, const struct x86_insn *i)
{
	uint64_t al = x86_gpr(x, RAX, 1), base = i->imm & 0xff;
	unsigned ax;

	if (base == 0)
		return (x86_fault(x, EXC_DE));
	x86_reg_set(x, AH, 1, al / base);
	al %= base;
	x86_gpr_set(x, RAX, 1, al);
	(void)alu2(ALU_TEST, 1, al, al, 0, &ax);
	alu_set(x, ax);
	return (X_DONE);
}

static enum x86_status
aad(struct x86 *x, const struct x86_insn *i)
{
	uint64_t al = x86_gpr(x, RAX, 1), ah = x86_reg(x, AH, 1);
	unsigned ax;

	al = alu2(ALU_ADD, 1, al, ah * (i->imm & 0xff), 0, &ax);
	x86_gpr_set(x, RAX, 2, al & 0xff);
	alu_set(x, ax);
	return (X_DONE);
}

/* AL as the sign extension of CF: in no manual for long, in every processor. */
static enum x86_status
salc(struct x86 *x, const struct x86_insn *i)
{
	x86_gpr_set(x, RAX, 1, (x->s->rflags & FL_CF) != 0 ? 0xff : 0);
	return (X_DONE);
}

const struct x86_opdesc x86_ops_decimal[] = {
	{ ZYDIS_MNEMONIC_DAA, XD_NO64, 0, daa, NULL },
	{ ZYDIS_MNEMONIC_DAS, XD_NO64, 0, das, NULL },
	{ ZYDIS_MNEMONIC_AAA, XD_NO64, 0, aaa, NULL },
	{ ZYDIS_MNEMONIC_AAS, XD_NO64, 0, aas, NULL },
	{ ZYDIS_MNEMONIC_AAM, XD_NO64, 0, aam, NULL },
	{ ZYDIS_MNEMONIC_AAD, XD_NO64, 0, aad, NULL },
	{ ZYDIS_MNEMONIC_SALC, XD_NO64, 0, salc, NULL },
	{ 0 },
};
