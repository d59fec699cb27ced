/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_x87.c - native code: x87.  The guest's stack is the host's, so an instruction is the guest's own, with its memory operand replaced.
 *
 * That holds as long as the guest has all exceptions masked, which is how programs run: then nothing the x87 does is ever late, and stack faults,
 * NaNs, flags and condition bits are the host's.  Whatever else it is, is the first tier's: when the registers are loaded CR0 and the control
 * word are looked at, which only a call, or FLDCW here, can change.
 *
 * Like XMM registers, the state is loaded when a block first needs it, stays over the ends of blocks, and goes to the state page around calls; behind that
 * the host's x87 is as the ABI and the first tier want it (x87.h).  It takes XSAVE and XRSTOR of the x87 alone: no others load status and tags in
 * reasonable time and leave XMM registers alone.
 *
 * The instruction, operand and opcode pointers are never the host's, which would be of code that the guest must not know.  The operand's address is kept
 * as it is computed; which instruction was the last one is known here and written down where somebody may ask (struct nat.point).
 */
#include "decode.h"
#include "native.h"
#include "x87.h"

#include <cpuid.h>
#include <stdlib.h>

/* The image of XSAVE: as FXSAVE's up to its XMM registers; behind 512 bytes, the components that are in it (SDM vol. 1 13.4). */
#define	IMAGE_SIZE	576U
#define	IMAGE_BV	512
#define	XSAVE		(EMIT_0F | 0xaeU), 4
#define	XRSTOR		(EMIT_0F | 0xaeU), 5

bool
nat_x87_create(struct x86 *x)
{
	unsigned a, b, c, d;

	/* OSXSAVE (SDM vol. 2, CPUID 1:ECX) */
	if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 27 & 1) == 0)
		return (false);
	x->native.image = aligned_alloc(64, IMAGE_SIZE);
	if (x->native.image != NULL)
		memset(x->native.image, 0, IMAGE_SIZE);
	return (x->native.image != NULL);
}

void
nat_x87_destroy(struct x86 *x)
{
	free(x->native.image);
	x->native.image = NULL;
}

/* Stubs */

#define	FX(f)	((int32_t)(offsetof(struct amd64_state, fxsave) + offsetof(struct x87, f)))

static void
mask(struct emit *e)
{
	emit_mov_ri(e, H_RAX, 1);
	emit_alu_rr(e, 4, ALU_XOR, H_RDX, H_RDX);
}

/* What is not from the image; scratch: a register. */
static void
pointers(struct emit *e, unsigned state, unsigned scratch, bool load)
{
	const struct {
		struct emit_mem	 native, page;
		unsigned	 size;
	} moves[] = {
		{ NAT_FIELD(native.fop), emit_at(state, FX(fop)), 2 },
		{ NAT_FIELD(native.fip), emit_at(state, FX(fip)), 8 },
		{ NAT_FIELD(native.fdp), emit_at(state, FX(fdp)), 8 },
	};

	for (unsigned k = 0; k < nitems(moves); k++) {
		emit_movzx_rm(e, moves[k].size, scratch, load ? moves[k].page : moves[k].native);
		emit_mov_mr(e, moves[k].size, load ? moves[k].native : moves[k].page, scratch);
	}
}

/* Called: only rax and r14 are free. */
void
nat_x87_load(struct emit *e)
{
	struct emit_label no = { NULL, NULL };

	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_test_mi(e, 4, emit_at(HT, offsetof(struct amd64_state, cr0)), CR0_EM | CR0_TS);
	emit_jcc(e, CC_NE, &no);
	emit_movzx_rm(e, 2, HA, emit_at(HT, FX(fcw)));
	emit_unary_r(e, 4, UN_NOT, HA);
	emit_test_ri(e, 1, HA, X87_EXC);
	emit_jcc(e, CC_NE, &no);
	/* A page that was written from outside may have anything there. */
	emit_test_mi(e, 1, emit_at(HT, FX(fsw)), (int32_t)X87_ES);
	emit_jcc(e, CC_NE, &no);
	pointers(e, HT, HA, true);
	emit_mov_mr(e, 8, NAT_FIELD(native.tmp), H_RDX);
	emit_mov_rm(e, 8, H_RDX, NAT_FIELD(native.image));
	emit_mov_rm(e, 8, HA, emit_at(HT, FX(fcw)));
	emit_mov_mr(e, 8, emit_at(H_RDX, 0), HA);
	for (int32_t k = 0; k < 16; k++) {
		emit_mov_rm(e, 8, HA, emit_at(HT, FX(st) + 8 * k));
		emit_mov_mr(e, 8, emit_at(H_RDX, (int32_t)offsetof(struct x87, st) + 8 * k), HA);
	}
	emit_mov_mi(e, 8, emit_at(H_RDX, IMAGE_BV), 1);
	emit_mov_rr(e, 8, HT, H_RDX);
	mask(e);
	emit_rm(e, 4, XRSTOR, emit_at(HT, 0), 0);
	emit_mov_rm(e, 8, H_RDX, NAT_FIELD(native.tmp));
	emit_mov_mi(e, 1, NAT_FIELD(native.x87), 1);
	emit_bind(e, &no);
	emit_ret(e);
}

/* Part of one: the state page is at r14, general registers are there already; rax stays. */
void
nat_x87_spill(struct emit *e)
{
	struct emit_label none = { NULL, NULL };

	emit_alu_mi(e, 1, ALU_CMP, NAT_FIELD(native.x87), 0);
	emit_jcc(e, CC_E, &none);
	emit_mov_rr(e, 8, H_RSI, HA);
	emit_mov_rm(e, 8, H_RCX, NAT_FIELD(native.image));
	mask(e);
	emit_rm(e, 4, XSAVE, emit_at(H_RCX, 0), 0);
	emit8(e, 0xdb);				/* FNINIT */
	emit8(e, 0xe3);
	pointers(e, HT, HA, false);
	/* Status and tags; the control word is the page's own. */
	emit_mov_rm(e, 2, HA, emit_at(H_RCX, offsetof(struct x87, fsw)));
	emit_mov_mr(e, 2, emit_at(HT, FX(fsw)), HA);
	emit_mov_rm(e, 1, HA, emit_at(H_RCX, offsetof(struct x87, ftw)));
	emit_mov_mr(e, 1, emit_at(HT, FX(ftw)), HA);
	for (int32_t k = 0; k < 8; k++) {
		int32_t off = (int32_t)offsetof(struct x87, st) + 16 * k;

		emit_mov_rm(e, 8, HA, emit_at(H_RCX, off));
		emit_mov_mr(e, 8, emit_at(HT, FX(st) + 16 * k), HA);
		emit_movzx_rm(e, 2, HA, emit_at(H_RCX, off + 8));
		emit_mov_mr(e, 8, emit_at(HT, FX(st) + 16 * k + 8), HA);
	}
	emit_mov_mi(e, 1, NAT_FIELD(native.x87), 0);
	emit_mov_rr(e, 8, HA, H_RSI);
	emit_bind(e, &none);
}

/* Blocks */

void
nat_x87(struct nat *n)
{
	struct nat_cold *c;

	if (n->x87)
		return;
	nat_flags_settle(n);
	c = nat_cold(n, COLD_X87);
	c->save = !n->slot;
	c->lazy = n->lazy;
	emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.x87), 0);
	emit_jcc(n->e, CC_E, &c->from);
	emit_bind(n->e, &c->back);
	n->x87 = true;
}

void
nat_point(struct nat *n, unsigned point)
{
	const struct x86_insn *i;
	struct emit *e = n->e;

	if (point == 0)
		return;
	i = &n->insn[point - 1];
	emit_mov_rm(e, 8, HA, NAT_FIELD(native.page));
	if (n->off + i->off != 0)
		emit_lea(e, 8, HA, emit_at(HA, (int32_t)(n->off + i->off)));
	emit_mov_mr(e, 8, NAT_FIELD(native.fip), HA);
	emit_mov_mi(e, 2, NAT_FIELD(native.fop), i->imm2);
}

/* nat_row.op of these: */
#define	STORES	NAT_X87_STORES
#define	CONTROL	2U		/* leaves the pointers alone */

static bool
is_mem(const struct x86_insn *i)
{
	return ((i->flags & XI_MEM) != 0);
}

/* x86_insn.imm2 has the low bits of the first byte, and the second. */
static bool
same(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i) && !nat_mem_ok(n, i, i->msize))
		return (false);
	nat_x87(n);
	if (is_mem(i)) {
		m = nat_mem(n, i, i->msize, (row->op & STORES) != 0, false);
		emit_rm(e, 4, 0xd8U | i->imm2 >> 8, i->imm2 >> 3 & 7, m, 0);
		if ((row->op & CONTROL) == 0) {
			nat_lea(n, i, 8, HA);
			emit_mov_mr(e, 8, NAT_FIELD(native.fdp), HA);
		}
	} else {
		emit8(e, 0xd8U | i->imm2 >> 8);
		emit8(e, i->imm2 & 0xff);
	}
	if ((row->op & CONTROL) == 0)
		n->point = n->at + 1;
	return (true);
}

/*
 * FCOMI and its kind.  C1 is 0 then, but not on every host: going once around the stack and back clears it.
 */
static bool
compare(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	nat_x87(n);
	emit16(n->e, 0xf6d9);			/* FDECSTP, FINCSTP */
	emit16(n->e, 0xf7d9);
	(void)same(n, i, row);
	nat_flags_set(n, NULL);
	return (true);
}

static bool
fcmov(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	nat_x87(n);
	nat_flags_load(n);
	return (same(n, i, row));
}

static bool
fnstsw(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	if (is_mem(i))
		return (same(n, i, row));
	nat_clobber(n, 8 * RAX);
	nat_x87(n);
	emit8(n->e, 0xdf);
	emit8(n->e, 0xe0);
	nat_put(n, 8 * RAX, 2, HA);
	return (true);
}

/* Nothing is pending. */
static bool
fwait(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	nat_x87(n);
	return (true);
}

/* One that unmasks an exception is called. */
static bool
fldcw(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit *e = n->e;
	struct nat_cold *c;
	struct emit_mem m;

	if (!nat_mem_ok(n, i, 2))
		return (false);
	nat_x87(n);
	m = nat_mem(n, i, 2, false, false);
	emit_movzx_rm(e, 2, HT, m);
	c = nat_cold(n, COLD_CALL);
	c->save = !n->slot;
	c->lazy = n->lazy;
	c->xmm = n->xmm;
	emit_mov_rr(e, 4, HA, HT);
	emit_unary_r(e, 4, UN_NOT, HA);
	emit_test_ri(e, 1, HA, X87_EXC);
	emit_jcc(e, CC_NE, &c->from);
	emit_alu_ri(e, 4, ALU_AND, HT, X87_FCW_BITS);
	emit_alu_ri(e, 4, ALU_OR, HT, X87_FCW_ONE);
	emit_mov_rm(e, 8, HA, NAT_FIELD(s));
	emit_mov_mr(e, 2, emit_at(HA, FX(fcw)), HT);
	emit_rm(e, 4, 0xd9, 5, emit_at(HA, FX(fcw)), 0);
	return (true);
}

#define	M(n)		ZYDIS_MNEMONIC_##n
#define	ROW(m, op)	{ M(m), 0, 0, NK_X87 | NK_EXPOSED, 0, op, same }
#define	FLAGS(m)	{ M(m), 0, FL_ARITH, NK_X87 | NK_EXPOSED, 0, 0, compare }
#define	CMOV(m, reads)	{ M(m), reads, 0, NK_X87 | NK_EXPOSED, 0, 0, fcmov }
#define	ARITH(m)	ROW(F##m, 0), ROW(F##m##P, 0), ROW(FI##m, 0)

const struct nat_row nat_rows_x87[] = {
	ARITH(ADD), ARITH(MUL), ARITH(SUB), ROW(FSUBR, 0), ROW(FSUBRP, 0), ROW(FISUBR, 0), ARITH(DIV), ROW(FDIVR, 0), ROW(FDIVRP, 0),
	ROW(FIDIVR, 0),
	ROW(FLD, 0), ROW(FILD, 0), ROW(FBLD, 0), ROW(FST, STORES), ROW(FSTP, STORES), ROW(FIST, STORES), ROW(FISTP, STORES),
	ROW(FISTTP, STORES), ROW(FBSTP, STORES), ROW(FXCH, 0),
	ROW(FLD1, 0), ROW(FLDL2T, 0), ROW(FLDL2E, 0), ROW(FLDPI, 0), ROW(FLDLG2, 0), ROW(FLDLN2, 0), ROW(FLDZ, 0),
	ROW(FSQRT, 0), ROW(FRNDINT, 0), ROW(FSCALE, 0), ROW(FPREM, 0), ROW(FPREM1, 0), ROW(FABS, 0), ROW(FCHS, 0),
	ROW(F2XM1, 0), ROW(FYL2X, 0), ROW(FYL2XP1, 0), ROW(FPATAN, 0), ROW(FSIN, 0), ROW(FCOS, 0),
	ROW(FCOM, 0), ROW(FCOMP, 0), ROW(FCOMPP, 0), ROW(FICOM, 0), ROW(FICOMP, 0), ROW(FUCOM, 0), ROW(FUCOMP, 0), ROW(FUCOMPP, 0), ROW(FTST, 0),
	ROW(FXAM, 0),
	FLAGS(FCOMI), FLAGS(FCOMIP), FLAGS(FUCOMI), FLAGS(FUCOMIP),
	CMOV(FCMOVB, FL_CF), CMOV(FCMOVNB, FL_CF), CMOV(FCMOVE, FL_ZF), CMOV(FCMOVNE, FL_ZF), CMOV(FCMOVBE, FL_CF | FL_ZF),
	CMOV(FCMOVNBE, FL_CF | FL_ZF), CMOV(FCMOVU, FL_PF), CMOV(FCMOVNU, FL_PF),
	ROW(FNCLEX, CONTROL), ROW(FNSTCW, CONTROL | STORES), ROW(FINCSTP, 0), ROW(FDECSTP, 0), ROW(FFREE, 0), ROW(FNOP, 0),
	{ M(FWAIT), 0, 0, NK_X87 | NK_EXPOSED, 0, CONTROL, fwait },
	{ M(FNSTSW), 0, 0, NK_X87 | NK_EXPOSED, 0, CONTROL | STORES, fnstsw }, { M(FLDCW), 0, 0, NK_X87 | NK_EXPOSED, 0, 0, fldcw },
	{ 0 },
};
