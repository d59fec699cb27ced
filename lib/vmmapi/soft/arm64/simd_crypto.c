/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_crypto.c - the cryptographic extension: AES, polynomial product of doublewords, SHA-1 and SHA-256 (Arm ARM C4.1.96, J1.2.3).
 *
 * AES and the product exist twice: in C, and with the host's instructions (simd_host.h), which the decoder prefers.
 */
#include "simd_host.h"

/* SubBytes and InvSubBytes (FIPS 197, figures 7 and 14). */
static const uint8_t sbox[256] = {
	0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
	0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
	0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
	0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
	0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
	0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
	0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
	0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
	0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
	0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
	0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
	0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
	0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
	0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
	0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
	0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};
static const uint8_t unsbox[256] = {
	0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
	0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
	0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
	0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
	0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
	0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
	0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
	0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
	0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
	0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
	0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
	0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
	0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
	0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
	0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
	0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* Where ShiftRows and its inverse take byte k of the state from; bytes are in columns (FIPS 197, 3.4, 5.1.2, 5.3.1). */
static const uint8_t rows_from[16] = { 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11 };
static const uint8_t unrows_from[16] = { 0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3 };

static inline vu64
substitute(vu64 state, const uint8_t *box, const uint8_t *from)
{
	const vu8 v = (vu8)state;
	vu8 r = { 0 };

	for (unsigned k = 0; k < 16; k++)
		r[k] = box[v[from[k]]];
	return ((vu64)r);
}

/* Each byte times x in the field (FIPS 197, 4.2.1). */
static inline vu8
xtime(vu8 v)
{
	return ((v + v) ^ ((vu8)((vs8)v < 0) & 0x1b));
}

/* Bytes of each column moved up by one, two, three. */
#define	UP1(v)	__builtin_shufflevector(v, v, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12)
#define	UP2(v)	__builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define	UP3(v)	__builtin_shufflevector(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)

/* MixColumns (FIPS 197, 5.1.3): 2, 3, 1, 1 times the byte and those below it. */
static inline vu64
mix(vu64 state)
{
	const vu8 v = (vu8)state, x = xtime(v), y = x ^ v;

	return ((vu64)(x ^ UP1(y) ^ UP2(v) ^ UP3(v)));
}

/* InvMixColumns (5.3.3) is MixColumns of the column multiplied by 5, 0, 4, 0. */
static inline vu64
unmix(vu64 state)
{
	const vu8 v = (vu8)state, x = xtime(xtime(v));

	return (mix((vu64)(v ^ x ^ UP2(x))));
}

static inline vu64
sub(vu64 v)
{
	return (substitute(v, sbox, rows_from));
}

static inline vu64
unsub(vu64 v)
{
	return (substitute(v, unsbox, unrows_from));
}

/* Product of polynomials over the field of two elements (J1.2.3, PolynomialMult). */
static inline vu64
product(uint64_t a, uint64_t b)
{
	vu64 r = { 0, 0 };

	for (unsigned k = 0; k < 64; k++) {
		const uint64_t m = -(b >> k & 1);

		r[0] ^= a << k & m;
		r[1] ^= a >> 1 >> (63 - k) & m;
	}
	return (r);
}

#define	CRYPTO(attr, prefix, name, expr)					\
	static attr enum a64_status						\
	prefix##name(struct a64 *c, const struct a64_insn *i)			\
	{									\
		v_set(c, i->rd, expr);						\
		return (A_DONE);						\
	}
#define	CRYPTO_SET(attr, prefix, sub, unsub, mix, unmix, product)			\
	CRYPTO(attr, prefix, aese, sub(v_get(c, i->rd) ^ v_get(c, i->rn)))	\
	CRYPTO(attr, prefix, aesd, unsub(v_get(c, i->rd) ^ v_get(c, i->rn)))	\
	CRYPTO(attr, prefix, aesmc, mix(v_get(c, i->rn)))			\
	CRYPTO(attr, prefix, aesimc, unmix(v_get(c, i->rn)))			\
	CRYPTO(attr, prefix, pmull, product(v_half(c, i, i->rn), v_half(c, i, i->rm)))

CRYPTO_SET(, c_, sub, unsub, mix, unmix, product)

static a64_op *const in_c[] = {
	[CRYPTO_AESE] = c_aese,
	[CRYPTO_AESD] = c_aesd,
	[CRYPTO_AESMC] = c_aesmc,
	[CRYPTO_AESIMC] = c_aesimc,
	[CRYPTO_PMULL] = c_pmull,
};

#ifdef HOST_CRYPTO
CRYPTO_SET(HOST_CRYPTO, host_, host_aes_sub, host_aes_unsub, host_aes_mix, host_aes_unmix, host_product)

static a64_op *const by_host[] = {
	[CRYPTO_AESE] = host_aese,
	[CRYPTO_AESD] = host_aesd,
	[CRYPTO_AESMC] = host_aesmc,
	[CRYPTO_AESIMC] = host_aesimc,
	[CRYPTO_PMULL] = host_pmull,
};
#endif

a64_op *const *
simd_crypto_ops(bool host)
{
#ifdef HOST_CRYPTO
	if (host && host_crypto())
		return (by_host);
#endif
	return (in_c);
}

bool
simd_aes(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned size = a64_bits(word, 23, 22), op = a64_bits(word, 16, 12);

	if (size != 0 || op < 4 || op > 7 || (features & A64_F_AES) == 0)
		return (false);
	i->fn = simd_crypto_ops(true)[op - 4 + CRYPTO_AESE];
	return (true);
}

/*
 * SHA.  Four 32-bit words to a vector, the first lowest.
 */
static inline uint32_t
rol(uint32_t v, unsigned n)
{
	return (v << n | v >> (32 - n));
}

static inline uint32_t
choose(uint32_t x, uint32_t y, uint32_t z)
{
	return (((y ^ z) & x) ^ z);
}

static inline uint32_t
parity(uint32_t x, uint32_t y, uint32_t z)
{
	return (x ^ y ^ z);
}

static inline uint32_t
majority(uint32_t x, uint32_t y, uint32_t z)
{
	return ((x & y) | ((x | y) & z));
}

/* Four rounds of SHA-1 (C7.2.242 SHA1C, C7.2.244 SHA1M, C7.2.245 SHA1P): a to d in Vd, e in Vn, the schedule in Vm. */
#define	SHA1_ROUNDS(name, f)							\
	static enum a64_status							\
	name(struct a64 *c, const struct a64_insn *i)				\
	{									\
		uint32_t x[4], w[4], y = (uint32_t)c->s->v[2 * i->rn];		\
										\
		memcpy(x, &c->s->v[2 * i->rd], sizeof(x));			\
		memcpy(w, &c->s->v[2 * i->rm], sizeof(w));			\
		for (unsigned k = 0; k < 4; k++) {				\
			const uint32_t t = y + rol(x[0], 5) + f(x[1], x[2], x[3]) + w[k];	\
										\
			y = x[3];						\
			x[3] = x[2];						\
			x[2] = rol(x[1], 30);					\
			x[1] = x[0];						\
			x[0] = t;						\
		}								\
		v_set(c, i->rd, (vu64)(vu32){ x[0], x[1], x[2], x[3] });	\
		return (A_DONE);						\
	}
SHA1_ROUNDS(sha1c, choose)
SHA1_ROUNDS(sha1p, parity)
SHA1_ROUNDS(sha1m, majority)

static enum a64_status
sha1h(struct a64 *c, const struct a64_insn *i)
{
	v_set(c, i->rd, (vu64){ rol((uint32_t)c->s->v[2 * i->rn], 30), 0 });
	return (A_DONE);
}

static enum a64_status
sha1su0(struct a64 *c, const struct a64_insn *i)
{
	const vu64 d = v_get(c, i->rd), n = v_get(c, i->rn), m = v_get(c, i->rm);

	v_set(c, i->rd, (vu64){ d[1], n[0] } ^ d ^ m);
	return (A_DONE);
}

static enum a64_status
sha1su1(struct a64 *c, const struct a64_insn *i)
{
	const vu32 n = (vu32)v_get(c, i->rn);
	const vu32 t = (vu32)v_get(c, i->rd) ^ (vu32){ n[1], n[2], n[3], 0 };
	vu32 r = t << 1 | t >> 31;

	r[3] ^= rol(t[0], 2);
	v_set(c, i->rd, (vu64)r);
	return (A_DONE);
}

/* Four rounds of SHA-256 (J1.2.3, SHA256hash) with registers for a to d, e to h and the schedule; which of the first two is the result. */
static inline vu64
sha256_rounds(const struct a64 *c, unsigned abcd, unsigned efgh, unsigned schedule, bool lower)
{
	uint32_t x[4], y[4], w[4];

	memcpy(x, &c->s->v[2 * abcd], sizeof(x));
	memcpy(y, &c->s->v[2 * efgh], sizeof(y));
	memcpy(w, &c->s->v[2 * schedule], sizeof(w));
	for (unsigned k = 0; k < 4; k++) {
		const uint32_t s1 = rol(y[0], 26) ^ rol(y[0], 21) ^ rol(y[0], 7);
		const uint32_t s0 = rol(x[0], 30) ^ rol(x[0], 19) ^ rol(x[0], 10);
		const uint32_t t = y[3] + s1 + choose(y[0], y[1], y[2]) + w[k];
		const uint32_t u = t + s0 + majority(x[0], x[1], x[2]);

		y[3] = y[2];
		y[2] = y[1];
		y[1] = y[0];
		y[0] = x[3] + t;
		x[3] = x[2];
		x[2] = x[1];
		x[1] = x[0];
		x[0] = u;
	}
	return (lower ? (vu64)(vu32){ x[0], x[1], x[2], x[3] } : (vu64)(vu32){ y[0], y[1], y[2], y[3] });
}

static enum a64_status
sha256h(struct a64 *c, const struct a64_insn *i)
{
	v_set(c, i->rd, sha256_rounds(c, i->rd, i->rn, i->rm, true));
	return (A_DONE);
}

static enum a64_status
sha256h2(struct a64 *c, const struct a64_insn *i)
{
	v_set(c, i->rd, sha256_rounds(c, i->rn, i->rd, i->rm, false));
	return (A_DONE);
}

static enum a64_status
sha256su0(struct a64 *c, const struct a64_insn *i)
{
	const vu32 d = (vu32)v_get(c, i->rd), n = (vu32)v_get(c, i->rn);
	const vu32 t = { d[1], d[2], d[3], n[0] };

	v_set(c, i->rd, (vu64)(d + ((t >> 7 | t << 25) ^ (t >> 18 | t << 14) ^ t >> 3)));
	return (A_DONE);
}

static inline uint32_t
sigma1(uint32_t v)
{
	return (rol(v, 15) ^ rol(v, 13) ^ v >> 10);
}

static enum a64_status
sha256su1(struct a64 *c, const struct a64_insn *i)
{
	const vu32 n = (vu32)v_get(c, i->rn), m = (vu32)v_get(c, i->rm);
	vu32 r = (vu32)v_get(c, i->rd) + (vu32){ n[1], n[2], n[3], m[0] };

	r[0] += sigma1(m[2]);
	r[1] += sigma1(m[3]);
	r[2] += sigma1(r[0]);
	r[3] += sigma1(r[1]);
	v_set(c, i->rd, (vu64)r);
	return (A_DONE);
}

/* By opcode, bits 14:12 and 16:12. */
struct sha_row {
	a64_op		*fn;
	unsigned	 feature;
};
static const struct sha_row sha3[8] = {
	{ sha1c, A64_F_SHA1 }, { sha1p, A64_F_SHA1 }, { sha1m, A64_F_SHA1 }, { sha1su0, A64_F_SHA1 },
	{ sha256h, A64_F_SHA256 }, { sha256h2, A64_F_SHA256 }, { sha256su1, A64_F_SHA256 }, { NULL, 0 },
};
static const struct sha_row sha2[3] = {
	{ sha1h, A64_F_SHA1 }, { sha1su1, A64_F_SHA1 }, { sha256su0, A64_F_SHA256 },
};

static bool
sha(const struct sha_row *row, uint32_t word, unsigned features, struct a64_insn *i)
{
	if (a64_bits(word, 23, 22) != 0 || (features & row->feature) == 0)
		return (false);
	i->fn = row->fn;
	return (true);
}

bool
simd_sha3(uint32_t word, unsigned features, struct a64_insn *i)
{
	return (sha(&sha3[a64_bits(word, 14, 12)], word, features, i));
}

bool
simd_sha2(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned op = a64_bits(word, 16, 12);

	return (op < sizeof(sha2) / sizeof(sha2[0]) && sha(&sha2[op], word, features, i));
}
