/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.c - cases on the functions of soft's arm64 processor: decoded, and executed on a state page of our own.
 */
#include <string.h>

#include "diff_arm64.h"
#include "soft/arm64/a64.h"
#include "soft/arm64/fp.h"
#include "soft/arm64/insn.h"

/* What the oracle's processor has. */
#define	FEATURES	(A64_F_AES | A64_F_PMULL | A64_F_SHA1 | A64_F_SHA256 | A64_F_CRC32)

static bool
decode(uint32_t word, struct a64_insn *i)
{
	memset(i, 0, sizeof(*i));
	i->word = word;
	return (a64_decode_fp(word, FEATURES, i) || a64_decode_simd(word, FEATURES, i));
}

bool
soft_decodes(uint32_t word)
{
	struct a64_insn i;

	return (decode(word, &i));
}

bool
soft_run(uint32_t word, const struct arm_state *in, struct arm_state *out)
{
	static union {
		struct arm64_state	s;
		uint8_t			page[VCPU_SLOT];
	} state;
	struct arm64_state *s = &state.s;
	struct a64 c = { .s = s };
	struct a64_insn i;

	*out = *in;
	if (!decode(word, &i))
		return (false);
	memcpy(s->x, in->x, sizeof(s->x));
	memcpy(s->v, in->v, sizeof(s->v));
	s->sp_el0 = in->sp;
	s->pstate = in->nzcv | PSTATE_EL0T;
	s->fpcr = (uint32_t)in->fpcr;
	s->fpsr = (uint32_t)in->fpsr;
	a64_fp_enter(&c);
	if (i.fn(&c, &i) != A_DONE)
		return (false);
	a64_fp_sync(&c);
	memcpy(out->x, s->x, sizeof(s->x));
	memcpy(out->v, s->v, sizeof(s->v));
	out->sp = s->sp_el0;
	out->nzcv = s->pstate & PSTATE_NZCV;
	out->fpcr = s->fpcr;
	out->fpsr = s->fpsr;
	return (true);
}
