/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - the parts of soft's amd64 core.
 *
 * A small interpreter of the integer instruction set: real mode, protected mode and 64-bit mode, at
 * privilege level 0.  It decodes every instruction as it comes and works on the state page.  What
 * it leaves out: floating point and vectors, virtual-8086 mode, task switches, changes of
 * privilege, decimal arithmetic, and the accessed and dirty bits of page tables.
 *
 * An instruction is a function that returns enum x86_status.  It makes its memory accesses first,
 * and changes the state page when nothing can fail any more; the loop in interp.c then stores RIP.
 * An exception is noted by x86_fault() and delivered by event.c.
 */
#ifndef _VMMAPI_SOFT_AMD64_CPU_H_
#define	_VMMAPI_SOFT_AMD64_CPU_H_

#include "../../amd64/amd64.h"
#include "../soft.h"

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
#define	FL_ID	0x00200000U
#define	FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define	CR0_TS	0x00000008U
#define	CR0_EM	0x00000004U

/* Exception vectors (Intel SDM vol. 3 table 6-1). */
enum x86_vector {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8,
	    EXC_TS = 10, EXC_NP = 11,
	EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
};

enum x86_status {
	X_OK,		/* done; RIP becomes x86.next */
	X_FAULT,	/* exception in x86.exc; nothing was changed */
	X_EXIT,		/* a read waits for an answer; nothing was changed */
	X_STOP,		/* an exit in place of the instruction; nothing was changed */
	X_HALT,		/* done; nothing to execute until an interrupt */
	X_YIELD,	/* done; a spin-wait hint */
};

/* Run f and pass on anything but success. */
#define	TRY(f) do {								\
	enum x86_status status_ = (f);						\
	if (status_ != X_OK)							\
		return (status_);						\
} while (0)

#define	NO_REG	0xff

/* A decoded instruction. */
struct x86_insn {
	uint8_t		len;
	uint8_t		opsize;		/* 2, 4, 8 */
	uint8_t		adsize;
	uint8_t		rex;		/* 0: none */
	uint8_t		seg;		/* override, NO_REG */
	uint8_t		rep;		/* 0, 0xf2, 0xf3 */
	bool		lock;
	uint16_t	op;		/* 0x100 + second byte behind 0x0f */
	uint8_t		mod, reg, rm;	/* reg and rm with their REX bits */
	uint8_t		base, index;	/* NO_REG: none */
	uint8_t		scale;
	bool		riprel;
	uint8_t		memseg;		/* segment of the memory operand */
	int64_t		disp;
	uint64_t	imm;		/* sign-extended where the instruction does that */
	uint16_t	imm2;		/* selector of a far pointer, second operand of ENTER */
};

struct x86_exc {
	uint8_t		vector;
	bool		has_error;
	uint32_t	error;
	uint64_t	cr2;
};

struct x86 {
	struct soft_cpu	*cpu;
	struct vcpu	*vcpu;
	struct amd64_state *s;

	struct x86_insn	 insn;		/* the present one */
	uint64_t	 next;		/* RIP behind it, or where it jumps */
	struct x86_exc	 exc;
	uint8_t		 shadow;	/* interrupt shadow that it leaves */
	bool		 again;		/* repeated string instruction with iterations left */
	bool		 intr;		/* the controller had an interrupt at the last look */
	bool		 took;		/* an interrupt was taken and nothing executed since */

	/*
	 * The guest's TSC is the VM's clock and an offset; tsc_seen is what the page had when the
	 * offset was right.
	 */
	uint64_t	 tsc_offset;
	uint64_t	 tsc_seen;
};

static inline struct x86 *
x86_of(struct soft_cpu *cpu)
{
	return (cpu->core);
}

static inline uint64_t
x86_mask(unsigned size)
{
	return (size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1);
}

static inline int64_t
x86_sext(uint64_t v, unsigned size)
{
	return (size >= 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
}

static inline bool
x86_protected(const struct x86 *x)
{
	return ((x->s->cr0 & CR0_PE) != 0);
}

static inline bool
x86_long(const struct x86 *x)
{
	return ((x->s->efer & EFER_LMA) != 0);
}

/* In 64-bit mode, as opposed to compatibility and legacy modes. */
static inline bool
x86_64bit(const struct x86 *x)
{
	return (x86_long(x) && (x->s->seg[SEG_CS].access & VM_AMD64_SEG_L) != 0);
}

/* Bytes of an address in the present code segment: 2, 4 or 8. */
static inline unsigned
x86_codesize(const struct x86 *x)
{
	if (x86_64bit(x))
		return (8);
	return ((x->s->seg[SEG_CS].access & VM_AMD64_SEG_DB) != 0 ? 4 : 2);
}

static inline unsigned
x86_stacksize(const struct x86 *x)
{
	if (x86_64bit(x))
		return (8);
	return ((x->s->seg[SEG_SS].access & VM_AMD64_SEG_DB) != 0 ? 4 : 2);
}

static inline unsigned
x86_cpl(const struct x86 *x)
{
	return (x86_protected(x) ? VM_AMD64_SEG_DPL(x->s->seg[SEG_SS].access) : 0);
}

/* decode.c: fetch and decode the instruction at RIP into x->insn and x->next. */
enum x86_status x86_decode(struct x86 *x);

/* alu.c: arithmetic on operands of size bytes.  *fl has the flags before and after. */
enum x86_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum x86_shift { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAL, SH_SAR };
uint64_t x86_alu(enum x86_alu op, unsigned size, uint64_t a, uint64_t b, uint64_t *fl);
uint64_t x86_inc(unsigned size, uint64_t a, uint64_t *fl);
uint64_t x86_dec(unsigned size, uint64_t a, uint64_t *fl);
uint64_t x86_neg(unsigned size, uint64_t a, uint64_t *fl);
uint64_t x86_shift(enum x86_shift op, unsigned size, uint64_t a, unsigned count, uint64_t *fl);
/* SHLD, SHRD: shift a, filling from b. */
uint64_t x86_shiftd(bool right, unsigned size, uint64_t a, uint64_t b, unsigned count,
    uint64_t *fl);
/* The product in two halves. */
void	x86_mul(bool sign, unsigned size, uint64_t a, uint64_t b, uint64_t *lo, uint64_t *hi,
    uint64_t *fl);
/* hi:lo / d; false if the quotient does not fit or d is 0. */
bool	x86_div(bool sign, unsigned size, uint64_t hi, uint64_t lo, uint64_t d, uint64_t *quot,
    uint64_t *rem);
/* Condition cc (the low bits of Jcc, SETcc, CMOVcc). */
bool	x86_cond(unsigned cc, uint64_t fl);

/* operand.c */
enum x86_status x86_fault(struct x86 *x, enum x86_vector vector);	/* without error code */
enum x86_status x86_fault_error(struct x86 *x, enum x86_vector vector, uint32_t error);
/* A register operand of an instruction. */
uint64_t x86_reg(const struct x86 *x, unsigned n, unsigned size);
void	x86_reg_set(struct x86 *x, unsigned n, unsigned size, uint64_t val);
/* Counters and pointers: the low size bytes of a register, the rest as the processor leaves it. */
uint64_t x86_gpr(const struct x86 *x, enum amd64_gpr n, unsigned size);
void	x86_gpr_set(struct x86 *x, enum amd64_gpr n, unsigned size, uint64_t val);
uint64_t x86_ea(const struct x86 *x);				/* offset of the memory operand */
enum x86_status x86_fetch_ptr(struct x86 *x, uint64_t rip, const uint8_t **p, unsigned *n);
enum x86_status x86_load_lin(struct x86 *x, uint64_t lin, unsigned size, uint64_t *val);
enum x86_status x86_store_lin(struct x86 *x, uint64_t lin, unsigned size, uint64_t val);
enum x86_status x86_load(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size,
    uint64_t *val);
enum x86_status x86_store(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size,
    uint64_t val);
enum x86_status x86_probe_write(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size);
enum x86_status x86_rm_load(struct x86 *x, unsigned size, uint64_t *val);
enum x86_status x86_rm_store(struct x86 *x, unsigned size, uint64_t val);
/* Push and pop on a stack pointer that the caller writes back. */
enum x86_status x86_push_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t val);
enum x86_status x86_pop_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t *val);
void	x86_sp_set(struct x86 *x, uint64_t sp);

/* Read, modify and write the r/m operand, atomically with a lock prefix. */
struct x86_rmw {
	/* The new value; may be called again with another old one. */
	uint64_t	(*fn)(struct x86_rmw *w, uint64_t old);
	uint64_t	src;
	uint64_t	cmp;
	unsigned	op;
	unsigned	size;
	uint64_t	fl;		/* flags before; after, behind fn */
	uint64_t	before;		/* flags as they were */
	uint64_t	old, new;
};
/* Memory is written; a register is to be written by x86_rmw_done(). */
enum x86_status x86_rmw(struct x86 *x, struct x86_rmw *w, bool locked);
/* Store a register operand and the flags of fl in mask. */
void	x86_rmw_done(struct x86 *x, struct x86_rmw *w, uint64_t flmask);
void	x86_flags(struct x86 *x, uint64_t fl, uint64_t flmask);

/* segment.c */
enum x86_status x86_load_sreg(struct x86 *x, enum amd64_seg seg, uint16_t sel);
/* Check and fetch a code descriptor for a transfer without a change of privilege. */
enum x86_status x86_code_desc(struct x86 *x, uint16_t sel, uint32_t error,
    struct amd64_segment *seg);
enum x86_status x86_read_desc(struct x86 *x, uint16_t sel, uint32_t error, uint64_t *desc,
    uint64_t *lin);
struct amd64_segment x86_unpack_desc(uint16_t sel, uint64_t desc);
enum x86_status x86_far_jump(struct x86 *x, uint16_t sel, uint64_t off);
void	x86_set_cs(struct x86 *x, const struct amd64_segment *seg);
enum x86_status x86_load_tr(struct x86 *x, uint16_t sel);
enum x86_status x86_load_ldtr(struct x86 *x, uint16_t sel);

/* event.c */
enum x86_event_kind { EVENT_EXC, EVENT_NMI, EVENT_INTR, EVENT_SOFT };
/* Deliver vector through the IVT or IDT; rip is what the handler returns to. */
enum x86_status x86_deliver(struct x86 *x, enum x86_event_kind kind, uint8_t vector, bool has_error,
    uint32_t error, uint64_t rip);
enum x86_status x86_iret(struct x86 *x);
/* Deliver x->exc, as a double fault or shutdown if need be: X_OK, or X_EXIT. */
enum x86_status x86_exception(struct x86 *x);
/*
 * Take what is pending between two instructions: X_OK if something was delivered, X_HALT if nothing
 * was to be.
 */
enum x86_status x86_events(struct x86 *x);
bool	x86_wakeable(struct x86 *x);

/* The instructions. */
typedef enum x86_status x86_op(struct x86 *x);

/* integer.c */
x86_op	x86_op_alu, x86_op_alu_acc, x86_op_group1, x86_op_test, x86_op_test_acc, x86_op_group3,
	x86_op_incdec_reg, x86_op_group4, x86_op_shift, x86_op_shiftd, x86_op_imul2,
	x86_op_imul3, x86_op_bt, x86_op_bt_imm, x86_op_bsf, x86_op_bsr, x86_op_xadd,
	x86_op_cmpxchg, x86_op_cmpxchg8b, x86_op_xchg, x86_op_xchg_acc, x86_op_mov_rm_r,
	x86_op_mov_r_rm, x86_op_mov_moffs, x86_op_mov_imm, x86_op_mov_rm_imm, x86_op_movzx,
	x86_op_movsx, x86_op_movsxd, x86_op_lea, x86_op_cbw, x86_op_cwd, x86_op_bswap,
	x86_op_setcc, x86_op_cmov, x86_op_sahf, x86_op_lahf, x86_op_flag, x86_op_xlat,
	x86_op_nop;

/* flow.c */
x86_op	x86_op_push, x86_op_push_imm, x86_op_pop, x86_op_pop_rm, x86_op_pusha, x86_op_popa,
	x86_op_pushf, x86_op_popf, x86_op_push_sreg, x86_op_pop_sreg, x86_op_enter,
	x86_op_leave, x86_op_call, x86_op_jmp, x86_op_jcc, x86_op_loop, x86_op_ret, x86_op_retf,
	x86_op_far, x86_op_group5, x86_op_int, x86_op_int3, x86_op_into;

/* string.c */
x86_op	x86_op_string;

/* system.c */
x86_op	x86_op_in, x86_op_out, x86_op_hlt, x86_op_cli, x86_op_sti, x86_op_cpuid, x86_op_rdtsc,
	x86_op_rdmsr, x86_op_wrmsr, x86_op_mov_from_cr, x86_op_mov_to_cr, x86_op_mov_from_dr,
	x86_op_mov_to_dr, x86_op_clts, x86_op_group6, x86_op_group7, x86_op_wbinvd,
	x86_op_fence, x86_op_ud, x86_op_mov_sreg, x86_op_mov_to_sreg, x86_op_pause;

/* By IOPL; the permission map of a TSS is for user code. */
bool	x86_io_allowed(const struct x86 *x);
/*
 * The TSC: go on from the page's at the clock's time now; notice that it was set; bring the page up
 * to date.
 */
void	x86_tsc_adopt(struct x86 *x, uint64_t now);
void	x86_tsc_check(struct x86 *x);
void	x86_tsc_save(struct x86 *x);

#endif /* _VMMAPI_SOFT_AMD64_CPU_H_ */
