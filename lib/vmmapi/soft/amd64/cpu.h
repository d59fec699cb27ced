/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - soft's amd64 core, first tier: an interpreter of decoded blocks.
 *
 * translate.c decodes a stretch of code into a block of struct x86_insn, each with the function that
 * executes it; interp.c runs block after block.  The functions are grouped in files by instruction
 * family; each family has a table of the mnemonics that it knows (decode.h).
 *
 * The contract of an instruction's function:
 *  - it works on the state page (x->s).  RIP there is the one of the block's start, or older: use
 *    x86_rip() and x86_next_rip();
 *  - it makes its memory accesses and checks first and changes the state when nothing can fail any
 *    more: X_FAULT, X_EXIT and X_STOP mean that nothing was changed.  Stores to memory may be made
 *    twice, if a device's answer is waited for in between;
 *  - X_DONE goes on with the next instruction of the block.  An instruction that changes what decoding
 *    or event checks depend on (mode, CS, IF, ...) has XD_END in its table, which ends the block
 *    behind it, and calls x86_mode() or sets x->attention as said there.
 *
 * Other tiers may execute the same instructions: what a function needs it finds in x and in i, and
 * what it leaves is in the state page.
 */
#ifndef _VMMAPI_SOFT_AMD64_CPU_H_
#define	_VMMAPI_SOFT_AMD64_CPU_H_

#include "../../amd64/model.h"
#include "../code.h"
#include "../hostmem.h"
#include "../jump.h"
#include "../soft.h"
#include "../tlb.h"

#define	likely(e)	__builtin_expect(!!(e), 1)
#define	unlikely(e)	__builtin_expect(!!(e), 0)
#define	X86_INLINE	static inline __attribute__((always_inline))

#define	FL_CF	0x00000001U
#define	FL_PF	0x00000004U
#define	FL_AF	0x00000010U
#define	FL_ZF	0x00000040U
#define	FL_SF	0x00000080U
#define	FL_TF	0x00000100U
#define	FL_IF	0x00000200U
#define	FL_DF	0x00000400U
#define	FL_OF	0x00000800U
#define	FL_IOPL	0x00003000U
#define	FL_NT	0x00004000U
#define	FL_RF	0x00010000U
#define	FL_VM	0x00020000U
#define	FL_AC	0x00040000U
#define	FL_VIF	0x00080000U
#define	FL_VIP	0x00100000U
#define	FL_ID	0x00200000U
#define	FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Exception vectors (Intel SDM vol. 3 table 6-1). */
enum x86_vector {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
	EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
	EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};

enum x86_status {
	X_DONE,		/* done; go on behind it */
	X_JUMP,		/* done; s->rip says where to go on */
	X_FAULT,	/* exception in x->exc; nothing was changed */
	X_EXIT,		/* a read waits for an answer; nothing was changed */
	X_STOP,		/* an exit in place of the instruction; nothing was changed */
	X_HALT,		/* done; nothing to execute until an interrupt */
	X_YIELD,	/* done; a spin-wait hint */
	X_AGAIN,	/* a repeated string instruction has iterations left: the same again */
	X_END,		/* no instruction: the block ends here (interp.c) */
};

/* Run f and pass on anything but success. */
#define	TRY(f) do {								\
	enum x86_status status_ = (f);						\
	if (unlikely(status_ != X_DONE))						\
		return (status_);						\
} while (0)

struct x86;
struct x86_insn;
typedef enum x86_status x86_op(struct x86 *x, const struct x86_insn *i);

#define	X86_NOREG	0xff
#define	X86_RIP		0x10		/* base: relative to the next instruction */

/* struct x86_insn.flags */
#define	XI_MEM		0x01U		/* has a memory operand */
#define	XI_FLAT		0x02U		/* 64-bit mode and a segment without base: offset = linear address */
#define	XI_LOCK		0x04U
#define	XI_IMM		0x08U		/* has an immediate operand */
#define	XI_XMM0		0x10U		/* operand 0 is an XMM register; operand 1 */
#define	XI_XMM1		0x20U
#define	XI_OTHER	0x40U		/* has a register of another kind, is a far branch, or has an absolute address: r[] and disp do
					   not tell what it does */

/*
 * A decoded instruction.  r[] are its explicit operands in order, where they are registers: for
 * general registers the byte offset in amd64_state.gpr[] (AH is 1), for others the number.
 */
struct x86_insn {
	x86_op		*fn;
	uint64_t	 imm;		/* immediate, sign-extended as the instruction does; displacement of
					   a near branch; offset of a far pointer; address of moffs */
	int32_t		 disp;		/* of the memory operand */
	uint16_t	 off;		/* from the start of the block */
	uint16_t	 imm2;		/* selector of a far pointer; second immediate */
	uint8_t		 len;
	uint8_t		 opsize;	/* 1, 2, 4, 8: effective operand size */
	uint8_t		 adsize;	/* 2, 4, 8 */
	uint8_t		 msize;		/* bytes of the memory operand, as far as it has a size below 256 */
	uint8_t		 r[3];
	uint8_t		 base, index;	/* numbers, X86_NOREG, X86_RIP */
	uint8_t		 scale;		/* shift count */
	uint8_t		 seg;		/* enum amd64_seg of the memory operand */
	uint8_t		 rep;		/* 0, 0xf2, 0xf3 */
	uint8_t		 flags;		/* XI_* */
	uint8_t		 arg;		/* the family's: a condition, an operation */
	uint16_t	 mnemonic;	/* ZYDIS_MNEMONIC_*; 0: it is undefined or not allowed here */
};

struct x86_exc {
	uint8_t		vector;
	bool		has_error;
	uint32_t	error;
	uint64_t	cr2;
	uint64_t	dr6;		/* EXC_DB: bits to set */
};

/*
 * Access modes: rows of the TLB.  Stores have rows of their own: what is copied to and where it comes from may have the same place in
 * theirs.
 */
enum x86_mmu {
	MMU_USER,		/* privilege level 3 */
	MMU_KERNEL,		/* below, user pages allowed: no SMAP, or AC */
	MMU_SMAP,		/* below, user pages not allowed */
	MMU_WRITE,		/* from here on the same for stores */
	MMU_NONE = SOFT_TLB_NONE	/* alignment or data breakpoints are to be checked */
};

/* Numbers of address spaces: PCIDs, and the one without paging. */
#define	X86_SPACE_PHYS	4096U
#define	X86_SPACES	4097U

/*
 * Tables of jumps, by tag: processes that run in turns have the kernel's code at the same addresses, and would push each other out of
 * one.
 */
#define	X86_TABLES	8U

/* struct soft_block.mode: what decoding depends on */
#define	X86_MODE_16	0U
#define	X86_MODE_32	1U
#define	X86_MODE_64	2U
#define	X86_MODE_SIZE	3U		/* mask of these */
#define	X86_MODE_USER	4U		/* privilege level above 0 */
#define	X86_MODE_REAL	8U		/* real or virtual-8086 mode */

/* Compared are a page and the low bits that an aligned access has clear, four at most: this is neither, whatever the guest's stack pointer is. */
#define	X86_NO_STACK	0x800

/*
 * What native code works on (native.h).  While it runs, general registers, arithmetic flags and, if they are loaded, XMM registers
 * are not in the state page.
 */
struct x86_native {
	int32_t		 left;		/* instructions until the dispatcher wants to look; at `end' there will be none */
	uint16_t	 flags;		/* SF to CF as LAHF has them in bits 15:8, OF in bit 0 */
	uint8_t		 xmm;		/* XMM_*: whether XMM registers are loaded */
	bool		 leave;		/* a block was dropped: do not go on in native code */
	bool		 sti;		/* `fresh' is behind an STI that let interrupts in */
	/*
	 * What `left' is behind the last instruction that something holds for the next one only: interrupts wait (STI), RF keeps
	 * breakpoints away.  RF in the state page is old anywhere else.
	 */
	int32_t		 fresh;
	uint64_t	 page;		/* address of the page that the running code is in */
	uint64_t	 gpr[4];	/* R12 to R15 */
	uint64_t	 tmp, tmp2;
	/* The page of the stack, for loads and for stores: its address, or X86_NO_STACK, and what is to be added for the host's. */
	struct {
		uint64_t	 page;
		uintptr_t	 addend;
	} stack[2];
	bool		 x87;		/* the x87 is loaded; then its pointers are here, the operand's the latest always */
	uint16_t	 fop;
	uint64_t	 fip, fdp;
	uintptr_t	 window[16];	/* host addresses less the guest's (native_window.c); 0: none */
	void		*image;		/* of XSAVE, for its way in and out; NULL: the host has none */
	uint64_t	 end;
	bool		 once;		/* the next block is for the first tier */
	uint8_t		 status;	/* of the instruction that native code was left for */
};

struct jit;

struct x86 {
	/* native code reaches these by short displacements */
	struct amd64_state *s;
	const struct soft_tlbe *row;	/* of the access mode, for loads */
	const struct soft_tlbe *wrow;	/* for stores */
	const struct soft_tlbe *second[2]; /* of the TLB's second level, likewise */
	uint64_t	 tag;		/* of the address space */
	uint64_t	 key;		/* of the table of jumps (jump.h) */
	uint64_t	 global_key;	/* of code in global pages; outside of level 0 the same */
	uint64_t	 global;	/* soft_tlb.global */
	struct soft_jump *jumps;	/* the one of this address space */
	struct x86_native native;

	const struct x86_insn *cur;	/* the instruction being executed */
	uint64_t	 rip0;		/* RIP of its block's start */
	bool		 attention;	/* interp.c is to look at events and traps before the next instruction */
	uint8_t		 mode;		/* X86_MODE_* */
	uint8_t		 mmu;		/* enum x86_mmu of the row, were it not MMU_NONE */
	bool		 flat;		/* 64-bit mode */
	uint8_t		 cpl;

	struct x86_exc	 exc;
	struct soft_cpu	*cpu;
	struct vcpu	*vcpu;
	struct soft_tlb	*tlb;
	struct soft_code *code;
	uint64_t	*retired;	/* of run() */
	struct soft_jump *tables;	/* of jumps: X86_TABLES of them, and one for level 0 */
	uint64_t	 done;		/* instructions that retired before the present block */
	struct x86_insn	*block_code;	/* of the present block; this vCPU's own */

	/* event checks (interp.c, event.c) */
	bool		 intr;		/* the controller had an interrupt at the last look */
	bool		 took;		/* an interrupt was taken and nothing executed since */
	uint8_t		 shadow;	/* interrupt shadow that the present instruction leaves */
	bool		 trap_tf;	/* TF was set when it began: trap behind it */
	bool		 keep_rf;	/* it loaded RF */
	uint64_t	 trap6;		/* DR6 bits of debug traps due behind it */
	bool		 watch;		/* data or I/O breakpoints are on, or a debugger's points (debug.c) */
	uint64_t	 again;		/* linear address of the string instruction that had iterations left last */
	/* an instruction made to end its block, and what it was before: x86_cut() */
	struct x86_insn	*cut;
	x86_op		*cut_fn;

	/* cpuid.c: the model, and what of it translate.c asks for */
	const struct x86_model *model;
	uint64_t	 features;	/* X86_F_* */
	/* translate.c */
	struct x86_translator *translator;
	/* native.h; NULL: there is no native code */
	struct jit	*jit;
	struct x86_stubs *stubs;

	/* time.c: the guest's TSC is the VM's clock and an offset; tsc_seen is what the page had
	   when the offset was right */
	uint64_t	 tsc_offset;
	uint64_t	 tsc_seen;
	bool		 clock_stale;	/* the paravirtual clock's page is to be written */

	uint64_t	 phys_mask;	/* A20 */
	uint64_t	 rotate_keeps;	/* shift.c: flags that the host's ROL and ROR of registers leave alone by an immediate above 1, and by CL do not */
	uint64_t	 prng;		/* RDRAND: virtual time */
};

static inline struct x86 *
x86_of(struct soft_cpu *cpu)
{
	return (cpu->core);
}

X86_INLINE uint64_t
x86_mask(unsigned size)
{
	return (size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1);
}

X86_INLINE int64_t
x86_sext(uint64_t v, unsigned size)
{
	return (size >= 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
}

/* Mode */

X86_INLINE bool
x86_protected(const struct x86 *x)
{
	return ((x->s->cr0 & CR0_PE) != 0);
}

X86_INLINE bool
x86_v86(const struct x86 *x)
{
	return ((x->s->rflags & FL_VM) != 0);
}

/* Segments are real mode's: base = 16 * selector. */
X86_INLINE bool
x86_real_or_v86(const struct x86 *x)
{
	return (!x86_protected(x) || x86_v86(x));
}

/* IA-32e mode: 64-bit or compatibility mode */
X86_INLINE bool
x86_long(const struct x86 *x)
{
	return ((x->s->efer & EFER_LMA) != 0);
}

X86_INLINE bool
x86_64bit(const struct x86 *x)
{
	return (x->flat);
}

/* Bytes of an address in the present code segment: 2, 4 or 8. */
X86_INLINE unsigned
x86_codesize(const struct x86 *x)
{
	return (2U << (x->mode & X86_MODE_SIZE));
}

X86_INLINE unsigned
x86_stacksize(const struct x86 *x)
{
	if (x86_64bit(x))
		return (8);
	return ((x->s->seg[SEG_SS].access & VM_AMD64_SEG_DB) != 0 ? 4 : 2);
}

X86_INLINE unsigned
x86_cpl(const struct x86 *x)
{
	return (x->cpl);
}

X86_INLINE unsigned
x86_iopl(const struct x86 *x)
{
	return ((x->s->rflags & FL_IOPL) >> 12);
}

/*
 * Follow a change of CR0, CR3, CR4, EFER, CS, SS, RFLAGS.AC or VM, PKRU, or of the address space:
 * recompute mode, privilege level (DPL of SS; 3 in virtual-8086 mode, 0 in real mode), row, tag and
 * key.  mode.c.
 */
void	x86_mode(struct x86 *x);
/* Blocks found by address are not to be trusted any more. */
void	x86_forget_jumps(struct x86 *x);
/*
 * Drop translations: all of them; those of a PCID (global ones may go too), 0 if there are none;
 * that of the page at lin in an address space, and a global one.  To be followed by x86_mode() only if something
 * else changed.
 */
void	x86_flush(struct x86 *x);
void	x86_flush_space(struct x86 *x, uint32_t pcid);
void	x86_flush_page(struct x86 *x, uint32_t pcid, uint64_t lin);
uint32_t x86_space(const struct x86 *x);		/* the present one */

/* The entry that says what block is at a linear address now; NULL: there is none.  It may be in either of two places. */
X86_INLINE struct soft_jump *
x86_jump(const struct x86 *x, uint64_t lin)
{
	struct soft_jump *j = soft_jump_at(x->jumps, lin, 0);

	for (unsigned way = 0; way < 2; way++) {
		if (likely(j->va == lin && (j->key == x->key || j->key == x->global_key)))
			return (j);
		j = soft_jump_other(x->jumps, j);
	}
	return (NULL);
}

/* RIP of the present instruction and of the one behind it. */
X86_INLINE uint64_t
x86_rip(const struct x86 *x, const struct x86_insn *i)
{
	uint64_t rip = x->rip0 + i->off;

	return (x->flat ? rip : (uint32_t)rip);
}

X86_INLINE uint64_t
x86_next_rip(const struct x86 *x, const struct x86_insn *i)
{
	uint64_t rip = x->rip0 + i->off + i->len;

	return (x->flat ? rip : (uint32_t)rip);
}

/* Exceptions: return (x86_fault(...)). */
enum x86_status x86_fault(struct x86 *x, enum x86_vector vector);	/* without error code */
enum x86_status x86_fault_error(struct x86 *x, enum x86_vector vector, uint32_t error);
#define	GP0(x)	x86_fault_error((x), EXC_GP, 0)
#define	UD(x)	x86_fault((x), EXC_UD)

/* Registers */

/* Parts of gpr[]. */
typedef uint16_t __attribute__((may_alias)) x86_u16;
typedef uint32_t __attribute__((may_alias)) x86_u32;

/* n is a byte offset in gpr[] (struct x86_insn.r); size is a constant where it matters. */
X86_INLINE uint64_t
x86_reg(const struct x86 *x, unsigned n, unsigned size)
{
	const char *p = (const char *)x->s->gpr + n;

	switch (size) {
	case 1:
		return (*(const uint8_t *)p);
	case 2:
		return (*(const x86_u16 *)(const void *)p);
	case 4:
		return (*(const x86_u32 *)(const void *)p);
	default:
		return (*(const uint64_t *)(const void *)p);
	}
}

/* 32-bit results are zero-extended, smaller ones leave the rest alone (SDM vol. 1 3.4.1.1). */
X86_INLINE void
x86_reg_set(struct x86 *x, unsigned n, unsigned size, uint64_t val)
{
	char *p = (char *)x->s->gpr + n;

	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)val;
		break;
	case 2:
		*(x86_u16 *)(void *)p = (uint16_t)val;
		break;
	case 4:
		*(uint64_t *)(void *)p = (uint32_t)val;
		break;
	default:
		*(uint64_t *)(void *)p = val;
		break;
	}
}

/* The same by number: counters and pointers. */
X86_INLINE uint64_t
x86_gpr(const struct x86 *x, enum amd64_gpr n, unsigned size)
{
	return (x->s->gpr[n] & x86_mask(size));
}

X86_INLINE void
x86_gpr_set(struct x86 *x, enum amd64_gpr n, unsigned size, uint64_t val)
{
	x86_reg_set(x, 8 * n, size, val);
}

X86_INLINE void
x86_flags(struct x86 *x, uint64_t fl, uint64_t mask)
{
	x->s->rflags = (x->s->rflags & ~mask) | (fl & mask);
}

/* Condition cc (the low bits of Jcc, SETcc, CMOVcc). */
X86_INLINE bool
x86_cond(unsigned cc, uint64_t fl)
{
	bool r;

	switch (cc >> 1) {
	case 0:
		r = (fl & FL_OF) != 0;
		break;
	case 1:
		r = (fl & FL_CF) != 0;
		break;
	case 2:
		r = (fl & FL_ZF) != 0;
		break;
	case 3:
		r = (fl & (FL_CF | FL_ZF)) != 0;
		break;
	case 4:
		r = (fl & FL_SF) != 0;
		break;
	case 5:
		r = (fl & FL_PF) != 0;
		break;
	case 6:
		r = ((fl >> 11) & 1) != ((fl >> 7) & 1);
		break;
	default:
		r = (fl & FL_ZF) != 0 || ((fl >> 11) & 1) != ((fl >> 7) & 1);
		break;
	}
	return (r != ((cc & 1) != 0));
}

/*
 * Memory (access.c where it is not inline)
 *
 * Offsets are in a segment; linear addresses are checked.  x86_sys_*() are the processor's own
 * accesses to tables, which have supervisor's rights at any privilege level (SDM vol. 3 4.6.1).
 */

/* Offset of the memory operand. */
X86_INLINE uint64_t
x86_ea(const struct x86 *x, const struct x86_insn *i)
{
	uint64_t ea = (uint64_t)(int64_t)i->disp;

	if (i->base < X86_RIP)
		ea += x->s->gpr[i->base];
	else if (i->base == X86_RIP)
		ea += x->rip0 + i->off + i->len;
	if (i->index != X86_NOREG)
		ea += x->s->gpr[i->index] << i->scale;
	if (unlikely(i->adsize != 8))
		ea &= i->adsize == 4 ? 0xffffffff : 0xffff;
	return (ea);
}

/* The linear address of [off, off + size) in a segment, with its checks (SDM vol. 3 5.3, 5.5, 3.3.7). */
enum x86_status x86_linear(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, bool write,
    uint64_t *lin);
/* Behind a miss: seg only says which exception a non-canonical address is. */
enum x86_status x86_load_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t *v);
enum x86_status x86_store_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t v);

X86_INLINE enum x86_status
x86_address(struct x86 *x, const struct x86_insn *i, unsigned size, bool write, uint64_t *lin)
{
	uint64_t ea = x86_ea(x, i);

	if (likely((i->flags & XI_FLAT) != 0)) {
		*lin = ea;
		return (X_DONE);
	}
	return (x86_linear(x, (enum amd64_seg)i->seg, ea, size, write, lin));
}

X86_INLINE enum x86_status
x86_load_at(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t *v)
{
	const void *p = soft_tlb_hit(x->row, x->tag, lin, size, false);

	if (likely(p != NULL)) {
		*v = host_load(p, size);
		return (X_DONE);
	}
	return (x86_load_slow(x, seg, lin, size, v));
}

X86_INLINE enum x86_status
x86_store_at(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t v)
{
	void *p = soft_tlb_hit(x->wrow, x->tag, lin, size, true);

	if (likely(p != NULL)) {
		host_store(p, size, v);
		return (X_DONE);
	}
	return (x86_store_slow(x, seg, lin, size, v));
}

/* The memory operand; size 1, 2, 4, 8. */
X86_INLINE enum x86_status
x86_load(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t *v)
{
	uint64_t lin = 0;

	TRY(x86_address(x, i, size, false, &lin));
	return (x86_load_at(x, (enum amd64_seg)i->seg, lin, size, v));
}

X86_INLINE enum x86_status
x86_store(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t v)
{
	uint64_t lin = 0;

	TRY(x86_address(x, i, size, true, &lin));
	return (x86_store_at(x, (enum amd64_seg)i->seg, lin, size, v));
}

/* At an offset of a segment. */
X86_INLINE enum x86_status
x86_load_seg(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, uint64_t *v)
{
	uint64_t lin = off;

	if (!x->flat || seg == SEG_FS || seg == SEG_GS)
		TRY(x86_linear(x, seg, off, size, false, &lin));
	return (x86_load_at(x, seg, lin, size, v));
}

X86_INLINE enum x86_status
x86_store_seg(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, uint64_t v)
{
	uint64_t lin = off;

	if (!x->flat || seg == SEG_FS || seg == SEG_GS)
		TRY(x86_linear(x, seg, off, size, true, &lin));
	return (x86_store_at(x, seg, lin, size, v));
}

/*
 * Read, modify and write the memory operand, not atomically: between the two nothing may fail or
 * change.  Where the page cannot be written the load faults as the store would.
 */
struct x86_ref {
	void		*p;		/* host address, or NULL */
	uint64_t	 lin;
};
enum x86_status x86_rmw_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, struct x86_ref *ref,
    uint64_t *v);

X86_INLINE enum x86_status
x86_rmw_load(struct x86 *x, const struct x86_insn *i, unsigned size, struct x86_ref *ref, uint64_t *v)
{
	ref->lin = 0;
	TRY(x86_address(x, i, size, true, &ref->lin));
	ref->p = soft_tlb_hit(x->wrow, x->tag, ref->lin, size, true);
	if (likely(ref->p != NULL)) {
		*v = host_load(ref->p, size);
		return (X_DONE);
	}
	return (x86_rmw_slow(x, (enum amd64_seg)i->seg, ref->lin, size, ref, v));
}

X86_INLINE enum x86_status
x86_rmw_store(struct x86 *x, const struct x86_insn *i, unsigned size, struct x86_ref *ref, uint64_t v)
{
	if (likely(ref->p != NULL)) {
		host_store(ref->p, size, v);
		return (X_DONE);
	}
	return (x86_store_slow(x, (enum amd64_seg)i->seg, ref->lin, size, v));
}

/*
 * The same atomically, with size up to 16 (SDM vol. 3 8.1): fn computes the new value from the old
 * one and may be called again with another; false keeps the old value (it is written back).  old
 * and new are 16 bytes, little-endian.  An access within a cache line is a host atomic; others stop
 * the other vCPUs.  Devices see a load and a store.
 */
typedef bool x86_atomic_fn(void *arg, const void *old, void *new);
enum x86_status x86_atomic(struct x86 *x, const struct x86_insn *i, unsigned size, x86_atomic_fn *fn, void *arg);
enum x86_status x86_atomic_at(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size,
    x86_atomic_fn *fn, void *arg);

/* 16 bytes of the memory operand.  aligned: #GP(0) if its address is not. */
enum x86_status x86_load16(struct x86 *x, const struct x86_insn *i, bool aligned, void *v);
enum x86_status x86_store16(struct x86 *x, const struct x86_insn *i, bool aligned, const void *v);
/* n bytes, at most 512, at an offset of a segment: all of them or a fault. */
enum x86_status x86_load_bytes(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned n, void *v);
enum x86_status x86_store_bytes(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned n, const void *v);
/* Whether an access would fault; does nothing else (accessed and dirty bits apart). */
enum x86_status x86_probe(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, bool write);

/* The processor's own, at linear addresses. */
enum x86_status x86_sys_load(struct x86 *x, uint64_t lin, unsigned size, uint64_t *v);
enum x86_status x86_sys_store(struct x86 *x, uint64_t lin, unsigned size, uint64_t v);
enum x86_status x86_sys_probe(struct x86 *x, uint64_t lin, unsigned size, bool write);

/*
 * Plain memory for string instructions: the host address of lin and, in *n, how many bytes from
 * there to the end of the page; NULL where every element has to go the slow way.
 */
void	*x86_window(struct x86 *x, uint64_t lin, bool write, unsigned *n);

/* Push and pop on a stack pointer that the caller writes back. */
X86_INLINE enum x86_status
x86_push_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t v)
{
	uint64_t to = (*sp - size) & x86_mask(x86_stacksize(x));

	TRY(x86_store_seg(x, SEG_SS, to, size, v));
	*sp = to;
	return (X_DONE);
}

X86_INLINE enum x86_status
x86_pop_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t *v)
{
	uint64_t m = x86_mask(x86_stacksize(x));

	TRY(x86_load_seg(x, SEG_SS, *sp & m, size, v));
	*sp = (*sp + size) & m;
	return (X_DONE);
}

/* Write the stack pointer back: as wide as the stack. */
X86_INLINE void
x86_sp_set(struct x86 *x, uint64_t sp)
{
	x86_gpr_set(x, RSP, x86_stacksize(x), sp);
}

/*
 * Around what is called from inside an instruction and may look at RIP or the count of instructions,
 * or change what event checks look at: exits, devices, controllers, clocks.  The functions above do
 * it themselves.
 */
void	x86_sync(struct x86 *x);
void	x86_after_device(struct x86 *x);
/*
 * Exception flags of SSE instructions gather in the host's MXCSR (sse_mxcsr.h): bring the page's up
 * to date and clear the host's.  x86_sync() does; so does what reads or writes the page's MXCSR.
 */
void	x86_fp_sync(struct x86 *x);
/* Leave the block behind the present instruction, to look at events and traps. */
void	x86_cut(struct x86 *x);

/* paging.c */

/* Why an access is made. */
#define	PG_WRITE	0x01U
#define	PG_EXEC		0x02U
#define	PG_SYS		0x04U		/* the processor's own: supervisor */
/* What a walk finds. */
struct x86_page {
	uint64_t	 gpa;
	unsigned	 flags;		/* SOFT_TLB_* for soft_tlb_fill() */
	/* for x86_walk_on() */
	unsigned	 left;		/* pages behind this one in its large page or its table */
	uint64_t	 at, val;	/* of the table: where its entry is, 0 for a piece of a large page, and what it has */
};
/* Walk the page tables, set accessed and dirty bits: X_DONE, or X_FAULT with the page fault. */
enum x86_status x86_walk(struct x86 *x, uint64_t lin, unsigned why, struct x86_page *page);
/* The page behind it, if it has the same rights and no bits to be set: it becomes that one. */
bool	x86_walk_on(struct x86 *x, struct x86_page *page);
/* Load the PAE directory pointers (SDM vol. 3 4.4.1): X_FAULT with #GP(0) if one is bad. */
enum x86_status x86_load_pdptes(struct x86 *x, uint64_t cr3, uint64_t cr4);

/* translate.c */

int	x86_translator_create(struct x86 *x);
void	x86_translator_destroy(struct x86 *x);
/*
 * The block at RIP, which is at lin, decoded if need be: X_DONE, or X_FAULT if its first instruction
 * cannot be fetched.  Good until the next call.  *keep: whether it may be found by address from now on, in this address space or in
 * every one.
 */
enum x86_keep { X86_KEEP_NOT, X86_KEEP, X86_KEEP_GLOBAL };
enum x86_status x86_block(struct x86 *x, uint64_t lin, struct soft_block **block, enum x86_keep *keep);

/* interp.c: what every block ends with */
x86_op	x86_op_end;

/* shift.c: what x86.rotate_keeps is on this host */
uint64_t x86_probe_rotates(void);

/* segment.c */

/* Load a segment register but CS (SDM vol. 3 5.4; in real and virtual-8086 mode 20.1.1).  SS may change the privilege. */
enum x86_status x86_load_sreg(struct x86 *x, enum amd64_seg seg, uint16_t sel);
/* The descriptor of sel and its linear address; beyond its table #GP, or `vector', with error. */
enum x86_status x86_read_desc(struct x86 *x, uint16_t sel, enum x86_vector vector, uint32_t error, uint64_t *desc,
    uint64_t *lin);
struct amd64_segment x86_unpack_desc(uint16_t sel, uint64_t desc);
/* Put a code segment in place, with cpl as its RPL and privilege level. */
void	x86_set_cs(struct x86 *x, const struct amd64_segment *seg, unsigned cpl);

/* event.c */

/* Deliver x->exc at RIP s->rip, as a double fault or shutdown if need be: X_DONE, or X_EXIT. */
enum x86_status x86_exception(struct x86 *x);
/* Deliver a software interrupt from inside an instruction: X_JUMP, X_FAULT, X_EXIT. */
enum x86_status x86_soft_int(struct x86 *x, const struct x86_insn *i, uint8_t vector);
/*
 * Take what is pending between two instructions (SDM vol. 3 table 6-2): X_DONE if something was
 * delivered, X_HALT if nothing was to be, X_EXIT.
 */
enum x86_status x86_events(struct x86 *x);
bool	x86_events_pending(const struct x86 *x);
bool	x86_wakeable(struct x86 *x);

/* task.c */

enum x86_task { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE };
/*
 * Switch to the task of a TSS selector (SDM vol. 3 7.3): X_JUMP.  rip is where the old task goes on.
 * has_error: push error on the new stack.
 */
enum x86_status x86_task_switch(struct x86 *x, uint16_t sel, enum x86_task why, uint64_t rip, bool has_error,
    uint32_t error);

/* debug.c */

/* Instruction breakpoints at RIP: DR6 bits, 0 if none. */
uint64_t x86_insn_breakpoint(struct x86 *x, uint64_t lin);
/* An access to linear memory or a port while x->watch: notes DR6 bits in x->trap6. */
void	x86_watch_data(struct x86 *x, uint64_t lin, unsigned size, bool write);
void	x86_watch_io(struct x86 *x, uint16_t port, unsigned size);
/* DR7, DR0 to 3 or CR4 changed: recompute x->watch, flush what bypasses it. */
void	x86_debug_changed(struct x86 *x);
/*
 * Does a debugger want to stop at the instruction at RIP, whose block says that it may?  Then vcpu->exit is filled.  Between two
 * instructions.
 */
bool	x86_debug_stop(struct x86 *x);
/* Does DR7 have instruction breakpoints on? */
bool	x86_insn_breakpoints_on(const struct x86 *x);

/* cpuid.c, msr.c, time.c, io.c */

/* Choose the processor model of the VM: 0, or -1 with a sentence. */
int	x86_model_fits(struct vmctx *vm);
int	x86_model_init(struct x86 *x);
/* The VM's state was loaded: the guest goes on with the features that it has seen. */
void	x86_model_loaded(struct x86 *x);
/* May the present code use [port, port + size)?  X_DONE, #GP(0) or what the access to the bitmap says. */
enum x86_status x86_io_check(struct x86 *x, uint16_t port, unsigned size);
/* The TSC now; synchronises (x86_sync()). */
uint64_t x86_tsc(struct x86 *x);
/* Set it, by MSR. */
void	x86_tsc_set(struct x86 *x, uint64_t tsc);
/* Go on from the page's at the clock's time now; notice that it was set; bring the page up to date. */
void	x86_tsc_adopt(struct x86 *x, uint64_t now);
void	x86_tsc_check(struct x86 *x);
void	x86_tsc_save(struct x86 *x);
/* The page came from a snapshot, of the clock's time now. */
void	x86_tsc_loaded(struct x86 *x);
/* The page is a restart point again: the TSC goes on nevertheless. */
void	x86_tsc_restarted(struct x86 *x);

#endif /* _VMMAPI_SOFT_AMD64_CPU_H_ */
