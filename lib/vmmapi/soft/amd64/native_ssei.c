/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_ssei.c - native code: SSE instructions on integers, a table of opcodes (SDM vol. 2 appendix A).
 */
#include "decode.h"
#include "native_sse.h"

#define	P(m, o)		SSE_ROW(m, 0x66, EMIT_0F | (o), 16, 0)
#define	P38(m, o)	SSE_ROW(m, 0x66, EMIT_0F38 | (o), 16, 0)
#define	P3A(m, o)	SSE_ROW(m, 0x66, EMIT_0F3A | (o), 16, 0)
#define	WIDEN(m, o, size) SSE_ROW(m, 0x66, EMIT_0F38 | (o), size, 0)
#define	SHIFT(m, o)	{ M(m), 0, 0, 0, 16, OP(0x66, EMIT_0F, o), nat_sse_shift }

const struct nat_row nat_rows_ssei[] = {
	P(PADDB, 0xfc), P(PADDW, 0xfd), P(PADDD, 0xfe), P(PADDQ, 0xd4), P(PADDSB, 0xec), P(PADDSW, 0xed), P(PADDUSB, 0xdc), P(PADDUSW, 0xdd),
	P(PSUBB, 0xf8), P(PSUBW, 0xf9), P(PSUBD, 0xfa), P(PSUBQ, 0xfb), P(PSUBSB, 0xe8), P(PSUBSW, 0xe9), P(PSUBUSB, 0xd8), P(PSUBUSW, 0xd9),
	P(PMULLW, 0xd5), P(PMULHW, 0xe5), P(PMULHUW, 0xe4), P(PMULUDQ, 0xf4), P(PMADDWD, 0xf5), P(PSADBW, 0xf6), P(PAVGB, 0xe0), P(PAVGW, 0xe3),
	P(PMINUB, 0xda), P(PMAXUB, 0xde), P(PMINSW, 0xea), P(PMAXSW, 0xee),
	P(PAND, 0xdb), P(PANDN, 0xdf), P(POR, 0xeb), P(PXOR, 0xef),
	P(PCMPEQB, 0x74), P(PCMPEQW, 0x75), P(PCMPEQD, 0x76), P(PCMPGTB, 0x64), P(PCMPGTW, 0x65), P(PCMPGTD, 0x66),
	P38(PABSB, 0x1c), P38(PABSW, 0x1d), P38(PABSD, 0x1e), P38(PSIGNB, 0x08), P38(PSIGNW, 0x09), P38(PSIGND, 0x0a),
	P38(PHADDW, 0x01), P38(PHADDD, 0x02), P38(PHADDSW, 0x03), P38(PHSUBW, 0x05), P38(PHSUBD, 0x06), P38(PHSUBSW, 0x07),
	P38(PMADDUBSW, 0x04), P38(PMULHRSW, 0x0b), P38(PMULLD, 0x40), P38(PMULDQ, 0x28),
	P38(PMINSB, 0x38), P38(PMINSD, 0x39), P38(PMINUW, 0x3a), P38(PMINUD, 0x3b),
	P38(PMAXSB, 0x3c), P38(PMAXSD, 0x3d), P38(PMAXUW, 0x3e), P38(PMAXUD, 0x3f),
	P38(PCMPEQQ, 0x29), P38(PCMPGTQ, 0x37), P38(PHMINPOSUW, 0x41),

	P(PACKSSWB, 0x63), P(PACKSSDW, 0x6b), P(PACKUSWB, 0x67), P38(PACKUSDW, 0x2b),
	P(PUNPCKLBW, 0x60), P(PUNPCKLWD, 0x61), P(PUNPCKLDQ, 0x62), P(PUNPCKLQDQ, 0x6c),
	P(PUNPCKHBW, 0x68), P(PUNPCKHWD, 0x69), P(PUNPCKHDQ, 0x6a), P(PUNPCKHQDQ, 0x6d),
	P38(PSHUFB, 0x00), P38(PBLENDVB, 0x10),
	WIDEN(PMOVSXBW, 0x20, 8), WIDEN(PMOVSXBD, 0x21, 4), WIDEN(PMOVSXBQ, 0x22, 2), WIDEN(PMOVSXWD, 0x23, 8), WIDEN(PMOVSXWQ, 0x24, 4),
	WIDEN(PMOVSXDQ, 0x25, 8),
	WIDEN(PMOVZXBW, 0x30, 8), WIDEN(PMOVZXBD, 0x31, 4), WIDEN(PMOVZXBQ, 0x32, 2), WIDEN(PMOVZXWD, 0x33, 8), WIDEN(PMOVZXWQ, 0x34, 4),
	WIDEN(PMOVZXDQ, 0x35, 8),
	SSE_ROW(PSHUFD, 0x66, EMIT_0F | 0x70, 16, 0), SSE_ROW(PSHUFLW, 0xf2, EMIT_0F | 0x70, 16, 0),
	SSE_ROW(PSHUFHW, 0xf3, EMIT_0F | 0x70, 16, 0),
	P3A(PALIGNR, 0x0f), P3A(PBLENDW, 0x0e), P3A(MPSADBW, 0x42),

	SHIFT(PSLLW, 0xf1), SHIFT(PSLLD, 0xf2), SHIFT(PSLLQ, 0xf3), SHIFT(PSRLW, 0xd1), SHIFT(PSRLD, 0xd2), SHIFT(PSRLQ, 0xd3),
	SHIFT(PSRAW, 0xe1), SHIFT(PSRAD, 0xe2),
	{ M(PSLLDQ), 0, 0, 0, 0, 7, nat_sse_bytes }, { M(PSRLDQ), 0, 0, 0, 0, 3, nat_sse_bytes },

	{ M(PINSRB), 0, 0, 0, 1, OP(0x66, EMIT_0F3A, 0x20), nat_sse_insert }, { M(PINSRW), 0, 0, 0, 2, OP(0x66, EMIT_0F, 0xc4), nat_sse_insert },
	{ M(PINSRD), 0, 0, 0, 4, OP(0x66, EMIT_0F3A, 0x22), nat_sse_insert }, { M(PINSRQ), 0, 0, 0, 8, OP(0x66, EMIT_0F3A, 0x22), nat_sse_insert },
	{ M(PEXTRB), 0, 0, 0, 1, OP(0x66, EMIT_0F3A, 0x14), nat_sse_extract }, { M(PEXTRW), 0, 0, 0, 2, OP(0x66, EMIT_0F3A, 0x15), nat_sse_extract },
	{ M(PEXTRD), 0, 0, 0, 4, OP(0x66, EMIT_0F3A, 0x16), nat_sse_extract }, { M(PEXTRQ), 0, 0, 0, 8, OP(0x66, EMIT_0F3A, 0x16), nat_sse_extract },
	{ M(PMOVMSKB), 0, 0, 0, 0, OP(0x66, EMIT_0F, 0xd7), nat_sse_to_gpr },
	{ M(PTEST), 0, FL_ARITH, 0, 16, OP(0x66, EMIT_0F38, 0x17), nat_sse_compare },
	{ 0 },
};
