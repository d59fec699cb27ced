/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd.c - Advanced SIMD without floating point, and the cryptographic extension: which class an instruction is of (Arm ARM C4.1.96,
 * Data Processing -- Scalar Floating-Point and Advanced SIMD).
 */
#include "simd.h"

const vu64 simd_lanes[5] = {
	{ 0xff, 0 }, { 0xffff, 0 }, { 0xffffffffU, 0 }, { UINT64_MAX, 0 }, { UINT64_MAX, UINT64_MAX },
};

/* The first row that fits decides: a modified immediate is a shift with immh zero. */
static const struct {
	uint32_t	 mask, value;
	simd_decoder	*decode;
} classes[] = {
	{ 0xff3e0c00U, 0x4e280800U, simd_aes },
	{ 0xff208c00U, 0x5e000000U, simd_sha3 },
	{ 0xff3e0c00U, 0x5e280800U, simd_sha2 },
	{ 0x9f200400U, 0x0e200400U, simd_same },
	{ 0xdf200400U, 0x5e200400U, simd_same },
	{ 0x9ff80400U, 0x0f000400U, simd_modified },
	{ 0x9f800400U, 0x0f000400U, simd_shift },
	{ 0xdf800400U, 0x5f000400U, simd_shift },
	{ 0x9fe08400U, 0x0e000400U, simd_copy },
	{ 0xdfe08400U, 0x5e000400U, simd_copy },
	{ 0x9f3e0c00U, 0x0e200800U, simd_misc },
	{ 0xdf3e0c00U, 0x5e200800U, simd_misc },
	{ 0x9f3e0c00U, 0x0e300800U, simd_across },
	{ 0xdf3e0c00U, 0x5e300800U, simd_pairwise },
	{ 0xbf208c00U, 0x0e000800U, simd_permute },
	{ 0xbfe08400U, 0x2e000000U, simd_ext },
	{ 0xbfe08c00U, 0x0e000000U, simd_table },
	{ 0x9f200c00U, 0x0e200000U, simd_diff },
	{ 0xdf200c00U, 0x5e200000U, simd_diff },
	{ 0x9f000400U, 0x0f000000U, simd_element },
	{ 0xdf000400U, 0x5f000000U, simd_element },
};

bool
simd_pick(const struct simd_row *row, unsigned size, uint32_t word, struct a64_insn *i)
{
	bool q = (word >> 30 & 1) != 0;

	if (row->fn[size] == NULL)
		return (false);
	if (simd_scalar(word)) {
		if ((row->scalar >> size & 1) == 0)
			return (false);
		i->arg = 0;
		i->arg2 = (uint8_t)size;
	} else {
		if (size == 3 && !q)
			return (false);
		i->arg = q;
		i->arg2 = q ? 4 : 3;
	}
	i->fn = row->fn[size];
	return (true);
}

bool
a64_decode_simd(uint32_t word, unsigned features, struct a64_insn *i)
{
	i->rd = word & 31;
	i->rn = word >> 5 & 31;
	i->rm = word >> 16 & 31;
	i->ra = 0;
	i->imm = 0;
	for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++)
		if ((word & classes[k].mask) == classes[k].value)
			return (classes[k].decode(word, features, i));
	return (false);
}
