/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_sse.h - what the tables of SSE instructions share.
 */
#ifndef _VMMAPI_SOFT_AMD64_NATIVE_SSE_H_
#define	_VMMAPI_SOFT_AMD64_NATIVE_SSE_H_

#include "native.h"

nat_emit nat_sse, nat_sse_shift, nat_sse_bytes, nat_sse_compare, nat_sse_to_gpr, nat_sse_from_gpr, nat_sse_insert, nat_sse_extract;

#define	M(n)	ZYDIS_MNEMONIC_##n
/* xmm, xmm or memory of `size' bytes. */
#define	SSE_ROW(m, prefix, op, size, kind)	{ M(m), 0, 0, kind, size, OP(prefix, 0, op), nat_sse }

#endif /* _VMMAPI_SOFT_AMD64_NATIVE_SSE_H_ */
