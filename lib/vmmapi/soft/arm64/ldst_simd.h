/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst_simd.h - what the files of SIMD&FP loads and stores share.
 */
#ifndef _SOFT_A64_LDST_SIMD_H_
#define	_SOFT_A64_LDST_SIMD_H_

#include "mem.h"

A64_INLINE enum a64_status
load16(struct a64 *c, uint64_t va, uint64_t *v)
{
	const void *p = soft_tlb_hit(c->row[0], a64_tag(c, va), va, 16, false);

	if (likely(p != NULL)) {
		host_load16(p, v);
		return (A_DONE);
	}
	TRY(a64_read(c, va, 16, 16, 0, c->buf));
	v[0] = c->buf[0];
	v[1] = c->buf[1];
	return (A_DONE);
}

A64_INLINE enum a64_status
store16(struct a64 *c, uint64_t va, const void *v)
{
	void *p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, 16, true);

	if (likely(p != NULL)) {
		host_store16(p, v);
		return (A_DONE);
	}
	return (a64_write(c, va, 16, 16, 0, v));
}

/* ldst_struct.c: LD1 to LD4, ST1 to ST4, all forms. */
bool	a64_decode_structures(uint32_t w, unsigned mode, struct a64_insn *i);

#endif /* _SOFT_A64_LDST_SIMD_H_ */
