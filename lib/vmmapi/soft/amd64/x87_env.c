/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_env.c - x87 control instructions (SDM vol. 1 8.3.11): words, environment, state, and the
 * stack pointer.  The FN forms do not wait.  Those that move words, environment and state leave the
 * instruction and operand pointers alone.
 */
#include <string.h>

#include "x87.h"

/* Words */

static enum x86_status
fninit(struct x86 *x, const struct x86_insn *i)
{
	X87_BEGIN_NOWAIT(x);
	x87_init(x87_of(x));
	return (X_DONE);
}

static enum x86_status
fnclex(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN_NOWAIT(x);
	f->fsw &= (uint16_t)~(X87_EXC | X87_SF | X87_ES | X87_B);
	return (X_DONE);
}

static enum x86_status
fldcw(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;

	X87_BEGIN(x, f);
	TRY(x86_load(x, i, 2, &v));
	x87_set_fcw(f, (uint16_t)v);
	return (X_DONE);
}

static enum x86_status
fnstcw(struct x86 *x, const struct x86_insn *i)
{
	X87_BEGIN_NOWAIT(x);
	return (x86_store(x, i, 2, x87_of(x)->fcw));
}

static enum x86_status
fnstsw(struct x86 *x, const struct x86_insn *i)
{
	X87_BEGIN_NOWAIT(x);
	return (x86_store(x, i, 2, x87_of(x)->fsw));
}

static enum x86_status
fnstsw_ax(struct x86 *x, const struct x86_insn *i)
{
	X87_BEGIN_NOWAIT(x);
	x86_gpr_set(x, RAX, 2, x87_of(x)->fsw);
	return (X_DONE);
}

/* WAIT is for CR0.TS only if CR0.MP says so, and never for CR0.EM (SDM vol. 3 table 2-2). */
static enum x86_status
fwait(struct x86 *x, const struct x86_insn *i)
{
	if ((x->s->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return (x87_denied(x));
	if ((x87_of(x)->fsw & X87_ES) != 0)
		return (x87_error(x));
	return (X_DONE);
}

/* Tags */

/* The full tag word: what is in each register (SDM vol. 1 8.1.7). */
static uint16_t
tag_word(const struct x87 *f)
{
	unsigned n, tag, word = 0;

	for (n = 0; n < 8; n++) {
		const struct x87_reg *r = &f->st[n];
		unsigned e = r->se & 0x7fff;

		if (!x87_valid(f, n))
			tag = 3;
		else if (e == 0 && r->m == 0)
			tag = 1;
		else if (e == 0 || e == 0x7fff || (r->m & X87_INT_BIT) == 0)
			tag = 2;
		else
			tag = 0;
		word |= tag << 2 * ((x87_top(f) + n) & 7);
	}
	return ((uint16_t)word);
}

static uint8_t
abridged(uint16_t word)
{
	unsigned n, ftw = 0;

	for (n = 0; n < 8; n++) {
		if ((word >> 2 * n & 3) != 3)
			ftw |= 1U << n;
	}
	return ((uint8_t)ftw);
}

/*
 * Environment: seven words or double words, in one of four layouts (SDM vol. 1 figures 8-9 to
 * 8-12).  Selectors are zero.  The upper halves that the 32-bit layouts reserve are stored as ones,
 * which is what processors do.
 */
enum { E_FCW, E_FSW, E_FTW, E_FIP, E_FCS, E_FDP, E_FDS, E_COUNT };

#define	ENV_SIZE(i)	((i)->opsize == 2 ? 14U : 28U)
#define	ENV_ALIGN(i)	((i)->opsize == 2 ? 2U : 4U)

static void
put_env(const struct x86 *x, const struct x86_insn *i, const struct x87 *f, uint8_t *p)
{
	uint32_t v[E_COUNT] = { f->fcw, f->fsw, tag_word(f) };
	bool real = (x->mode & X86_MODE_REAL) != 0;
	uint32_t fip = (uint32_t)f->fip, fdp = (uint32_t)f->fdp;
	unsigned n;

	if (i->opsize == 2) {
		v[E_FIP] = fip & 0xffff;
		v[E_FDP] = fdp & 0xffff;
		if (real) {
			v[E_FCS] = (fip >> 4 & 0xf000) | f->fop;
			v[E_FDS] = fdp >> 4 & 0xf000;
		}
		for (n = 0; n < E_COUNT; n++)
			memcpy(p + 2 * n, &v[n], 2);
		return;
	}
	v[E_FCW] |= 0xffff0000;
	v[E_FSW] |= 0xffff0000;
	v[E_FTW] |= 0xffff0000;
	if (real) {
		v[E_FIP] = fip | 0xffff0000;
		v[E_FCS] = (fip >> 16) << 12 | f->fop;
		v[E_FDP] = fdp | 0xffff0000;
		v[E_FDS] = (fdp >> 16) << 12;
	} else {
		v[E_FIP] = fip;
		v[E_FCS] = (uint32_t)f->fop << 16;
		v[E_FDP] = fdp;
		v[E_FDS] = 0xffff0000;
	}
	memcpy(p, v, sizeof(v));
}

static void
get_env(const struct x86 *x, const struct x86_insn *i, struct x87 *f, const uint8_t *p)
{
	uint32_t v[E_COUNT] = { 0 };
	bool real = (x->mode & X86_MODE_REAL) != 0;
	unsigned n;

	if (i->opsize == 2) {
		for (n = 0; n < E_COUNT; n++)
			memcpy(&v[n], p + 2 * n, 2);
		f->fip = v[E_FIP];
		f->fdp = v[E_FDP];
		if (real) {
			f->fip |= (v[E_FCS] & 0xf000) << 4;
			f->fdp |= (v[E_FDS] & 0xf000) << 4;
			f->fop = v[E_FCS] & 0x7ff;
		} else {
			f->fop = 0;		/* there is no place for it */
		}
	} else {
		memcpy(v, p, sizeof(v));
		if (real) {
			f->fip = (v[E_FIP] & 0xffff) | (v[E_FCS] >> 12 & 0xffff) << 16;
			f->fdp = (v[E_FDP] & 0xffff) | (v[E_FDS] >> 12 & 0xffff) << 16;
			f->fop = v[E_FCS] & 0x7ff;
		} else {
			f->fip = v[E_FIP];
			f->fdp = v[E_FDP];
			f->fop = v[E_FCS] >> 16 & 0x7ff;
		}
	}
	x87_set_top(f, v[E_FSW] >> 11 & 7);
	f->ftw = abridged((uint16_t)v[E_FTW]);
	f->fsw = (uint16_t)v[E_FSW];
	x87_set_fcw(f, (uint16_t)v[E_FCW]);
}

/* It masks all exceptions behind the store (SDM vol. 2 FSTENV). */
static enum x86_status
fnstenv(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint8_t env[28];

	X87_BEGIN_NOWAIT(x);
	put_env(x, i, f, env);
	TRY(x87_store(x, i, ENV_SIZE(i), ENV_ALIGN(i), env));
	x87_set_fcw(f, f->fcw | X87_EXC);
	return (X_DONE);
}

static enum x86_status
fldenv(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint8_t env[28];

	X87_BEGIN(x, f);
	TRY(x87_load(x, i, ENV_SIZE(i), ENV_ALIGN(i), env));
	get_env(x, i, f, env);
	return (X_DONE);
}

/* The environment, and ST(0) to ST(7) in ten bytes each. */
static enum x86_status
fnsave(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint8_t image[28 + 80];
	unsigned n, env = ENV_SIZE(i);

	X87_BEGIN_NOWAIT(x);
	put_env(x, i, f, image);
	for (n = 0; n < 8; n++)
		memcpy(image + env + 10 * n, &f->st[n], 10);
	TRY(x87_store(x, i, env + 80, ENV_ALIGN(i), image));
	x87_init(f);
	return (X_DONE);
}

static enum x86_status
frstor(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint8_t image[28 + 80];
	unsigned n, env = ENV_SIZE(i);

	X87_BEGIN(x, f);
	TRY(x87_load(x, i, env + 80, ENV_ALIGN(i), image));
	get_env(x, i, f, image);
	for (n = 0; n < 8; n++) {
		f->st[n].se = 0;
		memcpy(&f->st[n], image + env + 10 * n, 10);
	}
	return (X_DONE);
}

/* The stack pointer */

/* Neither looks at or changes tags (SDM vol. 2 FDECSTP, FINCSTP). */
static enum x86_status
fincstp(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	x87_up(f);
	x87_cc(f, X87_C1, 0);
	return (X_DONE);
}

static enum x86_status
fdecstp(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	x87_down(f);
	x87_cc(f, X87_C1, 0);
	return (X_DONE);
}

static enum x86_status
ffree(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	f->ftw &= (uint8_t)~x87_bit(f, i->r[0]);
	x87_cc(f, X87_C1, 0);
	if (i->arg == X87_FFREEP)
		x87_pop(f);
	return (X_DONE);
}

static enum x86_status
fnop(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	return (X_DONE);
}

/* FENI and FDISI of the 8087, FSETPM of the 80287: nothing (SDM vol. 3 22.18.9). */
static enum x86_status
nop(struct x86 *x, const struct x86_insn *i)
{
	X87_BEGIN_NOWAIT(x);
	return (X_DONE);
}

bool
x87_bind_env(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const ops[] = {
		[X87_FNINIT] = fninit, [X87_FNCLEX] = fnclex, [X87_FLDCW] = fldcw,
		[X87_FNSTCW] = fnstcw, [X87_FNSTSW] = fnstsw, [X87_FNSTENV] = fnstenv,
		[X87_FLDENV] = fldenv, [X87_FNSAVE] = fnsave, [X87_FRSTOR] = frstor,
		[X87_FINCSTP] = fincstp, [X87_FDECSTP] = fdecstp, [X87_FFREE] = ffree,
		[X87_FFREEP] = ffree, [X87_FNOP] = fnop, [X87_NOP] = nop, [X87_FWAIT] = fwait,
	};

	x87_bind(i, d);
	i->fn = arg == X87_FNSTSW && !x86_is_mem(d, 0) ? fnstsw_ax : ops[arg];
	return (true);
}
