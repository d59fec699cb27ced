/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alu.c - integer arithmetic and its flags (Intel SDM vol. 1 3.4.3.1 and vol. 2 by instruction).
 *
 * Flags that the manual leaves undefined: AF is clear after logic and shifts, OF after shifts by
 * more than one is that of the last step, multiplication leaves SF, ZF, AF and PF alone.
 */
#include "cpu.h"

static uint64_t
sign_bit(unsigned size)
{
	return (1ULL << (8 * size - 1));
}

/* SF, ZF and PF of a result. */
static uint64_t
szp(unsigned size, uint64_t r)
{
	uint64_t fl = 0;

	if ((r & sign_bit(size)) != 0)
		fl |= FL_SF;
	if ((r & x86_mask(size)) == 0)
		fl |= FL_ZF;
	if (!__builtin_parity((unsigned)(r & 0xff)))
		fl |= FL_PF;
	return (fl);
}

/* Replace the arithmetic flags. */
static void
put(uint64_t *fl, uint64_t val)
{
	*fl = (*fl & ~(uint64_t)FL_ARITH) | val;
}

static uint64_t
add(unsigned size, uint64_t a, uint64_t b, unsigned carry, uint64_t *fl)
{
	uint64_t m = x86_mask(size), r, out;

	a &= m;
	b &= m;
	r = (a + b + carry) & m;
	out = szp(size, r);
	if (r < a || (carry != 0 && r == a))
		out |= FL_CF;
	if (((a ^ b ^ r) & 0x10) != 0)
		out |= FL_AF;
	if (((a ^ r) & (b ^ r) & sign_bit(size)) != 0)
		out |= FL_OF;
	put(fl, out);
	return (r);
}

static uint64_t
sub(unsigned size, uint64_t a, uint64_t b, unsigned borrow, uint64_t *fl)
{
	uint64_t m = x86_mask(size), r, out;

	a &= m;
	b &= m;
	r = (a - b - borrow) & m;
	out = szp(size, r);
	if (a < b || (borrow != 0 && a == b))
		out |= FL_CF;
	if (((a ^ b ^ r) & 0x10) != 0)
		out |= FL_AF;
	if (((a ^ b) & (a ^ r) & sign_bit(size)) != 0)
		out |= FL_OF;
	put(fl, out);
	return (r);
}

uint64_t
x86_alu(enum x86_alu op, unsigned size, uint64_t a, uint64_t b, uint64_t *fl)
{
	unsigned carry = (unsigned)(*fl & FL_CF);
	uint64_t r;

	switch (op) {
	case ALU_ADD:
		return (add(size, a, b, 0, fl));
	case ALU_ADC:
		return (add(size, a, b, carry, fl));
	case ALU_SBB:
		return (sub(size, a, b, carry, fl));
	case ALU_SUB:
		return (sub(size, a, b, 0, fl));
	case ALU_CMP:
		(void)sub(size, a, b, 0, fl);
		return (a & x86_mask(size));
	case ALU_OR:
		r = a | b;
		break;
	case ALU_AND:
		r = a & b;
		break;
	default:
		r = a ^ b;
		break;
	}
	r &= x86_mask(size);
	put(fl, szp(size, r));
	return (r);
}

uint64_t
x86_inc(unsigned size, uint64_t a, uint64_t *fl)
{
	uint64_t cf = *fl & FL_CF, r = add(size, a, 1, 0, fl);

	*fl = (*fl & ~(uint64_t)FL_CF) | cf;
	return (r);
}

uint64_t
x86_dec(unsigned size, uint64_t a, uint64_t *fl)
{
	uint64_t cf = *fl & FL_CF, r = sub(size, a, 1, 0, fl);

	*fl = (*fl & ~(uint64_t)FL_CF) | cf;
	return (r);
}

uint64_t
x86_neg(unsigned size, uint64_t a, uint64_t *fl)
{
	return (sub(size, 0, a, 0, fl));
}

static void
put_bits(uint64_t *fl, uint64_t which, bool cf, bool of)
{
	*fl = (*fl & ~which) | (cf ? which & FL_CF : 0) | (of ? which & FL_OF : 0);
}

/* ROL and ROR change CF and OF only; CF also when the count is a multiple of the width. */
static uint64_t
rotate(bool right, unsigned size, uint64_t a, unsigned count, uint64_t *fl)
{
	unsigned bits = 8 * size, n = count % bits;
	uint64_t top = sign_bit(size), r;

	if (right)
		n = (bits - n) % bits;
	r = n == 0 ? a : ((a << n) | (a >> (bits - n))) & x86_mask(size);
	if (right)
		put_bits(fl, FL_CF | FL_OF, (r & top) != 0, ((r ^ (r << 1)) & top) != 0);
	else
		put_bits(fl, FL_CF | FL_OF, (r & 1) != 0, ((r & top) != 0) != ((r & 1) != 0));
	return (r);
}

/* RCL and RCR, bit by bit. */
static uint64_t
rotate_carry(bool right, unsigned size, uint64_t a, unsigned count, uint64_t *fl)
{
	uint64_t top = sign_bit(size), r = a;
	bool cf = (*fl & FL_CF) != 0, out, of;

	/* Sizes below 32 bits rotate through 9 or 17 bits (SDM vol. 2, RCL). */
	if (size < 4)
		count %= 8 * size + 1;
	if (count == 0)
		return (a);
	while (count-- > 0) {
		if (right) {
			out = (r & 1) != 0;
			r = r >> 1 | (cf ? top : 0);
		} else {
			out = (r & top) != 0;
			r = ((r << 1) & x86_mask(size)) | (cf ? 1 : 0);
		}
		cf = out;
	}
	of = right ? ((r ^ (r << 1)) & top) != 0 : ((r & top) != 0) != cf;
	put_bits(fl, FL_CF | FL_OF, cf, of);
	return (r);
}

uint64_t
x86_shift(enum x86_shift op, unsigned size, uint64_t a, unsigned count, uint64_t *fl)
{
	unsigned bits = 8 * size;
	uint64_t top = sign_bit(size), r;
	bool cf, of;

	count &= size == 8 ? 63 : 31;
	a &= x86_mask(size);
	if (count == 0)
		return (a);
	switch (op) {
	case SH_ROL:
	case SH_ROR:
		return (rotate(op == SH_ROR, size, a, count, fl));
	case SH_RCL:
	case SH_RCR:
		return (rotate_carry(op == SH_RCR, size, a, count, fl));
	case SH_SHL:
	case SH_SAL:
		r = count >= bits ? 0 : (a << count) & x86_mask(size);
		cf = count <= bits && ((a >> (bits - count)) & 1) != 0;
		of = ((r & top) != 0) != cf;
		break;
	case SH_SHR:
		r = count >= bits ? 0 : a >> count;
		cf = count <= bits && ((a >> (count - 1)) & 1) != 0;
		of = ((r ^ (r << 1)) & top) != 0;
		break;
	default: {
		int64_t s = x86_sext(a, size);

		r = (uint64_t)(s >> (count >= bits ? bits - 1 : count)) & x86_mask(size);
		cf = ((s >> (count > bits ? bits - 1 : count - 1)) & 1) != 0;
		of = false;
		break;
	}
	}
	put(fl, szp(size, r) | (cf ? FL_CF : 0) | (of ? FL_OF : 0));
	return (r);
}

uint64_t
x86_shiftd(bool right, unsigned size, uint64_t a, uint64_t b, unsigned count, uint64_t *fl)
{
	unsigned bits = 8 * size;
	uint64_t m = x86_mask(size), top = sign_bit(size), r;
	bool cf;

	count &= size == 8 ? 63 : 31;
	a &= m;
	b &= m;
	if (count == 0)
		return (a);
	if (count > bits) {
		/* Undefined for 16-bit operands: as if b were followed by a again. */
		count -= bits;
		r = a;
		a = b;
		b = r;
	}
	if (right) {
		r = count == bits ? b : (a >> count | b << (bits - count)) & m;
		cf = ((a >> (count - 1)) & 1) != 0;
	} else {
		r = count == bits ? b : (a << count | b >> (bits - count)) & m;
		cf = ((a >> (bits - count)) & 1) != 0;
	}
	put(fl, szp(size, r) | (cf ? FL_CF : 0) | (((a ^ r) & top) != 0 ? FL_OF : 0));
	return (r);
}

void
x86_mul(bool sign, unsigned size, uint64_t a, uint64_t b, uint64_t *lo, uint64_t *hi, uint64_t *fl)
{
	uint64_t m = x86_mask(size);
	bool over;

	if (sign) {
		__int128 p = (__int128)x86_sext(a, size) * x86_sext(b, size);

		*lo = (uint64_t)p & m;
		*hi = (uint64_t)(p >> (8 * size)) & m;
		over = p != x86_sext(*lo, size);
	} else {
		unsigned __int128 p = (unsigned __int128)(a & m) * (b & m);

		*lo = (uint64_t)p & m;
		*hi = (uint64_t)(p >> (8 * size)) & m;
		over = *hi != 0;
	}
	put_bits(fl, FL_CF | FL_OF, over, over);
}

bool
x86_div(bool sign, unsigned size, uint64_t hi, uint64_t lo, uint64_t d, uint64_t *quot,
    uint64_t *rem)
{
	uint64_t m = x86_mask(size);
	unsigned __int128 n = (unsigned __int128)(hi & m) << (8 * size) | (lo & m), q, r;
	bool nneg = false, dneg = false;

	d &= m;
	if (d == 0)
		return (false);
	if (sign) {
		/*
		 * On magnitudes: the quotient is rounded towards zero, the remainder has the sign
		 * of the dividend.
		 */
		nneg = (hi & sign_bit(size)) != 0;
		dneg = (d & sign_bit(size)) != 0;
		if (nneg) {
			n = -n;
			if (size < 8)
				n &= ((unsigned __int128)1 << (16 * size)) - 1;
		}
		if (dneg)
			d = -d & m;
	}
	q = n / d;
	r = n % d;
	if (sign) {
		if (q > (unsigned __int128)sign_bit(size) - (nneg != dneg ? 0 : 1))
			return (false);
		if (nneg != dneg)
			q = -q;
		if (nneg)
			r = -r;
	} else if (q > m) {
		return (false);
	}
	*quot = (uint64_t)q & m;
	*rem = (uint64_t)r & m;
	return (true);
}

bool
x86_cond(unsigned cc, uint64_t fl)
{
	bool sf = (fl & FL_SF) != 0, of = (fl & FL_OF) != 0, zf = (fl & FL_ZF) != 0,
	    cf = (fl & FL_CF) != 0, r;

	switch ((cc >> 1) & 7) {
	case 0:
		r = of;
		break;
	case 1:
		r = cf;
		break;
	case 2:
		r = zf;
		break;
	case 3:
		r = cf || zf;
		break;
	case 4:
		r = sf;
		break;
	case 5:
		r = (fl & FL_PF) != 0;
		break;
	case 6:
		r = sf != of;
		break;
	default:
		r = zf || sf != of;
		break;
	}
	return (r != ((cc & 1) != 0));
}
