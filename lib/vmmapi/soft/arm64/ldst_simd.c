/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst_simd.c - loads and stores of SIMD&FP registers, one and in pairs (Arm ARM C4.1.4, C7.2).
 *
 * A load of less than a register clears the rest of it.
 */
#include <string.h>

#include "ldst_simd.h"

/* How the address is made; arg2 of a register offset has option and shift. */
enum address { ADDR_IMM, ADDR_REG, ADDR_POST, ADDR_PRE, ADDR_LITERAL };

/* The address, and what the base becomes. */
A64_INLINE enum a64_status
address(struct a64 *c, const struct a64_insn *i, enum address kind, uint64_t *va, uint64_t *base)
{
	c->cur = i;
	if (kind == ADDR_LITERAL) {
		*va = a64_pc(c, i) + i->imm;
		return (A_DONE);
	}
	*va = *base = R(i->rn);
	if (unlikely(sp_bad(c, i->rn, *va)))
		return (a64_sp_fault(c));
	if (kind == ADDR_REG)
		*va += offset_of(c, i);
	else
		*base += i->imm;
	if (kind == ADDR_IMM || kind == ADDR_PRE)
		*va = *base;
	return (A_DONE);
}

A64_INLINE enum a64_status
load_one(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size)
{
	uint64_t va = 0, base = 0, v = 0;

	TRY(address(c, i, kind, &va, &base));
	if (size == 16) {
		TRY(load16(c, va, &c->s->v[2 * i->rd]));
	} else {
		TRY(load(c, va, size, 0, &v));
		c->s->v[2 * i->rd] = v;
		c->s->v[2 * i->rd + 1] = 0;
	}
	if (kind == ADDR_POST || kind == ADDR_PRE)
		R(i->rn) = base;
	return (A64_NEXT(c, i));
}

A64_INLINE enum a64_status
store_one(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size)
{
	uint64_t va, base = 0;

	TRY(address(c, i, kind, &va, &base));
	if (size == 16)
		TRY(store16(c, va, &c->s->v[2 * i->rd]));
	else
		TRY(store(c, va, size, 0, c->s->v[2 * i->rd]));
	if (kind == ADDR_POST || kind == ADDR_PRE)
		R(i->rn) = base;
	return (A64_NEXT(c, i));
}

#define	ONE(kind, size)									\
	static enum a64_status ld##size##_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (load_one(c, i, kind, size)); }					\
	static enum a64_status st##size##_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (store_one(c, i, kind, size)); }
#define	KIND(kind) ONE(kind, 1) ONE(kind, 2) ONE(kind, 4) ONE(kind, 8) ONE(kind, 16)
#define	ROW(kind) [kind] = {								\
	{ st1_##kind, ld1_##kind }, { st2_##kind, ld2_##kind }, { st4_##kind, ld4_##kind },	\
	{ st8_##kind, ld8_##kind }, { st16_##kind, ld16_##kind } }

KIND(ADDR_IMM)
KIND(ADDR_REG)
KIND(ADDR_POST)
KIND(ADDR_PRE)

/* By kind, binary logarithm of the size, load. */
static a64_op *const one_ops[4][5][2] = { ROW(ADDR_IMM), ROW(ADDR_REG), ROW(ADDR_POST), ROW(ADDR_PRE) };

static enum a64_status
literal4(struct a64 *c, const struct a64_insn *i)
{
	return (load_one(c, i, ADDR_LITERAL, 4));
}

static enum a64_status
literal8(struct a64 *c, const struct a64_insn *i)
{
	return (load_one(c, i, ADDR_LITERAL, 8));
}

static enum a64_status
literal16(struct a64 *c, const struct a64_insn *i)
{
	return (load_one(c, i, ADDR_LITERAL, 16));
}

static bool
decode_literal(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[4] = { literal4, literal8, literal16, NULL };

	i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 23, 5) << 2, 21);
	i->go = ops[w >> 30];
	return (i->go != NULL);
}

static bool
decode_one(uint32_t w, unsigned mode, struct a64_insn *i)
{
	static const enum address kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_IMM, ADDR_PRE };
	unsigned scale = a64_bits(w, 23, 23) << 2 | w >> 30, kind = a64_bits(w, 11, 10);
	enum address how;

	if (scale > 4)
		return (false);
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	if (a64_bits(w, 24, 24) != 0) {			/* unsigned offset */
		i->imm = (uint64_t)a64_bits(w, 21, 10) << scale;
		how = ADDR_IMM;
	} else if (a64_bits(w, 21, 21) == 0) {
		if (kind == 2)
			return (false);
		i->imm = (uint64_t)a64_sext(a64_bits(w, 20, 12), 9);
		how = kinds[kind];
	} else {
		if (kind != 2 || a64_bits(w, 14, 14) == 0)
			return (false);
		i->rm = src(a64_bits(w, 20, 16));
		i->arg2 = (uint8_t)(a64_bits(w, 15, 13) | (a64_bits(w, 12, 12) != 0 ? scale : 0) << 3);
		how = ADDR_REG;
	}
	i->go = one_ops[how][scale][a64_bits(w, 22, 22)];
	return (true);
}

/* Pairs: arg is the size of one. */

A64_INLINE enum a64_status
load_pair(struct a64 *c, const struct a64_insn *i, enum address kind)
{
	uint64_t va, base = 0;
	unsigned size = i->arg;
	uint64_t *to = c->s->v;
	const char *p;

	TRY(address(c, i, kind, &va, &base));
	p = soft_tlb_hit(c->row[0], a64_tag(c, va), va, 2 * size, false);
	if (unlikely(p == NULL)) {
		TRY(a64_read(c, va, size, 2 * size, 0, c->buf));
		p = (const char *)c->buf;
	}
	if (size == 16) {
		host_load16(p, &to[2 * i->rd]);
		host_load16(p + 16, &to[2 * i->ra]);
	} else {
		to[2 * i->rd] = size == 8 ? host_load(p, 8) : host_load(p, 4);
		to[2 * i->ra] = size == 8 ? host_load(p + 8, 8) : host_load(p + 4, 4);
		to[2 * i->rd + 1] = to[2 * i->ra + 1] = 0;
	}
	if (kind != ADDR_IMM)
		R(i->rn) = base;
	return (A64_NEXT(c, i));
}

A64_INLINE enum a64_status
store_pair(struct a64 *c, const struct a64_insn *i, enum address kind)
{
	const uint64_t *from = c->s->v;
	uint64_t va, base = 0;
	unsigned size = i->arg;
	char *p, *to;

	TRY(address(c, i, kind, &va, &base));
	p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, 2 * size, true);
	to = likely(p != NULL) ? p : (char *)c->buf;
	if (size == 16) {
		host_store16(to, &from[2 * i->rd]);
		host_store16(to + 16, &from[2 * i->ra]);
	} else if (size == 8) {
		host_store(to, 8, from[2 * i->rd]);
		host_store(to + 8, 8, from[2 * i->ra]);
	} else {
		host_store(to, 4, from[2 * i->rd]);
		host_store(to + 4, 4, from[2 * i->ra]);
	}
	if (unlikely(p == NULL))
		TRY(a64_write(c, va, size, 2 * size, 0, c->buf));
	if (kind != ADDR_IMM)
		R(i->rn) = base;
	return (A64_NEXT(c, i));
}

#define	PAIR(kind)									\
	static enum a64_status stp_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (store_pair(c, i, kind)); }						\
	static enum a64_status ldp_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (load_pair(c, i, kind)); }

PAIR(ADDR_IMM)
PAIR(ADDR_POST)
PAIR(ADDR_PRE)

static bool
decode_pair(uint32_t w, unsigned mode, struct a64_insn *i)
{
	/* By bits 24:23: LDNP and STNP are as LDP and STP. */
	static a64_op *const ops[4][2] = { { stp_ADDR_IMM, ldp_ADDR_IMM }, { stp_ADDR_POST, ldp_ADDR_POST },
	    { stp_ADDR_IMM, ldp_ADDR_IMM }, { stp_ADDR_PRE, ldp_ADDR_PRE } };
	unsigned opc = w >> 30;

	if (opc == 3)
		return (false);
	i->arg = (uint8_t)(4U << opc);
	i->imm = (uint64_t)a64_sext(a64_bits(w, 21, 15), 7) * i->arg;
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->ra = (uint8_t)a64_bits(w, 14, 10);
	i->go = ops[a64_bits(w, 24, 23)][a64_bits(w, 22, 22)];
	return (true);
}

bool
a64_decode_ldst_simd(uint32_t w, unsigned mode, struct a64_insn *i)
{
	i->rd = (uint8_t)(w & 31);
	if ((w & 0x3b000000) == 0x18000000)
		return (decode_literal(w, i));
	switch (w & 0x3a000000) {
	case 0x28000000:
		return (decode_pair(w, mode, i));
	case 0x38000000:
		return (decode_one(w, mode, i));
	default:
		return ((w & 0xbe000000) == 0x0c000000 && a64_decode_structures(w, mode, i));
	}
}
