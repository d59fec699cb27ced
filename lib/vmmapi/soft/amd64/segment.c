/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c - segment registers and descriptors (Intel SDM vol. 3 3.4, 3.5, 5.5 to 5.8).
 */
#include "cpu.h"

#define	TYPE_CODE	0x08U		/* of a segment with S set */
#define	TYPE_CONFORMING	0x04U
#define	TYPE_RW		0x02U		/* data: writable; code: readable */
#define	TYPE_ACCESSED	0x01U
#define	ACC_S		0x10U

/* The descriptor of sel and where it is; beyond its table: #GP with error. */
enum x86_status
x86_read_desc(struct x86 *x, uint16_t sel, uint32_t error, uint64_t *desc, uint64_t *lin)
{
	const struct amd64_segment *t = &x->s->seg[(sel & 4) != 0 ? SEG_LDTR : SEG_GDTR];

	if (((sel & 4) != 0 && (t->access & VM_AMD64_SEG_UNUSABLE) != 0) || (sel | 7U) > t->limit)
		return (x86_fault_error(x, EXC_GP, error));
	*lin = t->base + (sel & 0xfff8);
	if (!x86_long(x))
		*lin &= 0xffffffff;
	return (x86_load_lin(x, *lin, 8, desc));
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

/* Note in memory that a descriptor was loaded. */
static enum x86_status
set_accessed(struct x86 *x, struct amd64_segment *seg, uint64_t lin)
{
	if ((seg->access & TYPE_ACCESSED) != 0)
		return (X_OK);
	seg->access |= TYPE_ACCESSED;
	return (x86_store_lin(x, lin + 5, 1, seg->access & 0xff));
}

static enum x86_status
load_null(struct x86 *x, enum amd64_seg n, uint16_t sel)
{
	struct amd64_segment *seg = &x->s->seg[n];

	/* SS may be null in 64-bit mode below privilege level 3. */
	if (n == SEG_SS && (!x86_64bit(x) || x86_cpl(x) == 3 || (sel & 3) != x86_cpl(x)))
		return (x86_fault_error(x, EXC_GP, 0));
	*seg = (struct amd64_segment){ .sel = sel, .access = VM_AMD64_SEG_UNUSABLE };
	return (X_OK);
}

/* Any but CS. */
enum x86_status
x86_load_sreg(struct x86 *x, enum amd64_seg n, uint16_t sel)
{
	uint32_t error = sel & 0xfffc;
	unsigned cpl = x86_cpl(x), rpl = sel & 3, dpl;
	struct amd64_segment seg;
	uint64_t desc, lin = 0;
	bool bad;

	if (!x86_protected(x)) {
		/*
		 * Limit and rights stay what they are (SDM vol. 3 20.1.1): "unreal" mode rests on
		 * it.
		 */
		x->s->seg[n].sel = sel;
		x->s->seg[n].base = (uint64_t)sel << 4;
		return (X_OK);
	}
	if ((sel & 0xfffc) == 0)
		return (load_null(x, n, sel));
	TRY(x86_read_desc(x, sel, error, &desc, &lin));
	seg = x86_unpack_desc(sel, desc);
	dpl = VM_AMD64_SEG_DPL(seg.access);
	bad = (seg.access & ACC_S) == 0;
	if (n == SEG_SS) {
		bad |= (seg.access & (TYPE_CODE | TYPE_RW)) != TYPE_RW || rpl != cpl || dpl != cpl;
	} else {
		bad |= (seg.access & (TYPE_CODE | TYPE_RW)) == TYPE_CODE;
		if ((seg.access & (TYPE_CODE | TYPE_CONFORMING)) != (TYPE_CODE | TYPE_CONFORMING))
			bad |= dpl < cpl || dpl < rpl;
	}
	if (bad)
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg.access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, n == SEG_SS ? EXC_SS : EXC_NP, error));
	TRY(set_accessed(x, &seg, lin));
	x->s->seg[n] = seg;
	return (X_OK);
}

/* With error as the error code of what is wrong with the selector itself (EXT bit included). */
enum x86_status
x86_code_desc(struct x86 *x, uint16_t sel, uint32_t error, struct amd64_segment *seg)
{
	unsigned cpl = x86_cpl(x), dpl;
	uint64_t desc, lin = 0;

	if ((sel & 0xfffc) == 0)
		return (x86_fault_error(x, EXC_GP, error & 1));
	TRY(x86_read_desc(x, sel, error, &desc, &lin));
	*seg = x86_unpack_desc((uint16_t)((sel & 0xfffc) | cpl), desc);
	dpl = VM_AMD64_SEG_DPL(seg->access);
	if ((seg->access & (ACC_S | TYPE_CODE)) != (ACC_S | TYPE_CODE) ||
	    ((seg->access & TYPE_CONFORMING) != 0 ? dpl > cpl : dpl != cpl) ||
	    (x86_long(x) && (seg->access & VM_AMD64_SEG_L) != 0 &&
	    (seg->access & VM_AMD64_SEG_DB) != 0))
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	return (set_accessed(x, seg, lin));
}

void
x86_set_cs(struct x86 *x, const struct amd64_segment *seg)
{
	x->s->seg[SEG_CS] = *seg;
}

/* Jump to another code segment of the same privilege; gates and task switches are not modelled. */
enum x86_status
x86_far_jump(struct x86 *x, uint16_t sel, uint64_t off)
{
	struct amd64_segment seg = x->s->seg[SEG_CS];

	if (!x86_protected(x)) {
		seg.sel = sel;
		seg.base = (uint64_t)sel << 4;
		if (off > seg.limit)
			return (x86_fault_error(x, EXC_GP, 0));
	} else {
		TRY(x86_code_desc(x, sel, sel & 0xfffc, &seg));
		if (x86_long(x) && (seg.access & VM_AMD64_SEG_L) != 0 ?
		    !amd64_canonical(off, x->s->cr4) : off > seg.limit)
			return (x86_fault_error(x, EXC_GP, 0));
	}
	x86_set_cs(x, &seg);
	x->next = off;
	return (X_OK);
}

/*
 * The system descriptor of sel: of one of two types, 16 bytes long in long mode (SDM vol. 3 figure
 * 7-4).
 */
static enum x86_status
system_desc(struct x86 *x, uint16_t sel, unsigned type1, unsigned type2, struct amd64_segment *seg,
    uint64_t *lin)
{
	uint32_t error = sel & 0xfffc;
	uint64_t desc, high;

	if ((sel & 4) != 0)
		return (x86_fault_error(x, EXC_GP, error));
	TRY(x86_read_desc(x, sel, error, &desc, lin));
	*seg = x86_unpack_desc(sel, desc);
	if (VM_AMD64_SEG_TYPE(seg->access) != type1 && VM_AMD64_SEG_TYPE(seg->access) != type2)
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	if (x86_64bit(x)) {
		if ((sel | 15U) > x->s->seg[SEG_GDTR].limit)
			return (x86_fault_error(x, EXC_GP, error));
		TRY(x86_load_lin(x, *lin + 8, 8, &high));
		seg->base |= high << 32;
		if ((high & 0x1f0000000000ULL) >> 40 != 0 || !amd64_canonical(seg->base, x->s->cr4))
			return (x86_fault_error(x, EXC_GP, error));
	}
	return (X_OK);
}

/* LTR: available 16-bit (legacy only) or 32/64-bit TSS, which becomes busy */
enum x86_status
x86_load_tr(struct x86 *x, uint16_t sel)
{
	struct amd64_segment seg;
	uint64_t lin = 0;

	if ((sel & 0xfffc) == 0)
		return (x86_fault_error(x, EXC_GP, 0));
	TRY(system_desc(x, sel, 9, x86_long(x) ? 9 : 1, &seg, &lin));
	seg.access |= 2;
	TRY(x86_store_lin(x, lin + 5, 1, seg.access & 0xff));
	x->s->seg[SEG_TR] = seg;
	return (X_OK);
}

enum x86_status
x86_load_ldtr(struct x86 *x, uint16_t sel)
{
	struct amd64_segment seg = { .sel = sel, .access = VM_AMD64_SEG_UNUSABLE };
	uint64_t lin = 0;

	if ((sel & 0xfffc) != 0)
		TRY(system_desc(x, sel, 2, 2, &seg, &lin));
	x->s->seg[SEG_LDTR] = seg;
	return (X_OK);
}
