/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_x87.h - x87 state in and out of a guest of amd64_fixture.h, by FXRSTOR and FXSAVE.
 */
#ifndef _SOFT_AMD64_X87_H_
#define	_SOFT_AMD64_X87_H_

#include "amd64_fixture.h"

#define	IE	0x01
#define	DENORMAL 0x02
#define	ZE	0x04
#define	OE	0x08
#define	UE	0x10
#define	PE	0x20
#define	SF	0x40
#define	ES	0x8080		/* with B */
#define	C1	0x0200
#define	TOP(n)	((n) << 11)

/* Where guest code finds and leaves things: addresses in flat segments, offsets in real mode. */
#define	A_IN	0x40000
#define	A_FX	0x41000		/* FXRSTOR image */
#define	A_OUT	0x42000
#define	SA_IN	"0x40000"
#define	SA_FX	"0x41000"
#define	SA_OUT	"0x42000"

struct reg {
	uint64_t	m;
	uint16_t	se;
};

static const struct reg one = { 1ULL << 63, 0x3fff };

/* An FXRSTOR image: registers ST(0) to ST(n - 1), full; everything masked and clear. */
static inline void
image(struct mach *m, uint16_t fcw, uint16_t fsw, const struct reg *st, unsigned n)
{
	unsigned top = fsw >> 11 & 7, ftw = 0;

	m_fill(m, A_FX, 0, 512);
	for (unsigned i = 0; i < n; i++) {
		m_poke(m, A_FX + 32 + 16 * i, st[i].m, 8);
		m_poke(m, A_FX + 40 + 16 * i, st[i].se, 2);
		ftw |= 1U << ((top + i) & 7);
	}
	m_poke(m, A_FX, fcw, 2);
	m_poke(m, A_FX + 2, fsw, 2);
	m_poke(m, A_FX + 4, ftw, 1);
	m_poke(m, A_FX + 24, 0x1f80, 4);
}

/* A register of the FXSAVE image at A_OUT. */
static inline void
check_st(struct mach *m, unsigned n, struct reg want)
{
	unsigned long long got = m_peek(m, A_OUT + 32 + 16 * n, 8);
	unsigned se = (unsigned)m_peek(m, A_OUT + 40 + 16 * n, 2);

	CHECKF(got == want.m && se == want.se, "%s: st(%u) is %04x %016llx, wanted %04x %016llx",
	    m->what, n, se, got, want.se, (unsigned long long)want.m);
}

#define	OUT_FCW(m)	m_peek((m), A_OUT, 2)
#define	OUT_FSW(m)	m_peek((m), A_OUT + 2, 2)
#define	OUT_FTW(m)	m_peek((m), A_OUT + 4, 1)

static inline void
open_mode(struct mach *m, enum mode mode)
{
	m_open(m);
	m_mode(m, mode, 0);
	if (mode != REAL)
		SET(m, CR4, GET(m, CR4) | CR4_OSFXSR);
	m->what = "x87";
}

/* One instruction on an image, in 64-bit mode, and the state behind it. */
#define	ON_IMAGE(m, insn) do {							\
	m_mode((m), LM64, 0);							\
	SET((m), CR4, CR4_PAE | CR4_OSFXSR);					\
	(m)->what = insn;							\
	ASM((m), 64, "fxrstor64 " SA_FX "\n\t" insn "\n\tfxsave64 " SA_OUT);	\
} while (0)

#endif /* _SOFT_AMD64_X87_H_ */
