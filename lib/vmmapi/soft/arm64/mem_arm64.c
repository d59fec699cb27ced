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

enum a64_status
a64_translate(struct a64 *c, uint64_t va, int prot, unsigned row, struct arm64_walk *w)
{
	bool write = (prot & VM_PROT_WRITE) != 0;

	if (!arm64_walk(c->s, va, prot, row == A64_ROW_EL0, a64_read_table, c->cpu, w))
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, w->fsc, write), va));
	/* Device memory stays out: its accesses are checked for alignment. */
	if (!w->device)
		soft_tlb_fill(c->cpu, c->tlb, row, (uint16_t)a64_tag(c, va), va, w->gpa,
		    a64_walk_flags(c, va, w) | (write ? SOFT_TLB_W : 0));
	return (A_DONE);
}

/* Where [va, va + total) is: in one piece, or in two if it crosses a page. */
struct spot {
	vm_paddr_t	 gpa[2];
	unsigned	 left;		/* bytes to the end of the first page */
};

/*
 * Everything that can fault about an access of total bytes in elements of size: translation of its first and its last page, and
 * alignment, which Device memory and SCTLR_EL1.A demand (Arm ARM B2.5.2).
 */
static enum a64_status
spot(struct a64 *c, uint64_t va, unsigned size, unsigned total, int prot, unsigned how, struct spot *s)
{
	unsigned row = (how & A64_UNPRIV) != 0 ? (unsigned)A64_ROW_EL0 : c->mmu;
	struct arm64_walk w;
	bool device;

	s->left = 4096 - (unsigned)(va & 4095);
	TRY(a64_translate(c, va, prot, row, &w));
	s->gpa[0] = w.gpa;
	device = w.device;
	if (total > s->left) {
		TRY(a64_translate(c, va + s->left, prot, row, &w));
		s->gpa[1] = w.gpa;
		device |= w.device;
	}
	if ((va & (size - 1)) != 0 && (device || (how & A64_ALIGNED) != 0 || (c->s->sctlr_el1 & SCTLR_A) != 0))
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, FSC_ALIGNMENT, (prot & VM_PROT_WRITE) != 0), va));
	if (unlikely((c->debug & A64_DEBUG_DATA) != 0))
		return (a64_debug_access(c, va, total, (prot & VM_PROT_WRITE) != 0, row == A64_ROW_EL0));
	return (A_DONE);
}

static vm_paddr_t
place(const struct spot *s, unsigned off)
{
	return (off < s->left ? s->gpa[0] + off : s->gpa[1] + (off - s->left));
}

/* The largest piece for the next n bytes: an element in one, one that crosses pages by bytes. */
static unsigned
piece(const struct spot *s, unsigned off, unsigned size)
{
	if (size > 8)
		size = 8;
	return (off % size != 0 || (off < s->left && off + size > s->left) ? 1 : size);
}

enum a64_status
a64_read(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, void *buf)
{
	enum a64_status r = A_DONE;
	uint8_t *to = buf;
	struct spot s;
	unsigned n;
	uint64_t v;

	TRY(spot(c, va, size, total, VM_PROT_READ, how, &s));
	a64_sync(c);
	for (unsigned off = 0; off < total; off += n) {
		n = piece(&s, off, size);
		if (soft_load(c->cpu, place(&s, off), n, &v) != SOFT_DONE) {
			r = A_EXIT;
			break;
		}
		memcpy(to + off, &v, n);
	}
	a64_after_device(c);
	return (r);
}

enum a64_status
a64_write(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, const void *buf)
{
	const uint8_t *from = buf;
	struct spot s;
	unsigned n;
	uint64_t v;

	TRY(spot(c, va, size, total, VM_PROT_WRITE, how, &s));
	a64_sync(c);
	for (unsigned off = 0; off < total; off += n) {
		n = piece(&s, off, size);
		v = 0;
		memcpy(&v, from + off, n);
		(void)soft_store(c->cpu, place(&s, off), n, v);
	}
	a64_after_device(c);
	return (A_DONE);
}

/*
 * Exclusive and atomic accesses need memory: elsewhere the architecture lets an implementation report an unsupported exclusive or atomic
 * access (Arm ARM B2.9.2, D13.2.37 DFSC 0b110101), and this one does.
 */
enum a64_status
a64_atomic_slow(struct a64 *c, uint64_t va, unsigned size, bool write, struct a64_ref *ref)
{
	int prot = write ? VM_PROT_RW : VM_PROT_READ;
	struct spot s;

	TRY(spot(c, va, size, size, write ? VM_PROT_RW : VM_PROT_READ, A64_ALIGNED, &s));
	ref->gpa = s.gpa[0];
	ref->p = soft_host(c->cpu, s.gpa[0], size, prot);
	ref->slow = true;
	if (ref->p == NULL)
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, FSC_EXCLUSIVE, write), va));
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
	void *p = soft_tlb_hit(c->row, a64_tag(c, va), va, size, true);

	if (likely(p != NULL)) {
		memset(p, 0, size);
		return (A_DONE);
	}
	/* A fault or a device is met by the first line, before anything is stored. */
	for (unsigned off = 0; off < size; off += sizeof(zeros)) {
		TRY(a64_write(c, va + off, 8, size < sizeof(zeros) ? size : (unsigned)sizeof(zeros), 0, zeros));
		if (c->cpu->exiting)
			break;
	}
	return (A_DONE);
}
