/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - what segment.c, far.c, event.c, task.c and syscall.c share: descriptors, stacks of
 * another privilege level, and gates.
 */
#ifndef _VMMAPI_SOFT_AMD64_SEGMENT_H_
#define	_VMMAPI_SOFT_AMD64_SEGMENT_H_

#include "decode.h"

/* Type field with S (SDM vol. 3 3.4.5.1). */
#define	TYPE_S		0x10U
#define	TYPE_CODE	0x08U
#define	TYPE_CONFORMING	0x04U		/* code */
#define	TYPE_DOWN	0x04U		/* data: expands down */
#define	TYPE_RW		0x02U		/* data: writable; code: readable */
#define	TYPE_ACCESSED	0x01U

/* System types without S (SDM vol. 3 table 3-2). */
enum x86_systype {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK = 5, SYS_INT16 = 6,
	SYS_TRAP16 = 7, SYS_TSS = 9, SYS_TSS_BUSY = 11, SYS_CALL = 12, SYS_INT = 14, SYS_TRAP = 15,
};
#define	SYS_BUSY	2U		/* in the type of a TSS */
#define	SYS_32		8U		/* in the type of a TSS or gate */

/* Access words of segments that are set rather than loaded. */
#define	ACC_REAL	0x0093U		/* real mode: data, writable, accessed */
#define	ACC_V86		0x00f3U		/* virtual-8086 mode (SDM vol. 3 20.2) */

#define	SEL_MASK	0xfffcU		/* a selector without RPL: null, or as error code */
#define	SEL_TI		4U

#define	DESC_TYPE(d)	((unsigned)((d) >> 40) & 0x1f)
#define	DESC_DPL(d)	((unsigned)((d) >> 45) & 3)
#define	DESC_P(d)	(((d) >> 47 & 1) != 0)

static inline unsigned
seg_type(const struct amd64_segment *seg)
{
	return (VM_AMD64_SEG_TYPE(seg->access));
}

static inline bool
seg_is_code(const struct amd64_segment *seg)
{
	return ((seg->access & (TYPE_S | TYPE_CODE)) == (TYPE_S | TYPE_CODE));
}

static inline bool
seg_is_conforming(const struct amd64_segment *seg)
{
	return ((seg->access & TYPE_CONFORMING) != 0);
}

static inline bool
seg_is_stack(const struct amd64_segment *seg)
{
	return ((seg->access & (TYPE_S | TYPE_CODE | TYPE_RW)) == (TYPE_S | TYPE_RW));
}

/* segment.c */

/* Set bits in a byte of the processor's tables atomically, or clear them. */
enum x86_status x86_sys_or(struct x86 *x, uint64_t lin, uint8_t set, uint8_t clear);
/* Note in memory that the descriptor at lin was loaded (SDM vol. 3 3.4.5.1). */
enum x86_status x86_set_accessed(struct x86 *x, struct amd64_segment *seg, uint64_t lin);
/* A segment register as real and virtual-8086 mode load it. */
void	x86_real_sreg(struct x86 *x, enum amd64_seg seg, uint16_t sel);
/*
 * A descriptor for SS at privilege level cpl: errors are `vector' with the selector, #SS if it is
 * not present.  ext is the EXT bit.
 */
enum x86_status x86_stack_desc(struct x86 *x, uint16_t sel, unsigned cpl, enum x86_vector vector,
    uint32_t ext, struct amd64_segment *seg);
/* The same for DS, ES, FS and GS, not null; #NP if it is not present. */
enum x86_status x86_data_desc(struct x86 *x, uint16_t sel, enum x86_vector vector, uint32_t ext,
    struct amd64_segment *seg);
/* The upper half of a 16-byte descriptor in IA-32e mode; #GP(error) if its type is not 0. */
enum x86_status x86_read_desc_high(struct x86 *x, uint16_t sel, uint64_t lin, uint32_t error,
    uint64_t *high);
/* What LDTR becomes: a null or LDT descriptor; errors are `vector', not present is `absent'. */
enum x86_status x86_ldt_desc(struct x86 *x, uint16_t sel, enum x86_vector vector,
    enum x86_vector absent, uint32_t ext, struct amd64_segment *seg);
/* A null selector in SS, in 64-bit mode at level cpl. */
struct amd64_segment x86_null_ss(uint16_t sel, unsigned cpl);
/* The flat segments of SYSCALL and SYSENTER. */
struct amd64_segment x86_flat_code(uint16_t sel, unsigned dpl, bool wide);
struct amd64_segment x86_flat_stack(uint16_t sel, unsigned dpl);

/* gate.c */

/* A stack to push a frame on; size is the stack pointer's: 2, 4, 8. */
struct x86_stack {
	struct amd64_segment ss;
	uint64_t	 sp;
	unsigned	 size;
	bool		 other;		/* not the present one: of a lower privilege level */
	uint32_t	 error;		/* of #SS if there is no room */
};

/* The present stack; ext is the EXT bit of #SS. */
struct x86_stack x86_stack_here(const struct x86 *x, uint32_t ext);
/*
 * That of privilege level dpl, from the TSS (SDM vol. 3 5.8.5, 6.12.1): #TS or #SS if it is bad.
 * In IA-32e mode with interrupt stack table entry ist, if that is not 0.
 */
enum x86_status x86_stack_inner(struct x86 *x, unsigned dpl, unsigned ist, uint32_t ext,
    struct x86_stack *st);
/* Store on the stack; SS and RSP are left as they are. */
enum x86_status x86_stack_push(struct x86 *x, struct x86_stack *st, unsigned size, uint64_t v);
/* Make it the present one, from a code segment that is in place. */
void	x86_stack_use(struct x86 *x, const struct x86_stack *st);

/*
 * A code segment that is entered through a gate (SDM vol. 3 5.8.1, 5.8.4, 6.12.1).  In IA-32e mode it
 * has to be one of 64-bit mode.  jump: it cannot be of a lower level.
 */
enum x86_status x86_gate_code(struct x86 *x, uint16_t sel, uint32_t ext, bool jump,
    struct amd64_segment *seg);
/* Is off a place in the code segment?  #GP(ext). */
enum x86_status x86_code_offset(struct x86 *x, const struct amd64_segment *cs, uint64_t off, uint32_t ext);

/* event.c */

/* INT1: as x86_soft_int(), but an event that the gate's privilege level does not guard. */
enum x86_status x86_icebp(struct x86 *x, const struct x86_insn *i);
/* From inside an instruction that has already changed the state: deliver x->exc behind it. */
void	x86_exception_later(struct x86 *x);

/* task.c */

struct x86_switch {
	uint16_t	 sel;		/* of the TSS */
	enum x86_task	 why;
	bool		 has_error;
	uint32_t	 error;
	uint64_t	 rip, fl;	/* the old task's */
	/* The exception of X_FAULT is one of the new task, which is in place (SDM vol. 3 7.3). */
	bool		 committed;
};
/* x86_task_switch() with all that there is to say: X_JUMP, X_FAULT, X_EXIT. */
enum x86_status x86_task_enter(struct x86 *x, struct x86_switch *sw);

#endif /* _VMMAPI_SOFT_AMD64_SEGMENT_H_ */
