/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.c - the soft amd64 core: a VM whose vCPU executes cases at privilege level 3.
 *
 * Its tables look like Linux's to user code: the same selectors, control register bits and gates
 * that users may call.  Every interrupt gate leads to an OUT that tells the vector; what the case
 * left is in the state page and on the supervisor's stack.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amd64/amd64.h"

#include "diff.h"

#define	MEMSIZE		(4U << 20)

/* Guest-physical */
#define	GPA_TABLES	0x1000U
#define	GPA_TABLES_END	0x20000U
#define	GPA_CODE	0x100000U
#define	GPA_WINDOW	0x101000U	/* DIFF_NPAGES */
#define	GPA_KERNEL	0x110000U

/* The supervisor's pages, linear from KERNEL on */
#define	KERNEL		0xffff800000000000ULL
#define	K_GDT		0x0000U
#define	K_IDT		0x1000U
#define	K_TSS		0x2000U
#define	K_STACK		0x3000U		/* one page; the pointer starts at its end */
#define	K_HANDLER	0x4000U		/* 16 bytes for each vector */
#define	K_PAGES		5U

#define	PTE_P		1ULL
#define	PTE_W		2ULL
#define	PTE_U		4ULL
#define	PTE_NX		(1ULL << 63)

#define	TSS_SEL		0x40U
#define	PORT		0xe0U		/* and the vector's low bits */

struct soft {
	struct vmctx	*vm;
	struct vcpu	*vcpu;
	struct amd64_state *s;
	uint8_t		*mem;
	uint8_t		*page[DIFF_NPAGES];
	struct amd64_state start;	/* what all cases have in common */
	uint32_t	 next_table;
	char		 why[200];
};

static uint64_t *
table(struct soft *s, uint64_t *entry)
{
	if ((*entry & PTE_P) == 0) {
		*entry = s->next_table | PTE_P | PTE_W | PTE_U;
		s->next_table += DIFF_PAGE;
	}
	return ((uint64_t *)(void *)(s->mem + (*entry & 0xffffff000ULL)));
}

static void
map(struct soft *s, uint64_t lin, uint64_t gpa, uint64_t flags)
{
	uint64_t *t = (uint64_t *)(void *)(s->mem + GPA_TABLES);

	for (unsigned shift = 39; shift > 12; shift -= 9)
		t = table(s, &t[(lin >> shift) & 511]);
	t[(lin >> 12) & 511] = gpa | flags | PTE_P | 0x60;	/* accessed, dirty */
}

static void
gate(struct soft *s, unsigned vector)
{
	uint8_t *h = s->mem + GPA_KERNEL + K_HANDLER + 16 * vector;
	uint64_t to = KERNEL + K_HANDLER + 16 * vector, *g;
	/* User code may call these gates; Linux has one for system calls as well. */
	uint64_t dpl = vector == VEC_BP || vector == VEC_OF || vector == 0x80 ? 3 : 0;

	h[0] = 0xe6;		/* out %al, $PORT + vector; hlt */
	h[1] = (uint8_t)(PORT | (vector & 31));
	h[2] = 0xf4;
	g = (uint64_t *)(void *)(s->mem + GPA_KERNEL + K_IDT + 16 * vector);
	g[0] = (to & 0xffff) | 0x10U << 16 | 0x8e0000000000ULL | dpl << 45 |
	    ((to >> 16) & 0xffff) << 48;
	g[1] = to >> 32;
}

static struct amd64_segment
flat(uint16_t sel, uint32_t access)
{
	struct amd64_segment seg = { .limit = 0xffffffff, .access = access, .sel = sel };

	return (seg);
}

/* Linux: CR0 PE MP ET NE WP AM PG; of CR4 what user code notices; EFER SCE LME LMA NXE. */
static void
prepare(struct soft *s)
{
	static const uint64_t gdt[16] = {
		[1] = 0x00cf9b000000ffffULL,
		[2] = 0x00af9b000000ffffULL,
		[3] = 0x00cf93000000ffffULL,
		[4] = 0x00cffb000000ffffULL,
		[5] = 0x00cff3000000ffffULL,
		[6] = 0x00affb000000ffffULL,
		[8] = 0x00008b0000000067ULL,
	};
	struct amd64_state *st = &s->start;
	uint64_t rsp0 = KERNEL + K_STACK + DIFF_PAGE;
	uint16_t iomap = 0x68;		/* behind the limit: no port is allowed */

	s->next_table = GPA_TABLES + DIFF_PAGE;
	map(s, DIFF_CODE, GPA_CODE, PTE_U);
	map(s, DIFF_DATA, GPA_WINDOW, PTE_U | PTE_NX);
	map(s, DIFF_RW, GPA_WINDOW + DIFF_PAGE, PTE_U | PTE_W | PTE_NX);
	map(s, DIFF_RW + DIFF_PAGE, GPA_WINDOW + 2 * DIFF_PAGE, PTE_U | PTE_W | PTE_NX);
	map(s, DIFF_STACK, GPA_WINDOW + 3 * DIFF_PAGE, PTE_U | PTE_W | PTE_NX);
	for (unsigned i = 0; i < K_PAGES; i++)
		map(s, KERNEL + i * DIFF_PAGE, GPA_KERNEL + i * DIFF_PAGE, PTE_W);
	for (unsigned i = 0; i < DIFF_NPAGES; i++)
		s->page[i] = s->mem + GPA_WINDOW + i * DIFF_PAGE;
	memset(s->mem + GPA_CODE, 0xcc, DIFF_PAGE);
	memcpy(s->mem + GPA_KERNEL + K_GDT, gdt, sizeof(gdt));
	if (!diff_cs32())
		memset(s->mem + GPA_KERNEL + K_GDT + (DIFF_CS32 & ~7U), 0, 8);
	memcpy(s->mem + GPA_KERNEL + K_TSS + 4, &rsp0, 8);
	memcpy(s->mem + GPA_KERNEL + K_TSS + 0x66, &iomap, 2);
	for (unsigned v = 0; v < 256; v++)
		gate(s, v);

	*st = *s->s;
	st->cr0 = 0x80050033;
	st->cr3 = GPA_TABLES;
	st->cr4 = 0xea8;		/* DE PAE PGE OSFXSR OSXMMEXCPT UMIP, and FSGSBASE */
	if (diff_fsgsbase())
		st->cr4 |= 0x10000;
	st->efer = 0xd01;
	st->seg[SEG_GDTR].base = KERNEL + K_GDT;
	st->seg[SEG_GDTR].limit = sizeof(gdt) - 1;
	st->seg[SEG_IDTR].base = KERNEL + K_IDT;
	st->seg[SEG_IDTR].limit = 0xfff;
	st->seg[SEG_TR] = flat(TSS_SEL, 0x8b);
	st->seg[SEG_TR].base = KERNEL + K_TSS;
	st->seg[SEG_TR].limit = 0x67;
	st->seg[SEG_LDTR] = flat(0, VM_AMD64_SEG_UNUSABLE);
	st->seg[SEG_LDTR].limit = 0;
	st->run_state = VM_AMD64_RUNNING;
}

struct soft *
soft_start(const char **why)
{
	struct vm_spec spec = {
		.size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT
	};
	struct soft *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->vm = vm_new(&spec);
	if (s->vm == NULL || vm_setup_memory(s->vm, MEMSIZE, VM_MMAP_ALL) != 0 ||
	    (s->mem = vm_map_gpa(s->vm, 0, MEMSIZE)) == NULL ||
	    (s->vcpu = vm_vcpu_open(s->vm, 0)) == NULL || vm_start(s->vm) != 0) {
		*why = vm_errmsg();
		if (s->vm != NULL)
			vm_close(s->vm);
		free(s);
		return (NULL);
	}
	s->s = s->vcpu->state;
	prepare(s);
	return (s);
}

void
soft_stop(struct soft *s)
{
	if (s == NULL)
		return;
	vm_close(s->vm);
	free(s);
}

/* Bytes of code, or INT3 again, as a device would write them: the core drops what it decoded. */
static void
write_code(struct soft *s, const struct diff_case *c, bool restore)
{
	size_t off = c->rip % DIFF_PAGE, n = DIFF_PAGE - off;
	uint8_t fill[DIFF_MAXLEN];

	if (n > c->len)
		n = c->len;
	memset(fill, 0xcc, sizeof(fill));
	(void)vm_gpa_write(s->vm, GPA_CODE + off, restore ? fill : c->code, n);
}

static void
load(struct soft *s, const struct diff_case *c)
{
	static const enum amd64_seg order[D_NSEG] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS,
		SEG_GS };
	struct amd64_state *st = s->s;
	const uint32_t mask = 0xffff;

	*st = s->start;
	memcpy(st->gpr, c->gpr, sizeof(st->gpr));
	st->rip = c->rip;
	st->rflags = c->rflags;
	for (unsigned i = 0; i < D_NSEG; i++) {
		uint16_t sel = c->seg[i];

		st->seg[order[i]] = flat(sel,
		    sel == DIFF_CS64	   ? 0xa0fb
			: sel == DIFF_CS32 ? 0xc0fb
			: sel == DIFF_DS   ? 0xc0f3
					   : VM_AMD64_SEG_UNUSABLE);
		if (sel == 0)
			st->seg[order[i]].limit = 0;
	}
	st->seg[SEG_FS].base = c->fs_base;
	st->seg[SEG_GS].base = c->gs_base;
	memcpy(st->fxsave, &c->fx, sizeof(st->fxsave));
	memcpy(st->fxsave + offsetof(struct diff_fx, mxcsr_mask), &mask, sizeof(mask));
}

static void
store(struct soft *s, unsigned vector, struct diff_result *r)
{
	const struct amd64_state *st = s->s;
	const uint64_t *top =
	    (const uint64_t *)(const void *)(s->mem + GPA_KERNEL + K_STACK + DIFF_PAGE);

	memcpy(r->gpr, st->gpr, sizeof(r->gpr));
	r->seg[D_ES] = st->seg[SEG_ES].sel;
	r->seg[D_DS] = st->seg[SEG_DS].sel;
	r->seg[D_FS] = st->seg[SEG_FS].sel;
	r->seg[D_GS] = st->seg[SEG_GS].sel;
	r->fs_base = st->seg[SEG_FS].base;
	r->gs_base = st->seg[SEG_GS].base;
	r->cr2 = st->cr2;
	memcpy(&r->fx, st->fxsave, sizeof(r->fx));
	r->vector = vector;
	r->error = 0;
	/* SS, RSP, RFLAGS, CS, RIP, error code (SDM vol. 3 6.14.2) */
	r->seg[D_SS] = (uint16_t)top[-1];
	r->gpr[D_RSP] = top[-2];
	r->rflags = top[-3];
	r->seg[D_CS] = (uint16_t)top[-4];
	r->rip = top[-5];
	if (vector == VEC_DF || (vector >= 10 && vector <= VEC_PF) || vector == VEC_AC)
		r->error = (uint32_t)top[-6];
}

int
soft_case(struct soft *s, const uint8_t *window, const struct diff_case *c, struct diff_result *r,
    const char **why)
{
	struct vm_exit ex;

	write_code(s, c, false);
	diff_patch(c, s->page);
	load(s, c);
	if (vm_run(s->vcpu, &ex) != 0) {
		*why = vm_errmsg();
		return (-1);
	}
	if (ex.code == VM_EXIT_IO && ex.u.io.write && (ex.u.io.port & ~31U) == PORT &&
	    VM_AMD64_SEG_DPL(s->s->seg[SEG_SS].access) == 0) {
		store(s, ex.u.io.port & 31, r);
	} else if (ex.code == VM_EXIT_SUSPENDED) {
		memset(r, 0, offsetof(struct diff_result, nchanged));
		r->vector = VEC_NONE;
		r->rip = s->s->rip;
		(void)vm_unsuspend(s->vm);
	} else {
		snprintf(s->why, sizeof(s->why),
		    "the soft core came back with exit %d at %#llx (%s)", (int)ex.code,
		    (unsigned long long)ex.pc, ex.code == VM_EXIT_ERROR ? vm_errmsg() : "");
		*why = s->why;
		return (-1);
	}
	write_code(s, c, true);
	diff_collect(window, s->page, r);
	return (0);
}

void
soft_window(struct soft *s, const uint8_t *window)
{
	for (unsigned p = 0; p < DIFF_NPAGES; p++)
		memcpy(s->page[p], window + p * DIFF_PAGE, DIFF_PAGE);
}
