/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vector.c - what MMX and SSE instructions share and is rarely executed.
 */
#include "vector.h"

/* The undefined instruction comes first (SDM vol. 3 table 13-1). */
enum x86_status
vec_denied(struct x86 *x)
{
	if ((x->s->cr0 & CR0_EM) != 0 || (x->s->cr4 & CR4_OSFXSR) == 0)
		return (UD(x));
	return (x86_fault(x, EXC_NM));
}

/* CR4.OSFXSR does not matter (SDM vol. 3 2.5); a pending x87 exception does (12.5). */
enum x86_status
mmx_check(struct x86 *x)
{
	if ((x->s->cr0 & CR0_EM) != 0)
		return (UD(x));
	if ((x->s->cr0 & CR0_TS) != 0)
		return (x86_fault(x, EXC_NM));
	if ((x87_of(x)->fsw & X87_ES) != 0)
		return (x87_error(x));
	return (X_DONE);
}

/*
 * At RDI: bytes whose mask has bit 7.  The others are not written, but have to be writable: with a
 * mask of zeros, too (SDM vol. 2, MASKMOVDQU leaves that to the implementation).
 */
enum x86_status
vec_masked_store(struct x86 *x, const struct x86_insn *i, unsigned size, const union vec_elems *v,
    const union vec_elems *mask)
{
	uint64_t wrap = x86_mask(i->adsize), off = x86_gpr(x, RDI, i->adsize);
	enum amd64_seg seg = (enum amd64_seg)i->seg;

	TRY(x86_probe(x, seg, off, size, true));
	for (unsigned n = 0; n < size; n++) {
		if ((mask->b[n] & 0x80) != 0)
			TRY(x86_store_seg(x, seg, (off + n) & wrap, 1, v->b[n]));
	}
	return (X_DONE);
}

static unsigned
kind(const struct x86_decoded *d, unsigned n)
{
	if (x86_is_mem(d, n))
		return (VEC_M);
	if (x86_is_imm(d, n))
		return (VEC_R);
	if (!x86_is_reg(d, n))
		return (0);
	switch (ZydisRegisterGetClass(d->op[n].reg.value)) {
	case ZYDIS_REGCLASS_XMM:
		return (VEC_X);
	case ZYDIS_REGCLASS_MMX:
		return (VEC_P);
	default:
		return (VEC_R);
	}
}

bool
vec_bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	return ((kind(d, 0) & arg) != 0 && (kind(d, 1) & arg >> 4) != 0);
}
