/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Advanced SIMD instructions that move elements or work on bits: copy, immediate, extract, permute, table lookup, logic (Arm ARM C7.2).
 * The operands' bytes all differ, so that the result says where each came from.
 */
#include "soft_arm64_simd.h"

static const struct vector {
	uint32_t	 word;
	const char	*text;
	uint64_t	 hi, lo;	/* V0 behind it, or lo in X4 */
} vectors[] = {
	{ 0x0e070420, "dup v0.8b, v1.b[3]", 0x0000000000000000, 0x8383838383838383 },
	{ 0x4e1f0420, "dup v0.16b, v1.b[15]", 0x8f8f8f8f8f8f8f8f, 0x8f8f8f8f8f8f8f8f },
	{ 0x4e160420, "dup v0.8h, v1.h[5]", 0x8b8a8b8a8b8a8b8a, 0x8b8a8b8a8b8a8b8a },
	{ 0x0e020420, "dup v0.4h, v1.h[0]", 0x0000000000000000, 0x8180818081808180 },
	{ 0x4e140420, "dup v0.4s, v1.s[2]", 0x8b8a89888b8a8988, 0x8b8a89888b8a8988 },
	{ 0x4e180420, "dup v0.2d, v1.d[1]", 0x8f8e8d8c8b8a8988, 0x8f8e8d8c8b8a8988 },
	{ 0x5e130420, "mov b0, v1.b[9]", 0x0000000000000000, 0x0000000000000089 },
	{ 0x5e1e0420, "mov h0, v1.h[7]", 0x0000000000000000, 0x0000000000008f8e },
	{ 0x5e0c0420, "mov s0, v1.s[1]", 0x0000000000000000, 0x0000000087868584 },
	{ 0x5e180420, "mov d0, v1.d[1]", 0x0000000000000000, 0x8f8e8d8c8b8a8988 },
	{ 0x4e010c60, "dup v0.16b, w3", 0xefefefefefefefef, 0xefefefefefefefef },
	{ 0x4e020c60, "dup v0.8h, w3", 0xcdefcdefcdefcdef, 0xcdefcdefcdefcdef },
	{ 0x0e040c60, "dup v0.2s, w3", 0x0000000000000000, 0x89abcdef89abcdef },
	{ 0x4e080c60, "dup v0.2d, x3", 0x0123456789abcdef, 0x0123456789abcdef },
	{ 0x4e040fe0, "dup v0.4s, wzr", 0x0000000000000000, 0x0000000000000000 },
	{ 0x4e0b1c60, "mov v0.b[5], w3", 0x706f6e6d6c6b6a69, 0x6867ef6564636261 },
	{ 0x4e1e1c60, "mov v0.h[7], w3", 0xcdef6e6d6c6b6a69, 0x6867666564636261 },
	{ 0x4e041c60, "mov v0.s[0], w3", 0x706f6e6d6c6b6a69, 0x6867666589abcdef },
	{ 0x4e181c60, "mov v0.d[1], x3", 0x0123456789abcdef, 0x6867666564636261 },
	{ 0x6e1f0420, "mov v0.b[15], v1.b[0]", 0x806f6e6d6c6b6a69, 0x6867666564636261 },
	{ 0x6e0a6420, "mov v0.h[2], v1.h[6]", 0x706f6e6d6c6b6a69, 0x68678d8c64636261 },
	{ 0x6e1c2420, "mov v0.s[3], v1.s[1]", 0x878685846c6b6a69, 0x6867666564636261 },
	{ 0x6e084420, "mov v0.d[0], v1.d[1]", 0x706f6e6d6c6b6a69, 0x8f8e8d8c8b8a8988 },
	{ 0x6e180400, "mov v0.d[1], v0.d[0]", 0x6867666564636261, 0x6867666564636261 },
	{ 0x0e1f3c24, "umov w4, v1.b[15]", 0, 0x000000000000008f },
	{ 0x0e023c24, "umov w4, v1.h[0]", 0, 0x0000000000008180 },
	{ 0x0e1c3c24, "mov w4, v1.s[3]", 0, 0x000000008f8e8d8c },
	{ 0x4e183c24, "mov x4, v1.d[1]", 0, 0x8f8e8d8c8b8a8988 },
	{ 0x0e1f2c24, "smov w4, v1.b[15]", 0, 0x00000000ffffff8f },
	{ 0x4e1f2c24, "smov x4, v1.b[15]", 0, 0xffffffffffffff8f },
	{ 0x0e1e2c24, "smov w4, v1.h[7]", 0, 0x00000000ffff8f8e },
	{ 0x4e1e2c24, "smov x4, v1.h[7]", 0, 0xffffffffffff8f8e },
	{ 0x4e1c2c24, "smov x4, v1.s[3]", 0, 0xffffffff8f8e8d8c },
	{ 0x4f050560, "movi v0.4s, #0xab", 0x000000ab000000ab, 0x000000ab000000ab },
	{ 0x4f052560, "movi v0.4s, #0xab, lsl #8", 0x0000ab000000ab00, 0x0000ab000000ab00 },
	{ 0x0f056560, "movi v0.2s, #0xab, lsl #24", 0x0000000000000000, 0xab000000ab000000 },
	{ 0x4f058560, "movi v0.8h, #0xab", 0x00ab00ab00ab00ab, 0x00ab00ab00ab00ab },
	{ 0x4f05a560, "movi v0.8h, #0xab, lsl #8", 0xab00ab00ab00ab00, 0xab00ab00ab00ab00 },
	{ 0x4f05c560, "movi v0.4s, #0xab, msl #8", 0x0000abff0000abff, 0x0000abff0000abff },
	{ 0x4f05d560, "movi v0.4s, #0xab, msl #16", 0x00abffff00abffff, 0x00abffff00abffff },
	{ 0x4f05e560, "movi v0.16b, #0xab", 0xabababababababab, 0xabababababababab },
	{ 0x0f05e560, "movi v0.8b, #0xab", 0x0000000000000000, 0xabababababababab },
	{ 0x6f05e4c0, "movi v0.2d, #0xff00ff0000ffff00", 0xff00ff0000ffff00, 0xff00ff0000ffff00 },
	{ 0x2f05e4c0, "movi d0, #0xff00ff0000ffff00", 0x0000000000000000, 0xff00ff0000ffff00 },
	{ 0x6f050560, "mvni v0.4s, #0xab", 0xffffff54ffffff54, 0xffffff54ffffff54 },
	{ 0x2f054560, "mvni v0.2s, #0xab, lsl #16", 0x0000000000000000, 0xff54ffffff54ffff },
	{ 0x2f05a560, "mvni v0.4h, #0xab, lsl #8", 0x0000000000000000, 0x54ff54ff54ff54ff },
	{ 0x6f05d560, "mvni v0.4s, #0xab, msl #16", 0xff540000ff540000, 0xff540000ff540000 },
	{ 0x4f055560, "orr v0.4s, #0xab, lsl #16", 0x70ef6e6d6ceb6a69, 0x68ef666564eb6261 },
	{ 0x0f059560, "orr v0.4h, #0xab", 0x0000000000000000, 0x68ef66ef64eb62eb },
	{ 0x6f057560, "bic v0.4s, #0xab, lsl #24", 0x506f6e6d446b6a69, 0x4067666544636261 },
	{ 0x6f05b560, "bic v0.8h, #0xab, lsl #8", 0x506f446d446b4069, 0x4067446544634061 },
	{ 0x4f03f600, "fmov v0.4s, #1.0", 0x3f8000003f800000, 0x3f8000003f800000 },
	{ 0x0f06f420, "fmov v0.2s, #-0.1328125", 0x0000000000000000, 0xbe080000be080000 },
	{ 0x6f01f7e0, "fmov v0.2d, #31.0", 0x403f000000000000, 0x403f000000000000 },
	{ 0x6e020020, "ext v0.16b, v1.16b, v2.16b, #0", 0x8f8e8d8c8b8a8988, 0x8786858483828180 },
	{ 0x6e021820, "ext v0.16b, v1.16b, v2.16b, #3", 0x100f008f8e8d8c8b, 0x8a89888786858483 },
	{ 0x6e024020, "ext v0.16b, v1.16b, v2.16b, #8", 0x3f302f201f100f00, 0x8f8e8d8c8b8a8988 },
	{ 0x6e027820, "ext v0.16b, v1.16b, v2.16b, #15", 0x8035251505ff403f, 0x302f201f100f008f },
	{ 0x2e020020, "ext v0.8b, v1.8b, v2.8b, #0", 0x0000000000000000, 0x8786858483828180 },
	{ 0x2e021820, "ext v0.8b, v1.8b, v2.8b, #3", 0x0000000000000000, 0x100f008786858483 },
	{ 0x2e023820, "ext v0.8b, v1.8b, v2.8b, #7", 0x0000000000000000, 0x302f201f100f0087 },
	{ 0x4e023820, "zip1 v0.16b, v1.16b, v2.16b", 0x3f8730862f852084, 0x1f8310820f810080 },
	{ 0x0e023820, "zip1 v0.8b, v1.8b, v2.8b", 0x0000000000000000, 0x1f8310820f810080 },
	{ 0x4e423820, "zip1 v0.8h, v1.8h, v2.8h", 0x3f3087862f208584, 0x1f1083820f008180 },
	{ 0x4e823820, "zip1 v0.4s, v1.4s, v2.4s", 0x3f302f2087868584, 0x1f100f0083828180 },
	{ 0x4ec23820, "zip1 v0.2d, v1.2d, v2.2d", 0x3f302f201f100f00, 0x8786858483828180 },
	{ 0x4e027820, "zip2 v0.16b, v1.16b, v2.16b", 0x078f808e358d258c, 0x158b058aff894088 },
	{ 0x0e027820, "zip2 v0.8b, v1.8b, v2.8b", 0x0000000000000000, 0x3f8730862f852084 },
	{ 0x0e427820, "zip2 v0.4h, v1.4h, v2.4h", 0x0000000000000000, 0x3f3087862f208584 },
	{ 0x0e827820, "zip2 v0.2s, v1.2s, v2.2s", 0x0000000000000000, 0x3f302f2087868584 },
	{ 0x4ec27820, "zip2 v0.2d, v1.2d, v2.2d", 0x078035251505ff40, 0x8f8e8d8c8b8a8988 },
	{ 0x4e021820, "uzp1 v0.16b, v1.16b, v2.16b", 0x8025054030201000, 0x8e8c8a8886848280 },
	{ 0x0e021820, "uzp1 v0.8b, v1.8b, v2.8b", 0x0000000000000000, 0x3020100086848280 },
	{ 0x4e421820, "uzp1 v0.8h, v1.8h, v2.8h", 0x3525ff402f200f00, 0x8d8c898885848180 },
	{ 0x4e821820, "uzp1 v0.4s, v1.4s, v2.4s", 0x1505ff401f100f00, 0x8b8a898883828180 },
	{ 0x4ec21820, "uzp1 v0.2d, v1.2d, v2.2d", 0x3f302f201f100f00, 0x8786858483828180 },
	{ 0x4e025820, "uzp2 v0.16b, v1.16b, v2.16b", 0x073515ff3f2f1f0f, 0x8f8d8b8987858381 },
	{ 0x0e425820, "uzp2 v0.4h, v1.4h, v2.4h", 0x0000000000000000, 0x3f301f1087868382 },
	{ 0x0e825820, "uzp2 v0.2s, v1.2s, v2.2s", 0x0000000000000000, 0x3f302f2087868584 },
	{ 0x4ec25820, "uzp2 v0.2d, v1.2d, v2.2d", 0x078035251505ff40, 0x8f8e8d8c8b8a8988 },
	{ 0x4e022820, "trn1 v0.16b, v1.16b, v2.16b", 0x808e258c058a4088, 0x3086208410820080 },
	{ 0x4e422820, "trn1 v0.8h, v1.8h, v2.8h", 0x35258d8cff408988, 0x2f2085840f008180 },
	{ 0x0e822820, "trn1 v0.2s, v1.2s, v2.2s", 0x0000000000000000, 0x1f100f0083828180 },
	{ 0x4ec22820, "trn1 v0.2d, v1.2d, v2.2d", 0x3f302f201f100f00, 0x8786858483828180 },
	{ 0x4e026820, "trn2 v0.16b, v1.16b, v2.16b", 0x078f358d158bff89, 0x3f872f851f830f81 },
	{ 0x0e426820, "trn2 v0.4h, v1.4h, v2.4h", 0x0000000000000000, 0x3f3087861f108382 },
	{ 0x4e826820, "trn2 v0.4s, v1.4s, v2.4s", 0x078035258f8e8d8c, 0x3f302f2087868584 },
	{ 0x4ec26820, "trn2 v0.2d, v1.2d, v2.2d", 0x078035251505ff40, 0x8f8e8d8c8b8a8988 },
	{ 0x4e221c20, "and v0.16b, v1.16b, v2.16b", 0x0780050401008900, 0x0700050003000100 },
	{ 0x0e221c20, "and v0.8b, v1.8b, v2.8b", 0x0000000000000000, 0x0700050003000100 },
	{ 0x4e621c20, "bic v0.16b, v1.16b, v2.16b", 0x880e88888a8a0088, 0x8086808480828080 },
	{ 0x4ea21c20, "orr v0.16b, v1.16b, v2.16b", 0x8f8ebdad9f8fffc8, 0xbfb6afa49f928f80 },
	{ 0x4ee21c20, "orn v0.16b, v1.16b, v2.16b", 0xffffcfdeebfa89bf, 0xc7cfd5dfe3eff1ff },
	{ 0x6e221c20, "eor v0.16b, v1.16b, v2.16b", 0x880eb8a99e8f76c8, 0xb8b6aaa49c928e80 },
	{ 0x6e621c20, "bsl v0.16b, v1.16b, v2.16b", 0x078e1d0c190e9d08, 0x17160d041b120d00 },
	{ 0x6ea21c20, "bit v0.16b, v1.16b, v2.16b", 0x77ef4f4c696a8929, 0x4747454563636161 },
	{ 0x6ee21c20, "bif v0.16b, v1.16b, v2.16b", 0x880eacad8e8b6ac8, 0xa8a6a6a484828280 },
	{ 0x4e200820, "rev64 v0.16b, v1.16b", 0x88898a8b8c8d8e8f, 0x8081828384858687 },
	{ 0x4e600820, "rev64 v0.8h, v1.8h", 0x89888b8a8d8c8f8e, 0x8180838285848786 },
	{ 0x0ea00820, "rev64 v0.2s, v1.2s", 0x0000000000000000, 0x8382818087868584 },
	{ 0x6e200820, "rev32 v0.16b, v1.16b", 0x8c8d8e8f88898a8b, 0x8485868780818283 },
	{ 0x2e600820, "rev32 v0.4h, v1.4h", 0x0000000000000000, 0x8584878681808382 },
	{ 0x4e201820, "rev16 v0.16b, v1.16b", 0x8e8f8c8d8a8b8889, 0x8687848582838081 },
	{ 0x4e020020, "tbl v0.16b, {v1.16b}, v2.16b", 0x8700000000850000, 0x0000000000008f80 },
	{ 0x0e0223e0, "tbl v0.8b, {v31.16b, v0.16b}, v2.8b", 0x0000000000000000, 0x000000007061efe0 },
	{ 0x4e0253c0, "tbx v0.16b, {v30.16b, v31.16b, v0.16b}, v2.16b", 0xd76f6e66e5d56a69, 0x68677061efe0dfd0 },
	{ 0x4e0263a0, "tbl v0.16b, {v29.16b, v30.16b, v31.16b, v0.16b}, v2.16b", 0xc70066e5d5c50000, 0x7061efe0dfd0cfc0 },
	{ 0x0e0213e0, "tbx v0.8b, {v31.16b}, v2.8b", 0x0000000000000000, 0x686766656463efe0 },
	{ 0x5ef1b820, "addp d0, v1.2d", 0x0000000000000000, 0x171513110f0d0b08 },
};

static void
operands(void)
{
	memset(&state, 0, sizeof(state));
	set_v(0, 0x706f6e6d6c6b6a69ULL, 0x6867666564636261ULL);
	set_v(1, 0x8f8e8d8c8b8a8988ULL, 0x8786858483828180ULL);
	set_v(2, 0x078035251505ff40ULL, 0x3f302f201f100f00ULL);	/* as indices of TBL: inside and outside */
	set_v(29, 0xcfcecdcccbcac9c8ULL, 0xc7c6c5c4c3c2c1c0ULL);
	set_v(30, 0xdfdedddcdbdad9d8ULL, 0xd7d6d5d4d3d2d1d0ULL);
	set_v(31, 0xefeeedecebeae9e8ULL, 0xe7e6e5e4e3e2e1e0ULL);
	state.x[3] = 0x0123456789abcdefULL;
	state.x[4] = UINT64_MAX;
}

static void
run_vector(const void *arg)
{
	const struct vector *v = arg;
	struct arm64_state was;
	bool general;

	operands();
	was = state;
	general = (v->word & 0xbfe0ac00U) == 0x0e002c00U;	/* SMOV, UMOV */
	execute(v->word);
	if (general) {
		CHECK_EQ(state.x[4], v->lo);
		was.x[4] = v->lo;
	} else {
		CHECK_V(0, v->hi, v->lo);
		was.v[0] = v->lo;
		was.v[1] = v->hi;
	}
	CHECKF(memcmp(&was, &state, sizeof(was)) == 0, "something else changed");
}

__attribute__((constructor)) static void
add_vectors(void)
{
	for (size_t k = 0; k < sizeof(vectors) / sizeof(vectors[0]); k++)
		test_add_arg(vectors[k].text, run_vector, &vectors[k]);
}

/* Copies whose size and register width do not go together, and imm5 without a size (C7.2.39 DUP, C7.2.141 INS, C7.2.279 SMOV, C7.2.371 UMOV). */
TEST(reserved_copies)
{
	for (uint32_t q = 0; q < 2; q++)
		for (uint32_t imm5 = 0; imm5 < 32; imm5++) {
			uint32_t word = 0x0e000420U | q << 30 | imm5 << 16;
			bool any = (imm5 & 15) != 0, d = (imm5 & 15) == 8, s = (imm5 & 7) == 4;

			for (uint32_t imm4 = 0; imm4 < 16; imm4++) {
				bool there = any && (imm4 <= 1 ? !d || q == 1 : imm4 == 3 ? q == 1 :
				    imm4 == 5 ? !d && (!s || q == 1) : imm4 == 7 ? d == (q == 1) : false);

				CHECKF(allocated(word | imm4 << 11) == there, "%08x", word | imm4 << 11);
				CHECK_EQ(allocated(word | 1U << 29 | imm4 << 11), any && q == 1);	/* INS, element */
				CHECK_EQ(allocated(word | 0x50000000U | imm4 << 11), any && imm4 == 0);	/* DUP, scalar */
				CHECK(!allocated(word | 0x70000000U | imm4 << 11));
			}
		}
}

TEST(reserved_others)
{
	/* FMOV of one doubleword; half-precision FMOV and what else has bit 11 set (C4.1.96, modified immediate) */
	CHECK(allocated(0x6f00f400) && !allocated(0x2f00f400));
	for (uint32_t k = 0; k < 64; k++)
		CHECK(!allocated(0x0f000c00U | (k & 15) << 12 | (k >> 4) << 29));
	/* EXT from a byte beyond, and its reserved op2 */
	CHECK(allocated(0x2e023820) && !allocated(0x2e024020) && allocated(0x6e024020));
	CHECK(!allocated(0x6e424020) && !allocated(0x6e824020) && !allocated(0x6ec24020));
	/* permutations: opcodes 0 and 4, one doubleword */
	for (uint32_t size = 0; size < 4; size++)
		for (uint32_t op = 0; op < 8; op++) {
			uint32_t word = 0x0e020820U | size << 22 | op << 12;

			CHECK_EQ(allocated(word), (op & 3) != 0 && size != 3);
			CHECK_EQ(allocated(word | 0x40000000U), (op & 3) != 0);
		}
	/* tables: op2 */
	for (uint32_t op2 = 1; op2 < 4; op2++)
		CHECK(!allocated(0x4e020020U | op2 << 22));
	/* scalar pairwise: ADDP of doublewords alone */
	for (uint32_t op = 0; op < 32; op++)
		for (uint32_t size = 0; size < 4; size++)
			for (uint32_t u = 0; u < 2; u++)
				CHECK_EQ(allocated(0x5e300820U | u << 29 | size << 22 | op << 12), op == 27 && size == 3 && u == 0);
}

/* The destination may be an operand. */
TEST(onto_an_operand)
{
	operands();
	execute(0x6e011821);	/* ext v1.16b, v1.16b, v1.16b, #3 */
	CHECK_V(1, 0x8281808f8e8d8c8bULL, 0x8a89888786858483ULL);
	operands();
	execute(0x4e021822);	/* uzp1 v2.16b, v1.16b, v2.16b */
	CHECK_V(2, 0x8025054030201000ULL, 0x8e8c8a8886848280ULL);
	operands();
	execute(0x4e020002);	/* tbl v2.16b, {v0.16b}, v2.16b */
	CHECK_V(2, 0x6800000000660000ULL, 0x0000000000007061ULL);
}

TEST_MAIN()
