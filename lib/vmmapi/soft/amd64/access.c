/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * access.c - memory as instructions see it, where it is not in the TLB: segments, translation, page
 * crossings, devices, atomics.
 */
#include <string.h>

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

/* Segments */

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

/* Whether the segment may be used so (SDM vol. 3 5.5); in real and virtual-8086 mode every segment may. */
static bool
usable(const struct x86 *x, const struct amd64_segment *seg, bool write)
{
	if (x86_real_or_v86(x))
		return (true);
	if ((seg->access & VM_AMD64_SEG_UNUSABLE) != 0)
		return (false);
	if ((seg->access & 0x08) != 0)			/* code: never written, read if readable */
		return (!write && (seg->access & 0x02) != 0);
	return (!write || (seg->access & 0x02) != 0);
}

enum x86_status
x86_linear(struct x86 *x, enum amd64_seg n, uint64_t off, unsigned size, bool write, uint64_t *lin)
{
	const struct amd64_segment *seg = &x->s->seg[n];

	if (x86_64bit(x)) {
		*lin = off + (n == SEG_FS || n == SEG_GS ? seg->base : 0);
		return (X_DONE);
	}
	*lin = (seg->base + off) & 0xffffffff;
	if (usable(x, seg, write) && in_limit(seg, off, size))
		return (X_DONE);
	return (x86_fault_error(x, n == SEG_SS ? EXC_SS : EXC_GP, 0));
}

/* Translation */

/* One page's translation, entered in the TLB. */
static enum x86_status
translate(struct x86 *x, uint64_t lin, unsigned why, uint64_t *gpa)
{
	bool write = (why & PG_WRITE) != 0;
	const struct soft_tlbe *e;
	unsigned row = x->mmu;
	struct x86_page page = { 0 };

	if ((why & PG_SYS) != 0)
		row = (x->s->cr4 & CR4_SMAP) != 0 ? MMU_SMAP : MMU_KERNEL;
	row += write ? (unsigned)MMU_WRITE : 0;
	e = soft_tlb_again(x->tlb, row, x->tag, lin, write);
	if (e != NULL) {
		*gpa = SOFT_PAGE(e->gpa) | (lin & 0xfff);
		return (X_DONE);
	}
	TRY(x86_walk(x, lin, why, &page));
	/* Only where it was looked for: what has the same place in the other row may be in use. */
	if (!write)
		page.flags &= ~SOFT_TLB_W;
	soft_tlb_fill(x->cpu, x->tlb, row, (uint16_t)x->tag, lin, page.gpa, page.flags);
	*gpa = page.gpa;
	for (unsigned n = soft_tlb_ahead(x->cpu, x->tlb, row, page.flags); n > 0 && x86_walk_on(x, &page); n--) {
		lin += VM_PAGE_SIZE;
		soft_tlb_enter(x->cpu, x->tlb, row, (uint16_t)x->tag, lin, page.gpa, page.flags);
	}
	return (X_DONE);
}

/* Alignment checks come behind page faults (SDM vol. 3 table 6-2). */
static enum x86_status
check_alignment(struct x86 *x, uint64_t lin, unsigned size)
{
	if (x->cpl == 3 && (x->s->cr0 & CR0_AM) != 0 && (x->s->rflags & FL_AC) != 0 &&
	    size <= 8 && (lin & (size - 1)) != 0)
		return (x86_fault_error(x, EXC_AC, 0));
	return (X_DONE);
}

static enum x86_status
spot(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, unsigned why, struct soft_spot *s)
{
	uint64_t lin2;

	if (x86_long(x) && (!amd64_canonical(lin, x->s->cr4) || !amd64_canonical(lin + size - 1, x->s->cr4)))
		return (x86_fault_error(x, seg == SEG_SS ? EXC_SS : EXC_GP, 0));
	soft_spot_split(s, lin, size);
	TRY(translate(x, lin, why, &s->gpa[0]));
	if (s->size[1] != 0) {
		lin2 = lin + s->size[0];
		if (!x->flat && (why & PG_SYS) == 0)
			lin2 = (uint32_t)lin2;
		TRY(translate(x, lin2, why, &s->gpa[1]));
	}
	return ((why & PG_SYS) == 0 ? check_alignment(x, lin, size) : X_DONE);
}

/* Physical accesses; the instruction is in step with the outside. */

static enum x86_status
load_spot(struct x86 *x, const struct soft_spot *s, void *to)
{
	enum soft_access r;

	x86_sync(x);
	r = soft_load_spot(x->cpu, s, 8, to);
	x86_after_device(x);
	return (r == SOFT_DONE ? X_DONE : X_EXIT);
}

static void
store_spot(struct x86 *x, const struct soft_spot *s, const void *from)
{
	x86_sync(x);
	soft_store_spot(x->cpu, s, 8, from);
	x86_after_device(x);
}

static void
watch(struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	if (!x->watch)
		return;
	x86_watch_data(x, lin, size, write);
	if (x->trap6 != 0)
		x86_cut(x);
}

/*
 * What spot() has just entered in the TLB: neither a device's, nor to be watched, nor in two pages, and for a store neither a page with
 * code.  NULL: the way by physical addresses.
 */
static void *
entered(const struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	return (soft_tlb_hit(write ? x->wrow : x->row, x->tag, lin, size, write));
}

enum x86_status
x86_load_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t val = 0;
	const void *p;

	TRY(spot(x, seg, lin, size, 0, &s));
	p = entered(x, lin, size, false);
	if (likely(p != NULL)) {
		*v = host_load(p, size);
		return (X_DONE);
	}
	if (s.size[1] == 0) {
		p = soft_host(x->cpu, s.gpa[0], size, VM_PROT_READ);
		if (p != NULL) {
			*v = host_load(p, size);
			watch(x, lin, size, false);
			return (X_DONE);
		}
	}
	TRY(load_spot(x, &s, &val));
	*v = val;
	watch(x, lin, size, false);
	return (X_DONE);
}

enum x86_status
x86_store_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, uint64_t v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	void *p;

	TRY(spot(x, seg, lin, size, PG_WRITE, &s));
	p = entered(x, lin, size, true);
	if (likely(p != NULL)) {
		host_store(p, size, v);
		return (X_DONE);
	}
	if (s.size[1] == 0) {
		p = soft_host(x->cpu, s.gpa[0], size, VM_PROT_WRITE);
		if (p != NULL) {
			host_store(p, size, v);
			soft_wrote(x->cpu, s.gpa[0], size);
			watch(x, lin, size, true);
			return (X_DONE);
		}
	}
	store_spot(x, &s, &v);
	watch(x, lin, size, true);
	return (X_DONE);
}

enum x86_status
x86_rmw_slow(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, struct x86_ref *ref, uint64_t *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t val = 0;

	TRY(spot(x, seg, lin, size, PG_WRITE, &s));
	ref->p = entered(x, lin, size, true);
	if (likely(ref->p != NULL)) {
		*v = host_load(ref->p, size);
		return (X_DONE);
	}
	TRY(load_spot(x, &s, &val));
	*v = val;
	return (X_DONE);
}

/* Vectors and images */

enum x86_status
x86_load16(struct x86 *x, const struct x86_insn *i, bool aligned, void *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t lin = 0;
	const void *p;

	TRY(x86_address(x, i, 16, false, &lin));
	if (aligned && (lin & 15) != 0)
		return (GP0(x));
	p = soft_tlb_hit(x->row, x->tag, lin, 16, false);
	if (likely(p != NULL)) {
		host_load16(p, v);
		return (X_DONE);
	}
	TRY(spot(x, (enum amd64_seg)i->seg, lin, 16, 0, &s));
	p = entered(x, lin, 16, false);
	if (likely(p != NULL)) {
		host_load16(p, v);
		return (X_DONE);
	}
	TRY(load_spot(x, &s, v));
	watch(x, lin, 16, false);
	return (X_DONE);
}

enum x86_status
x86_store16(struct x86 *x, const struct x86_insn *i, bool aligned, const void *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t lin = 0;
	void *p;

	TRY(x86_address(x, i, 16, true, &lin));
	if (aligned && (lin & 15) != 0)
		return (GP0(x));
	p = soft_tlb_hit(x->wrow, x->tag, lin, 16, true);
	if (likely(p != NULL)) {
		host_store16(p, v);
		return (X_DONE);
	}
	TRY(spot(x, (enum amd64_seg)i->seg, lin, 16, PG_WRITE, &s));
	p = entered(x, lin, 16, true);
	if (likely(p != NULL)) {
		host_store16(p, v);
		return (X_DONE);
	}
	store_spot(x, &s, v);
	watch(x, lin, 16, true);
	return (X_DONE);
}

enum x86_status
x86_load_bytes(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned n, void *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t lin = 0;

	TRY(x86_linear(x, seg, off, n, false, &lin));
	TRY(spot(x, seg, lin, n, 0, &s));
	TRY(load_spot(x, &s, v));
	watch(x, lin, n, false);
	return (X_DONE);
}

enum x86_status
x86_store_bytes(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned n, const void *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t lin = 0;

	TRY(x86_linear(x, seg, off, n, true, &lin));
	TRY(spot(x, seg, lin, n, PG_WRITE, &s));
	store_spot(x, &s, v);
	watch(x, lin, n, true);
	return (X_DONE);
}

enum x86_status
x86_probe(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned size, bool write)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t lin = 0;

	TRY(x86_linear(x, seg, off, size, write, &lin));
	return (spot(x, seg, lin, size, write ? PG_WRITE : 0, &s));
}

/* The processor's own accesses */

static const struct soft_tlbe *
sys_row(const struct x86 *x, bool write)
{
	return (x->tlb->e[((x->s->cr4 & CR4_SMAP) != 0 ? MMU_SMAP : MMU_KERNEL) + (write ? MMU_WRITE : 0U)]);
}

static uint64_t
sys_lin(const struct x86 *x, uint64_t lin)
{
	return (x86_long(x) ? lin : (uint32_t)lin);
}

enum x86_status
x86_sys_load(struct x86 *x, uint64_t lin, unsigned size, uint64_t *v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint64_t val = 0;
	const void *p;

	lin = sys_lin(x, lin);
	p = soft_tlb_hit(sys_row(x, false), x->tag, lin, size, false);
	if (likely(p != NULL)) {
		*v = host_load(p, size);
		return (X_DONE);
	}
	TRY(spot(x, SEG_DS, lin, size, PG_SYS, &s));
	TRY(load_spot(x, &s, &val));
	*v = val;
	return (X_DONE);
}

enum x86_status
x86_sys_store(struct x86 *x, uint64_t lin, unsigned size, uint64_t v)
{
	struct soft_spot s = { { 0 }, { 0 } };
	void *p;

	lin = sys_lin(x, lin);
	p = soft_tlb_hit(sys_row(x, true), x->tag, lin, size, true);
	if (likely(p != NULL)) {
		host_store(p, size, v);
		return (X_DONE);
	}
	TRY(spot(x, SEG_DS, lin, size, PG_SYS | PG_WRITE, &s));
	store_spot(x, &s, &v);
	return (X_DONE);
}

enum x86_status
x86_sys_probe(struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	struct soft_spot s = { { 0 }, { 0 } };

	return (spot(x, SEG_DS, sys_lin(x, lin), size, PG_SYS | (write ? PG_WRITE : 0), &s));
}

/* Strings */

void *
x86_window(struct x86 *x, uint64_t lin, bool write, unsigned *n)
{
	*n = 4096 - (unsigned)(lin & 0xfff);
	return (soft_tlb_hit(write ? x->wrow : x->row, x->tag, lin, 1, write));
}

/* Atomics (SDM vol. 3 8.1) */

/* Exchange by the host's compare-and-swap until nobody came in between.  p is aligned. */
#define	SWAP(type) do {								\
	type old_ = __atomic_load_n((type *)p, __ATOMIC_RELAXED), new_;		\
	do {									\
		new_ = old_;							\
		if (!fn(arg, &old_, &new_))					\
			new_ = old_;						\
	} while (!__atomic_compare_exchange_n((type *)p, &old_, new_, false,	\
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));				\
} while (0)

static void
swap16(void *p, x86_atomic_fn *fn, void *arg)
{
	uint64_t old[2], new[2];

	memcpy(old, p, sizeof(old));		/* a guess; the exchange says what it really is */
	do {
		memcpy(new, old, sizeof(new));
		if (!fn(arg, old, new))
			memcpy(new, old, sizeof(new));
	} while (!host_cas16(p, old, new));
}

static void
swap(void *p, unsigned size, x86_atomic_fn *fn, void *arg)
{
	switch (size) {
	case 1:
		SWAP(uint8_t);
		break;
	case 2:
		SWAP(uint16_t);
		break;
	case 4:
		SWAP(uint32_t);
		break;
	case 8:
		SWAP(uint64_t);
		break;
	default:
		swap16(p, fn, arg);
		break;
	}
}

/*
 * An access that is not aligned, perhaps across pages: with every other vCPU out of the guest.
 * False if not all of it is memory; then nothing was done.
 */
static bool
swap_exclusive(struct x86 *x, const struct soft_spot *s, unsigned size, x86_atomic_fn *fn, void *arg)
{
	uint8_t *p, *q = NULL, old[16] = { 0 }, new[16];
	bool all;

	x86_sync(x);
	soft_excl_begin(x->cpu);
	p = soft_host(x->cpu, s->gpa[0], s->size[0], VM_PROT_RW);
	if (s->size[1] != 0)
		q = soft_host(x->cpu, s->gpa[1], s->size[1], VM_PROT_RW);
	all = p != NULL && (s->size[1] == 0 || q != NULL);
	if (all) {
		host_read(old, p, s->size[0]);
		if (q != NULL)
			host_read(old + s->size[0], q, s->size[1]);
		memcpy(new, old, sizeof(new));
		if (!fn(arg, old, new))
			memcpy(new, old, sizeof(new));
		host_write(p, new, s->size[0]);
		if (q != NULL)
			host_write(q, new + s->size[0], s->size[1]);
	}
	soft_excl_end(x->cpu);
	if (all) {
		soft_wrote(x->cpu, s->gpa[0], s->size[0]);
		if (s->size[1] != 0)
			soft_wrote(x->cpu, s->gpa[1], s->size[1]);
	}
	x86_after_device(x);
	return (all);
}

enum x86_status
x86_atomic(struct x86 *x, const struct x86_insn *i, unsigned size, x86_atomic_fn *fn, void *arg)
{
	uint64_t lin = 0;

	TRY(x86_address(x, i, size, true, &lin));
	return (x86_atomic_at(x, (enum amd64_seg)i->seg, lin, size, fn, arg));
}

enum x86_status
x86_atomic_at(struct x86 *x, enum amd64_seg seg, uint64_t lin, unsigned size, x86_atomic_fn *fn, void *arg)
{
	struct soft_spot s = { { 0 }, { 0 } };
	uint8_t old[16] = { 0 }, new[16];
	void *p;

	if ((lin & (size - 1)) == 0) {
		p = soft_tlb_hit(x->wrow, x->tag, lin, size, true);
		if (likely(p != NULL)) {
			swap(p, size, fn, arg);
			return (X_DONE);
		}
	}
	TRY(spot(x, seg, lin, size, PG_WRITE, &s));
	p = s.size[1] == 0 ? soft_host(x->cpu, s.gpa[0], size, VM_PROT_RW) : NULL;
	if (p != NULL && (lin & (size - 1)) == 0) {
		swap(p, size, fn, arg);
		soft_wrote(x->cpu, s.gpa[0], size);
		watch(x, lin, size, true);
		return (X_DONE);
	}
	if ((p != NULL || s.size[1] != 0) && swap_exclusive(x, &s, size, fn, arg)) {
		watch(x, lin, size, true);
		return (X_DONE);
	}
	/* A device's: no bus protocol is modelled for those. */
	TRY(load_spot(x, &s, old));
	memcpy(new, old, sizeof(new));
	if (!fn(arg, old, new))
		memcpy(new, old, sizeof(new));
	store_spot(x, &s, new);
	watch(x, lin, size, true);
	return (X_DONE);
}
