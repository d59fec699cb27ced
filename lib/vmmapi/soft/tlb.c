/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tlb.c - a vCPU's translations.
 */
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "soft.h"
#include "tlb.h"

struct soft_tlb *
soft_tlb_create(uint32_t nspaces, bool second)
{
	struct soft_tlb *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	t->space = calloc(nspaces, sizeof(*t->space));
	if (t->space == NULL) {
		free(t);
		return (NULL);
	}
	t->nspaces = nspaces;
	t->has_second = second;
	t->gen = 1;
	t->global = 1;
	return (t);
}

void
soft_tlb_free(struct soft_tlb *t)
{
	if (t == NULL)
		return;
	free(t->space);
	free(t);
}

/* Entries become void because no tag that is given out is in them. */
static void
clear(struct soft_tlb *t)
{
	memset(t->e, 0, sizeof(t->e));
	if (t->has_second)
		memset(t->second, 0, sizeof(t->second));
	memset(t->i, 0, sizeof(t->i));
	memset(t->large, 0, sizeof(t->large));
	t->huge = 0;
	t->last_tag = 0;
	soft_tlb_forget_jumps(t);
}

uint16_t
soft_tlb_tag(struct soft_tlb *t, uint32_t space)
{
	uint16_t *tag = &t->space[space % t->nspaces];

	if (*tag != 0)
		return (*tag);
	if (t->last_tag >= SOFT_TLB_TAGS / 2) {
		memset(t->space, 0, t->nspaces * sizeof(*t->space));
		clear(t);
	}
	*tag = (uint16_t)(2 * t->last_tag++ + 1);
	return (*tag);
}

void
soft_tlb_flush(struct soft_tlb *t)
{
	memset(t->space, 0, t->nspaces * sizeof(*t->space));
	/* New tags are enough, and cheaper than touching every entry. */
	t->global = (t->global + 2) & 0xfff;
	if (t->last_tag >= SOFT_TLB_TAGS / 2 - 1 || t->global == 1)
		clear(t);
}

void
soft_tlb_flush_space(struct soft_tlb *t, uint32_t space)
{
	t->space[space % t->nspaces] = 0;
}

static void
drop_entry(struct soft_tlbe *row, unsigned n)
{
	row[n].rtag = row[n].wtag = 0;
}

static void
drop(struct soft_tlb *t, uint64_t va, uint64_t tag)
{
	for (unsigned m = 0; m < SOFT_TLB_MODES; m++) {
		drop_entry(t->e[m], (unsigned)(va >> 12) & (SOFT_TLB_SIZE - 1));
		t->i[m][(va >> 12) & (SOFT_ITLB_SIZE - 1)].tag = 0;
		if (t->has_second) {
			drop_entry(t->second[m], soft_tlb_second(va, tag));
			drop_entry(t->second[m], soft_tlb_second(va, 0));
		}
	}
}

/* Of 4 MiB, the largest that a large page has. */
static unsigned
region(uint64_t va)
{
	return ((unsigned)((va >> 22) ^ (va >> 34)) & 4095);
}

bool
soft_tlb_flush_page(struct soft_tlb *t, uint64_t va, uint64_t tag)
{
	uint64_t base = va & ~0x3fffffULL;
	unsigned r = region(va), row = soft_tlb_region(va);

	if ((t->huge >> ((va >> 30) & 63) & 1) != 0) {
		soft_tlb_flush(t);
		return (true);
	}
	if ((t->large[r / 64] >> (r & 63) & 1) != 0) {
		for (uint64_t off = 0; off < 0x400000; off += 4096)
			drop(t, base + off, tag);
		return ((t->regions >> row & 1) != 0);
	}
	drop(t, va, tag);
	return ((t->code[row][va >> 18 & 15] >> (va >> 12 & 63) & 1) != 0);
}

void
soft_tlb_drop_writes(struct soft_tlb *t)
{
	for (unsigned m = 0; m < SOFT_TLB_MODES; m++) {
		if ((t->writes >> m & 1) == 0)
			continue;
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++)
			t->e[m][i].wtag = 0;
		for (unsigned i = 0; i < SOFT_TLB_SIZE && t->has_second; i++)
			t->second[m][i].wtag = 0;
	}
	t->writes = 0;
}

static void
note_size(struct soft_tlb *t, uint64_t va, unsigned flags)
{
	unsigned r = region(va);

	if ((flags & SOFT_TLB_LARGE) != 0)
		t->large[r / 64] |= 1ULL << (r & 63);
	if ((flags & SOFT_TLB_HUGE) != 0)
		t->huge |= 1ULL << ((va >> 30) & 63);
}

static void
note_stream(struct soft_stream *s, uint64_t page)
{
	s->run = s->next == page ? s->run + 1 : 0;
	s->next = page + 4096;
}

unsigned
soft_tlb_ahead(const struct soft_cpu *cpu, const struct soft_tlb *t, unsigned row, unsigned flags)
{
	bool write = (flags & SOFT_TLB_W) != 0;
	unsigned run = t->stream[row][write].run;

	if (write && atomic_load(&cpu->vcpu->vm->dirty_users) != 0)
		return (0);
	return (run < SOFT_TLB_AHEAD ? run : SOFT_TLB_AHEAD);
}

void
soft_tlb_enter(struct soft_cpu *cpu, struct soft_tlb *t, unsigned row, uint16_t tag, uint64_t va,
    uint64_t gpa, unsigned flags)
{
	struct soft_tlbe *e = &t->e[row][(va >> 12) & (SOFT_TLB_SIZE - 1)];
	struct vmctx *vm = cpu->vcpu->vm;
	struct vm_mapping *m;
	size_t off;

	va = SOFT_PAGE(va);
	gpa = SOFT_PAGE(gpa);
	m = soft_mapping(cpu, gpa);
	if (m == NULL || (m->prot & VM_PROT_READ) == 0)
		return;
	off = gpa - m->gpa;
	e->addend = (uintptr_t)(m->host + off) - va;
	e->gpa = gpa | ((flags & SOFT_TLB_GLOBAL) != 0 ? t->global : 0);
	e->rtag = va | tag;
	e->wtag = 0;
	note_size(t, va, flags);
	note_stream(&t->stream[row][(flags & SOFT_TLB_W) != 0], va | tag);
	if ((flags & SOFT_TLB_W) != 0 && (m->prot & VM_PROT_WRITE) != 0 &&
	    soft_code_writable(cpu, m->segid, m->segoff + off)) {
		dirty_mark_seg(vm, &vm->segs[m->segid], m->segoff + off, 1);
		e->wtag = va | tag;
		t->writes |= 1U << row;
	}
	if (t->has_second)
		t->second[row][soft_tlb_second(va, (flags & SOFT_TLB_GLOBAL) != 0 ? 0 : tag)] = *e;
}

void
soft_tlb_fill(struct soft_cpu *cpu, struct soft_tlb *t, unsigned row, uint16_t tag, uint64_t va,
    uint64_t gpa, unsigned flags)
{
	soft_count(cpu, VM_STAT_TLB_MISSES, 1);
	soft_tlb_enter(cpu, t, row, tag, va, gpa, flags);
}

struct soft_tlbe *
soft_tlb_again(struct soft_tlb *t, unsigned row, uint64_t tag, uint64_t va, bool write)
{
	struct soft_tlbe *e = &t->e[row][(va >> 12) & (SOFT_TLB_SIZE - 1)];
	const struct soft_tlbe *s = &t->second[row][soft_tlb_second(va, tag)];
	uint64_t had = write ? s->wtag : s->rtag;

	if (!t->has_second)
		return (NULL);
	va = SOFT_PAGE(va);
	if (had != (va | tag)) {
		s = &t->second[row][soft_tlb_second(va, 0)];
		had = write ? s->wtag : s->rtag;
		if ((had & 1) == 0 || SOFT_PAGE(had) != va || (s->gpa & 0xfff) != t->global)
			return (NULL);
	}
	*e = *s;
	e->rtag = va | tag;
	e->wtag = s->wtag == 0 ? 0 : e->rtag;
	return (e);
}


const struct soft_itlbe *
soft_tlb_fill_code(struct soft_cpu *cpu, struct soft_tlb *t, unsigned mode, uint16_t tag,
    uint64_t va, uint64_t gpa, unsigned flags)
{
	struct soft_itlbe *e = &t->i[mode][(va >> 12) & (SOFT_ITLB_SIZE - 1)];
	struct vm_mapping *m;
	size_t off;

	soft_count(cpu, VM_STAT_TLB_MISSES, 1);
	va = SOFT_PAGE(va);
	gpa = SOFT_PAGE(gpa);
	m = soft_mapping(cpu, gpa);
	if (m == NULL || (m->prot & VM_PROT_EXEC) == 0)
		return (NULL);
	off = gpa - m->gpa;
	e->host = m->host + off;
	e->place = SOFT_PLACE(m->segid, m->segoff + off);
	e->global = (flags & SOFT_TLB_GLOBAL) != 0 ? t->global : 0;
	e->tag = va | tag;
	note_size(t, va, flags);
	return (e);
}
