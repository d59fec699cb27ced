/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * classes.c - instructions by the Arm ARM's decoding tables (C4.1): user mode.
 *
 * A class is a row of a table, or a few of its columns; each comes as often as any other.  Its free bits are random, so that it has the
 * unallocated encodings too.  Left out: what depends on the address (ADR, branches), memory, system instructions.
 */
#include "diff_arm64.h"

const struct class classes[] = {
	/* Data processing -- immediate (C4.1.86) */
	{ "addsub_imm", GROUP_DP, "... 100010 . ............ ..... .....", "add adds sub subs" },
	{ "logical_imm", GROUP_DP, "... 100100 . ............ ..... .....", "and orr eor ands" },
	{ "movw", GROUP_DP, "... 100101 .. ................ .....", "movn movz movk" },
	{ "bitfield", GROUP_DP, "... 100110 . ............ ..... .....", "sbfm bfm ubfm" },
	{ "extract", GROUP_DP, "... 100111 . . ..... ...... ..... .....", "extr" },
	/* Data processing -- register (C4.1.95) */
	{ "dp_2source", GROUP_DP, ".00 11010110 ..... ...... ..... .....", "udiv sdiv lslv lsrv asrv rorv crc32" },
	{ "dp_1source", GROUP_DP, ".10 11010110 00000 ...... ..... .....", "rbit rev16 rev32 rev clz cls" },
	{ "logical_reg", GROUP_DP, "... 01010 .. . ..... ...... ..... .....", "and bic orr orn eor eon ands bics" },
	{ "addsub_reg", GROUP_DP, "... 01011 .. 0 ..... ...... ..... .....", "add adds sub subs" },
	{ "addsub_ext", GROUP_DP, "... 01011 .. 1 ..... ... ... ..... .....", "add adds sub subs" },
	{ "adc", GROUP_DP, "... 11010000 ..... 000000 ..... .....", "adc adcs sbc sbcs" },
	{ "ccmp_reg", GROUP_DP, "..1 11010010 ..... .... 0 0 ..... 0 ....", "ccmn ccmp" },
	{ "ccmp_imm", GROUP_DP, "..1 11010010 ..... .... 1 0 ..... 0 ....", "ccmn ccmp" },
	{ "csel", GROUP_DP, ".. 0 11010100 ..... .... 0 . ..... .....", "csel csinc csinv csneg" },
	{ "dp_3source", GROUP_DP, ".00 11011 ... ..... . ..... ..... .....", "madd msub smaddl smsubl smulh umaddl umsubl umulh" },

	/* Scalar floating point (C4.1.96) */
	{ "fp_1source", GROUP_FP, "000 11110 .. 1 00.... 10000 ..... .....", "fmov fabs fneg fsqrt fcvt frint" },
	{ "fp_2source", GROUP_FP, "000 11110 0. 1 ..... .... 10 ..... .....", "fmul fdiv fadd fsub fmax fmin fmaxnm fminnm fnmul" },
	{ "fp_3source", GROUP_FP, "000 11111 0. . ..... . ..... ..... .....", "fmadd fmsub fnmadd fnmsub" },
	{ "fp_compare", GROUP_FP, "000 11110 .. 1 ..... 00 1000 ..... .....", "fcmp fcmpe" },
	{ "fp_compare0", GROUP_FP, "000 11110 0. 1 00000 00 1000 ..... .. 000", "fcmp fcmpe" },
	{ "fp_ccmp", GROUP_FP, "000 11110 .. 1 ..... .... 01 ..... .....", "fccmp fccmpe" },
	{ "fp_csel", GROUP_FP, "000 11110 .. 1 ..... .... 11 ..... .....", "fcsel" },
	{ "fp_imm", GROUP_FP, "000 11110 .. 1 ........ 100 00000 .....", "fmov" },
	{ "fp_int", GROUP_FP, ".00 11110 .. 1 .. ... 000000 ..... .....", "fcvtns fcvtnu fcvtps fcvtms fcvtzs fcvtas scvtf ucvtf fmov" },
	{ "fp_fixed", GROUP_FP, ".00 11110 0. 0 .. ... ...... ..... .....", "fcvtzs fcvtzu scvtf ucvtf" },
	{ "fp_unallocated", GROUP_FP, ".0. 1111. .. 1 ..... ...... ..... .....", "" },

	/* Floating point of Advanced SIMD */
	{ "fpvec_three", GROUP_FP, "0.. 01110 .. 1 ..... 11... 1 ..... .....",
	    "fmaxnm fmla fadd fmulx fcmeq fmax frecps fminnm fmls fsub fmin frsqrts fmaxnmp faddp fmul fcmge facge fmaxp fdiv fabd" },
	{ "fpvec_compare0", GROUP_FP, "0.. 01110 1. 10000 011.. 10 ..... .....", "fcmgt fcmeq fcmlt fabs fcmge fcmle fneg" },
	{ "fpvec_longer", GROUP_FP, "0.. 01110 .. 10000 1011. 10 ..... .....", "fcvtn fcvtl fcvtxn" },
	{ "fpvec_misc", GROUP_FP, "0.. 01110 .. 10000 11... 10 ..... .....", "frint fcvt scvtf ucvtf urecpe frecpe ursqrte frsqrte fsqrt" },
	{ "fpvec_across", GROUP_FP, "0.. 01110 .. 11000 011.. 10 ..... .....", "fmaxnmv fmaxv fminnmv fminv" },
	{ "fpvec_element_mla", GROUP_FP, "0.. 01111 1 . . . .... 0.01 . 0 ..... .....", "fmla fmls" },
	{ "fpvec_element_mul", GROUP_FP, "0.. 01111 1 . . . .... 1001 . 0 ..... .....", "fmul fmulx" },
	{ "fpvec_fixed_s", GROUP_FP, "0.. 011110 01.. ... 111.. 1 ..... .....", "scvtf ucvtf fcvtzs fcvtzu" },
	{ "fpvec_fixed_d", GROUP_FP, "0.. 011110 1... ... 111.. 1 ..... .....", "scvtf ucvtf fcvtzs fcvtzu" },
	{ "fpsca_three", GROUP_FP, "01. 11110 .. 1 ..... 11... 1 ..... .....", "fmulx fcmeq frecps frsqrts fcmge facge fabd fcmgt facgt" },
	{ "fpsca_compare0", GROUP_FP, "01. 11110 1. 10000 011.. 10 ..... .....", "fcmgt fcmeq fcmlt fcmge fcmle" },
	{ "fpsca_xn", GROUP_FP, "01. 11110 .. 10000 1011. 10 ..... .....", "fcvtxn" },
	{ "fpsca_misc", GROUP_FP, "01. 11110 .. 10000 11... 10 ..... .....", "fcvt scvtf ucvtf frecpe frecpx frsqrte" },
	{ "fpsca_pairwise", GROUP_FP, "011 11110 .. 11000 ..... 10 ..... .....", "fmaxnmp faddp fmaxp fminnmp fminp" },
	{ "fpsca_element_mla", GROUP_FP, "01. 11111 1 . . . .... 0.01 . 0 ..... .....", "fmla fmls" },
	{ "fpsca_element_mul", GROUP_FP, "01. 11111 1 . . . .... 1001 . 0 ..... .....", "fmul fmulx" },
	{ "fpsca_fixed", GROUP_FP, "01. 111110 .... ... 111.. 1 ..... .....", "scvtf ucvtf fcvtzs fcvtzu" },

	/* Advanced SIMD */
	{ "crypto_aes", GROUP_SIMD, "0100 1110 .. 10100 ..... 10 ..... .....", "aese aesd aesmc aesimc" },
	{ "crypto_sha3", GROUP_SIMD, "0101 1110 .. 0 ..... 0 ... 00 ..... .....", "sha1c sha1p sha1m sha1su0 sha256h sha256su1" },
	{ "crypto_sha2", GROUP_SIMD, "0101 1110 .. 10100 ..... 10 ..... .....", "sha1h sha1su1 sha256su0" },
	{ "vec_tbl", GROUP_SIMD, "0. 001110 00 0 ..... 0 .. . 00 ..... .....", "tbl tbx" },
	{ "vec_permute", GROUP_SIMD, "0. 001110 .. 0 ..... 0 ... 10 ..... .....", "uzp1 trn1 zip1 uzp2 trn2 zip2" },
	{ "vec_ext", GROUP_SIMD, "0. 101110 .. 0 ..... 0 .... 0 ..... .....", "ext" },
	{ "vec_copy", GROUP_SIMD, "0.. 01110000 ..... 0 .... 1 ..... .....", "dup ins smov umov" },
	{ "vec_three", GROUP_SIMD, "0.. 01110 .. 1 ..... ..... 1 ..... .....", "add sub cmgt shl mul and" },
	{ "vec_misc", GROUP_SIMD, "0.. 01110 .. 10000 ..... 10 ..... .....", "rev abs cnt xtn" },
	{ "vec_across", GROUP_SIMD, "0.. 01110 .. 11000 ..... 10 ..... .....", "addv smaxv" },
	{ "vec_diff", GROUP_SIMD, "0.. 01110 .. 1 ..... .... 00 ..... .....", "saddl smlal pmull" },
	{ "vec_imm", GROUP_SIMD, "0.. 0111100000 ... .... . 1 ..... .....", "movi mvni orr bic fmov" },
	{ "vec_shift", GROUP_SIMD, "0.. 011110 .... ... ..... 1 ..... .....", "sshr shl sqshrn" },
	{ "vec_element", GROUP_SIMD, "0.. 01111 .. . . .... .... . 0 ..... .....", "mla mul smlal sqdmulh" },
	{ "sca_copy", GROUP_SIMD, "01. 11110000 ..... 0 .... 1 ..... .....", "dup" },
	{ "sca_three", GROUP_SIMD, "01. 11110 .. 1 ..... ..... 1 ..... .....", "sqadd cmgt sshl" },
	{ "sca_misc", GROUP_SIMD, "01. 11110 .. 10000 ..... 10 ..... .....", "suqadd sqabs cmgt sqxtn" },
	{ "sca_pairwise", GROUP_SIMD, "01. 11110 .. 11000 ..... 10 ..... .....", "addp" },
	{ "sca_diff", GROUP_SIMD, "01. 11110 .. 1 ..... .... 00 ..... .....", "sqdmlal sqdmull" },
	{ "sca_shift", GROUP_SIMD, "01. 111110 .... ... ..... 1 ..... .....", "sshr shl sqshrn" },
	{ "sca_element", GROUP_SIMD, "01. 11111 .. . . .... .... . 0 ..... .....", "sqdmull sqdmulh" },

	/* Loads and stores (C4.1.94): by a whole processor */
	{ "exclusive", GROUP_MEM, ".. 001000 0 . . ..... . ..... ..... .....", "stxr stlxr stxp ldxr ldaxr ldxp casp" },
	{ "ordered", GROUP_MEM, ".. 001000 1 . 0 11111 . 11111 ..... .....", "stllr stlr ldlar ldar" },
	{ "cas", GROUP_MEM, ".. 001000 1 . 1 ..... . 11111 ..... .....", "cas casa casl casal" },
	{ "atomic", GROUP_MEM, ".. 111000 . . 1 ..... 0 ... 00 ..... .....", "ldadd ldclr ldeor ldset ldsmax ldsmin ldumax ldumin" },
	{ "swap", GROUP_MEM, ".. 111000 . . 1 ..... 1000 00 ..... .....", "swp swpa swpl swpal" },
	{ "pair", GROUP_MEM, ".. 101 . 0 .. . ....... ..... ..... .....", "stnp ldnp stp ldp ldpsw" },
	{ "imm9", GROUP_MEM, ".. 111 . 00 .. 0 ......... .. ..... .....", "stur ldur str ldr sttr ldtr" },
	{ "register", GROUP_MEM, ".. 111 . 00 .. 1 ..... ... . 10 ..... .....", "str ldr" },
	{ "imm12", GROUP_MEM, ".. 111 . 01 .. ............ ..... .....", "str ldr" },
	{ "multiple", GROUP_MEM, "0 . 0011000 . 000000 .... .. ..... .....", "st1 st2 st3 st4 ld1 ld2 ld3 ld4" },
	{ "multiple_post", GROUP_MEM, "0 . 0011001 . 0 ..... .... .. ..... .....", "st1 st2 st3 st4 ld1 ld2 ld3 ld4" },
	{ "single", GROUP_MEM, "0 . 0011010 . . 00000 ... . .. ..... .....", "st1 st2 st3 st4 ld1 ld1r ld2r ld3r ld4r" },
	{ "single_post", GROUP_MEM, "0 . 0011011 . . ..... ... . .. ..... .....", "st1 st2 st3 st4 ld1 ld1r ld2r ld3r ld4r" },
};

const unsigned nclasses = sizeof(classes) / sizeof(classes[0]);
