/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_sse.c - native code: SSE.  The guest's XMM registers are the host's, so an instruction is the guest's own; so are its
 * flags in MXCSR (sse_mxcsr.h).
 */
#include "decode.h"
#include "native_sse.h"
#include "sse_mxcsr.h"

static bool
is_mem(const struct x86_insn *i)
{
	return ((i->flags & XI_MEM) != 0);
}

static bool
is_xmm(const struct x86_insn *i, unsigned n)
{
	return ((i->flags & (n == 0 ? XI_XMM0 : XI_XMM1)) != 0);
}

static void
begin(struct nat *n, const struct nat_row *row)
{
	nat_xmm(n, (row->kind & NK_FP) != 0 ? XMM_FP : XMM_LOADED);
}

/* xmm, xmm or memory, with the immediate if there is one.  16 bytes of memory are aligned. */
static bool
operate(struct nat *n, const struct x86_insn *i, const struct nat_row *row, uint32_t mask)
{
	bool imm = (i->flags & XI_IMM) != 0;
	struct emit_mem m;

	if (!is_xmm(i, 0) || (!is_mem(i) && !is_xmm(i, 1)) || (is_mem(i) && !nat_mem_ok(n, i, row->size)))
		return (false);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, row->size, false, row->size == 16);
		emit_rm(n->e, 4, row->op, i->r[0], m, imm);
	} else {
		emit_rr(n->e, 4, row->op, i->r[0], i->r[1]);
	}
	if (imm)
		emit8(n->e, (uint32_t)i->imm & mask);
	return (true);
}

bool
nat_sse(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	return (operate(n, i, row, 0xff));
}

/* Shifts: with an immediate another instruction, row->kind shifted (NAT_SHIFT_*). */
bool
nat_sse_shift(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned byte = row->op & 0xff, reg;

	if ((i->flags & XI_IMM) == 0)
		return (operate(n, i, row, 0));
	if (!is_xmm(i, 0))
		return (false);
	begin(n, row);
	/* Dx: right, Ex: right with sign, Fx: left; x: 1 words, 2, 3 quadwords. */
	reg = byte >> 4 == 0xd ? 2 : byte >> 4 == 0xe ? 4 : 6;
	emit_rr(n->e, 4, OP(0x66, EMIT_0F, 0x70 + (byte & 0xf)), reg, i->r[0]);
	emit8(n->e, (unsigned)i->imm & 0xff);
	return (true);
}

/* PSLLDQ (7), PSRLDQ (3) */
bool
nat_sse_bytes(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	if (!is_xmm(i, 0))
		return (false);
	begin(n, row);
	emit_rr(n->e, 4, OP(0x66, EMIT_0F, 0x73), row->op, i->r[0]);
	emit8(n->e, (unsigned)i->imm & 0xff);
	return (true);
}

/* Flags from a comparison: all of them. */
bool
nat_sse_compare(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	if (!operate(n, i, row, 0))
		return (false);
	nat_flags_set(n, NULL);
	return (true);
}

/* Moves: row->op loads. */
static uint32_t
store_op(uint32_t op)
{
	return ((op & 0xff) == 0x6f ? op + 0x10 : op + 1);
}

static bool
move(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	bool aligned = (row->kind & NK_ALIGNED) != 0;
	struct emit_mem m;

	if (is_mem(i) && !nat_mem_ok(n, i, row->size))
		return (false);
	if (!is_xmm(i, 0) && !is_xmm(i, 1))
		return (false);			/* MOVSD, the string instruction */
	begin(n, row);
	if (!is_mem(i)) {
		emit_rr(n->e, 4, row->op, i->r[0], i->r[1]);
	} else if (is_xmm(i, 0)) {
		m = nat_mem(n, i, row->size, false, aligned);
		emit_rm(n->e, 4, row->op, i->r[0], m, 0);
	} else {
		m = nat_mem(n, i, row->size, true, aligned);
		emit_rm(n->e, 4, store_op(row->op), i->r[1], m, 0);
	}
	return (true);
}

/* MOVNTPS and the like: there are no caches to go around. */
static bool
stream(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit_mem m;

	if (!is_mem(i) || !is_xmm(i, 1) || !nat_mem_ok(n, i, 16))
		return (false);
	begin(n, row);
	m = nat_mem(n, i, 16, true, true);
	emit_rm(n->e, 4, SSE_MOVAPS_STORE, i->r[1], m, 0);
	return (true);
}

/* General registers.  A 64-bit form has REX.W. */

static unsigned
from_gpr(struct nat *n, unsigned r, unsigned size)
{
	return (nat_get(n, r, size < 4 ? 4 : size));
}

/* MOVD (size 4), MOVQ (8): row->op is the opcode from a general register. */
static bool
movd(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = row->size, h;
	struct emit_mem m;

	if ((is_mem(i) && !nat_mem_ok(n, i, size)) || (!is_xmm(i, 0) && !is_xmm(i, 1)))
		return (false);
	if (!is_mem(i) && !is_xmm(i, 0))
		nat_clobber(n, i->r[0]);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, !is_xmm(i, 0), false);
		if (is_xmm(i, 0))
			emit_rm(n->e, 4, size == 8 ? SSE_MOVQ_LOAD : SSE_MOVD_LOAD, i->r[0], m, 0);
		else
			emit_rm(n->e, 4, size == 8 ? SSE_MOVQ_STORE : SSE_MOVD_STORE, i->r[1], m, 0);
	} else if (is_xmm(i, 0) && is_xmm(i, 1)) {
		emit_rr(n->e, 4, SSE_MOVQ_LOAD, i->r[0], i->r[1]);
	} else if (is_xmm(i, 0)) {
		emit_rr(n->e, size, SSE_MOVD_LOAD, i->r[0], from_gpr(n, i->r[1], size));
	} else {
		h = nat_host(i->r[0]);
		emit_rr(n->e, size, SSE_MOVD_STORE, i->r[1], h == NAT_MEM ? HA : h);
		if (h == NAT_MEM)
			nat_put(n, i->r[0], size, HA);
	}
	return (true);
}

/* To a general register, from XMM: row->size 0, or of memory.  x86_insn.arg says whether to 64 bits, for conversions. */
bool
nat_sse_to_gpr(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned h = nat_host(i->r[0]), to = h == NAT_MEM ? HA : h, size = row->size != 0 && i->arg == 8 ? 8 : 4;
	struct emit_mem m;

	if (i->r[0] == X86_NOREG || (is_mem(i) ? row->size == 0 || !nat_mem_ok(n, i, row->size) : !is_xmm(i, 1)))
		return (false);
	nat_clobber(n, i->r[0]);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, row->size, false, false);
		emit_rm(n->e, size, row->op, to, m, 0);
	} else {
		emit_rr(n->e, size, row->op, to, i->r[1]);
	}
	if (h == NAT_MEM)
		nat_put(n, i->r[0], size, HA);
	return (true);
}

/* CVTSI2SS, CVTSI2SD: x86_insn.arg bytes of a general register or memory. */
bool
nat_sse_from_gpr(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->arg;
	struct emit_mem m;

	if (!is_xmm(i, 0) || (is_mem(i) && !nat_mem_ok(n, i, size)))
		return (false);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, false, false);
		emit_rm(n->e, size, row->op, i->r[0], m, 0);
	} else {
		emit_rr(n->e, size, row->op, i->r[0], from_gpr(n, i->r[1], size));
	}
	return (true);
}

/* PINSRx: row->size bytes. */
bool
nat_sse_insert(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = row->size == 8 ? 8 : 4;
	struct emit_mem m;

	if (!is_xmm(i, 0) || (is_mem(i) ? !nat_mem_ok(n, i, row->size) : nat_high(i->r[1])))
		return (false);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, row->size, false, false);
		emit_rm(n->e, size, row->op, i->r[0], m, 1);
	} else {
		emit_rr(n->e, size, row->op, i->r[0], from_gpr(n, i->r[1], size));
	}
	emit8(n->e, (unsigned)i->imm & 0xff);
	return (true);
}

/* PEXTRx, to a register, zero-extended, or memory; opcodes of 0F 3A. */
bool
nat_sse_extract(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = row->size == 8 ? 8 : 4, h, to;
	struct emit_mem m;

	if (!is_xmm(i, 1) || (is_mem(i) && !nat_mem_ok(n, i, row->size)))
		return (false);
	if (!is_mem(i))
		nat_clobber(n, i->r[0]);
	begin(n, row);
	if (is_mem(i)) {
		m = nat_mem(n, i, row->size, true, false);
		emit_rm(n->e, size, row->op, i->r[1], m, 1);
		emit8(n->e, (unsigned)i->imm & 0xff);
		return (true);
	}
	h = nat_host(i->r[0]);
	to = h == NAT_MEM ? HA : h;
	emit_rr(n->e, size, row->op, i->r[1], to);
	emit8(n->e, (unsigned)i->imm & 0xff);
	if (h == NAT_MEM)
		nat_put(n, i->r[0], size, HA);
	return (true);
}

/* Comparisons under a predicate: bits 2:0 of the immediate. */
static bool
predicate(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	return (operate(n, i, row, 7));
}

/* The flags are in the host's, as far as nobody has looked. */
#define	MXCSR	emit_at(HT, (int32_t)(offsetof(struct amd64_state, fxsave) + offsetof(struct x87, mxcsr)))

static bool
stmxcsr(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit *e = n->e;
	struct emit_mem m;

	if (!nat_mem_ok(n, i, 4))
		return (false);
	begin(n, row);
	nat_flags_settle(n);
	emit_rm(e, 4, EMIT_0F | 0xae, 3, NAT_FIELD(native.tmp2), 0);
	emit_mov_rm(e, 4, HA, NAT_FIELD(native.tmp2));
	emit_alu_ri(e, 4, ALU_AND, HA, MX_FLAGS);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_alu_rm(e, 4, ALU_OR, HA, MXCSR);
	emit_mov_mr(e, 4, NAT_FIELD(native.tmp2), HA);
	m = nat_mem(n, i, 4, true, false);
	emit_mov_rm(e, 4, HA, NAT_FIELD(native.tmp2));
	emit_mov_mr(e, 4, m, HA);
	return (true);
}

/* Other flags; anything else is for the function. */
static bool
ldmxcsr(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit *e = n->e;
	struct nat_cold *c;
	struct emit_mem m;

	if (!nat_mem_ok(n, i, 4))
		return (false);
	begin(n, row);
	m = nat_mem(n, i, 4, false, false);
	c = nat_called(n);
	emit_mov_rm(e, 4, HA, m);
	emit_mov_rr(e, 4, HT, HA);
	emit_alu_ri(e, 4, ALU_AND, HT, (int32_t)~MX_FLAGS);
	emit_alu_ri(e, 4, ALU_CMP, HT, MX_INIT);
	emit_jcc(e, CC_NE, &c->from);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_mov_mr(e, 4, MXCSR, HA);
	emit_mov_mi(e, 4, NAT_FIELD(native.tmp2), MX_INIT);
	emit_rm(e, 4, EMIT_0F | 0xae, 2, NAT_FIELD(native.tmp2), 0);
	return (true);
}

#define	MOVE(m, p, o, size, kind)	{ M(m), 0, 0, kind, size, OP(p, EMIT_0F, o), move }
/* PS, PD, SS, SD of an operation. */
#define	FP4(m, o, kind)								\
	SSE_ROW(m##PS, 0, EMIT_0F | (o), 16, kind), SSE_ROW(m##PD, 0x66, EMIT_0F | (o), 16, kind),	\
	SSE_ROW(m##SS, 0xf3, EMIT_0F | (o), 4, kind), SSE_ROW(m##SD, 0xf2, EMIT_0F | (o), 8, kind)
#define	FP2(m, o)	SSE_ROW(m##PS, 0, EMIT_0F | (o), 16, 0), SSE_ROW(m##PD, 0x66, EMIT_0F | (o), 16, 0)

const struct nat_row nat_rows_sse[] = {
	{ M(STMXCSR), 0, 0, 0, 4, 0, stmxcsr },
	{ M(LDMXCSR), 0, 0, NK_FP, 4, 0, ldmxcsr },
	MOVE(MOVAPS, 0, 0x28, 16, NK_ALIGNED), MOVE(MOVAPD, 0x66, 0x28, 16, NK_ALIGNED), MOVE(MOVDQA, 0x66, 0x6f, 16, NK_ALIGNED),
	MOVE(MOVUPS, 0, 0x10, 16, 0), MOVE(MOVUPD, 0x66, 0x10, 16, 0), MOVE(MOVDQU, 0xf3, 0x6f, 16, 0),
	MOVE(LDDQU, 0, 0x10, 16, 0), MOVE(MOVNTDQA, 0, 0x28, 16, NK_ALIGNED),
	MOVE(MOVSS, 0xf3, 0x10, 4, 0), MOVE(MOVSD, 0xf2, 0x10, 8, 0),
	MOVE(MOVLPS, 0, 0x12, 8, 0), MOVE(MOVLPD, 0x66, 0x12, 8, 0), MOVE(MOVHPS, 0, 0x16, 8, 0), MOVE(MOVHPD, 0x66, 0x16, 8, 0),
	MOVE(MOVHLPS, 0, 0x12, 8, 0), MOVE(MOVLHPS, 0, 0x16, 8, 0),
	{ M(MOVNTPS), 0, 0, 0, 16, 0, stream }, { M(MOVNTPD), 0, 0, 0, 16, 0, stream }, { M(MOVNTDQ), 0, 0, 0, 16, 0, stream },
	{ M(MOVD), 0, 0, 0, 4, 0, movd }, { M(MOVQ), 0, 0, 0, 8, 0, movd },
	SSE_ROW(MOVDDUP, 0xf2, EMIT_0F | 0x12, 8, 0), SSE_ROW(MOVSLDUP, 0xf3, EMIT_0F | 0x12, 16, 0),
	SSE_ROW(MOVSHDUP, 0xf3, EMIT_0F | 0x16, 16, 0),
	{ M(MOVMSKPS), 0, 0, 0, 0, OP(0, EMIT_0F, 0x50), nat_sse_to_gpr }, { M(MOVMSKPD), 0, 0, 0, 0, OP(0x66, EMIT_0F, 0x50), nat_sse_to_gpr },

	FP4(ADD, 0x58, NK_FP), FP4(MUL, 0x59, NK_FP), FP4(SUB, 0x5c, NK_FP), FP4(MIN, 0x5d, NK_FP), FP4(DIV, 0x5e, NK_FP),
	FP4(MAX, 0x5f, NK_FP), FP4(SQRT, 0x51, NK_FP),
	FP2(AND, 0x54), FP2(ANDN, 0x55), FP2(OR, 0x56), FP2(XOR, 0x57), FP2(UNPCKL, 0x14), FP2(UNPCKH, 0x15), FP2(SHUF, 0xc6),
	SSE_ROW(RCPPS, 0, EMIT_0F | 0x53, 16, 0), SSE_ROW(RCPSS, 0xf3, EMIT_0F | 0x53, 4, 0),
	SSE_ROW(RSQRTPS, 0, EMIT_0F | 0x52, 16, 0), SSE_ROW(RSQRTSS, 0xf3, EMIT_0F | 0x52, 4, 0),
	SSE_ROW(ADDSUBPS, 0xf2, EMIT_0F | 0xd0, 16, NK_FP), SSE_ROW(ADDSUBPD, 0x66, EMIT_0F | 0xd0, 16, NK_FP),
	SSE_ROW(HADDPS, 0xf2, EMIT_0F | 0x7c, 16, NK_FP), SSE_ROW(HADDPD, 0x66, EMIT_0F | 0x7c, 16, NK_FP),
	SSE_ROW(HSUBPS, 0xf2, EMIT_0F | 0x7d, 16, NK_FP), SSE_ROW(HSUBPD, 0x66, EMIT_0F | 0x7d, 16, NK_FP),
	SSE_ROW(ROUNDPS, 0x66, EMIT_0F3A | 0x08, 16, NK_FP), SSE_ROW(ROUNDPD, 0x66, EMIT_0F3A | 0x09, 16, NK_FP),
	SSE_ROW(ROUNDSS, 0x66, EMIT_0F3A | 0x0a, 4, NK_FP), SSE_ROW(ROUNDSD, 0x66, EMIT_0F3A | 0x0b, 8, NK_FP),
	SSE_ROW(BLENDPS, 0x66, EMIT_0F3A | 0x0c, 16, 0), SSE_ROW(BLENDPD, 0x66, EMIT_0F3A | 0x0d, 16, 0),
	SSE_ROW(BLENDVPS, 0x66, EMIT_0F38 | 0x14, 16, 0), SSE_ROW(BLENDVPD, 0x66, EMIT_0F38 | 0x15, 16, 0),
	SSE_ROW(INSERTPS, 0x66, EMIT_0F3A | 0x21, 4, 0),
	{ M(EXTRACTPS), 0, 0, 0, 4, OP(0x66, EMIT_0F3A, 0x17), nat_sse_extract },
	{ M(CMPPS), 0, 0, NK_FP, 16, OP(0, EMIT_0F, 0xc2), predicate }, { M(CMPPD), 0, 0, NK_FP, 16, OP(0x66, EMIT_0F, 0xc2), predicate },
	{ M(CMPSS), 0, 0, NK_FP, 4, OP(0xf3, EMIT_0F, 0xc2), predicate }, { M(CMPSD), 0, 0, NK_FP, 8, OP(0xf2, EMIT_0F, 0xc2), predicate },
	{ M(COMISS), 0, FL_ARITH, NK_FP, 4, OP(0, EMIT_0F, 0x2f), nat_sse_compare },
	{ M(COMISD), 0, FL_ARITH, NK_FP, 8, OP(0x66, EMIT_0F, 0x2f), nat_sse_compare },
	{ M(UCOMISS), 0, FL_ARITH, NK_FP, 4, OP(0, EMIT_0F, 0x2e), nat_sse_compare },
	{ M(UCOMISD), 0, FL_ARITH, NK_FP, 8, OP(0x66, EMIT_0F, 0x2e), nat_sse_compare },

	SSE_ROW(CVTPS2PD, 0, EMIT_0F | 0x5a, 8, NK_FP), SSE_ROW(CVTPD2PS, 0x66, EMIT_0F | 0x5a, 16, NK_FP),
	SSE_ROW(CVTSS2SD, 0xf3, EMIT_0F | 0x5a, 4, NK_FP), SSE_ROW(CVTSD2SS, 0xf2, EMIT_0F | 0x5a, 8, NK_FP),
	SSE_ROW(CVTDQ2PS, 0, EMIT_0F | 0x5b, 16, NK_FP), SSE_ROW(CVTPS2DQ, 0x66, EMIT_0F | 0x5b, 16, NK_FP),
	SSE_ROW(CVTTPS2DQ, 0xf3, EMIT_0F | 0x5b, 16, NK_FP), SSE_ROW(CVTPD2DQ, 0xf2, EMIT_0F | 0xe6, 16, NK_FP),
	SSE_ROW(CVTTPD2DQ, 0x66, EMIT_0F | 0xe6, 16, NK_FP), SSE_ROW(CVTDQ2PD, 0xf3, EMIT_0F | 0xe6, 8, 0),
	{ M(CVTSI2SS), 0, 0, NK_FP, 0, OP(0xf3, EMIT_0F, 0x2a), nat_sse_from_gpr },
	{ M(CVTSI2SD), 0, 0, NK_FP, 0, OP(0xf2, EMIT_0F, 0x2a), nat_sse_from_gpr },
	{ M(CVTSS2SI), 0, 0, NK_FP, 4, OP(0xf3, EMIT_0F, 0x2d), nat_sse_to_gpr },
	{ M(CVTSD2SI), 0, 0, NK_FP, 8, OP(0xf2, EMIT_0F, 0x2d), nat_sse_to_gpr },
	{ M(CVTTSS2SI), 0, 0, NK_FP, 4, OP(0xf3, EMIT_0F, 0x2c), nat_sse_to_gpr },
	{ M(CVTTSD2SI), 0, 0, NK_FP, 8, OP(0xf2, EMIT_0F, 0x2c), nat_sse_to_gpr },
	{ 0 },
};
