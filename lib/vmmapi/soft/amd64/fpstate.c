/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpstate.c - x87, MMX and SSE state as a whole: FXSAVE and FXRSTOR (SDM vol. 1 10.5), MXCSR, EMMS.
 */
#include <string.h>

#include "x87.h"

#define	IMAGE		512U
#define	OFF_MXCSR	24U		/* and its mask */
#define	OFF_ST		32U
#define	OFF_XMM		160U

/* Bytes of the image up to the last XMM register: eight of them outside 64-bit mode. */
static unsigned
image_used(const struct x86 *x)
{
	return (OFF_XMM + 16 * (x86_64bit(x) ? 16 : 8));
}

/*
 * Both need 16 bytes' alignment (#GP(0)), and look at CR0.EM and CR0.TS alone.  Without
 * CR4.OSFXSR they leave XMM registers and MXCSR out, as the manual allows (SDM vol. 2 FXSAVE).
 */
static enum x86_status
image_check(struct x86 *x, const struct x86_insn *i)
{
	uint64_t ea = x86_ea(x, i), lin = ea;

	X87_BEGIN_NOWAIT(x);
	if (!x->flat || i->seg == SEG_FS || i->seg == SEG_GS)
		lin += x->s->seg[i->seg].base;
	return ((lin & 15) != 0 ? GP0(x) : X_DONE);
}

static bool
wide(const struct x86 *x, const struct x86_insn *i)
{
	return (x86_64bit(x) && i->opsize == 8);
}

/* What the image reserves behind the registers stays as it is in memory. */
static enum x86_status
fxsave(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t ea = x86_ea(x, i);
	uint8_t image[IMAGE] __attribute__((aligned(8)));
	struct x87 *to = (struct x87 *)(void *)image;

	TRY(image_check(x, i));
	TRY(x86_probe(x, seg, ea, IMAGE, true));
	x86_fp_sync(x);
	memcpy(image, x->s->fxsave, sizeof(image));
	to->reserved = 0;
	if (!wide(x, i)) {
		/* 32-bit pointers and selectors, which are zero */
		to->fip = (uint32_t)to->fip;
		to->fdp = (uint32_t)to->fdp;
	}
	for (unsigned n = 0; n < 8; n++)
		to->st[n].se = (uint16_t)to->st[n].se;
	if ((x->s->cr4 & CR4_OSFXSR) != 0)
		return (x86_store_bytes(x, seg, ea, image_used(x), image));
	TRY(x86_store_bytes(x, seg, ea, OFF_MXCSR, image));
	return (x86_store_bytes(x, seg, ea + OFF_ST, OFF_XMM - OFF_ST, image + OFF_ST));
}

static enum x86_status
fxrstor(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint8_t image[IMAGE] __attribute__((aligned(8)));
	const struct x87 *from = (const struct x87 *)(const void *)image;
	uint8_t *own = x->s->fxsave;

	TRY(image_check(x, i));
	TRY(x86_load_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), IMAGE, image));
	if ((x->s->cr4 & CR4_OSFXSR) != 0) {
		if ((from->mxcsr & ~f->mxcsr_mask) != 0)
			return (GP0(x));
		x86_fp_sync(x);
		f->mxcsr = from->mxcsr;
		memcpy(own + OFF_XMM, image + OFF_XMM, image_used(x) - OFF_XMM);
	}
	f->fsw = from->fsw;
	f->ftw = from->ftw;
	f->fop = from->fop & 0x7ff;
	f->fip = wide(x, i) ? from->fip : (uint32_t)from->fip;
	f->fdp = wide(x, i) ? from->fdp : (uint32_t)from->fdp;
	for (unsigned n = 0; n < 8; n++) {
		f->st[n].m = from->st[n].m;
		f->st[n].se = (uint16_t)from->st[n].se;
	}
	x87_set_fcw(f, from->fcw);
	return (X_DONE);
}

/* SSE's checks (SDM vol. 3 table 13-1). */
static enum x86_status
sse_check(struct x86 *x)
{
	if ((x->s->cr0 & CR0_EM) != 0 || (x->s->cr4 & CR4_OSFXSR) == 0)
		return (UD(x));
	return ((x->s->cr0 & CR0_TS) != 0 ? x87_denied(x) : X_DONE);
}

static enum x86_status
ldmxcsr(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	uint64_t v = 0;

	TRY(sse_check(x));
	TRY(x86_load(x, i, 4, &v));
	if ((v & ~(uint64_t)f->mxcsr_mask) != 0)
		return (GP0(x));
	x86_fp_sync(x);
	f->mxcsr = (uint32_t)v;
	return (X_DONE);
}

static enum x86_status
stmxcsr(struct x86 *x, const struct x86_insn *i)
{
	TRY(sse_check(x));
	x86_fp_sync(x);
	return (x86_store(x, i, 4, x87_of(x)->mxcsr));
}

/* An MMX instruction: TOP is 0 and all registers are empty (SDM vol. 3 12.2, table 12-2). */
static enum x86_status
emms(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);

	if ((x->s->cr0 & CR0_EM) != 0)
		return (UD(x));
	X87_BEGIN(x, f);
	x87_set_top(f, 0);
	f->ftw = 0;
	return (X_DONE);
}

const struct x86_opdesc x86_ops_fpstate[] = {
	{ ZYDIS_MNEMONIC_FXSAVE, 0, 0, fxsave, NULL },
	{ ZYDIS_MNEMONIC_FXSAVE64, 0, 0, fxsave, NULL },
	{ ZYDIS_MNEMONIC_FXRSTOR, 0, 0, fxrstor, NULL },
	{ ZYDIS_MNEMONIC_FXRSTOR64, 0, 0, fxrstor, NULL },
	{ ZYDIS_MNEMONIC_LDMXCSR, 0, 0, ldmxcsr, NULL },
	{ ZYDIS_MNEMONIC_STMXCSR, 0, 0, stmxcsr, NULL },
	{ ZYDIS_MNEMONIC_EMMS, 0, 0, emms, NULL },
	{ 0 }
};
