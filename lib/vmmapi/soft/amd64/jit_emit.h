/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jit_emit.h - emit.h, whose names of host registers are those that amd64.h has for the guest's: here they begin with H_.
 */
#ifndef _VMMAPI_SOFT_AMD64_JIT_EMIT_H_
#define	_VMMAPI_SOFT_AMD64_JIT_EMIT_H_

#define	RAX	H_RAX
#define	RCX	H_RCX
#define	RDX	H_RDX
#define	RBX	H_RBX
#define	RSP	H_RSP
#define	RBP	H_RBP
#define	RSI	H_RSI
#define	RDI	H_RDI
#define	R8	H_R8
#define	R9	H_R9
#define	R10	H_R10
#define	R11	H_R11
#define	R12	H_R12
#define	R13	H_R13
#define	R14	H_R14
#define	R15	H_R15
#include "../jit/emit.h"
#undef RAX
#undef RCX
#undef RDX
#undef RBX
#undef RSP
#undef RBP
#undef RSI
#undef RDI
#undef R8
#undef R9
#undef R10
#undef R11
#undef R12
#undef R13
#undef R14
#undef R15

#endif /* _VMMAPI_SOFT_AMD64_JIT_EMIT_H_ */
