/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer data processing of the software arm64 processor, against the Arm ARM's pseudocode written with wider integers (C6.2, J1.2).
 */
#include "soft_arm64_guest.h"

static uint64_t seed = 1;

static uint64_t
rnd(void)
{
	static const uint64_t special[] = { 0, 1, UINT64_MAX, INT64_MAX, 1ULL << 63, 0x7fffffff, 0x80000000, 0xffffffff,
	    0x100000000ULL, 0xaaaaaaaaaaaaaaaaULL };

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	if ((seed >> 60) < 9)
		return (special[(seed >> 40) % (sizeof(special) / sizeof(special[0]))]);
	return (seed >> 33 ^ seed << 31);
}

/* N, Z, C, V in bits 3:0 */
static uint64_t
add_with_carry(uint64_t x, uint64_t y, unsigned carry, unsigned width, unsigned *nzcv)
{
	unsigned __int128 mask = ((unsigned __int128)1 << width) - 1, usum = (x & mask) + (y & mask) + carry;
	__int128 sx = (__int128)((unsigned __int128)x << (128 - width)) >> (128 - width);
	__int128 sy = (__int128)((unsigned __int128)y << (128 - width)) >> (128 - width);
	__int128 ssum = sx + sy + carry;
	uint64_t r = (uint64_t)(usum & mask);
	__int128 sr = (__int128)((unsigned __int128)r << (128 - width)) >> (128 - width);

	*nzcv = (sr < 0 ? 8 : 0) | (r == 0 ? 4 : 0) | ((usum >> width) != 0 ? 2 : 0) | (sr != ssum ? 1 : 0);
	return (r);
}

static uint64_t
shifted(uint64_t v, unsigned type, unsigned n, unsigned width)
{
	uint64_t r = 0;

	/* Bit by bit, as ShiftReg() has it. */
	for (unsigned b = 0; b < width; b++) {
		unsigned from = b;
		bool bit;

		switch (type) {
		case 0:
			bit = b >= n && (v >> (b - n) & 1) != 0;
			break;
		case 1:
			bit = b + n < width && (v >> (b + n) & 1) != 0;
			break;
		case 2:
			from = b + n < width ? b + n : width - 1;
			bit = (v >> from & 1) != 0;
			break;
		default:
			bit = (v >> ((b + n) % width) & 1) != 0;
			break;
		}
		r |= (uint64_t)bit << b;
	}
	return (r);
}

static unsigned
flags(void)
{
	return ((unsigned)(get(VM_ARM64_REG_PSTATE) >> 28) & 15);
}

static void
set_flags(unsigned nzcv)
{
	set(VM_ARM64_REG_PSTATE, (get(VM_ARM64_REG_PSTATE) & 0x0fffffff) | (uint64_t)nzcv << 28);
}

TEST(add_and_subtract)
{
	new_vm();
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t x = rnd(), y = rnd(), want;
		unsigned form = (unsigned)(rnd() >> 8) & 7, width = form >= 4 ? 64 : 32, old = (unsigned)rnd() & 15, nzcv;
		unsigned type = (unsigned)(rnd() >> 20) % 3, amount = (unsigned)(rnd() >> 12) % width;
		bool carry = (rnd() & 4) != 0;

		set(X(1), x);
		set(X(2), y);
		set_flags(old);
		if (carry) {		/* ADC, ADCS, SBC, SBCS */
			one(0x1a020020 | form << 29);
			want = add_with_carry(x, (form & 2) != 0 ? ~y : y, old >> 1 & 1, width, &nzcv);
		} else {
			one(0x0b020020 | form << 29 | type << 22 | amount << 10);
			y = shifted(y, type, amount, width);
			want = add_with_carry(x, (form & 2) != 0 ? ~y : y, (form & 2) != 0, width, &nzcv);
		}
		CHECK_EQ(get(X(0)), want);
		CHECK_EQ(flags(), (form & 1) != 0 ? nzcv : old);
	}
	vm_close(vm);
}

TEST(logic)
{
	new_vm();
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t x = rnd(), y = rnd(), want;
		unsigned form = (unsigned)(rnd() >> 8) & 7, width = form >= 4 ? 64 : 32, old = (unsigned)rnd() & 15;
		unsigned type = (unsigned)(rnd() >> 20) & 3, amount = (unsigned)(rnd() >> 12) % width, invert = n & 1;

		set(X(1), x);
		set(X(2), y);
		set_flags(old);
		one(0x0a020020 | form << 29 | type << 22 | invert << 21 | amount << 10);
		y = shifted(y, type, amount, width);
		if (invert != 0)
			y = ~y;
		want = (form & 3) == 1 ? x | y : (form & 3) == 2 ? x ^ y : x & y;
		if (width == 32)
			want = (uint32_t)want;
		CHECK_EQ(get(X(0)), want);
		CHECK_EQ(flags(), (form & 3) != 3 ? old : (want >> (width - 1) != 0 ? 8U : 0) | (want == 0 ? 4 : 0));
	}
	vm_close(vm);
}

/* SBFM, BFM, UBFM: a field goes down, or up (C6.2, "bits copied"). */
TEST(bit_fields)
{
	new_vm();
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t x = rnd(), d = rnd(), want = 0;
		unsigned opc = (unsigned)(rnd() >> 8) % 3, sf = n & 1, width = sf != 0 ? 64 : 32;
		unsigned r = (unsigned)(rnd() >> 9) % width, s = (unsigned)(rnd() >> 17) % width;
		unsigned len = s >= r ? s - r + 1 : s + 1, at = s >= r ? 0 : width - r, from = s >= r ? r : 0;

		set(X(0), d);
		set(X(1), x);
		one(0x13000020 | sf << 31 | opc << 29 | sf << 22 | r << 16 | s << 10);
		for (unsigned b = 0; b < width; b++) {
			bool bit;

			if (b >= at && b < at + len)
				bit = (x >> (b - at + from) & 1) != 0;
			else if (opc == 1)
				bit = (d >> b & 1) != 0;
			else
				bit = opc == 0 && b >= at + len && (x >> (from + len - 1) & 1) != 0;
			want |= (uint64_t)bit << b;
		}
		CHECK_EQ(get(X(0)), want);
	}
	vm_close(vm);
}

TEST(conditions)
{
	new_vm();
	for (unsigned cond = 0; cond < 16; cond++) {
		for (unsigned nzcv = 0; nzcv < 16; nzcv++) {
			const uint32_t branch[] = { 0x54000040 | cond, 0xd2800000 /* mov x0, #0 */ };
			bool n = nzcv >> 3, z = nzcv >> 2 & 1, c = nzcv >> 1 & 1, v = nzcv & 1, holds;

			switch (cond >> 1) {		/* ConditionHolds() */
			case 0:
				holds = z;
				break;
			case 1:
				holds = c;
				break;
			case 2:
				holds = n;
				break;
			case 3:
				holds = v;
				break;
			case 4:
				holds = c && !z;
				break;
			case 5:
				holds = n == v;
				break;
			case 6:
				holds = n == v && !z;
				break;
			default:
				holds = true;
				break;
			}
			if ((cond & 1) != 0 && cond != 15)
				holds = !holds;
			set(X(0), 1);
			set_flags(nzcv);
			execute(branch, 2);
			CHECK_EQ(get(X(0)), holds);
			set(X(1), 5);
			set(X(2), 7);
			one(0x9a820420 | cond << 12);			/* csinc x0, x1, x2, cond */
			CHECK_EQ(get(X(0)), holds ? 5 : 8);
			one(0x5a820420 | cond << 12);			/* csneg w0, w1, w2, cond */
			CHECK_EQ(get(X(0)), holds ? 5 : 0xfffffff9);
			one(0xfa45082a | cond << 12);			/* ccmp x1, #5, #0b1010, cond */
			CHECK_EQ(flags(), holds ? 6 : 10);
		}
	}
	vm_close(vm);
}

TEST(multiply_and_divide)
{
	new_vm();
	for (unsigned n = 0; n < 1000; n++) {
		uint64_t x = rnd(), y = rnd(), a = rnd();
		int32_t xs = (int32_t)x, ys = (int32_t)y;

		set(X(1), x);
		set(X(2), y);
		set(X(3), a);
		one(0x9b020c20);		/* madd x0, x1, x2, x3 */
		CHECK_EQ(get(X(0)), a + x * y);
		one(0x1b028c20);		/* msub w0, w1, w2, w3 */
		CHECK_EQ(get(X(0)), (uint32_t)(a - x * y));
		one(0x9b220c20);		/* smaddl x0, w1, w2, x3 */
		CHECK_EQ(get(X(0)), a + (uint64_t)((int64_t)xs * ys));
		one(0x9ba28c20);		/* umsubl x0, w1, w2, x3 */
		CHECK_EQ(get(X(0)), a - (uint64_t)(uint32_t)x * (uint32_t)y);
		one(0x9b427c20);		/* smulh x0, x1, x2 */
		CHECK_EQ(get(X(0)), (uint64_t)((__int128)(int64_t)x * (int64_t)y >> 64));
		one(0x9bc27c20);		/* umulh x0, x1, x2 */
		CHECK_EQ(get(X(0)), (uint64_t)((unsigned __int128)x * y >> 64));
		one(0x9ac20820);		/* udiv x0, x1, x2 */
		CHECK_EQ(get(X(0)), y == 0 ? 0 : x / y);
		one(0x9ac20c20);		/* sdiv x0, x1, x2 */
		CHECK_EQ(get(X(0)), y == 0 ? 0 : (uint64_t)(int64_t)((__int128)(int64_t)x / (int64_t)y));
		one(0x1ac20c20);		/* sdiv w0, w1, w2 */
		CHECK_EQ(get(X(0)), ys == 0 ? 0 : (uint32_t)((int64_t)xs / ys));
	}
	vm_close(vm);
}

/* CRC-32 and CRC-32C of the nine digits (the catalogue's check values), and the same a byte at a time. */
TEST(crc)
{
	static const uint8_t digits[] = "123456789";
	uint64_t word;

	new_vm();
	memcpy(&word, digits, 8);
	set(X(0), 0xffffffff);
	set(X(1), word);
	set(X(2), digits[8]);
	execute((const uint32_t[]){ 0x9ac14c00, 0x1ac24000 }, 2);	/* crc32x w0, w0, x1; crc32b w0, w0, w2 */
	CHECK_EQ((uint32_t)~get(X(0)), 0xcbf43926);
	set(X(0), 0xffffffff);
	execute((const uint32_t[]){ 0x9ac15c00, 0x1ac25000 }, 2);	/* crc32cx, crc32cb */
	CHECK_EQ((uint32_t)~get(X(0)), 0xe3069283);
	vm_close(vm);
}

TEST(counts_and_reversals)
{
	new_vm();
	for (unsigned n = 0; n < 500; n++) {
		uint64_t x = n < 64 ? 1ULL << n : n < 128 ? -(1ULL << (n - 64)) : rnd(), want = 0;
		unsigned cls = 0, clz = 0;

		set(X(1), x);
		for (unsigned b = 0; b < 64; b++)
			want |= (x >> b & 1) << (63 - b);
		one(0xdac00020);		/* rbit x0, x1 */
		CHECK_EQ(get(X(0)), want);
		one(0x5ac00020);		/* rbit w0, w1 */
		CHECK_EQ(get(X(0)), want >> 32);
		one(0xdac00c20);		/* rev x0, x1 */
		CHECK_EQ(get(X(0)), __builtin_bswap64(x));
		one(0xdac00820);		/* rev32 x0, x1 */
		CHECK_EQ(get(X(0)), (uint64_t)__builtin_bswap32((uint32_t)(x >> 32)) << 32 | __builtin_bswap32((uint32_t)x));
		one(0x5ac00420);		/* rev16 w0, w1 */
		CHECK_EQ(get(X(0)), (uint64_t)__builtin_bswap16((uint16_t)(x >> 16)) << 16 | __builtin_bswap16((uint16_t)x));
		while (clz < 64 && (x >> (63 - clz) & 1) == 0)
			clz++;
		while (cls < 63 && (x >> (62 - cls) & 1) == x >> 63)
			cls++;
		one(0xdac01020);		/* clz x0, x1 */
		CHECK_EQ(get(X(0)), clz);
		one(0xdac01420);		/* cls x0, x1 */
		CHECK_EQ(get(X(0)), cls);
		for (cls = 0; cls < 31 && (x >> (30 - cls) & 1) == (x >> 31 & 1); cls++)
			;
		one(0x5ac01420);		/* cls w0, w1 */
		CHECK_EQ(get(X(0)), cls);
	}
	vm_close(vm);
}

TEST_MAIN()
