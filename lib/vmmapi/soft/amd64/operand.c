/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * operand.c - registers, addresses and memory operands.
 */
#include "cpu.h"

enum x86_status
x86_fault(struct x86 *x, enum x86_vector vector)
{
	x->exc = (struct x86_exc){ .vector = (uint8_t)vector };
	return (X_FAULT);
}

enum x86_status
x86_fault_error(struct x86 *x, enum x86_vector vector, uint32_t error)
{
	x->exc = (struct x86_exc){ .vector = (uint8_t)vector, .has_error = true, .error = error };
	return (X_FAULT);
}

/* Registers */

uint64_t
x86_gpr(const struct x86 *x, enum amd64_gpr n, unsigned size)
{
	return (x->s->gpr[n] & x86_mask(size));
}

/* 32-bit results are zero-extended, smaller ones leave the rest alone (SDM vol. 1 3.4.1.1). */
void
x86_gpr_set(struct x86 *x, enum amd64_gpr n, unsigned size, uint64_t val)
{
	uint64_t *r = &x->s->gpr[n], m = x86_mask(size);

	*r = size >= 4 ? val & m : (*r & ~m) | (val & m);
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH and BH. */
static bool
high_byte(const struct x86 *x, unsigned n, unsigned size)
{
	return (size == 1 && x->insn.rex == 0 && n >= 4 && n < 8);
}

uint64_t
x86_reg(const struct x86 *x, unsigned n, unsigned size)
{
	if (high_byte(x, n, size))
		return ((x->s->gpr[n - 4] >> 8) & 0xff);
	return (x86_gpr(x, (enum amd64_gpr)n, size));
}

void
x86_reg_set(struct x86 *x, unsigned n, unsigned size, uint64_t val)
{
	if (high_byte(x, n, size))
		x->s->gpr[n - 4] = (x->s->gpr[n - 4] & ~0xff00ULL) | (val & 0xff) << 8;
	else
		x86_gpr_set(x, (enum amd64_gpr)n, size, val);
}

void
x86_flags(struct x86 *x, uint64_t fl, uint64_t flmask)
{
	x->s->rflags = (x->s->rflags & ~flmask) | (fl & flmask);
}

void
x86_sp_set(struct x86 *x, uint64_t sp)
{
	x86_gpr_set(x, RSP, x86_stacksize(x), sp);
}

/* Addresses */

uint64_t
x86_ea(const struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	uint64_t ea = (uint64_t)i->disp;

	if (i->riprel)
		ea += x->s->rip + i->len;
	if (i->base != NO_REG)
		ea += x->s->gpr[i->base];
	if (i->index != NO_REG)
		ea += x->s->gpr[i->index] << i->scale;
	return (ea & x86_mask(i->adsize));
}

/* Whether [off, off + size) is within the segment (SDM vol. 3 5.3). */
static bool
in_limit(const struct amd64_segment *seg, uint64_t off, unsigned size)
{
	uint64_t last = off + size - 1, top;

	/* Expand-down data segments: valid above the limit. */
	if ((seg->access & 0x1c) == 0x14) {
		top = (seg->access & VM_AMD64_SEG_DB) != 0 ? 0xffffffff : 0xffff;
		return (off > seg->limit && last <= top);
	}
	return (last <= seg->limit);
}

/* Whether the segment may be used so (SDM vol. 3 5.5); in real mode every segment may. */
static bool
usable(const struct x86 *x, const struct amd64_segment *seg, bool write)
{
	if (!x86_protected(x))
		return (true);
	if ((seg->access & VM_AMD64_SEG_UNUSABLE) != 0)
		return (false);
	if ((seg->access & 0x08) != 0)			/* code: never written, read if readable */
		return (!write && (seg->access & 0x02) != 0);
	return (!write || (seg->access & 0x02) != 0);
}

static enum x86_status
linear(struct x86 *x, enum amd64_seg n, uint64_t off, unsigned size, bool write, uint64_t *lin)
{
	const struct amd64_segment *seg = &x->s->seg[n];

	if (x86_64bit(x)) {
		*lin = off + (n == SEG_FS || n == SEG_GS ? seg->base : 0);
		if (amd64_canonical(*lin, x->s->cr4) && amd64_canonical(*lin + size - 1, x->s->cr4))
			return (X_OK);
	} else {
		*lin = (seg->base + off) & 0xffffffff;
		if (usable(x, seg, write) && in_limit(seg, off, size))
			return (X_OK);
	}
	return (x86_fault_error(x, n == SEG_SS ? EXC_SS : EXC_GP, 0));
}

/* Physical address of a linear one; the page fault that there is otherwise (SDM vol. 3 4.7). */
static enum x86_status
physical(struct x86 *x, uint64_t lin, int prot, vm_paddr_t *gpa)
{
	int fault = 0;

	if ((x->s->cr0 & CR0_PG) == 0) {
		*gpa = lin;
		return (X_OK);
	}
	if (x->vcpu->vm->md->translate(x->vcpu, lin, prot, gpa, &fault) == 0 && fault == 0)
		return (X_OK);
	x->exc = (struct x86_exc){ .vector = EXC_PF, .has_error = true, .cr2 = lin };
	if ((prot & VM_PROT_WRITE) != 0)
		x->exc.error |= 2;
	if (x86_cpl(x) == 3)
		x->exc.error |= 4;
	if ((prot & VM_PROT_EXEC) != 0 && (x->s->efer & EFER_NXE) != 0)
		x->exc.error |= 16;
	fault = 0;
	if (prot != VM_PROT_READ && x->vcpu->vm->md->translate(x->vcpu, lin, VM_PROT_READ, gpa,
	    &fault) == 0 && fault == 0)
		x->exc.error |= 1;
	return (X_FAULT);
}

/*
 * The bytes from rip on, at most up to the end of its page.  What is no memory is fetched as all
 * ones, which is how an unclaimed address reads.
 */
enum x86_status
x86_fetch_ptr(struct x86 *x, uint64_t rip, const uint8_t **p, unsigned *n)
{
	static const uint8_t nothing[1] = { 0xff };
	const struct amd64_segment *cs = &x->s->seg[SEG_CS];
	uint64_t lin = rip, left;
	vm_paddr_t gpa;

	if (x86_64bit(x)) {
		if (!amd64_canonical(rip, x->s->cr4))
			return (x86_fault_error(x, EXC_GP, 0));
		left = VM_PAGE_SIZE;
	} else {
		if (rip > cs->limit)
			return (x86_fault_error(x, EXC_GP, 0));
		lin = (cs->base + rip) & 0xffffffff;
		left = (uint64_t)cs->limit - rip + 1;
	}
	TRY(physical(x, lin, VM_PROT_EXEC, &gpa));
	*n = VM_PAGE_SIZE - (unsigned)(gpa & (VM_PAGE_SIZE - 1));
	if (*n > left)
		*n = (unsigned)left;
	*p = soft_host(x->cpu, gpa, *n, VM_PROT_EXEC);
	if (*p == NULL) {
		*p = nothing;
		*n = 1;
	}
	return (X_OK);
}

/* Memory at linear addresses, also across pages */

static bool
crosses(uint64_t lin, unsigned size)
{
	return ((lin & (VM_PAGE_SIZE - 1)) + size > VM_PAGE_SIZE);
}

enum x86_status
x86_load_lin(struct x86 *x, uint64_t lin, unsigned size, uint64_t *val)
{
	unsigned first = size;
	vm_paddr_t gpa, gpa2 = 0;
	uint64_t byte;

	TRY(physical(x, lin, VM_PROT_READ, &gpa));
	if (crosses(lin, size)) {
		first = VM_PAGE_SIZE - (unsigned)(lin & (VM_PAGE_SIZE - 1));
		TRY(physical(x, lin + first, VM_PROT_READ, &gpa2));
		if (gpa2 == gpa + first)
			first = size;
	}
	if (first == size)
		return (soft_load(x->cpu, gpa, size, val) == SOFT_DONE ? X_OK : X_EXIT);
	*val = 0;
	for (unsigned i = 0; i < size; i++) {
		if (soft_load(x->cpu, i < first ? gpa + i : gpa2 + i - first, 1,
		    &byte) != SOFT_DONE)
			return (X_EXIT);
		*val |= byte << (8 * i);
	}
	return (X_OK);
}

/* A store that nobody claims becomes an exit behind the instruction: soft_cpu.exiting. */
enum x86_status
x86_store_lin(struct x86 *x, uint64_t lin, unsigned size, uint64_t val)
{
	unsigned first = size;
	vm_paddr_t gpa, gpa2 = 0;

	TRY(physical(x, lin, VM_PROT_WRITE, &gpa));
	if (crosses(lin, size)) {
		first = VM_PAGE_SIZE - (unsigned)(lin & (VM_PAGE_SIZE - 1));
		TRY(physical(x, lin + first, VM_PROT_WRITE, &gpa2));
		if (gpa2 == gpa + first)
			first = size;
	}
	if (first == size) {
		(void)soft_store(x->cpu, gpa, size, val & x86_mask(size));
		return (X_OK);
	}
	for (unsigned i = 0; i < size; i++)
		(void)soft_store(x->cpu, i < first ? gpa + i : gpa2 + i - first, 1,
		    (val >> (8 * i)) & 0xff);
	return (X_OK);
}

enum x86_status
x86_load(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, uint64_t *val)
{
	uint64_t lin;

	TRY(linear(x, seg, off, size, false, &lin));
	return (x86_load_lin(x, lin, size, val));
}

enum x86_status
x86_store(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, uint64_t val)
{
	uint64_t lin;

	TRY(linear(x, seg, off, size, true, &lin));
	return (x86_store_lin(x, lin, size, val));
}

/* Would a store fault? */
enum x86_status
x86_probe_write(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size)
{
	vm_paddr_t gpa;
	uint64_t lin;

	TRY(linear(x, seg, off, size, true, &lin));
	TRY(physical(x, lin, VM_PROT_WRITE, &gpa));
	return (crosses(lin, size) ? physical(x, lin + size - 1, VM_PROT_WRITE, &gpa) : X_OK);
}

enum x86_status
x86_push_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t val)
{
	uint64_t to = (*sp - size) & x86_mask(x86_stacksize(x));

	TRY(x86_store(x, SEG_SS, to, size, val));
	*sp = to;
	return (X_OK);
}

enum x86_status
x86_pop_at(struct x86 *x, uint64_t *sp, unsigned size, uint64_t *val)
{
	uint64_t m = x86_mask(x86_stacksize(x));

	TRY(x86_load(x, SEG_SS, *sp & m, size, val));
	*sp = (*sp + size) & m;
	return (X_OK);
}

/* The r/m operand */

enum x86_status
x86_rm_load(struct x86 *x, unsigned size, uint64_t *val)
{
	const struct x86_insn *i = &x->insn;

	if (i->mod == 3) {
		*val = x86_reg(x, i->rm, size);
		return (X_OK);
	}
	return (x86_load(x, i->memseg, x86_ea(x), size, val));
}

enum x86_status
x86_rm_store(struct x86 *x, unsigned size, uint64_t val)
{
	const struct x86_insn *i = &x->insn;

	if (i->mod == 3) {
		x86_reg_set(x, i->rm, size, val);
		return (X_OK);
	}
	return (x86_store(x, i->memseg, x86_ea(x), size, val));
}

static void
modify(struct x86_rmw *w, uint64_t old)
{
	w->fl = w->before;
	w->old = old & x86_mask(w->size);
	w->new = w->fn(w, w->old) & x86_mask(w->size);
}

/* Exchange by the host's compare-and-swap until nobody came in between.  p is aligned. */
#define	SWAP(type) do {								\
	type old_ = __atomic_load_n((type *)p, __ATOMIC_RELAXED);		\
	do {									\
		modify(w, old_);						\
	} while (!__atomic_compare_exchange_n((type *)p, &old_, (type)w->new,	\
	    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));			\
} while (0)

static void
swap(struct x86_rmw *w, void *p)
{
	switch (w->size) {
	case 1:
		SWAP(uint8_t);
		break;
	case 2:
		SWAP(uint16_t);
		break;
	case 4:
		SWAP(uint32_t);
		break;
	default:
		SWAP(uint64_t);
		break;
	}
}

/*
 * A locked access that is not aligned, perhaps across pages: with every other vCPU out of the guest
 * (SDM vol. 3 8.1.2).  False if not all of it is memory; then nothing was done.
 */
static bool
swap_exclusive(struct x86 *x, struct x86_rmw *w, vm_paddr_t gpa, vm_paddr_t gpa2, unsigned first)
{
	unsigned size = w->size;
	uint8_t *p, *q = NULL;
	uint64_t old = 0;
	bool all;

	soft_excl_begin(x->cpu);
	p = soft_host(x->cpu, gpa, first, VM_PROT_RW);
	if (first < size)
		q = soft_host(x->cpu, gpa2, size - first, VM_PROT_RW);
	all = p != NULL && (first == size || q != NULL);
	if (all) {
		for (unsigned i = 0; i < size; i++)
			old |= (uint64_t)(i < first ? p[i] : q[i - first]) << (8 * i);
		modify(w, old);
		for (unsigned i = 0; i < size; i++)
			*(i < first ? &p[i] : &q[i - first]) = (uint8_t)(w->new >> (8 * i));
	}
	soft_excl_end(x->cpu);
	return (all);
}

/* True if the locked access was done. */
static enum x86_status
locked_rmw(struct x86 *x, struct x86_rmw *w, uint64_t lin, bool *done)
{
	unsigned size = w->size, first = size;
	vm_paddr_t gpa, gpa2 = 0;
	void *p;

	*done = false;
	TRY(physical(x, lin, VM_PROT_WRITE, &gpa));
	if (crosses(lin, size)) {
		first = VM_PAGE_SIZE - (unsigned)(lin & (VM_PAGE_SIZE - 1));
		TRY(physical(x, lin + first, VM_PROT_WRITE, &gpa2));
	}
	if ((lin & (size - 1)) != 0) {
		*done = swap_exclusive(x, w, gpa, gpa2, first);
		return (X_OK);
	}
	p = soft_host(x->cpu, gpa, size, VM_PROT_RW);
	if (p != NULL) {
		swap(w, p);
		*done = true;
	}
	return (X_OK);
}

enum x86_status
x86_rmw(struct x86 *x, struct x86_rmw *w, bool locked)
{
	const struct x86_insn *i = &x->insn;
	uint64_t lin, old;
	bool done;

	w->before = x->s->rflags;
	if (i->mod == 3) {
		modify(w, x86_reg(x, i->rm, w->size));
		return (X_OK);
	}
	TRY(linear(x, i->memseg, x86_ea(x), w->size, true, &lin));
	if (locked) {
		TRY(locked_rmw(x, w, lin, &done));
		if (done)
			return (X_OK);
	}
	/* Not locked, or a device's: no bus protocol is modelled for those. */
	TRY(x86_load_lin(x, lin, w->size, &old));
	modify(w, old);
	return (x86_store_lin(x, lin, w->size, w->new));
}

void
x86_rmw_done(struct x86 *x, struct x86_rmw *w, uint64_t flmask)
{
	if (x->insn.mod == 3)
		x86_reg_set(x, x->insn.rm, w->size, w->new);
	x86_flags(x, w->fl, flmask);
}
