/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dp.h - what the files of integer data processing share.
 */
#ifndef _SOFT_A64_DP_H_
#define	_SOFT_A64_DP_H_

#include "ops.h"

/* Bitmask immediates (Arm ARM, DecodeBitMasks()): false for the reserved encodings. */
bool	a64_bit_masks(unsigned n, unsigned imms, unsigned immr, bool logical, bool sf, uint64_t *wmask, uint64_t *tmask);

/* dp_arith.c */
bool	a64_decode_add_imm(uint32_t w, unsigned mode, struct a64_insn *i);
bool	a64_decode_logical_imm(uint32_t w, unsigned mode, struct a64_insn *i);
bool	a64_decode_add_reg(uint32_t w, unsigned mode, struct a64_insn *i);
bool	a64_decode_logical_reg(uint32_t w, struct a64_insn *i);
/* dp_bits.c */
bool	a64_decode_bitfield(uint32_t w, struct a64_insn *i);
bool	a64_decode_extract(uint32_t w, struct a64_insn *i);
bool	a64_decode_one_source(uint32_t w, struct a64_insn *i);
bool	a64_decode_two_source(uint32_t w, unsigned features, struct a64_insn *i);
bool	a64_decode_three_source(uint32_t w, struct a64_insn *i);

#endif /* _SOFT_A64_DP_H_ */
