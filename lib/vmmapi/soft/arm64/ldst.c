/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst.c - loads and stores of general registers, one and in pairs (Arm ARM C4.1.4, C6.2).
 *
 * Plain accesses are relaxed, as the architecture's are, and whole when aligned (B2.2.1).  Where write-back of the base is UNPREDICTABLE
 * because it is transferred too, the base's new value wins.
 */
#include "mem.h"

/* How the address is made: base and immediate, base and register; the new base is written back behind it or before. */
enum address { ADDR_IMM, ADDR_REG, ADDR_POST, ADDR_PRE, ADDR_UNPRIV, ADDR_LITERAL, ADDR_NKINDS };

A64_INLINE uint64_t
address(const struct a64 *c, const struct a64_insn *i, enum address kind, uint64_t base)
{
	switch (kind) {
	case ADDR_REG:
		return (base + offset_of(c, i));
	case ADDR_POST:
		return (base);
	default:
		return (base + i->imm);
	}
}

#define	BASE(base)									\
	uint64_t base = R(i->rn);							\
											\
	c->cur = i;									\
	if (unlikely(sp_bad(c, i->rn, base)))						\
		return (a64_sp_fault(c))

/* ext: 0 zero-extends, 1 sign-extends to 64 bits, 2 to 32. */
A64_INLINE enum a64_status
load_one(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size, unsigned ext)
{
	uint64_t va, v = 0;

	BASE(base);
	va = address(c, i, kind, base);
	TRY(load(c, va, size, kind == ADDR_UNPRIV ? A64_UNPRIV : 0, &v));
	R(i->rd) = extend(v, size, ext != 0, ext == 1);
	if (kind == ADDR_POST || kind == ADDR_PRE)
		R(i->rn) = base + i->imm;
	return (A64_NEXT(c, i));
}

A64_INLINE enum a64_status
store_one(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size)
{
	uint64_t va, v = R(i->rd);

	BASE(base);
	va = address(c, i, kind, base);
	TRY(store(c, va, size, kind == ADDR_UNPRIV ? A64_UNPRIV : 0, v));
	if (kind == ADDR_POST || kind == ADDR_PRE)
		R(i->rn) = base + i->imm;
	return (A64_NEXT(c, i));
}

/* By opc and size: store, load, load signed to 64 and to 32 bits. */
#define	LOAD(kind, size, ext)								\
	static enum a64_status ld##size##_##ext##_##kind(struct a64 *c, const struct a64_insn *i) \
	{										\
		return (load_one(c, i, kind, size, ext));				\
	}
#define	STORE(kind, size)								\
	static enum a64_status st##size##_##kind(struct a64 *c, const struct a64_insn *i) \
	{										\
		return (store_one(c, i, kind, size));					\
	}
#define	KIND(kind)									\
	STORE(kind, 1) STORE(kind, 2) STORE(kind, 4) STORE(kind, 8)			\
	LOAD(kind, 1, 0) LOAD(kind, 2, 0) LOAD(kind, 4, 0) LOAD(kind, 8, 0)		\
	LOAD(kind, 1, 1) LOAD(kind, 2, 1) LOAD(kind, 4, 1)				\
	LOAD(kind, 1, 2) LOAD(kind, 2, 2)
#define	ROW(kind) [kind] = {								\
	{ st1_##kind, st2_##kind, st4_##kind, st8_##kind },				\
	{ ld1_0_##kind, ld2_0_##kind, ld4_0_##kind, ld8_0_##kind },			\
	{ ld1_1_##kind, ld2_1_##kind, ld4_1_##kind, NULL },				\
	{ ld1_2_##kind, ld2_2_##kind, NULL, NULL } }

KIND(ADDR_IMM)
KIND(ADDR_REG)
KIND(ADDR_POST)
KIND(ADDR_PRE)
KIND(ADDR_UNPRIV)

static a64_op *const one_ops[ADDR_NKINDS][4][4] = {
	ROW(ADDR_IMM), ROW(ADDR_REG), ROW(ADDR_POST), ROW(ADDR_PRE), ROW(ADDR_UNPRIV),
};

static enum a64_status
nop(struct a64 *c, const struct a64_insn *i)
{
	return (A64_NEXT(c, i));
}

/* Load from behind or before the instruction. */
A64_INLINE enum a64_status
literal(struct a64 *c, const struct a64_insn *i, unsigned size, bool sign)
{
	uint64_t v = 0;

	c->cur = i;
	TRY(load(c, a64_pc(c, i) + i->imm, size, 0, &v));
	R(i->rd) = extend(v, size, sign, true);
	return (A64_NEXT(c, i));
}

static enum a64_status
literal4(struct a64 *c, const struct a64_insn *i)
{
	return (literal(c, i, 4, false));
}

static enum a64_status
literal8(struct a64 *c, const struct a64_insn *i)
{
	return (literal(c, i, 8, false));
}

static enum a64_status
literal_signed(struct a64 *c, const struct a64_insn *i)
{
	return (literal(c, i, 4, true));
}

static bool
decode_literal(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[4] = { literal4, literal8, literal_signed, nop };

	i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 23, 5) << 2, 21);
	i->rd = dst(w & 31);
	i->go = ops[w >> 30];
	return (true);
}

/* Pairs */

A64_INLINE enum a64_status
load_pair(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size, bool sign)
{
	uint64_t va, v[2];
	const void *p;

	BASE(base);
	va = address(c, i, kind, base);
	p = soft_tlb_hit(c->row[0], a64_tag(c, va), va, 2 * size, false);
	if (likely(p != NULL)) {
		v[0] = host_load(p, size);
		v[1] = host_load((const char *)p + size, size);
	} else {
		TRY(a64_read(c, va, size, 2 * size, 0, c->buf));
		v[0] = size == 4 ? (uint32_t)c->buf[0] : c->buf[0];
		v[1] = size == 4 ? c->buf[0] >> 32 : c->buf[1];
	}
	R(i->rd) = extend(v[0], size, sign, true);
	R(i->ra) = extend(v[1], size, sign, true);
	if (kind != ADDR_IMM)
		R(i->rn) = base + i->imm;
	return (A64_NEXT(c, i));
}

A64_INLINE enum a64_status
store_pair(struct a64 *c, const struct a64_insn *i, enum address kind, unsigned size)
{
	uint64_t va, v[2] = { R(i->rd), R(i->ra) };
	void *p;

	BASE(base);
	va = address(c, i, kind, base);
	p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, 2 * size, true);
	if (likely(p != NULL)) {
		host_store(p, size, v[0]);
		host_store((char *)p + size, size, v[1]);
	} else {
		c->buf[0] = size == 4 ? (uint32_t)v[0] | v[1] << 32 : v[0];
		c->buf[1] = v[1];
		TRY(a64_write(c, va, size, 2 * size, 0, c->buf));
	}
	if (kind != ADDR_IMM)
		R(i->rn) = base + i->imm;
	return (A64_NEXT(c, i));
}

#define	PAIR(kind)									\
	static enum a64_status stp4_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (store_pair(c, i, kind, 4)); }						\
	static enum a64_status stp8_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (store_pair(c, i, kind, 8)); }						\
	static enum a64_status ldp4_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (load_pair(c, i, kind, 4, false)); }					\
	static enum a64_status ldpsw_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (load_pair(c, i, kind, 4, true)); }					\
	static enum a64_status ldp8_##kind(struct a64 *c, const struct a64_insn *i)	\
	{ return (load_pair(c, i, kind, 8, false)); }
#define	PAIR_ROW(kind)	{ { stp4_##kind, ldp4_##kind }, { NULL, ldpsw_##kind }, { stp8_##kind, ldp8_##kind } }

PAIR(ADDR_IMM)
PAIR(ADDR_POST)
PAIR(ADDR_PRE)

static bool
decode_pair(uint32_t w, unsigned mode, struct a64_insn *i)
{
	/* By bits 24:23 (LDNP and STNP are as LDP and STP), opc, L. */
	static a64_op *const ops[4][3][2] = {
		PAIR_ROW(ADDR_IMM), PAIR_ROW(ADDR_POST), PAIR_ROW(ADDR_IMM), PAIR_ROW(ADDR_PRE)
	};
	unsigned opc = w >> 30, kind = a64_bits(w, 24, 23);
	bool is_load = a64_bits(w, 22, 22) != 0;

	if (opc == 3 || (opc == 1 && kind == 0))
		return (false);
	i->imm = (uint64_t)a64_sext(a64_bits(w, 21, 15), 7) << (opc == 2 ? 3 : 2);
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rd = is_load ? dst(w & 31) : src(w & 31);
	i->ra = is_load ? dst(a64_bits(w, 14, 10)) : src(a64_bits(w, 14, 10));
	i->go = ops[kind][opc][is_load];
	return (i->go != NULL);
}

static bool
decode_one(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	/* By bits 11:10, bit 21 being 0 */
	static const enum address kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_UNPRIV, ADDR_PRE };
	unsigned size = w >> 30, opc = a64_bits(w, 23, 22), kind = a64_bits(w, 11, 10);
	bool prefetch = size == 3 && opc == 2;
	enum address how;

	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rd = opc == 0 ? src(w & 31) : dst(w & 31);
	if (a64_bits(w, 24, 24) != 0) {			/* unsigned offset */
		i->imm = (uint64_t)a64_bits(w, 21, 10) << size;
		how = ADDR_IMM;
	} else if (a64_bits(w, 21, 21) == 0) {
		i->imm = (uint64_t)a64_sext(a64_bits(w, 20, 12), 9);
		how = kinds[kind];
		if (prefetch && kind != 0)
			return (false);
		/* At EL0 these are the ordinary ones. */
		if (how == ADDR_UNPRIV && (mode & A64_MODE_EL0) != 0)
			how = ADDR_IMM;
	} else if (kind == 2) {				/* register offset */
		if (a64_bits(w, 14, 14) == 0)
			return (false);
		i->rm = src(a64_bits(w, 20, 16));
		i->arg2 = (uint8_t)(a64_bits(w, 15, 13) | (a64_bits(w, 12, 12) != 0 ? size : 0) << 3);
		how = ADDR_REG;
	} else {
		return (kind == 0 && a64_decode_atomic(w, features, mode, i));
	}
	i->go = prefetch ? nop : one_ops[how][opc][size];
	return (i->go != NULL);
}

bool
a64_decode_ldst(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	if ((w & 0x3f000000) == 0x08000000)
		return (a64_decode_ldst_excl(w, features, mode, i));
	if ((w & 0x3b000000) == 0x18000000)
		return (decode_literal(w, i));
	if ((w & 0x3a000000) == 0x28000000)
		return (decode_pair(w, mode, i));
	return ((w & 0x3a000000) == 0x38000000 && decode_one(w, features, mode, i));
}
