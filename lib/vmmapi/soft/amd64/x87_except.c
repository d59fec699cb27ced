/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_except.c - results where exceptions have their say (SDM vol. 1 4.9, 8.4, 8.5).
 *
 * The host executed with everything masked.  What the guest has unmasked changes the outcome:
 *  - invalid operation, denormal operand and division by zero are found before the operation: the
 *    operands stay, nothing is computed (8.5.1 to 8.5.3);
 *  - overflow and underflow of a result for memory: nothing is stored (8.5.4, 8.5.5);
 *  - of one for a register: the result has its exponent adjusted by 24576.  Underflow then means
 *    that the result is tiny, exact or not.  The host is given operands with moderate exponents,
 *    which round the same, and the exponent of the result is put right here;
 *  - inexactness changes nothing but the flags (8.5.6).
 */
#include <string.h>

#include "x87.h"

#define	ADJUST		24576
#define	BIAS		0x3fff
#define	E_MAX		0x7ffe
#define	PRE		(X87_IE | X87_DE | X87_ZE)
#define	SMALL		(BIAS - 8000)	/* where every function is linear to the last bit */

/* A finite number, with the leading bit of m set unless it is zero; any exponent. */
struct wide {
	uint64_t	m;
	int		e;		/* biased */
	bool		negative;
};

static struct wide
normal(uint64_t m, int e, bool negative)
{
	unsigned shift = m == 0 ? 0 : (unsigned)__builtin_clzll(m);

	return ((struct wide){ m << shift, e - (int)shift, negative });
}

static struct wide
widen(const struct x87_reg *r)
{
	int e = r->se & 0x7fff;

	return (normal(r->m, e == 0 ? 1 : e, (r->se & 0x8000) != 0));
}

static struct wide
widen32(uint32_t v)
{
	unsigned e = v >> 23 & 0xff;
	uint64_t frac = v & 0x7fffff;

	return (normal((e == 0 ? frac : frac | 0x800000) << 40, (int)(e == 0 ? 1 : e) + BIAS - 0x7f,
	    v >> 31 != 0));
}

static struct wide
widen64(uint64_t v)
{
	unsigned e = v >> 52 & 0x7ff;
	uint64_t frac = v & 0xfffffffffffffULL;

	return (normal((e == 0 ? frac : frac | 1ULL << 52) << 11,
	    (int)(e == 0 ? 1 : e) + BIAS - 0x3ff, v >> 63 != 0));
}

/* With exponent e, of the format's normal numbers or of what was a denormal. */
static struct x87_reg
narrow(const struct wide *w, int e)
{
	if (e < 1)
		return ((struct x87_reg){ w->m >> (1 - e), w->negative ? 0x8000U : 0 });
	return ((struct x87_reg){ w->m,
	    (w->negative ? 0x8000U : 0) | (w->m == 0 ? 0U : (unsigned)e) });
}

#define	HOST(name)								\
static uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %3; fldt %2; " #name " %%st(1), %%st; "		\
	    "fnstsw %1; fstpt %0; fstp %%st" : "=m" (X87_OUT(10, r)), "=a" (sw) :	\
	    "m" (X87_IN(10, a)), "m" (X87_IN(10, b)) : "st", "st(1)");		\
	return (sw);								\
}
HOST(fadd)
HOST(fmul)
HOST(fdiv)

/* What FSCALE adds to the exponent: b towards zero, as far as it matters. */
static int
scale_of(const struct wide *b)
{
	int n;

	if (b->m == 0 || b->e < BIAS)
		return (0);
	n = b->e >= BIAS + 17 ? 1 << 17 : (int)(b->m >> (63 - (b->e - BIAS)));
	return (b->negative ? -n : n);
}

/* The sum: where exponents are far apart, the smaller number only says which way to round. */
static int
place_sum(struct wide *a, struct wide *b)
{
	int top;

	if (a->m == 0 || b->m == 0)
		top = a->m == 0 ? b->e : a->e;
	else
		top = a->e > b->e ? a->e : b->e;
	a->e = a->m == 0 || top - a->e > 200 ? BIAS - 200 : BIAS - (top - a->e);
	b->e = b->m == 0 || top - b->e > 200 ? BIAS - 200 : BIAS - (top - b->e);
	return (top - BIAS);
}

/*
 * The result of an operation that overflowed or underflowed, with its true exponent: compute with
 * moderate ones.  sw is the host's FSW, of which P and C1 are as they are for this result.
 */
static void
compute_wide(struct x87 *f, x87_host *fn, unsigned kind, struct wide a, struct wide b,
    struct x87_reg *r, struct wide *w, uint16_t *sw)
{
	struct x87_reg ra, rb;
	int add;

	switch (kind) {
	case X87_K_SCALE:
		*w = a;
		w->e += scale_of(&b);
		*sw &= (uint16_t)~(X87_C1 | X87_PE);
		return;
	case X87_K_PREM:
		*w = widen(r);		/* always exact; C1 is of the quotient */
		return;
	case X87_K_ADD:
	case X87_K_SUB:
	case X87_K_SUBR:
		fn = host_fadd;
		a.negative ^= kind == X87_K_SUBR;
		b.negative ^= kind == X87_K_SUB;
		add = place_sum(&a, &b);
		break;
	case X87_K_MUL:
		fn = host_fmul;
		add = a.e - BIAS + b.e - BIAS;
		a.e = b.e = BIAS;
		break;
	case X87_K_DIV:
		fn = host_fdiv;
		add = a.e - b.e;
		a.e = b.e = BIAS;
		break;
	case X87_K_DIVR: {
		struct wide t = a;

		fn = host_fdiv;
		add = b.e - a.e;
		a = b;
		b = t;
		a.e = b.e = BIAS;
		break;
	}
	case X87_K_ATAN:
		add = b.e - a.e - (SMALL - BIAS);
		a.e = BIAS;
		b.e = SMALL;
		break;
	case X87_K_YL2X:
	case X87_K_YL2XP1:
		add = b.e - BIAS;
		b.e = BIAS;
		if (kind == X87_K_YL2XP1 && a.e < SMALL) {
			add += a.e - SMALL;
			a.e = SMALL;
		}
		break;
	default:
		add = a.e - SMALL;
		a.e = SMALL;
		break;
	}
	ra = narrow(&a, a.e);
	rb = narrow(&b, b.e);
	__asm__ volatile("fnclex");
	*sw = (uint16_t)((*sw & ~(X87_C1 | X87_PE)) |
	    (x87_execute(f, fn, &ra, &rb, r) & (X87_C1 | X87_PE)));
	*w = widen(r);
	w->e += add;
}

static bool
tiny(unsigned kind, const struct x87_reg *r)
{
	switch (kind) {
	case X87_K_PLAIN:
	case X87_K_LOAD:
	case X87_K_COMPARE:
		return (false);
	case X87_K_STORE32:
		return ((r->m & 0x7fffffff) != 0 && (r->m & 0x7f800000) == 0);
	case X87_K_STORE64:
		return ((r->m & ~X87_INT_BIT) != 0 && (r->m & 0x7ff0000000000000ULL) == 0);
	default:
		return ((r->se & 0x7fff) == 0 && r->m != 0);
	}
}

/* Unmasked overflow or underflow of a result for a register (SDM vol. 1 8.5.4, 8.5.5). */
static unsigned
adjust(struct x87 *f, x87_host *fn, unsigned kind, bool over, const struct x87_reg *a,
    const void *b, struct x87_reg *r, uint16_t *sw)
{
	static const struct x87_reg none;
	struct wide wa = widen(a), wb, w;
	uint64_t v;

	if ((kind & X87_K_B32) != 0) {
		memcpy(&v, b, 4);
		wb = widen32((uint32_t)v);
	} else if ((kind & X87_K_B64) != 0) {
		memcpy(&v, b, 8);
		wb = widen64(v);
	} else {
		wb = widen(b != NULL ? b : &none);
	}
	kind &= ~(X87_K_B32 | X87_K_B64);
	compute_wide(f, fn, kind, wa, wb, r, &w, sw);
	w.e += over ? -ADJUST : ADJUST;
	if (w.e >= 1 && w.e <= E_MAX) {
		*r = narrow(&w, w.e);
		return (*sw & X87_PE);
	}
	/* FSCALE goes beyond even that (8.5.4, 8.5.5): infinity or zero. */
	*r = (struct x87_reg){ w.e < 1 ? 0 : X87_INT_BIT, (w.negative ? 0x8000U : 0) |
	    (w.e < 1 ? 0 : 0x7fff) };
	*sw |= w.e < 1 ? 0 : X87_C1;
	return (X87_PE);
}

bool
x87_compute_exactly(struct x87 *f, x87_host *fn, unsigned kind, unsigned cc,
    const struct x87_reg *a, const void *b, struct x87_reg *r)
{
	unsigned exc, plain = kind & ~(X87_K_B32 | X87_K_B64);
	uint16_t sw;

	__asm__ volatile("fnclex");
	sw = x87_execute(f, fn, a, b, r);
	exc = sw & X87_EXC;
	if ((exc & PRE & ~f->fcw) != 0) {
		x87_cc(f, X87_C1 | (cc & X87_C2), 0);
		x87_raise(f, exc & PRE);
		if ((exc & X87_IE & ~f->fcw) != 0)
			return (false);
		if (plain == X87_K_COMPARE)
			x87_cc(f, cc, sw);
		return (plain == X87_K_LOAD);
	}
	/* FSCALE by zero leaves a denormal as it is, and processors see no underflow in that; by a fraction, which adds as little, they do. */
	if ((f->fcw & X87_UE) == 0 && tiny(plain, r) && (plain != X87_K_SCALE || ((const struct x87_reg *)b)->m != 0))
		exc |= X87_UE;
	if ((exc & ~f->fcw & (X87_OE | X87_UE)) != 0) {
		if (plain == X87_K_STORE32 || plain == X87_K_STORE64) {
			x87_cc(f, X87_C1, 0);
			x87_raise(f, exc & ~X87_PE);
			return (false);
		}
		exc &= ~X87_PE;
		exc |= adjust(f, fn, kind, (exc & X87_OE) != 0, a, b, r, &sw);
	}
	x87_cc(f, cc | X87_C1, sw);
	x87_raise(f, exc);
	return (true);
}
