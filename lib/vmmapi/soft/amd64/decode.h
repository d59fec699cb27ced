/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode.h - how an instruction family tells translate.c what it executes.
 *
 * A family has a table with an entry for each mnemonic, ended by one with mnemonic 0.  Zydis decodes;
 * translate.c fills the common parts of struct x86_insn (lengths, sizes, memory operand, registers,
 * immediates) and lets the entry choose the function: fn as it is, or by bind(), which looks at the
 * operands.
 */
#ifndef _VMMAPI_SOFT_AMD64_DECODE_H_
#define	_VMMAPI_SOFT_AMD64_DECODE_H_

#include <Zydis/Zydis.h>

#include "cpu.h"

struct x86_decoded {
	const ZydisDecodedInstruction *z;
	const ZydisDecodedOperand *op;		/* the explicit (visible) ones */
	unsigned	 nop;
	uint8_t		 mode;			/* X86_MODE_* */
	uint64_t	 features;		/* X86_F_* of the model */
};

/*
 * Fill what is missing in i: at least fn.  false: not this entry's; the next one of the mnemonic is
 * asked, and when there is none, the instruction is undefined.
 */
typedef bool x86_bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg);

#define	XD_END		0x01U		/* ends its block */
#define	XD_NO64		0x02U		/* #UD in 64-bit mode (Zydis knows most of these itself) */
#define	XD_CPL0		0x04U		/* #GP(0) above privilege level 0: fn need not check */
#define	XD_PROT		0x08U		/* #UD in real and virtual-8086 mode: likewise */

struct x86_opdesc {
	uint16_t	 mnemonic;	/* ZYDIS_MNEMONIC_* */
	uint8_t		 flags;		/* XD_* */
	uint8_t		 arg;		/* for bind(); into i->arg beforehand */
	x86_op		*fn;
	x86_bind	*bind;
};

/* Is operand n a register, memory, an immediate? */
static inline bool
x86_is_reg(const struct x86_decoded *d, unsigned n)
{
	return (n < d->nop && d->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER);
}

static inline bool
x86_is_mem(const struct x86_decoded *d, unsigned n)
{
	return (n < d->nop && d->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY);
}

static inline bool
x86_is_imm(const struct x86_decoded *d, unsigned n)
{
	return (n < d->nop && d->op[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE);
}

/* 0 to 3 for operand sizes of 1, 2, 4, 8 bytes: index of tables of functions. */
static inline unsigned
x86_size_index(unsigned size)
{
	return (size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3);
}

/* The families. */
extern const struct x86_opdesc
    x86_ops_arith[],		/* arith.c: ADD to CMP, INC, DEC, NEG, NOT, TEST, flags */
    x86_ops_shift[],		/* shift.c: shifts, rotates, double shifts */
    x86_ops_muldiv[],		/* muldiv.c */
    x86_ops_bits[],		/* bits.c: BT to BTC, BSF, BSR, POPCNT, BSWAP, MOVBE, CRC32 */
    x86_ops_move[],		/* move.c: MOV, extensions, LEA, XCHG, XLAT, CMOVcc, SETcc */
    x86_ops_atomic[],		/* atomic.c: CMPXCHG, XADD, CMPXCHG8B/16B */
    x86_ops_decimal[],		/* decimal.c */
    x86_ops_flow[],		/* flow.c: near branches, loops */
    x86_ops_stack[],		/* stack.c: PUSH, POP, ENTER, LEAVE, PUSHA, POPA */
    x86_ops_string[],		/* string.c */
    x86_ops_segment[],		/* segment.c: segment registers, LAR to VERW, descriptor tables */
    x86_ops_far[],		/* far.c: far branches, INT, IRET */
    x86_ops_syscall[],		/* syscall.c: SYSCALL, SYSENTER and their returns, SWAPGS */
    x86_ops_control[],		/* control.c: control and debug registers, TLB, caches */
    x86_ops_flags[],		/* flags.c: PUSHF, POPF, CLI, STI, CLAC, STAC */
    x86_ops_io[],		/* io.c: IN, OUT */
    x86_ops_system[],		/* system.c: CPUID, MSRs, TSC, HLT, PAUSE, fences, RDRAND, FSGSBASE */
    x86_ops_x87[],		/* x87_*.c */
    x86_ops_fpstate[],		/* fpstate.c: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, EMMS */
    x86_ops_mmx[],		/* mmx.c */
    x86_ops_sse_move[], x86_ops_sse_logic[], x86_ops_sse_fp[], x86_ops_sse_cvt[],
    x86_ops_ssei_arith[], x86_ops_ssei_shuffle[], x86_ops_ssei_string[], x86_ops_ssei_crypto[];

#endif /* _VMMAPI_SOFT_AMD64_DECODE_H_ */
