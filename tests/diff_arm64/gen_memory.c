/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen_memory.c - addresses for loads and stores (Arm ARM C4.1.94), so that they access the window.
 */
#include "diff_arm64.h"
#include "values.h"

static unsigned
bits(uint32_t word, unsigned hi, unsigned lo)
{
	return (word >> lo & ((2U << (hi - lo)) - 1));
}

static int64_t
sext(unsigned val, unsigned width)
{
	return ((int64_t)((uint64_t)val << (64 - width)) >> (64 - width));
}

/* By the bits that tell the tables apart. */
static bool
is_exclusive(uint32_t word)
{
	return ((word & 0x3f000000) == 0x08000000);
}

static bool
is_pair(uint32_t word)
{
	return ((word & 0x3a000000) == 0x28000000);
}

static bool
is_imm9(uint32_t word)
{
	return ((word & 0x3b200000) == 0x38000000);
}

static bool
is_register(uint32_t word)
{
	return ((word & 0x3b200c00) == 0x38200800);
}

static bool
is_imm12(uint32_t word)
{
	return ((word & 0x3b000000) == 0x39000000);
}

static bool
is_atomic(uint32_t word)
{
	return ((word & 0x3b200c00) == 0x38200000);
}

/* What K1.1.1 has as CONSTRAINED UNPREDICTABLE is left out, and the slot's register as an address. */
bool
memory_defined(uint32_t word)
{
	unsigned rt = bits(word, 4, 0), rn = bits(word, 9, 5), rt2 = bits(word, 14, 10), rs = bits(word, 20, 16);
	bool is_load = bits(word, 22, 22) != 0, vector = bits(word, 26, 26) != 0;

	if (rn == ARM_SLOT_REG)
		return (false);
	if (is_exclusive(word)) {
		bool pair = bits(word, 21, 21) != 0;

		if (bits(word, 23, 23) != 0 || (pair && word >> 31 == 0))
			return (true);
		if ((!pair && rt2 != 31) || (is_load && rs != 31))
			return (false);
		if (is_load)
			return (!pair || rt != rt2);
		return (rs != rt && (!pair || rs != rt2) && (rs != rn || rn == 31));
	}
	if (is_pair(word)) {
		if (is_load && rt == rt2)
			return (false);
		return (vector || bits(word, 23, 23) == 0 || rn == 31 || (rt != rn && rt2 != rn));
	}
	if (is_imm9(word))
		return (vector || bits(word, 10, 10) == 0 || rn == 31 || rt != rn);
	if (is_register(word))
		return (rs != rn && rs != ARM_SLOT_REG);
	return (true);
}

/* How far from its base register an instruction accesses; sets the register that the offset is in. */
static uint64_t
displacement(struct rng *r, uint32_t word, struct arm_state *s)
{
	unsigned size = word >> 30, opc = bits(word, 23, 22), option = bits(word, 15, 13), rm = bits(word, 20, 16);
	bool vector = bits(word, 26, 26) != 0;
	uint64_t index;

	if (vector && (opc & 2) != 0)
		size += 4;
	if (is_imm12(word))
		return ((uint64_t)bits(word, 21, 10) << size);
	if (is_imm9(word))
		return (bits(word, 11, 10) == 1 ? 0 : (uint64_t)sext(bits(word, 20, 12), 9));
	if (is_pair(word)) {
		size = vector ? 2 + (word >> 30) : (word >> 31) != 0 ? 3 : 2;
		return (bits(word, 24, 23) == 1 ? 0 : (uint64_t)sext(bits(word, 21, 15), 7) << size);
	}
	if (!is_register(word) || rm == 31)
		return (0);
	index = (uint64_t)rng_below(r, 2000) - 1000;
	s->x[rm] = index;
	if ((option & 1) == 0) {
		s->x[rm] = (uint32_t)index | rng_next(r) << 32;
		index = option == 2 ? (uint32_t)index : index;
	}
	return (bits(word, 12, 12) != 0 ? index << size : index);
}

void
memory_place(struct rng *r, uint32_t word, struct arm_state *s)
{
	unsigned rn = bits(word, 9, 5);
	uint64_t base = ARM_WINDOW + rng_below(r, ARM_WINDOW_LEN - 64);

	if (is_exclusive(word) || is_atomic(word))
		base &= ~15ULL;
	if (rng_percent(r, 3))
		base = ARM_NOWHERE + 16 * rng_below(r, 200);
	base -= displacement(r, word, s);
	if (rn == 31)
		s->sp = base;
	else
		s->x[rn] = base;
}
