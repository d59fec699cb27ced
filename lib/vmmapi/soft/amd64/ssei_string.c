/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ssei_string.c - SSE4.2 string comparisons (SDM vol. 1 12.9, vol. 2 4.1).
 *
 * The host's instruction compares and gives the flags; bit 6 of the immediate, which is about how
 * the outcome is written, is left to us: the instruction is executed as one that gives a bit for
 * each element.
 */
#include "vector.h"

#define	IMM_WORDS	0x01U		/* words, not bytes */
#define	IMM_FORM	0x3fU		/* what decides about the outcome */
#define	IMM_LAST	0x40U		/* index: of the last element; mask: whole elements */

struct outcome {
	uint32_t	 bits;		/* a bit for each element */
	uint64_t	 flags;
};

#define	FOUR(f, n)	f(n) f((n) + 1) f((n) + 2) f((n) + 3)
#define	SIXTEEN(f, n)	FOUR(f, (n)) FOUR(f, (n) + 4) FOUR(f, (n) + 8) FOUR(f, (n) + 12)
#define	FORMS(f)	SIXTEEN(f, 0) SIXTEEN(f, 16) SIXTEEN(f, 32) SIXTEEN(f, 48)

static struct outcome
outcome(vec mask, bool cf, bool zf, bool sf, bool of)
{
	return ((struct outcome) { .bits = (uint32_t)mask[0], .flags = (cf ? FL_CF : 0) | (zf ? FL_ZF : 0) |
	    (sf ? FL_SF : 0) | (of ? FL_OF : 0) });
}

static struct outcome
implicit(unsigned form, vec d, vec s)
{
	bool cf = false, zf = false, sf = false, of = false;
	vec mask = { 0 };

	switch (form) {
#define	CASE(n)									\
	case n:									\
		__asm__("pcmpistrm %[k], %[s], %[d]" : "=Yz" (mask), "=@ccc" (cf),	\
		    "=@ccz" (zf), "=@ccs" (sf), "=@cco" (of)			\
		    : [k] "i" (n), [s] "x" (s), [d] "x" (d));			\
		break;
	FORMS(CASE)
#undef CASE
	}
	return (outcome(mask, cf, zf, sf, of));
}

static struct outcome
explicit(unsigned form, vec d, uint32_t dlen, vec s, uint32_t slen)
{
	bool cf = false, zf = false, sf = false, of = false;
	vec mask = { 0 };

	switch (form) {
#define	CASE(n)									\
	case n:									\
		__asm__("pcmpestrm %[k], %[s], %[d]" : "=Yz" (mask), "=@ccc" (cf),	\
		    "=@ccz" (zf), "=@ccs" (sf), "=@cco" (of)			\
		    : [k] "i" (n), [s] "x" (s), [d] "x" (d), "a" (dlen), "d" (slen));	\
		break;
	FORMS(CASE)
#undef CASE
	}
	return (outcome(mask, cf, zf, sf, of));
}

/* The length of an operand in a register, of which more than 16 is as good as 16. */
static uint32_t
length(const struct x86 *x, const struct x86_insn *i, enum amd64_gpr n)
{
	int64_t len = x86_sext(x->s->gpr[n], i->arg);

	if (len > 16)
		len = 16;
	if (len < -16)
		len = -16;
	return ((uint32_t)len);
}

static enum x86_status
compare(struct x86 *x, const struct x86_insn *i, bool lengths, struct outcome *o)
{
	unsigned form = (unsigned)i->imm & IMM_FORM;
	vec d, s;

	SSE_BEGIN(x);
	if ((i->flags & XI_MEM) != 0)
		TRY(vec_load(x, i, false, &s));
	else
		s = *vec_xmm(x, i->r[1]);
	d = *vec_xmm(x, i->r[0]);
	*o = lengths ? explicit(form, d, length(x, i, RAX), s, length(x, i, RDX)) : implicit(form, d, s);
	x86_flags(x, o->flags, FL_ARITH);
	return (X_DONE);
}

/* The number of the first or last element, or that of all elements, to ECX. */
static void
give_index(struct x86 *x, const struct x86_insn *i, uint32_t bits)
{
	unsigned n = (i->imm & IMM_WORDS) != 0 ? 8 : 16;

	if (bits != 0)
		n = (i->imm & IMM_LAST) != 0 ? 31 - (unsigned)__builtin_clz(bits) : (unsigned)__builtin_ctz(bits);
	x86_gpr_set(x, RCX, 4, n);
}

static void
give_mask(struct x86 *x, const struct x86_insn *i, uint32_t bits)
{
	union vec_elems r = { .q = { bits, 0 } };

	if ((i->imm & IMM_LAST) != 0) {
		for (unsigned k = 0; k < 16; k++) {
			unsigned n = (i->imm & IMM_WORDS) != 0 ? k / 2 : k;

			r.b[k] = (bits >> n & 1) != 0 ? 0xff : 0;
		}
	}
	*vec_xmm(x, 0) = r.v;
}

static enum x86_status
pcmpestri(struct x86 *x, const struct x86_insn *i)
{
	struct outcome o;

	TRY(compare(x, i, true, &o));
	give_index(x, i, o.bits);
	return (X_DONE);
}

static enum x86_status
pcmpestrm(struct x86 *x, const struct x86_insn *i)
{
	struct outcome o;

	TRY(compare(x, i, true, &o));
	give_mask(x, i, o.bits);
	return (X_DONE);
}

static enum x86_status
pcmpistri(struct x86 *x, const struct x86_insn *i)
{
	struct outcome o;

	TRY(compare(x, i, false, &o));
	give_index(x, i, o.bits);
	return (X_DONE);
}

static enum x86_status
pcmpistrm(struct x86 *x, const struct x86_insn *i)
{
	struct outcome o;

	TRY(compare(x, i, false, &o));
	give_mask(x, i, o.bits);
	return (X_DONE);
}

/* REX.W makes the lengths 64 bits wide. */
static bool
bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->arg = (d->z->attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && d->z->raw.rex.W != 0 ? 8 : 4;
	return (true);
}

const struct x86_opdesc x86_ops_ssei_string[] = {
	{ ZYDIS_MNEMONIC_PCMPESTRI, 0, 0, pcmpestri, bind },
	{ ZYDIS_MNEMONIC_PCMPESTRM, 0, 0, pcmpestrm, bind },
	{ ZYDIS_MNEMONIC_PCMPISTRI, 0, 0, pcmpistri, NULL },
	{ ZYDIS_MNEMONIC_PCMPISTRM, 0, 0, pcmpistrm, NULL },
	{ 0 },
};
