/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.h - operands of integer instructions, decoded (decode.c) and executed.
 *
 * Register numbers of a64_insn are places in the state page here, in units of 8 bytes from its start: 0 to 30 are X0 to X30, SP is one
 * of the two stack pointers, and register 31 otherwise reads from the zero and writes to the sink.  Nothing asks for 31 when it executes.
 */
#ifndef _SOFT_A64_OPS_H_
#define	_SOFT_A64_OPS_H_

#include <stddef.h>

#include "a64.h"

#define	SLOT(field)	((unsigned)(offsetof(struct arm64_state, field) / 8))
#define	SLOT_ZERO	SLOT(zero)
#define	SLOT_SINK	SLOT(sink)
_Static_assert(offsetof(struct arm64_state, x) == 0 && SLOT(sink) < 256, "registers are places");

#define	R(n)		(((uint64_t *)(void *)c->s)[n])

/* Decoding */

static inline uint8_t
src(unsigned n)
{
	return ((uint8_t)(n == 31 ? SLOT_ZERO : n));
}

static inline uint8_t
dst(unsigned n)
{
	return ((uint8_t)(n == 31 ? SLOT_SINK : n));
}

static inline uint8_t
src_sp(unsigned n, unsigned mode)
{
	return ((uint8_t)(n != 31 ? n : (mode & A64_MODE_SPX) != 0 ? SLOT(sp_el1) : SLOT(sp_el0)));
}

/* Executing.  NZCV is the upper half of this byte of PSTATE; the other bits of the byte are RES0 in what is modelled. */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "guest and host agree");
#define	NZCV(c)		(((uint8_t *)&(c)->s->pstate)[3])
#define	NZCV_N		0x80U
#define	NZCV_Z		0x40U
#define	NZCV_C		0x20U
#define	NZCV_V		0x10U

A64_INLINE void
set_nzcv(struct a64 *c, unsigned n, unsigned z, unsigned carry, unsigned v)
{
	NZCV(c) = (uint8_t)(n << 7 | z << 6 | carry << 5 | v << 4);
}

/* The condition's answer for each of the sixteen values of NZCV (Arm ARM C1.2.4). */
extern const uint16_t a64_conditions[16];

A64_INLINE bool
condition(const struct a64 *c, unsigned cond)
{
	return ((a64_conditions[cond] >> (NZCV(c) >> 4) & 1) != 0);
}

/* x + y + carry with flags (Arm ARM, AddWithCarry()); operands are cut to size. */
A64_INLINE uint64_t
add_flags(struct a64 *c, uint64_t x, uint64_t y, unsigned carry, bool sf)
{
	uint64_t r;
	uint32_t w;
	bool c1, c2;

	if (sf) {
		c1 = __builtin_add_overflow(x, y, &r);
		c2 = __builtin_add_overflow(r, (uint64_t)carry, &r);
		set_nzcv(c, (unsigned)(r >> 63), r == 0, c1 | c2, (unsigned)(((x ^ r) & (y ^ r)) >> 63));
		return (r);
	}
	c1 = __builtin_add_overflow((uint32_t)x, (uint32_t)y, &w);
	c2 = __builtin_add_overflow(w, (uint32_t)carry, &w);
	set_nzcv(c, w >> 31, w == 0, c1 | c2, (((uint32_t)x ^ w) & ((uint32_t)y ^ w)) >> 31);
	return (w);
}

A64_INLINE uint64_t
sub_flags(struct a64 *c, uint64_t x, uint64_t y, bool sf)
{
	uint64_t r = x - y;
	uint32_t w = (uint32_t)r;

	if (sf) {
		set_nzcv(c, (unsigned)(r >> 63), r == 0, x >= y, (unsigned)(((x ^ y) & (x ^ r)) >> 63));
		return (r);
	}
	set_nzcv(c, w >> 31, w == 0, (uint32_t)x >= (uint32_t)y,
	    (((uint32_t)x ^ (uint32_t)y) & ((uint32_t)x ^ w)) >> 31);
	return (w);
}

/* Decoders of this core's groups: true if word is allocated.  go is set. */
bool	a64_decode_dp(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i);
bool	a64_decode_branch(uint32_t word, struct a64_insn *i);
bool	a64_decode_ldst(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i);
bool	a64_decode_ldst_excl(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i);
bool	a64_decode_atomic(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i);
bool	a64_decode_ldst_simd(uint32_t word, unsigned mode, struct a64_insn *i);

#endif /* _SOFT_A64_OPS_H_ */
