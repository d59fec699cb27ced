/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emit.h - host code for amd64, an instruction at a time (SDM vol. 2 chapter 2 for the form, its pages for the opcodes).
 *
 * Code is written through one mapping and runs in another (jit.c), so nothing here depends on where it is written: jumps and what
 * is addressed relative to RIP are within the buffer, and what lies outside of it is reached by an address in a register, or by a
 * displacement from where the code will run.  A buffer that is full stays so, and nothing is written any more: whoever emits
 * looks once, at the end.
 *
 * Operand order is the manual's: destination first.  Sizes are in bytes: 1, 2, 4, 8.
 */
#ifndef _SOFT_JIT_EMIT_H_
#define	_SOFT_JIT_EMIT_H_

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Registers, the host's: the guest's have names of their own. */
enum emit_reg {
	H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15, EMIT_NOREG
};

/* Conditions, as in Jcc, SETcc and CMOVcc; the odd one is the opposite. */
enum emit_cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* Group 1, by its opcodes' bits 5:3, and shifts, by those of their ModRM byte. */
enum emit_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum emit_shift { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR = 7 };
/* Group 3 */
enum emit_unary { UN_NOT = 2, UN_NEG, UN_MUL, UN_IMUL, UN_DIV, UN_IDIV };

/* An opcode with its map and mandatory prefix: OP(0x66, EMIT_0F, 0xef) is PXOR. */
#define	EMIT_0F		0x100U
#define	EMIT_0F38	0x200U
#define	EMIT_0F3A	0x300U
#define	OP(prefix, map, byte)	((uint32_t)(prefix) << 16 | (map) | (byte))

struct emit {
	uint8_t		*start, *at, *end;	/* where it is written */
	intptr_t	 run;			/* address where it runs, less that */
	bool		 full;
};

/* A place in the code.  Jumps to one that is not known yet are a list through their displacements. */
struct emit_label {
	uint8_t		*at;			/* NULL: not known yet */
	uint8_t		*uses;			/* the last displacement that waits for it */
};

/* A memory operand: base + index * scale + disp, or a label. */
struct emit_mem {
	uint8_t		 base, index, scale;
	int32_t		 disp;
	struct emit_label *label;
};

static inline struct emit_mem
emit_at(enum emit_reg base, int32_t disp)
{
	return ((struct emit_mem){ .base = (uint8_t)base, .index = EMIT_NOREG, .scale = 1, .disp = disp });
}

static inline struct emit_mem
emit_idx(enum emit_reg base, enum emit_reg index, unsigned scale, int32_t disp)
{
	return ((struct emit_mem){ .base = (uint8_t)base, .index = (uint8_t)index, .scale = (uint8_t)scale, .disp = disp });
}

/* What lies at a label of this buffer. */
static inline struct emit_mem
emit_rip(struct emit_label *l)
{
	return ((struct emit_mem){ .base = EMIT_NOREG, .index = EMIT_NOREG, .scale = 1, .label = l });
}

/* Bytes */

static inline void
emit_bytes(struct emit *e, const void *p, unsigned n)
{
	if ((size_t)(e->end - e->at) < n) {
		e->full = true;
		return;
	}
	memcpy(e->at, p, n);
	e->at += n;
}

static inline void
emit8(struct emit *e, unsigned v)
{
	uint8_t b = (uint8_t)v;

	emit_bytes(e, &b, 1);
}

static inline void
emit16(struct emit *e, unsigned v)
{
	uint16_t w = (uint16_t)v;

	emit_bytes(e, &w, 2);
}

static inline void
emit32(struct emit *e, uint32_t v)
{
	emit_bytes(e, &v, 4);
}

static inline void
emit64(struct emit *e, uint64_t v)
{
	emit_bytes(e, &v, 8);
}

/* Where the next byte will run. */
static inline uintptr_t
emit_pc(const struct emit *e)
{
	return ((uintptr_t)e->at + (uintptr_t)e->run);
}

/* Labels */

/* A displacement of 32 bits to l, relative to what is `behind' bytes behind its end. */
static inline void
emit_rel32(struct emit *e, struct emit_label *l, unsigned behind)
{
	uint8_t *here = e->at;

	if (l->at != NULL) {
		emit32(e, (uint32_t)(l->at - (here + 4 + behind)));
		return;
	}
	/* Until then: how far back the one before is, and what lies between. */
	emit32(e, (l->uses == NULL ? 0 : (uint32_t)(here - l->uses)) << 3 | behind);
	if (!e->full)
		l->uses = here;
}

static inline void
emit_bind(struct emit *e, struct emit_label *l)
{
	uint8_t *use = l->uses;
	uint32_t link, rel;

	l->at = e->at;
	l->uses = NULL;
	while (use != NULL && !e->full) {
		memcpy(&link, use, 4);
		rel = (uint32_t)(l->at - (use + 4 + (link & 7)));
		memcpy(use, &rel, 4);
		use = link >> 3 == 0 ? NULL : use - (link >> 3);
	}
}

/* Instructions in general */

static inline void
emit_opcode(struct emit *e, unsigned size, uint32_t op, unsigned reg, unsigned index, unsigned base, bool force)
{
	unsigned rex = (size == 8 ? 8U : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);

	if (size == 2)
		emit8(e, 0x66);
	if ((op >> 16 & 0xff) != 0)
		emit8(e, op >> 16 & 0xff);
	if (rex != 0 || force)
		emit8(e, 0x40 | rex);
	if ((op & 0x300) != 0)
		emit8(e, 0x0f);
	if ((op & 0x300) == EMIT_0F38)
		emit8(e, 0x38);
	else if ((op & 0x300) == EMIT_0F3A)
		emit8(e, 0x3a);
	emit8(e, op & 0xff);
}

/* SPL to DIL are registers of their own only with a REX prefix. */
static inline bool
emit_needs_rex(unsigned size, unsigned reg)
{
	return (size == 1 && reg >= 4);
}

/* op reg, rm or op rm, reg, both registers; size 8 sets REX.W, 2 the prefix, 1 looks after byte registers. */
static inline void
emit_rr(struct emit *e, unsigned size, uint32_t op, unsigned reg, unsigned rm)
{
	emit_opcode(e, size, op, reg, 0, rm, emit_needs_rex(size, reg) || emit_needs_rex(size, rm));
	emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* ModRM, SIB and displacement of memory that is no label. */
static inline void
emit_modrm(struct emit *e, unsigned reg, struct emit_mem m)
{
	unsigned index = m.index == EMIT_NOREG ? H_RSP : m.index, base = m.base & 7, mod, log = 0;
	bool sib = m.index != EMIT_NOREG || base == H_RSP;

	if (m.base == EMIT_NOREG) {		/* an index alone, or an address below 2 GiB */
		mod = 0;
		base = H_RBP;
		sib = true;
	} else {
		mod = m.disp == 0 && base != H_RBP ? 0 : m.disp >= -128 && m.disp <= 127 ? 1 : 2;
	}
	emit8(e, mod << 6 | (reg & 7) << 3 | (sib ? H_RSP : base));
	if (sib) {
		while (1U << log < m.scale)
			log++;
		emit8(e, log << 6 | (index & 7) << 3 | base);
	}
	if (mod == 1)
		emit8(e, (uint32_t)m.disp & 0xff);
	else if (mod == 2 || m.base == EMIT_NOREG)
		emit32(e, (uint32_t)m.disp);
}

/* The same with memory; imm: bytes of immediate that follow. */
static inline void
emit_rm(struct emit *e, unsigned size, uint32_t op, unsigned reg, struct emit_mem m, unsigned imm)
{
	if (m.label != NULL) {
		emit_opcode(e, size, op, reg, 0, 0, emit_needs_rex(size, reg));
		emit8(e, (reg & 7) << 3 | 5);
		emit_rel32(e, m.label, imm);
		return;
	}
	emit_opcode(e, size, op, reg, m.index == EMIT_NOREG ? 0 : m.index, m.base == EMIT_NOREG ? 0 : m.base,
	    emit_needs_rex(size, reg));
	emit_modrm(e, reg, m);
}

static inline void
emit_imm(struct emit *e, unsigned size, int32_t imm)
{
	if (size == 1)
		emit8(e, (uint32_t)imm & 0xff);
	else if (size == 2)
		emit16(e, (uint32_t)imm & 0xffff);
	else
		emit32(e, (uint32_t)imm);
}

/* Moves */

static inline void
emit_mov_rr(struct emit *e, unsigned size, unsigned dst, unsigned src)
{
	emit_rr(e, size, size == 1 ? 0x8a : 0x8b, dst, src);
}

/* Loads of 1 and 2 bytes keep the rest of the register: see emit_movzx_rm(). */
static inline void
emit_mov_rm(struct emit *e, unsigned size, unsigned dst, struct emit_mem m)
{
	emit_rm(e, size, size == 1 ? 0x8a : 0x8b, dst, m, 0);
}

static inline void
emit_mov_mr(struct emit *e, unsigned size, struct emit_mem m, unsigned src)
{
	emit_rm(e, size, size == 1 ? 0x88 : 0x89, src, m, 0);
}

/* imm is sign-extended to 8 bytes. */
static inline void
emit_mov_mi(struct emit *e, unsigned size, struct emit_mem m, int32_t imm)
{
	unsigned n = size == 8 ? 4 : size;

	emit_rm(e, size, size == 1 ? 0xc6 : 0xc7, 0, m, n);
	emit_imm(e, n, imm);
}

/* The whole register, without touching flags. */
static inline void
emit_mov_ri(struct emit *e, unsigned dst, uint64_t imm)
{
	if (imm <= UINT32_MAX) {
		emit_opcode(e, 4, 0xb8 | (dst & 7), 0, 0, dst, false);
		emit32(e, (uint32_t)imm);
	} else if ((int64_t)imm >= INT32_MIN && (int64_t)imm < 0) {
		emit_rr(e, 8, 0xc7, 0, dst);
		emit32(e, (uint32_t)imm);
	} else {
		emit_opcode(e, 8, 0xb8 | (dst & 7), 0, 0, dst, false);
		emit64(e, imm);
	}
}

/* From 1 or 2 bytes, or 4 with a plain move; to 8 bytes. */
static inline void
emit_movzx_rr(struct emit *e, unsigned from, unsigned dst, unsigned src)
{
	if (from == 4) {
		emit_mov_rr(e, 4, dst, src);
		return;
	}
	emit_opcode(e, 4, EMIT_0F | (from == 1 ? 0xb6 : 0xb7), dst, 0, src, emit_needs_rex(from, src));
	emit8(e, 0xc0 | (dst & 7) << 3 | (src & 7));
}

static inline void
emit_movzx_rm(struct emit *e, unsigned from, unsigned dst, struct emit_mem m)
{
	if (from >= 4)
		emit_mov_rm(e, from, dst, m);
	else
		emit_rm(e, 4, EMIT_0F | (from == 1 ? 0xb6 : 0xb7), dst, m, 0);
}

/* From 1, 2 or 4 bytes to 4 (the upper half becomes 0) or 8. */
static inline void
emit_movsx_rr(struct emit *e, unsigned to, unsigned from, unsigned dst, unsigned src)
{
	uint32_t op = from == 4 ? 0x63U : EMIT_0F | (from == 1 ? 0xbe : 0xbf);

	emit_opcode(e, to, op, dst, 0, src, emit_needs_rex(from, src));
	emit8(e, 0xc0 | (dst & 7) << 3 | (src & 7));
}

static inline void
emit_movsx_rm(struct emit *e, unsigned to, unsigned from, unsigned dst, struct emit_mem m)
{
	emit_rm(e, to, from == 4 ? 0x63U : EMIT_0F | (from == 1 ? 0xbe : 0xbf), dst, m, 0);
}

static inline void
emit_lea(struct emit *e, unsigned size, unsigned dst, struct emit_mem m)
{
	emit_rm(e, size, 0x8d, dst, m, 0);
}

static inline void
emit_push(struct emit *e, unsigned reg)
{
	emit_opcode(e, 4, 0x50 | (reg & 7), 0, 0, reg, false);
}

static inline void
emit_pop(struct emit *e, unsigned reg)
{
	emit_opcode(e, 4, 0x58 | (reg & 7), 0, 0, reg, false);
}

/* Arithmetic */

static inline void
emit_alu_rr(struct emit *e, unsigned size, enum emit_alu op, unsigned dst, unsigned src)
{
	emit_rr(e, size, (unsigned)op << 3 | (size == 1 ? 2 : 3), dst, src);
}

static inline void
emit_alu_rm(struct emit *e, unsigned size, enum emit_alu op, unsigned dst, struct emit_mem m)
{
	emit_rm(e, size, (unsigned)op << 3 | (size == 1 ? 2 : 3), dst, m, 0);
}

static inline void
emit_alu_mr(struct emit *e, unsigned size, enum emit_alu op, struct emit_mem m, unsigned src)
{
	emit_rm(e, size, (unsigned)op << 3 | (size == 1 ? 0 : 1), src, m, 0);
}

/* imm is sign-extended. */
static inline void
emit_alu_ri(struct emit *e, unsigned size, enum emit_alu op, unsigned dst, int32_t imm)
{
	bool small = size == 1 || (imm >= -128 && imm <= 127);

	emit_opcode(e, size, size == 1 ? 0x80 : small ? 0x83 : 0x81, 0, 0, dst, emit_needs_rex(size, dst));
	emit8(e, 0xc0 | (unsigned)op << 3 | (dst & 7));
	emit_imm(e, small ? 1 : size == 8 ? 4 : size, imm);
}

static inline void
emit_alu_mi(struct emit *e, unsigned size, enum emit_alu op, struct emit_mem m, int32_t imm)
{
	bool small = size == 1 || (imm >= -128 && imm <= 127);
	unsigned n = small ? 1 : size == 8 ? 4 : size;

	emit_rm(e, size == 1 ? 4 : size, size == 1 ? 0x80 : small ? 0x83 : 0x81, (unsigned)op, m, n);
	emit_imm(e, n, imm);
}

static inline void
emit_test_rr(struct emit *e, unsigned size, unsigned a, unsigned b)
{
	emit_rr(e, size, size == 1 ? 0x84 : 0x85, b, a);
}

static inline void
emit_test_ri(struct emit *e, unsigned size, unsigned reg, int32_t imm)
{
	emit_opcode(e, size, size == 1 ? 0xf6 : 0xf7, 0, 0, reg, emit_needs_rex(size, reg));
	emit8(e, 0xc0 | (reg & 7));
	emit_imm(e, size == 8 ? 4 : size, imm);
}

static inline void
emit_test_mi(struct emit *e, unsigned size, struct emit_mem m, int32_t imm)
{
	unsigned n = size == 8 ? 4 : size;

	emit_rm(e, size, size == 1 ? 0xf6 : 0xf7, 0, m, n);
	emit_imm(e, n, imm);
}

static inline void
emit_shift_ri(struct emit *e, unsigned size, enum emit_shift op, unsigned dst, unsigned n)
{
	emit_opcode(e, size, size == 1 ? 0xc0 : 0xc1, 0, 0, dst, emit_needs_rex(size, dst));
	emit8(e, 0xc0 | (unsigned)op << 3 | (dst & 7));
	emit8(e, n);
}

static inline void
emit_shift_cl(struct emit *e, unsigned size, enum emit_shift op, unsigned dst)
{
	emit_opcode(e, size, size == 1 ? 0xd2 : 0xd3, 0, 0, dst, emit_needs_rex(size, dst));
	emit8(e, 0xc0 | (unsigned)op << 3 | (dst & 7));
}

static inline void
emit_unary_r(struct emit *e, unsigned size, enum emit_unary op, unsigned reg)
{
	emit_opcode(e, size, size == 1 ? 0xf6 : 0xf7, 0, 0, reg, emit_needs_rex(size, reg));
	emit8(e, 0xc0 | (unsigned)op << 3 | (reg & 7));
}

/* INC (0), DEC (1) */
static inline void
emit_incdec_r(struct emit *e, unsigned size, unsigned op, unsigned reg)
{
	emit_opcode(e, size, size == 1 ? 0xfe : 0xff, 0, 0, reg, emit_needs_rex(size, reg));
	emit8(e, 0xc0 | op << 3 | (reg & 7));
}

static inline void
emit_imul_rr(struct emit *e, unsigned size, unsigned dst, unsigned src)
{
	emit_rr(e, size, EMIT_0F | 0xaf, dst, src);
}

static inline void
emit_imul_rm(struct emit *e, unsigned size, unsigned dst, struct emit_mem m)
{
	emit_rm(e, size, EMIT_0F | 0xaf, dst, m, 0);
}

static inline void
emit_imul_rri(struct emit *e, unsigned size, unsigned dst, unsigned src, int32_t imm)
{
	emit_rr(e, size, 0x69, dst, src);
	emit_imm(e, size == 8 ? 4 : size, imm);
}

/* CDQ (4), CQO (8): before a signed division. */
static inline void
emit_cqo(struct emit *e, unsigned size)
{
	emit_opcode(e, size, 0x99, 0, 0, 0, false);
}

static inline void
emit_bswap(struct emit *e, unsigned size, unsigned reg)
{
	emit_opcode(e, size, EMIT_0F | 0xc8 | (reg & 7), 0, 0, reg, false);
}

/* BT, by group 8 of the manual: 4 BT, 5 BTS, 6 BTR, 7 BTC. */
static inline void
emit_bt_ri(struct emit *e, unsigned size, unsigned op, unsigned reg, unsigned n)
{
	emit_rr(e, size, EMIT_0F | 0xba, op, reg);
	emit8(e, n);
}

static inline void
emit_bt_mi(struct emit *e, unsigned size, unsigned op, struct emit_mem m, unsigned n)
{
	emit_rm(e, size, EMIT_0F | 0xba, op, m, 1);
	emit8(e, n);
}

/* Atomics */

/* Before what it is the prefix of. */
static inline void
emit_lock(struct emit *e)
{
	emit8(e, 0xf0);
}

/* Locked by itself. */
static inline void
emit_xchg_mr(struct emit *e, unsigned size, struct emit_mem m, unsigned reg)
{
	emit_rm(e, size, size == 1 ? 0x86 : 0x87, reg, m, 0);
}

static inline void
emit_xadd_mr(struct emit *e, unsigned size, struct emit_mem m, unsigned reg)
{
	emit_rm(e, size, EMIT_0F | (size == 1 ? 0xc0 : 0xc1), reg, m, 0);
}

/* With RAX */
static inline void
emit_cmpxchg_mr(struct emit *e, unsigned size, struct emit_mem m, unsigned reg)
{
	emit_rm(e, size, EMIT_0F | (size == 1 ? 0xb0 : 0xb1), reg, m, 0);
}

/* Conditions and flags */

static inline void
emit_setcc_r(struct emit *e, enum emit_cc cc, unsigned reg)
{
	emit_rr(e, 1, EMIT_0F | 0x90 | (unsigned)cc, 0, reg);
}

static inline void
emit_setcc_m(struct emit *e, enum emit_cc cc, struct emit_mem m)
{
	emit_rm(e, 4, EMIT_0F | 0x90 | (unsigned)cc, 0, m, 0);
}

static inline void
emit_cmov_rr(struct emit *e, unsigned size, enum emit_cc cc, unsigned dst, unsigned src)
{
	emit_rr(e, size, EMIT_0F | 0x40 | (unsigned)cc, dst, src);
}

static inline void
emit_cmov_rm(struct emit *e, unsigned size, enum emit_cc cc, unsigned dst, struct emit_mem m)
{
	emit_rm(e, size, EMIT_0F | 0x40 | (unsigned)cc, dst, m, 0);
}

static inline void
emit_lahf(struct emit *e)
{
	emit8(e, 0x9f);
}

static inline void
emit_sahf(struct emit *e)
{
	emit8(e, 0x9e);
}

static inline void
emit_cmc(struct emit *e)
{
	emit8(e, 0xf5);
}

/* Going elsewhere */

static inline void
emit_jmp(struct emit *e, struct emit_label *l)
{
	if (l->at != NULL && e->at >= l->at && e->at - l->at < 120) {
		emit8(e, 0xeb);
		emit8(e, (unsigned)(l->at - (e->at + 1)));
		return;
	}
	emit8(e, 0xe9);
	emit_rel32(e, l, 0);
}

static inline void
emit_jcc(struct emit *e, enum emit_cc cc, struct emit_label *l)
{
	if (l->at != NULL && e->at >= l->at && e->at - l->at < 120) {
		emit8(e, 0x70 | (unsigned)cc);
		emit8(e, (unsigned)(l->at - (e->at + 1)));
		return;
	}
	emit8(e, 0x0f);
	emit8(e, 0x80 | (unsigned)cc);
	emit_rel32(e, l, 0);
}

/* Forward over less than 128 bytes: what they return goes to emit_here(). */
static inline uint8_t *
emit_jcc_over(struct emit *e, enum emit_cc cc)
{
	emit8(e, 0x70 | (unsigned)cc);
	emit8(e, 0);
	return (e->at);
}

static inline uint8_t *
emit_jmp_over(struct emit *e)
{
	emit8(e, 0xeb);
	emit8(e, 0);
	return (e->at);
}

static inline void
emit_here(struct emit *e, uint8_t *from)
{
	if (e->full)
		return;
	if (e->at - from > 127)
		e->full = true;		/* a mistake of the caller's: the code is not used */
	else
		from[-1] = (uint8_t)(e->at - from);
}

/* To a place by the address where it runs. */
static inline bool
emit_reaches(const struct emit *e, const void *where)
{
	int64_t rel = (int64_t)((uintptr_t)where - emit_pc(e));

	return (rel > INT32_MIN + 16 && rel < INT32_MAX - 16);
}

static inline void
emit_jmp_to(struct emit *e, const void *where)
{
	emit8(e, 0xe9);
	emit32(e, (uint32_t)((uintptr_t)where - (emit_pc(e) + 4)));
}

static inline void
emit_jcc_to(struct emit *e, enum emit_cc cc, const void *where)
{
	emit8(e, 0x0f);
	emit8(e, 0x80 | (unsigned)cc);
	emit32(e, (uint32_t)((uintptr_t)where - (emit_pc(e) + 4)));
}

static inline void
emit_jmp_r(struct emit *e, unsigned reg)
{
	emit_opcode(e, 4, 0xff, 0, 0, reg, false);
	emit8(e, 0xe0 | (reg & 7));
}

static inline void
emit_jmp_m(struct emit *e, struct emit_mem m)
{
	emit_rm(e, 4, 0xff, 4, m, 0);
}

/* A function anywhere; RAX is lost if it is far away. */
static inline void
emit_call_to(struct emit *e, const void *fn)
{
	if (emit_reaches(e, fn)) {
		emit8(e, 0xe8);
		emit32(e, (uint32_t)((uintptr_t)fn - (emit_pc(e) + 4)));
		return;
	}
	emit_mov_ri(e, H_RAX, (uintptr_t)fn);
	emit8(e, 0xff);
	emit8(e, 0xd0);
}

static inline void
emit_ret(struct emit *e)
{
	emit8(e, 0xc3);
}

/* SSE: opcodes by OP(); registers 0 to 15. */

static inline void
emit_sse_rr(struct emit *e, uint32_t op, unsigned reg, unsigned rm)
{
	emit_rr(e, 4, op, reg, rm);
}

static inline void
emit_sse_rm(struct emit *e, uint32_t op, unsigned reg, struct emit_mem m)
{
	emit_rm(e, 4, op, reg, m, 0);
}

/* VEX.128, ahead of ModRM (SDM vol. 2 2.3); index and base are what its memory has, rm's register is the base. */
static inline void
emit_vex(struct emit *e, unsigned size, uint32_t op, unsigned reg, unsigned v, unsigned index, unsigned base)
{
	unsigned prefix = op >> 16 & 0xff, pp = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0, map = op >> 8 & 3;

	if (size != 8 && map == 1 && index < 8 && base < 8) {
		emit8(e, 0xc5);
		emit8(e, (~reg >> 3 & 1) << 7 | (~v & 15) << 3 | pp);
	} else {
		emit8(e, 0xc4);
		emit8(e, (~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | map);
		emit8(e, (size == 8 ? 0x80U : 0) | (~v & 15) << 3 | pp);
	}
	emit8(e, op & 0xff);
}

/* With three registers: op reg, v, rm; size 8 sets VEX.W. */
static inline void
emit_vex_rr(struct emit *e, unsigned size, uint32_t op, unsigned reg, unsigned v, unsigned rm)
{
	emit_vex(e, size, op, reg, v, 0, rm);
	emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* With memory, by a base. */
static inline void
emit_vex_rm(struct emit *e, unsigned size, uint32_t op, unsigned reg, unsigned v, struct emit_mem m)
{
	emit_vex(e, size, op, reg, v, m.index == EMIT_NOREG ? 0 : m.index, m.base);
	emit_modrm(e, reg, m);
}

#define	SSE_MOVDQU_LOAD		OP(0xf3, EMIT_0F, 0x6f)		/* xmm, m128 */
#define	SSE_MOVDQU_STORE	OP(0xf3, EMIT_0F, 0x7f)
#define	SSE_MOVAPS_LOAD		OP(0, EMIT_0F, 0x28)		/* aligned */
#define	SSE_MOVAPS_STORE	OP(0, EMIT_0F, 0x29)
#define	SSE_MOVQ_LOAD		OP(0xf3, EMIT_0F, 0x7e)		/* xmm, m64: the upper half becomes 0 */
#define	SSE_MOVQ_STORE		OP(0x66, EMIT_0F, 0xd6)
#define	SSE_MOVD_LOAD		OP(0x66, EMIT_0F, 0x6e)		/* xmm, r/m32 (r/m64 with size 8 and emit_rr()) */
#define	SSE_MOVD_STORE		OP(0x66, EMIT_0F, 0x7e)
#define	SSE_XORPS		OP(0, EMIT_0F, 0x57)
#define	SSE_ORPS		OP(0, EMIT_0F, 0x56)
#define	SSE_UNPCKLPD		OP(0x66, EMIT_0F, 0x14)
#define	SSE_SHUFPS		OP(0, EMIT_0F, 0xc6)
#define	SSE_PCMPEQD		OP(0x66, EMIT_0F, 0x76)
#define	SSE_PAND		OP(0x66, EMIT_0F, 0xdb)
#define	SSE_PANDN		OP(0x66, EMIT_0F, 0xdf)
#define	SSE_POR		OP(0x66, EMIT_0F, 0xeb)
#define	SSE_PXOR		OP(0x66, EMIT_0F, 0xef)

#endif /* _SOFT_JIT_EMIT_H_ */
