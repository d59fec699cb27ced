/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cryptographic extension: the examples of FIPS 197 (AES) and FIPS 180 (SHA-1, SHA-256), computed with the instructions as programs do,
 * and polynomial products.  AES and products both ways: in C and by the host's instructions, where it has them.
 */
#include "soft_arm64_simd.h"

#define	AESE(d, n)		(0x4e284800U | (n) << 5 | (d))
#define	AESD(d, n)		(0x4e285800U | (n) << 5 | (d))
#define	AESMC(d, n)		(0x4e286800U | (n) << 5 | (d))
#define	AESIMC(d, n)		(0x4e287800U | (n) << 5 | (d))
#define	PMULL(d, n, m)		(0x0ee0e000U | (m) << 16 | (n) << 5 | (d))
#define	PMULL2(d, n, m)		(0x4ee0e000U | (m) << 16 | (n) << 5 | (d))
#define	SHA3(op, d, n, m)	(0x5e000000U | (m) << 16 | (op) << 12 | (n) << 5 | (d))
#define	SHA2(op, d, n)		(0x5e280800U | (op) << 12 | (n) << 5 | (d))
enum { SHA1C, SHA1P, SHA1M, SHA1SU0, SHA256H, SHA256H2, SHA256SU1 };
enum { SHA1H, SHA1SU1, SHA256SU0 };

static bool by_host;

/* Execute, AES and products by C or the host whatever the decoder chose. */
static void
run(uint32_t word)
{
	struct a64_insn i = { .word = word };
	a64_op *const *host = simd_crypto_ops(true), *const *c = simd_crypto_ops(false);

	CHECKF(a64_decode_simd(word, FEATURES, &i), "%08x is refused", word);
	for (unsigned k = 0; !by_host && k <= CRYPTO_PMULL; k++)
		if (i.fn == host[k])
			i.fn = c[k];
	CHECK_EQ(i.fn(&cpu, &i), A_DONE);
}

static void
use_host(void)
{
	if (simd_crypto_ops(true) == simd_crypto_ops(false))
		SKIP("this host has no instructions for it");
	by_host = true;
}

static void
set_bytes(unsigned n, const uint8_t b[16])
{
	memcpy(&state.v[2 * n], b, 16);
}

/* FIPS 197, 5.2: the key schedule in V16 to V26.  AESE of equal columns and no key is SubWord of each: ShiftRows does nothing. */
static void
expand_key(const uint8_t key[16])
{
	uint32_t w[44], t;
	uint8_t rcon = 1;

	memcpy(w, key, 16);
	for (unsigned k = 4; k < 44; k++) {
		t = w[k - 1];
		if (k % 4 == 0) {
			set_v(1, 0, 0);
			set_v(2, t * 0x100000001ULL, t * 0x100000001ULL);
			run(AESE(2, 1));
			t = (uint32_t)state.v[4];
			t = (t >> 8 | t << 24) ^ rcon;
			rcon = (uint8_t)(rcon << 1 ^ (rcon >> 7) * 0x1b);
		}
		w[k] = w[k - 4] ^ t;
	}
	memcpy(&state.v[2 * 16], w, sizeof(w));
}

/* The cipher (FIPS 197, figure 5) and the equivalent inverse cipher (5.3.5) of V0. */
static void
aes(bool decrypt)
{
	for (unsigned r = 0; r < 10; r++) {
		unsigned key = decrypt ? 26 - r : 16 + r;

		state.v[2 * 1] = state.v[2 * key];
		state.v[2 * 1 + 1] = state.v[2 * key + 1];
		if (decrypt && r > 0)
			run(AESIMC(1, 1));
		run(decrypt ? AESD(0, 1) : AESE(0, 1));
		if (r < 9)
			run(decrypt ? AESIMC(0, 0) : AESMC(0, 0));
	}
	for (unsigned k = 0; k < 2; k++)
		state.v[k] ^= state.v[2 * (decrypt ? 16 : 26) + k];
}

/* FIPS 197, appendix B and C.1 */
static void
aes_examples(void)
{
	static const struct {
		uint8_t	 key[16], plain[16], cipher[16];
	} e[] = {
		{ { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c },
		  { 0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d, 0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34 },
		  { 0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb, 0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32 } },
		{ { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f },
		  { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff },
		  { 0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a } },
	};

	for (size_t k = 0; k < sizeof(e) / sizeof(e[0]); k++) {
		expand_key(e[k].key);
		set_bytes(0, e[k].plain);
		aes(false);
		CHECK(memcmp(state.v, e[k].cipher, 16) == 0);
		aes(true);
		CHECK(memcmp(state.v, e[k].plain, 16) == 0);
	}
}

TEST(aes_in_c)
{
	aes_examples();
}

TEST(aes_by_host)
{
	use_host();
	aes_examples();
}

static void
products(void)
{
	set_v(1, 1ULL << 63, UINT64_MAX);
	set_v(2, 1ULL << 63, UINT64_MAX);
	run(PMULL(0, 1, 2));
	CHECK_V(0, 0x5555555555555555ULL, 0x5555555555555555ULL);
	run(PMULL2(0, 1, 2));
	CHECK_V(0, 1ULL << 62, 0);
	/* (x^64 + ... of a) times x + 1 is a xor a shifted */
	set_v(1, 0, 0xfedcba9876543210ULL);
	set_v(2, 0, 3);
	run(PMULL(0, 1, 2));
	CHECK_V(0, 1, 0xfedcba9876543210ULL ^ (0xfedcba9876543210ULL << 1));
	run(PMULL(1, 1, 2));	/* onto an operand */
	CHECK_V(1, 1, 0xfedcba9876543210ULL ^ (0xfedcba9876543210ULL << 1));
}

TEST(pmull_in_c)
{
	products();
}

TEST(pmull_by_host)
{
	use_host();
	products();
}

/* Both ways give the same for anything. */
TEST(host_is_as_c)
{
	const uint32_t words[] = { AESE(0, 1), AESD(0, 1), AESMC(0, 1), AESIMC(0, 1), PMULL(0, 1, 2), PMULL2(0, 1, 2) };
	uint64_t seed = 1, c[2], was[6];

	use_host();
	for (unsigned k = 0; k < 60000; k++) {
		for (unsigned v = 0; v < 6; v++)
			was[v] = seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		by_host = false;
		memcpy(state.v, was, sizeof(was));
		run(words[k % 6]);
		memcpy(c, state.v, sizeof(c));
		by_host = true;
		memcpy(state.v, was, sizeof(was));
		run(words[k % 6]);
		CHECK_V(0, c[1], c[0]);
	}
}

/* The message "abc" as the one block it makes (FIPS 180-4, 5.1.1), in words of V4 to V7. */
static void
block_abc(void)
{
	uint32_t w[16] = { 0x61626380, [15] = 24 };

	memcpy(&state.v[2 * 4], w, sizeof(w));
}

static uint32_t
word_of(unsigned v, unsigned k)
{
	return ((uint32_t)(state.v[2 * v + k / 2] >> k % 2 * 32));
}

/* V3 = words of register v plus k[0] to k[3] */
static void
add_constants(unsigned v, const uint32_t k[4])
{
	uint32_t w[4];

	for (unsigned e = 0; e < 4; e++)
		w[e] = word_of(v, e) + k[e];
	memcpy(&state.v[2 * 3], w, sizeof(w));
}

/* FIPS 180-4, 6.1.2; the example's digest is in the NIST's "SHA1.pdf" of examples */
TEST(sha1)
{
	static const uint32_t k[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 }, op[4] = { SHA1C, SHA1P, SHA1M, SHA1P };
	const uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	const uint32_t digest[5] = { 0xa9993e36, 0x4706816a, 0xba3e2571, 0x7850c26c, 0x9cd0d89d };

	block_abc();
	memcpy(&state.v[0], h, 16);
	set_v(1, UINT64_MAX, 0xffffffff00000000ULL | h[4]);	/* the rest of it is not looked at */
	for (unsigned r = 0; r < 20; r++) {
		const uint32_t round[4] = { k[r / 5], k[r / 5], k[r / 5], k[r / 5] };
		unsigned w = 4 + r % 4;

		add_constants(w, round);
		execute(SHA2((uint32_t)SHA1H, 2, 0));	/* e of the next rounds */
		CHECK_EQ(state.v[2 * 2 + 1], 0);
		execute(SHA3(op[r / 5], 0, 1, 3));
		state.v[2] = state.v[4] | 0xabcdef0000000000ULL;
		execute(SHA3((uint32_t)SHA1SU0, w, 4 + (r + 1) % 4, 4 + (r + 2) % 4));
		execute(SHA2((uint32_t)SHA1SU1, w, 4 + (r + 3) % 4));
	}
	for (unsigned e = 0; e < 4; e++)
		CHECK_EQ((uint32_t)(word_of(0, e) + h[e]), digest[e]);
	CHECK_EQ((uint32_t)(word_of(1, 0) + h[4]), digest[4]);
}

/* FIPS 180-4, 4.2.2 */
static const uint32_t k256[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* FIPS 180-4, 6.2.2; the digest from the examples' "SHA256.pdf" */
TEST(sha256)
{
	const uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	const uint32_t digest[8] = { 0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad };

	block_abc();
	memcpy(&state.v[0], h, sizeof(h));
	for (unsigned r = 0; r < 16; r++) {
		unsigned w = 4 + r % 4;

		add_constants(w, &k256[4 * r]);
		set_v(2, state.v[1], state.v[0]);
		execute(SHA3((uint32_t)SHA256H, 0, 1, 3));
		execute(SHA3((uint32_t)SHA256H2, 1, 2, 3));
		execute(SHA2((uint32_t)SHA256SU0, w, 4 + (r + 1) % 4));
		execute(SHA3((uint32_t)SHA256SU1, w, 4 + (r + 2) % 4, 4 + (r + 3) % 4));
	}
	for (unsigned e = 0; e < 8; e++)
		CHECK_EQ((uint32_t)(word_of(e / 4, e % 4) + h[e]), digest[e]);
}

static bool
allowed(uint32_t word, unsigned features)
{
	struct a64_insn i = { .word = word };

	return (a64_decode_simd(word, features, &i));
}

/* An instruction is there exactly with its feature (D13.2.61, ID_AA64ISAR0_EL1). */
TEST(features)
{
	const struct {
		uint32_t word;
		unsigned feature;
	} e[] = {
		{ AESE(0, 1), A64_F_AES }, { AESD(0, 1), A64_F_AES }, { AESMC(0, 1), A64_F_AES }, { AESIMC(0, 1), A64_F_AES },
		{ PMULL(0, 1, 2), A64_F_PMULL }, { PMULL2(0, 1, 2), A64_F_PMULL },
		{ SHA3(0U, 0, 1, 2), A64_F_SHA1 }, { SHA3(1U, 0, 1, 2), A64_F_SHA1 }, { SHA3(2U, 0, 1, 2), A64_F_SHA1 },
		{ SHA3(3U, 0, 1, 2), A64_F_SHA1 }, { SHA3(4U, 0, 1, 2), A64_F_SHA256 }, { SHA3(5U, 0, 1, 2), A64_F_SHA256 },
		{ SHA3(6U, 0, 1, 2), A64_F_SHA256 }, { SHA2(0U, 0, 1), A64_F_SHA1 }, { SHA2(1U, 0, 1), A64_F_SHA1 },
		{ SHA2(2U, 0, 1), A64_F_SHA256 },
	};

	for (size_t k = 0; k < sizeof(e) / sizeof(e[0]); k++)
		for (unsigned f = 0; f < 64; f++)
			CHECKF(allowed(e[k].word, f) == ((f & e[k].feature) != 0), "%08x with features %x", e[k].word, f);
	/* PMULL of bytes is Advanced SIMD */
	CHECK(allowed(0x0e22e020, 0));
}

TEST(reserved)
{
	for (uint32_t op = 0; op < 32; op++)
		for (uint32_t size = 0; size < 4; size++) {
			CHECK_EQ(allocated((0x4e280800U | op << 12) + (size << 22)), size == 0 && op >= 4 && op <= 7);
			CHECK_EQ(allocated(SHA2(op, 0, 1) + (size << 22)), size == 0 && op < 3);
			CHECK(!allocated(0x0e280800U | op << 12 | size << 22));
			CHECK(!allocated(0x6e280800U | op << 12 | size << 22));
		}
	for (uint32_t size = 0; size < 4; size++)
		for (uint32_t op = 0; op < 8; op++)
			CHECK_EQ(allocated(SHA3(op, 0, 1, 2) + (size << 22)), size == 0 && op < 7);
	CHECK(!allocated(PMULL(0, 1, 2) - (1U << 22)) && !allocated(PMULL(0, 1, 2) - (2U << 22)));
	CHECK(!allocated(PMULL(0, 1, 2) | 1U << 29));
}

TEST_MAIN()
