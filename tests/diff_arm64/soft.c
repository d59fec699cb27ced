/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.c - cases on the functions of soft's arm64 processor: decoded, and executed on a state page of our own.
 */
#include <string.h>

#include "diff_arm64.h"
#include "soft/arm64/a64.h"
#include "soft/arm64/fp.h"
#include "soft/arm64/insn.h"
#include "soft/arm64/ops.h"

/* What the oracle's processor has. */
#define	FEATURES	(A64_F_AES | A64_F_PMULL | A64_F_SHA1 | A64_F_SHA256 | A64_F_CRC32)

static bool
decode(uint32_t word, struct a64_insn *i)
{
	bool found;

	memset(i, 0, sizeof(*i));
	i->word = word;
	/* C4.1: op0 is x111 for floating point and Advanced SIMD. */
	if ((word >> 25 & 7) == 7)
		found = a64_decode_fp(word, FEATURES, i) || a64_decode_simd(word, FEATURES, i);
	else
		found = a64_decode_dp(word, FEATURES, A64_MODE_EL0, i);
	if (found && i->go == NULL)
		i->go = a64_call;
	return (found);
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
	/* A block of one instruction. */
	struct a64_insn code[2] = { [1] = { .go = a64_end } };
	struct a64 c = { .s = s, .block_code = code };

	*out = *in;
	if (!decode(word, &code[0]))
		return (false);
	memcpy(s->x, in->x, sizeof(s->x));
	memcpy(s->v, in->v, sizeof(s->v));
	s->sp_el0 = in->sp;
	s->pstate = in->nzcv | PSTATE_EL0T;
	s->fpcr = (uint32_t)in->fpcr;
	s->fpsr = (uint32_t)in->fpsr;
	a64_fp_enter(&c);
	if (code[0].go(&c, &code[0]) != A_END)
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
