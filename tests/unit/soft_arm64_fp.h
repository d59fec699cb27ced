/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_arm64_fp.h - for tests of the arm64 processor's floating point: one instruction on a state page without a VM.
 *
 * Operands are V1 (Rn), V2 (Rm) and V3 (Ra), results V0; X1 and X0 where they are general registers.
 */
#ifndef _SOFT_ARM64_FP_H_
#define	_SOFT_ARM64_FP_H_

#include <test.h>

#include "soft/arm64/a64.h"
#include "soft/arm64/fp.h"
#include "soft/arm64/fpx.h"
#include "soft/arm64/insn.h"

/* FPCR */
#define	RN	0U
#define	RP	0x00400000U
#define	RM	0x00800000U
#define	RZ	0x00c00000U
#define	FZ	0x01000000U
#define	DN	0x02000000U
#define	AHP	0x04000000U
/* FPSR */
#define	IOC	0x01U
#define	DZC	0x02U
#define	OFC	0x04U
#define	UFC	0x08U
#define	IXC	0x10U
#define	IDC	0x80U

#define	S0	0x80000000U			/* signs */
#define	D0	0x8000000000000000ULL
#define	SINF	0x7f800000U
#define	DINF	0x7ff0000000000000ULL
#define	SNAN	0x7fc00000U			/* the default one */
#define	DNAN	0x7ff8000000000000ULL
#define	SMIN	0x00800000U			/* smallest normal */
#define	DMIN	0x0010000000000000ULL
#define	SMAX	0x7f7fffffU
#define	DMAX	0x7fefffffffffffffULL
#define	SONE	0x3f800000U
#define	DONE1	0x3ff0000000000000ULL
#define	STWO	0x40000000U
#define	DTWO	0x4000000000000000ULL

#define	REGS	(2U << 16 | 3U << 10 | 1U << 5)	/* of three sources */
#define	REGS2	(2U << 16 | 1U << 5)
#define	REGS1	(1U << 5)

static union {
	struct arm64_state	s;
	uint8_t			page[VCPU_SLOT];
} fp_page;
static struct arm64_state *const fp_s = &fp_page.s;

static inline void
fp_reg(unsigned n, uint64_t lo, uint64_t hi)
{
	fp_s->v[2 * n] = lo;
	fp_s->v[2 * n + 1] = hi;
}

/* Everything as it was before the first instruction; results have something to overwrite. */
static inline void
fp_clear(uint32_t fpcr)
{
	memset(&fp_page, 0, sizeof(fp_page));
	fp_s->fpcr = fpcr;
	fp_s->pstate = PSTATE_EL0T;
	fp_reg(0, 0x1111111111111111, 0x2222222222222222);
}

static inline bool
fp_decodes(uint32_t word)
{
	struct a64_insn i = { .word = word };

	return (a64_decode_fp(word, 0, &i));
}

static inline void
fp_exec(uint32_t word)
{
	struct a64 c = { .s = fp_s };
	struct a64_insn i = { .word = word };

	CHECKF(a64_decode_fp(word, 0, &i), "%08x is no instruction", word);
	a64_fp_enter(&c);
	CHECK_EQ(i.fn(&c, &i), A_DONE);
	a64_fp_sync(&c);
}

/* One instruction on three operands: the result and the exceptions are those. */
struct fp_vector {
	uint32_t	word, fpcr;
	uint64_t	n, m, a;
	uint64_t	want;
	uint32_t	fpsr;
};

static inline void
fp_check(const struct fp_vector *v, unsigned count)
{
	for (unsigned k = 0; k < count; k++, v++) {
		fp_clear(v->fpcr);
		fp_reg(1, v->n, 0x3333333333333333);
		fp_reg(2, v->m, 0x4444444444444444);
		fp_reg(3, v->a, 0x5555555555555555);
		fp_exec(v->word);
		CHECKF(fp_s->v[0] == v->want && fp_s->v[1] == 0, "row %u, word %08x: result %016llx_%016llx, wanted %016llx", k, v->word,
		    (unsigned long long)fp_s->v[1], (unsigned long long)fp_s->v[0], (unsigned long long)v->want);
		CHECKF(fp_s->fpsr == v->fpsr, "row %u, word %08x: FPSR %02x, wanted %02x", k, v->word, fp_s->fpsr, v->fpsr);
	}
}

#define	FP_CHECK(table)	fp_check(table, sizeof(table) / sizeof((table)[0]))

#endif /* _SOFT_ARM64_FP_H_ */
