/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c - descriptors, and the segment registers loaded from them (Intel SDM vol. 3 3.4, 5.4 to
 * 5.7; real mode 20.1.1, virtual-8086 mode 20.2).
 */
#include <string.h>

#include "segment.h"

/* Descriptors */

static const struct amd64_segment *
table_of(const struct x86 *x, uint16_t sel)
{
	return (&x->s->seg[(sel & SEL_TI) != 0 ? SEG_LDTR : SEG_GDTR]);
}

static bool
in_table(const struct x86 *x, uint16_t sel)
{
	const struct amd64_segment *t = table_of(x, sel);

	if ((sel & SEL_TI) != 0 && (t->access & VM_AMD64_SEG_UNUSABLE) != 0)
		return (false);
	return ((sel | 7U) <= t->limit);
}

static uint64_t
desc_address(const struct x86 *x, uint16_t sel)
{
	uint64_t lin = table_of(x, sel)->base + (sel & 0xfff8);

	return (x86_long(x) ? lin : (uint32_t)lin);
}

enum x86_status
x86_read_desc(struct x86 *x, uint16_t sel, enum x86_vector vector, uint32_t error, uint64_t *desc,
    uint64_t *lin)
{
	if (!in_table(x, sel))
		return (x86_fault_error(x, vector, error));
	*lin = desc_address(x, sel);
	return (x86_sys_load(x, *lin, 8, desc));
}

/* System descriptors are twice as long in IA-32e mode (SDM vol. 3 3.5.2). */
enum x86_status
x86_read_desc_high(struct x86 *x, uint16_t sel, uint64_t lin, uint32_t error, uint64_t *high)
{
	if ((sel | 15U) > table_of(x, sel)->limit)
		return (x86_fault_error(x, EXC_GP, error));
	TRY(x86_sys_load(x, lin + 8, 8, high));
	if (DESC_TYPE(*high) != 0)
		return (x86_fault_error(x, EXC_GP, error));
	return (X_DONE);
}

/* SDM vol. 3 figure 3-8 */
struct amd64_segment
x86_unpack_desc(uint16_t sel, uint64_t desc)
{
	struct amd64_segment seg = {
		.sel = sel,
		.base = ((desc >> 16) & 0xffffff) | ((desc >> 56) << 24),
		.limit = (uint32_t)((desc & 0xffff) | ((desc >> 32) & 0xf0000)),
		.access = (uint32_t)(desc >> 40) & 0xf0ff,
	};

	if ((seg.access & VM_AMD64_SEG_G) != 0)
		seg.limit = seg.limit << 12 | 0xfff;
	return (seg);
}

/* Other processors may look at the same descriptor: SDM vol. 3 8.1.2.1 has these locked. */
enum x86_status
x86_sys_or(struct x86 *x, uint64_t lin, uint8_t set, uint8_t clear)
{
	struct x86_page page = { 0 };
	uint64_t v = 0;
	uint8_t *p;

	TRY(x86_walk(x, lin, PG_SYS | PG_WRITE, &page));
	p = soft_host(x->cpu, page.gpa, 1, VM_PROT_READ | VM_PROT_WRITE);
	if (p == NULL) {
		TRY(x86_sys_load(x, lin, 1, &v));
		return (x86_sys_store(x, lin, 1, (v | set) & ~(uint64_t)clear));
	}
	if (set != 0)
		(void)__atomic_fetch_or(p, set, __ATOMIC_SEQ_CST);
	if (clear != 0)
		(void)__atomic_fetch_and(p, (uint8_t)~clear, __ATOMIC_SEQ_CST);
	soft_wrote(x->cpu, page.gpa, 1);
	return (X_DONE);
}

enum x86_status
x86_set_accessed(struct x86 *x, struct amd64_segment *seg, uint64_t lin)
{
	if ((seg->access & TYPE_ACCESSED) != 0)
		return (X_DONE);
	TRY(x86_sys_or(x, lin + 5, TYPE_ACCESSED, 0));
	seg->access |= TYPE_ACCESSED;
	return (X_DONE);
}

enum x86_status
x86_stack_desc(struct x86 *x, uint16_t sel, unsigned cpl, enum x86_vector vector, uint32_t ext,
    struct amd64_segment *seg)
{
	uint32_t error = (sel & SEL_MASK) | ext;
	uint64_t desc = 0, lin = 0;

	if ((sel & SEL_MASK) == 0)
		return (x86_fault_error(x, vector, error));
	TRY(x86_read_desc(x, sel, vector, error, &desc, &lin));
	*seg = x86_unpack_desc(sel, desc);
	if (!seg_is_stack(seg) || (sel & 3) != cpl || VM_AMD64_SEG_DPL(seg->access) != cpl)
		return (x86_fault_error(x, vector, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_SS, error));
	return (x86_set_accessed(x, seg, lin));
}

enum x86_status
x86_ldt_desc(struct x86 *x, uint16_t sel, enum x86_vector vector, enum x86_vector absent,
    uint32_t ext, struct amd64_segment *seg)
{
	uint32_t error = (sel & SEL_MASK) | ext;
	uint64_t desc = 0, lin = 0, high = 0;

	*seg = (struct amd64_segment){ .sel = sel, .access = VM_AMD64_SEG_UNUSABLE };
	if ((sel & SEL_MASK) == 0)
		return (X_DONE);
	if ((sel & SEL_TI) != 0)
		return (x86_fault_error(x, vector, error));
	TRY(x86_read_desc(x, sel, vector, error, &desc, &lin));
	*seg = x86_unpack_desc(sel, desc);
	if (seg_type(seg) != SYS_LDT)
		return (x86_fault_error(x, vector, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, absent, error));
	if (x86_long(x)) {
		TRY(x86_read_desc_high(x, sel, lin, error, &high));
		seg->base |= high << 32;
		if (!amd64_canonical(seg->base, x->s->cr4))
			return (x86_fault_error(x, vector, error));
	}
	return (X_DONE);
}

/* Segments that no descriptor describes */

/* The privilege level is SS's DPL, also of a null one. */
struct amd64_segment
x86_null_ss(uint16_t sel, unsigned cpl)
{
	return ((struct amd64_segment){ .sel = sel, .access = VM_AMD64_SEG_UNUSABLE | cpl << 5 });
}

struct amd64_segment
x86_flat_code(uint16_t sel, unsigned dpl, bool wide)
{
	return ((struct amd64_segment){ .sel = sel, .limit = UINT32_MAX,
	    .access = TYPE_S | TYPE_CODE | TYPE_RW | TYPE_ACCESSED | dpl << 5 | VM_AMD64_SEG_P |
	    VM_AMD64_SEG_G | (wide ? VM_AMD64_SEG_L : VM_AMD64_SEG_DB) });
}

struct amd64_segment
x86_flat_stack(uint16_t sel, unsigned dpl)
{
	return ((struct amd64_segment){ .sel = sel, .limit = UINT32_MAX,
	    .access = TYPE_S | TYPE_RW | TYPE_ACCESSED | dpl << 5 | VM_AMD64_SEG_P | VM_AMD64_SEG_G |
	    VM_AMD64_SEG_DB });
}

void
x86_set_cs(struct x86 *x, const struct amd64_segment *seg, unsigned cpl)
{
	x->s->seg[SEG_CS] = *seg;
	x->s->seg[SEG_CS].sel = (uint16_t)((seg->sel & SEL_MASK) | cpl);
}

void
x86_real_sreg(struct x86 *x, enum amd64_seg n, uint16_t sel)
{
	struct amd64_segment *seg = &x->s->seg[n];

	seg->sel = sel;
	seg->base = (uint64_t)sel << 4;
	if (x86_protected(x)) {
		seg->limit = 0xffff;
		seg->access = ACC_V86;
	} else if ((seg->access & VM_AMD64_SEG_UNUSABLE) != 0) {
		/*
		 * Limit and rights stay what they are (SDM vol. 3 9.9.2): "unreal" mode rests on it.
		 * What was null in protected mode has none to keep.
		 */
		seg->limit = 0xffff;
		seg->access = ACC_REAL;
	}
}

/* Loading a data segment register */

static enum x86_status
load_null(struct x86 *x, enum amd64_seg n, uint16_t sel)
{
	unsigned cpl = x86_cpl(x);

	/* SS may be null in 64-bit mode below privilege level 3 (SDM vol. 3 5.4.1.1). */
	if (n == SEG_SS) {
		if (!x86_64bit(x) || cpl == 3 || (sel & 3) != cpl)
			return (GP0(x));
		x->s->seg[n] = x86_null_ss(sel, cpl);
		return (X_DONE);
	}
	x->s->seg[n] = (struct amd64_segment){ .sel = sel, .access = VM_AMD64_SEG_UNUSABLE };
	return (X_DONE);
}

/* Data or readable code, and privileged enough unless it conforms (SDM vol. 3 5.6). */
static bool
data_allowed(const struct x86 *x, const struct amd64_segment *seg)
{
	unsigned dpl = VM_AMD64_SEG_DPL(seg->access);

	if ((seg->access & TYPE_S) == 0 || (seg->access & (TYPE_CODE | TYPE_RW)) == TYPE_CODE)
		return (false);
	if (seg_is_code(seg) && seg_is_conforming(seg))
		return (true);
	return (dpl >= x86_cpl(x) && dpl >= (seg->sel & 3U));
}

enum x86_status
x86_data_desc(struct x86 *x, uint16_t sel, enum x86_vector vector, uint32_t ext,
    struct amd64_segment *seg)
{
	uint32_t error = (sel & SEL_MASK) | ext;
	uint64_t desc = 0, lin = 0;

	TRY(x86_read_desc(x, sel, vector, error, &desc, &lin));
	*seg = x86_unpack_desc(sel, desc);
	if (!data_allowed(x, seg))
		return (x86_fault_error(x, vector, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	return (x86_set_accessed(x, seg, lin));
}

enum x86_status
x86_load_sreg(struct x86 *x, enum amd64_seg n, uint16_t sel)
{
	struct amd64_segment seg;

	if (x86_real_or_v86(x)) {
		x86_real_sreg(x, n, sel);
		return (X_DONE);
	}
	if ((sel & SEL_MASK) == 0)
		return (load_null(x, n, sel));
	if (n == SEG_SS)
		TRY(x86_stack_desc(x, sel, x86_cpl(x), EXC_GP, 0, &seg));
	else
		TRY(x86_data_desc(x, sel, EXC_GP, 0, &seg));
	x->s->seg[n] = seg;
	return (X_DONE);
}

/*
 * Behind a load of SS: events wait until the next instruction is through, which sets the stack
 * pointer as a rule (SDM vol. 3 6.8.3).
 */
static void
loaded(struct x86 *x, enum amd64_seg n)
{
	if (n != SEG_SS)
		return;
	x->shadow = 2;
	x->attention = true;
	x86_cut(x);
}

/* MOV, PUSH and POP */

static enum x86_status
op_bad(struct x86 *x, const struct x86_insn *i)
{
	return (UD(x));
}

static enum x86_status
mov_to_r(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg n = (enum amd64_seg)i->r[0];

	TRY(x86_load_sreg(x, n, (uint16_t)x86_reg(x, i->r[1], 2)));
	loaded(x, n);
	return (X_DONE);
}

static enum x86_status
mov_to_m(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg n = (enum amd64_seg)i->r[0];
	uint64_t v = 0;

	TRY(x86_load(x, i, 2, &v));
	TRY(x86_load_sreg(x, n, (uint16_t)v));
	loaded(x, n);
	return (X_DONE);
}

/* Registers are zero-extended to their size, memory is always 16 bits wide. */
static enum x86_status
mov_from_r(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], i->opsize, x->s->seg[i->r[1]].sel);
	return (X_DONE);
}

static enum x86_status
mov_from_m(struct x86 *x, const struct x86_insn *i)
{
	return (x86_store(x, i, 2, x->s->seg[i->r[1]].sel));
}

static bool
is_sreg(const struct x86_decoded *d, unsigned n)
{
	return (x86_is_reg(d, n) && ZydisRegisterGetClass(d->op[n].reg.value) == ZYDIS_REGCLASS_SEGMENT);
}

static bool
bind_mov(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (is_sreg(d, 0)) {
		i->fn = x86_is_mem(d, 1) ? mov_to_m : mov_to_r;
		if (i->r[0] == SEG_CS)
			i->fn = op_bad;
	} else if (is_sreg(d, 1)) {
		i->fn = x86_is_mem(d, 0) ? mov_from_m : mov_from_r;
		i->opsize = (uint8_t)(d->op[0].size / 8);
	} else {
		return (false);
	}
	return (true);
}

/* SDM vol. 2, PUSH: the selector is zero-extended (or the rest left alone: either is allowed). */
static enum x86_status
push_sreg(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP];

	TRY(x86_push_at(x, &sp, i->opsize, x->s->seg[i->r[0]].sel));
	x86_sp_set(x, sp);
	return (X_DONE);
}

static enum x86_status
pop_sreg(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg n = (enum amd64_seg)i->r[0];
	unsigned stack = x86_stacksize(x);
	uint64_t sp = x->s->gpr[RSP], v = 0;

	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	TRY(x86_load_sreg(x, n, (uint16_t)v));
	x86_gpr_set(x, RSP, stack, sp);
	loaded(x, n);
	return (X_DONE);
}

static bool
bind_push(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (!is_sreg(d, 0))
		return (false);
	i->fn = push_sreg;
	return (true);
}

static bool
bind_pop(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (!is_sreg(d, 0))
		return (false);
	i->fn = pop_sreg;
	return (true);
}

/* LDS, LES, LFS, LGS, LSS: an offset, and a selector behind it */
static enum x86_status
load_far(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t ea = x86_ea(x, i), off = 0, sel = 0;

	TRY(x86_load_seg(x, seg, ea, i->opsize, &off));
	TRY(x86_load_seg(x, seg, (ea + i->opsize) & x86_mask(i->adsize), 2, &sel));
	TRY(x86_load_sreg(x, (enum amd64_seg)i->arg, (uint16_t)sel));
	x86_reg_set(x, i->r[0], i->opsize, off);
	return (X_DONE);
}

/* Looking at descriptors: LAR, LSL, VERR, VERW, ARPL (SDM vol. 3 5.10) */

/* A 16-bit operand. */
static enum x86_status
load_rm16(struct x86 *x, const struct x86_insn *i, unsigned n, uint16_t *v)
{
	uint64_t m = 0;

	if ((i->flags & XI_MEM) == 0) {
		*v = (uint16_t)x86_reg(x, i->r[n], 2);
		return (X_DONE);
	}
	TRY(x86_load(x, i, 2, &m));
	*v = (uint16_t)m;
	return (X_DONE);
}

static void
set_zf(struct x86 *x, bool zf)
{
	x86_flags(x, zf ? FL_ZF : 0, FL_ZF);
}

/* *found: there is such a descriptor. */
static enum x86_status
look(struct x86 *x, uint16_t sel, uint64_t *desc, bool *found)
{
	*found = (sel & SEL_MASK) != 0 && in_table(x, sel);
	return (*found ? x86_sys_load(x, desc_address(x, sel), 8, desc) : X_DONE);
}

static bool
visible(const struct x86 *x, uint16_t sel, uint64_t desc)
{
	unsigned type = DESC_TYPE(desc), dpl = DESC_DPL(desc);

	if ((type & (TYPE_S | TYPE_CODE | TYPE_CONFORMING)) == (TYPE_S | TYPE_CODE | TYPE_CONFORMING))
		return (true);
	return (dpl >= x86_cpl(x) && dpl >= (sel & 3U));
}

#define	TYPE_BIT(t)	(1U << (t))
#define	LSL_LONG	(TYPE_BIT(SYS_LDT) | TYPE_BIT(SYS_TSS) | TYPE_BIT(SYS_TSS_BUSY))
#define	LSL_LEGACY	(LSL_LONG | TYPE_BIT(SYS_TSS16) | TYPE_BIT(SYS_TSS16_BUSY))
#define	LAR_LONG	(LSL_LONG | TYPE_BIT(SYS_CALL))
#define	LAR_LEGACY	(LSL_LEGACY | TYPE_BIT(SYS_CALL) | TYPE_BIT(SYS_CALL16) | TYPE_BIT(SYS_TASK))

/* SDM vol. 2, tables 3-50 and 3-58; arg: LSL */
static enum x86_status
lar_lsl(struct x86 *x, const struct x86_insn *i)
{
	bool lsl = i->arg != 0, lm = x86_long(x), ok = false;
	uint32_t types = lsl ? (lm ? LSL_LONG : LSL_LEGACY) : (lm ? LAR_LONG : LAR_LEGACY), v;
	uint64_t desc = 0;
	uint16_t sel = 0;

	TRY(load_rm16(x, i, 1, &sel));
	TRY(look(x, sel, &desc, &ok));
	ok = ok && visible(x, sel, desc) &&
	    ((DESC_TYPE(desc) & TYPE_S) != 0 || (types >> DESC_TYPE(desc) & 1) != 0);
	if (ok) {
		v = lsl ? x86_unpack_desc(sel, desc).limit : (uint32_t)(desc >> 32) & 0x00ffff00;
		x86_reg_set(x, i->r[0], i->opsize, v & x86_mask(i->opsize));
	}
	set_zf(x, ok);
	return (X_DONE);
}

/* arg: VERW */
static enum x86_status
verify(struct x86 *x, const struct x86_insn *i)
{
	unsigned type;
	uint64_t desc = 0;
	uint16_t sel = 0;
	bool ok = false;

	TRY(load_rm16(x, i, 0, &sel));
	TRY(look(x, sel, &desc, &ok));
	type = DESC_TYPE(desc);
	ok = ok && (type & TYPE_S) != 0 && visible(x, sel, desc);
	if (i->arg != 0)
		ok = ok && (type & (TYPE_CODE | TYPE_RW)) == TYPE_RW;
	else
		ok = ok && (type & (TYPE_CODE | TYPE_RW)) != TYPE_CODE;
	set_zf(x, ok);
	return (X_DONE);
}

/* The operand is written only where its RPL changes (SDM vol. 2A ARPL): a read-only page may hold it. */
/* The operand is written only if it changes. */
static enum x86_status
arpl(struct x86 *x, const struct x86_insn *i)
{
	uint16_t v = 0, rpl = (uint16_t)(x86_reg(x, i->r[1], 2) & 3);
	bool less;

	TRY(load_rm16(x, i, 0, &v));
	less = (v & 3) < rpl;
	if (less) {
		v = (uint16_t)((v & ~3U) | rpl);
		if ((i->flags & XI_MEM) != 0)
			TRY(x86_store(x, i, 2, v));
		else
			x86_reg_set(x, i->r[0], 2, v);
	}
	set_zf(x, less);
	return (X_DONE);
}

/* LDTR, TR, GDTR, IDTR */

static enum x86_status
lldt(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_segment seg;
	uint16_t sel = 0;

	TRY(load_rm16(x, i, 0, &sel));
	TRY(x86_ldt_desc(x, sel, EXC_GP, EXC_NP, 0, &seg));
	x->s->seg[SEG_LDTR] = seg;
	return (X_DONE);
}

static enum x86_status
ltr(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_segment seg;
	uint64_t desc = 0, lin = 0, high = 0;
	uint32_t error;
	uint16_t sel = 0;

	TRY(load_rm16(x, i, 0, &sel));
	error = sel & SEL_MASK;
	if (error == 0 || (sel & SEL_TI) != 0)
		return (x86_fault_error(x, EXC_GP, error));
	TRY(x86_read_desc(x, sel, EXC_GP, error, &desc, &lin));
	seg = x86_unpack_desc(sel, desc);
	if (seg_type(&seg) != SYS_TSS && (x86_long(x) || seg_type(&seg) != SYS_TSS16))
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg.access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	if (x86_long(x)) {
		TRY(x86_read_desc_high(x, sel, lin, error, &high));
		seg.base |= high << 32;
		if (!amd64_canonical(seg.base, x->s->cr4))
			return (x86_fault_error(x, EXC_GP, error));
	}
	TRY(x86_sys_or(x, lin + 5, SYS_BUSY, 0));
	seg.access |= SYS_BUSY;
	x->s->seg[SEG_TR] = seg;
	return (X_DONE);
}

/* User-mode instruction prevention (SDM vol. 3 2.5, CR4.UMIP): also in virtual-8086 mode. */
static bool
prevented(const struct x86 *x)
{
	return (x86_cpl(x) != 0 && (x->s->cr4 & CR4_UMIP) != 0);
}

/* SLDT, STR: arg is the register */
static enum x86_status
store_selector(struct x86 *x, const struct x86_insn *i)
{
	uint16_t sel = x->s->seg[i->arg].sel;

	if (prevented(x))
		return (GP0(x));
	if ((i->flags & XI_MEM) != 0)
		return (x86_store(x, i, 2, sel));
	x86_reg_set(x, i->r[0], i->opsize, sel);
	return (X_DONE);
}

/*
 * A limit, and a base of 32 or, in 64-bit mode, 64 bits.  With 16-bit operands a base has 24 bits
 * (SDM vol. 2, LGDT and SGDT).
 */
static enum x86_status
store_table(struct x86 *x, const struct x86_insn *i)
{
	const struct amd64_segment *t = &x->s->seg[i->arg];
	unsigned width = x86_64bit(x) ? 8 : 4;
	uint64_t base = t->base;
	uint16_t limit = (uint16_t)t->limit;
	uint8_t image[10];

	if (prevented(x))
		return (GP0(x));
	if (width == 4 && i->opsize == 2)
		base &= 0xffffff;
	memcpy(image, &limit, 2);
	memcpy(image + 2, &base, 8);
	return (x86_store_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), 2 + width, image));
}

static enum x86_status
load_table(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_segment *t = &x->s->seg[i->arg];
	unsigned width = x86_64bit(x) ? 8 : 4;
	uint8_t image[10] = { 0 };
	uint64_t base = 0;
	uint16_t limit;

	TRY(x86_load_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), 2 + width, image));
	memcpy(&limit, image, 2);
	memcpy(&base, image + 2, width);
	if (width == 4 && i->opsize == 2)
		base &= 0xffffff;
	if (width == 8 && !amd64_canonical(base, x->s->cr4))
		return (GP0(x));
	t->base = base;
	t->limit = limit;
	return (X_DONE);
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct x86_opdesc x86_ops_segment[] = {
	{ M(MOV), 0, 0, NULL, bind_mov },
	{ M(PUSH), 0, 0, NULL, bind_push },
	{ M(POP), 0, 0, NULL, bind_pop },
	{ M(LDS), XD_NO64, SEG_DS, load_far, NULL },
	{ M(LES), XD_NO64, SEG_ES, load_far, NULL },
	{ M(LFS), 0, SEG_FS, load_far, NULL },
	{ M(LGS), 0, SEG_GS, load_far, NULL },
	{ M(LSS), 0, SEG_SS, load_far, NULL },
	{ M(LAR), XD_PROT, 0, lar_lsl, NULL },
	{ M(LSL), XD_PROT, 1, lar_lsl, NULL },
	{ M(VERR), XD_PROT, 0, verify, NULL },
	{ M(VERW), XD_PROT, 1, verify, NULL },
	{ M(ARPL), XD_PROT | XD_NO64, 0, arpl, NULL },
	{ M(LLDT), XD_PROT | XD_CPL0, 0, lldt, NULL },
	{ M(LTR), XD_PROT | XD_CPL0, 0, ltr, NULL },
	{ M(SLDT), XD_PROT, SEG_LDTR, store_selector, NULL },
	{ M(STR), XD_PROT, SEG_TR, store_selector, NULL },
	{ M(LGDT), XD_CPL0, SEG_GDTR, load_table, NULL },
	{ M(LIDT), XD_CPL0, SEG_IDTR, load_table, NULL },
	{ M(SGDT), 0, SEG_GDTR, store_table, NULL },
	{ M(SIDT), 0, SEG_IDTR, store_table, NULL },
	{ 0 },
};
