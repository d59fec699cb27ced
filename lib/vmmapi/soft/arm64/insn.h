/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * insn.h - a decoded A64 instruction, and the contract of the functions that execute one.
 *
 * decode.c turns a stretch of code into a block of struct a64_insn (code.h), each with the function for exactly that form; core_arm64.c
 * runs block after block.  Functions are grouped in files by the Arm ARM's groups (C4.1); each group has a decoder here.
 *
 * The contract of an instruction's function:
 *  - it works on the state page (c->s).  PC there is the one of the block's start, or older: what needs its own address
 *    computes it with a64_pc();
 *  - it makes its memory accesses and checks first and changes the state when nothing can fail any more;
 *  - whether it is allocated, and allowed where the processor is now (mode, floating point access), was found out by the decoder.
 *
 * The host's floating point: a function finds MXCSR (FPCR and FPSR on other hosts) as core_arm64.c has set it, round to nearest and
 * no exception unmasked, and leaves the control bits so.
 */
#ifndef _SOFT_A64_INSN_H_
#define	_SOFT_A64_INSN_H_

#include <stdbool.h>
#include <stdint.h>

struct a64;
struct a64_insn;

enum a64_status {
	A_DONE,		/* done; go on behind it */
	A_JUMP,		/* done; s->pc says where to go on */
	A_FAULT,	/* exception in c->exc; nothing was changed */
	A_EXIT,		/* a read waits for an answer; nothing was changed */
	A_STOP,		/* an exit in place of the instruction; nothing was changed */
	A_IDLE,		/* done; nothing to execute until an interrupt */
	A_YIELD,	/* done; a spin-wait hint */
	A_END,		/* no instruction: the block ends here */
};

typedef enum a64_status a64_op(struct a64 *c, const struct a64_insn *i);

struct a64_insn {
	a64_op		*fn;
	uint64_t	 imm;		/* immediate, as the instruction uses it; displacement of a branch */
	uint32_t	 word;		/* the instruction */
	uint8_t		 rd, rn, rm, ra;	/* register numbers; rd also Rt, ra also Rt2 */
	uint8_t		 arg, arg2;	/* the group's own: a shift, a condition, an element size */
	uint16_t	 off;		/* bytes from the start of the block */
	uint8_t		 flags;		/* A64_I_* */
	a64_op		*go;		/* core's: how the block gets to fn; decoders leave it NULL */
};

_Static_assert(sizeof(struct a64_insn) == 40, "blocks are dense");

/*
 * It may change what decoding (mode), translation or event checks depend on, or make an exit: the block ends behind it.  Only there
 * c->attention, c->cpu->exiting and requests are looked at.
 */
#define	A64_I_END	0x01U

/* What the ID registers of the VM offer beyond Armv8.0 (features.h of the decoder: from ID_AA64ISAR0_EL1 and others). */
#define	A64_F_AES	0x01U		/* FEAT_AES */
#define	A64_F_PMULL	0x02U		/* FEAT_PMULL */
#define	A64_F_SHA1	0x04U
#define	A64_F_SHA256	0x08U
#define	A64_F_CRC32	0x10U
#define	A64_F_LSE	0x20U

/*
 * Decoders of groups: fill in fn and operands and return true if word is an instruction of theirs; false: unallocated, or another's.
 * i->word is set.
 */
bool	a64_decode_fp(uint32_t word, unsigned features, struct a64_insn *i);	/* scalar and vector floating point arithmetic */
bool	a64_decode_simd(uint32_t word, unsigned features, struct a64_insn *i);	/* the rest of C4.1 "Scalar FP and Advanced SIMD" */
/*
 * Exception generation, ERET, hints, barriers, PSTATE, system instructions and registers: words 0xd4......, 0xd50..... to 0xd53.....,
 * 0xd69f03e0.  mode is A64_MODE_* of the block.
 */
bool	a64_decode_system(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i);

/* struct soft_block.mode: what decoding depends on; A64_F_* are above */
#define	A64_MODE_EL0	0x01U
#define	A64_MODE_SPX	0x02U		/* SP is SP_EL1 */
#define	A64_MODE_FPTRAP	0x04U		/* floating point and Advanced SIMD trap (CPACR_EL1.FPEN) */
#define	A64_MODE_FPCR	0x08U		/* FPCR has floating point done otherwise than the host does it: rounding, flushing */
#define	A64_MODE_BITS	4U

#endif /* _SOFT_A64_INSN_H_ */
