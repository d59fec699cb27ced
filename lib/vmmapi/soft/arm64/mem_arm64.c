/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem_arm64.c - memory as instructions see it, where it is not in the TLB: translation, alignment, page crossings, devices.
 */
#include <string.h>

#include "debug.h"
#include "mem.h"

bool
a64_read_table(void *cookie, vm_paddr_t gpa, uint64_t *desc)
{
	const void *p = soft_host(cookie, gpa, sizeof(*desc), VM_PROT_READ);

	if (p == NULL)
		return (false);
	*desc = __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
	return (true);
}

unsigned
a64_walk_flags(struct a64 *c, uint64_t va, const struct arm64_walk *w)
{
	/* What the upper half has that is not global is good for this ASID only. */
	if ((va >> 55 & 1) != 0 && (c->s->sctlr_el1 & SCTLR_M) != 0 && w->ng)
		c->upper_ng = true;
	return (w->shift <= 12 ? 0 : w->shift <= 22 ? SOFT_TLB_LARGE : SOFT_TLB_HUGE);
}

bool
a64_walk(struct a64 *c, uint64_t va, int prot, bool el0, struct arm64_walk *w)
{
	const struct arm64_state *s = c->s;
	uint64_t ttbr = (va >> 55 & 1) != 0 ? s->ttbr1_el1 : s->ttbr0_el1, region = va >> 21 | 1ULL << 63;
	struct a64_table *t = &c->table[(va >> 21 ^ va >> 55) & (A64_TABLES - 1)];
	const void *host;
	bool ok;

	if (t->region == region && t->ttbr == ttbr && t->tcr == s->tcr_el1 && (s->sctlr_el1 & SCTLR_M) != 0)
		return (arm64_walk_table(s, va, prot, el0, __atomic_load_n(&t->host[va >> 12 & 511], __ATOMIC_ACQUIRE), t->tattr, w));
	ok = arm64_walk(s, va, prot, el0, a64_read_table, c->cpu, w);
	if (w->has_table) {
		host = soft_host(c->cpu, w->table, 4096, VM_PROT_READ);
		if (host != NULL)
			*t = (struct a64_table){ .ttbr = ttbr, .tcr = s->tcr_el1, .region = region, .host = host, .tattr = w->tattr };
	}
	return (ok);
}

/* The page behind the one of w: of the same block, or of the same table if that is known. */
static bool
walk_on(struct a64 *c, uint64_t va, int prot, unsigned row, struct arm64_walk *w)
{
	if ((va & ((1ULL << w->shift) - 1)) != 0) {
		w->gpa += VM_PAGE_SIZE;
		return (true);
	}
	return (w->shift == 12 && (va & 0x1fffff) != 0 && a64_walk(c, va, prot, row == A64_ROW_EL0, w) && !w->device);
}

/* What was found for va, and pages behind it. */
static void
enter(struct a64 *c, uint64_t va, int prot, unsigned row, const struct arm64_walk *found)
{
	bool write = (prot & VM_PROT_WRITE) != 0;
	unsigned flags = write ? SOFT_TLB_W : 0, to = row + (write ? (unsigned)A64_ROW_WRITE : 0);
	uint16_t tag = (uint16_t)a64_tag(c, va);
	struct arm64_walk w = *found;

	soft_tlb_fill(c->cpu, c->tlb, to, tag, va, w.gpa, a64_walk_flags(c, va, &w) | flags);
	va = SOFT_PAGE(va);
	w.gpa = SOFT_PAGE(w.gpa);
	for (unsigned n = soft_tlb_ahead(c->cpu, c->tlb, to, flags); n > 0; n--) {
		va += VM_PAGE_SIZE;
		if (!walk_on(c, va, prot, row, &w))
			break;
		soft_tlb_enter(c->cpu, c->tlb, to, tag, va, w.gpa, a64_walk_flags(c, va, &w) | flags);
	}
}

enum a64_status
a64_translate(struct a64 *c, uint64_t va, int prot, unsigned row, struct arm64_walk *w)
{
	if (!a64_walk(c, va, prot, row == A64_ROW_EL0, w))
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, w->fsc, (prot & VM_PROT_WRITE) != 0), va));
	/* Device memory stays out: its accesses are checked for alignment. */
	if (!w->device)
		enter(c, va, prot, row, w);
	return (A_DONE);
}

static enum a64_status
misaligned(struct a64 *c, uint64_t va, int prot)
{
	return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, FSC_ALIGNMENT, prot == VM_PROT_WRITE), va));
}

/* Watchpoints: of what reads and writes, those for loads come first. */
static enum a64_status
watched(struct a64 *c, uint64_t va, unsigned total, int prot, bool el0)
{
	if ((prot & VM_PROT_READ) != 0)
		TRY(a64_debug_access(c, va, total, false, el0));
	return ((prot & VM_PROT_WRITE) != 0 ? a64_debug_access(c, va, total, true, el0) : A_DONE);
}

/*
 * Everything that can fault about an access of total bytes in elements of size, in this order: alignment that the instruction or SCTLR_EL1.A
 * demands, translation of its first and its last page, alignment that Device memory demands (Arm ARM B2.5.2, D1.13.2), and watchpoints.
 * What a read would fault for too is reported as a read (D13.2.37, WnR).
 */
static enum a64_status
spot(struct a64 *c, uint64_t va, unsigned size, unsigned total, int prot, unsigned how, struct soft_spot *s)
{
	unsigned row = (how & A64_UNPRIV) != 0 ? (unsigned)A64_ROW_EL0 : c->mmu;
	bool aligned = (va & (size - 1)) == 0, device;
	struct arm64_walk w;

	if (!aligned && ((how & A64_ALIGNED) != 0 || (c->s->sctlr_el1 & SCTLR_A) != 0))
		return (misaligned(c, va, prot));
	if (prot == VM_PROT_RW)
		TRY(a64_translate(c, va, VM_PROT_READ, row, &w));
	soft_spot_split(s, va, total);
	TRY(a64_translate(c, va, prot, row, &w));
	s->gpa[0] = w.gpa;
	device = w.device;
	if (s->size[1] != 0) {
		TRY(a64_translate(c, va + s->size[0], prot, row, &w));
		s->gpa[1] = w.gpa;
		device |= w.device;
	}
	if (device && (!aligned || (how & A64_MEMORY) != 0))
		return (misaligned(c, va, prot));
	if (unlikely((c->debug & A64_DEBUG_DATA) != 0))
		return (watched(c, va, total, prot, row == A64_ROW_EL0));
	return (A_DONE);
}

enum a64_status
a64_read(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, void *buf)
{
	struct soft_spot s = { { 0 }, { 0 } };
	enum soft_access r;
	const char *p;

	TRY(spot(c, va, size, total, VM_PROT_READ, how, &s));
	/* What was missing was the TLB's entry. */
	p = soft_tlb_hit(row_of(c, how, false), a64_tag(c, va), va, total, false);
	if (likely(p != NULL)) {
		for (unsigned n = 0, piece = size < 8 ? size : 8; n < total; n += piece) {
			uint64_t v = host_load(p + n, piece);

			memcpy((char *)buf + n, &v, piece);
		}
		return (A_DONE);
	}
	a64_sync(c);
	r = soft_load_spot(c->cpu, &s, size, buf);
	a64_after_device(c);
	return (r == SOFT_DONE ? A_DONE : A_EXIT);
}

enum a64_status
a64_write(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, const void *buf)
{
	struct soft_spot s = { { 0 }, { 0 } };
	char *p;

	TRY(spot(c, va, size, total, VM_PROT_WRITE, how, &s));
	p = soft_tlb_hit(row_of(c, how, true), a64_tag(c, va), va, total, true);
	if (likely(p != NULL)) {
		for (unsigned n = 0, piece = size < 8 ? size : 8; n < total; n += piece) {
			uint64_t v = 0;

			memcpy(&v, (const char *)buf + n, piece);
			host_store(p + n, piece, v);
		}
		return (A_DONE);
	}
	a64_sync(c);
	soft_store_spot(c->cpu, &s, size, buf);
	a64_after_device(c);
	return (A_DONE);
}

/*
 * Exclusive and atomic accesses need memory: elsewhere the architecture lets an implementation report an unsupported exclusive or atomic
 * access (Arm ARM B2.9.2, D13.2.37 DFSC 0b110101), and this one does.
 */
enum a64_status
a64_atomic_slow(struct a64 *c, uint64_t va, unsigned size, int prot, struct a64_ref *ref)
{
	struct soft_spot s = { { 0 }, { 0 } };

	TRY(spot(c, va, size, size, prot, A64_ALIGNED, &s));
	ref->gpa = s.gpa[0];
	ref->p = soft_host(c->cpu, s.gpa[0], size, prot | VM_PROT_READ);
	ref->slow = true;
	if (ref->p == NULL)
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, FSC_EXCLUSIVE, prot == VM_PROT_WRITE), va));
	return (A_DONE);
}

enum a64_status
a64_sp_fault(struct a64 *c)
{
	return (a64_raise(c, ESR_EC(EC_SP_ALIGN) | ESR_IL));
}

static const uint64_t zeros[8];

enum a64_status
a64_zero(struct a64 *c, uint64_t va, unsigned size)
{
	void *p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, size, true);

	if (likely(p != NULL)) {
		for (unsigned off = 0; off < size; off += 16)
			host_zero16((char *)p + off);
		return (A_DONE);
	}
	/* A fault is met by the first line, before anything is stored; so is Device memory, which faults (Arm ARM C5.3.28). */
	for (unsigned off = 0; off < size; off += sizeof(zeros)) {
		TRY(a64_write(c, va + off, 8, size < sizeof(zeros) ? size : (unsigned)sizeof(zeros), A64_MEMORY, zeros));
		if (c->cpu->exiting)
			break;
	}
	return (A_DONE);
}
