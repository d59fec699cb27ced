/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paging.c - page walks that the processor makes: rights, accessed and dirty bits, page faults (Intel
 * SDM vol. 3 chapter 4).  amd64/walk.c has the walk without side effects, for debuggers.
 */
#include "cpu.h"

#define	PTE_P		0x001ULL
#define	PTE_W		0x002ULL
#define	PTE_U		0x004ULL
#define	PTE_A		0x020ULL
#define	PTE_D		0x040ULL
#define	PTE_PS		0x080ULL
#define	PTE_G		0x100ULL
#define	PTE_XD		0x8000000000000000ULL
#define	PTE_ADDR	0x000ffffffffff000ULL

/* Error code of a page fault (4.7). */
#define	PF_P		0x01U
#define	PF_W		0x02U
#define	PF_U		0x04U
#define	PF_RSVD		0x08U
#define	PF_I		0x10U

struct walk {
	struct x86	*x;
	uint64_t	 lin;
	unsigned	 why;		/* PG_* */
	bool		 user;		/* a user-mode access */
	/* bits that all entries so far have, and that any has; as words, for walks are made of nothing but loads and stores */
	uint64_t	 all, any;
	/* the entries, so that their bits are set when it is certain that the access is made */
	struct {
		uint64_t gpa;
		uint64_t val;
	} e[4];
	unsigned	 n;
	unsigned	 size;		/* bytes of an entry */
};

static enum x86_status
fault(struct walk *w, unsigned error)
{
	struct x86 *x = w->x;

	if ((w->why & PG_WRITE) != 0)
		error |= PF_W;
	if (w->user)
		error |= PF_U;
	if ((w->why & PG_EXEC) != 0 && ((x->s->cr4 & CR4_SMEP) != 0 ||
	    ((x->s->cr4 & CR4_PAE) != 0 && (x->s->efer & EFER_NXE) != 0)))
		error |= PF_I;
	x->exc = (struct x86_exc){ .vector = EXC_PF, .has_error = true, .error = error, .cr2 = w->lin };
	return (X_FAULT);
}

/* Entries outside of memory read as all ones, as the bus does. */
static uint64_t
entry(struct x86 *x, uint64_t gpa, unsigned size)
{
	const void *p = soft_host(x->cpu, gpa, size, VM_PROT_READ);

	return (p == NULL ? x86_mask(size) : host_load(p, size));
}

/* Note one more entry; its rights; X_FAULT if it does not allow to go on. */
static enum x86_status
take(struct walk *w, uint64_t gpa, uint64_t val, uint64_t reserved)
{
	if ((val & PTE_P) == 0)
		return (fault(w, 0));
	if (w->size == 8 && (w->x->s->efer & EFER_NXE) == 0)
		reserved |= PTE_XD;
	if ((val & reserved) != 0)
		return (fault(w, PF_P | PF_RSVD));
	w->all &= val;
	w->any |= val;
	w->e[w->n].gpa = gpa;
	w->e[w->n++].val = val;
	return (X_DONE);
}

/* 4.6.1 */
static enum x86_status
allowed(struct walk *w)
{
	const struct amd64_state *s = w->x->s;
	bool write = (w->all & PTE_W) != 0, user = (w->all & PTE_U) != 0, nx = (w->any & PTE_XD) != 0, ok = true;

	if (w->user) {
		ok = user && ((w->why & PG_WRITE) == 0 || write) && ((w->why & PG_EXEC) == 0 || !nx);
	} else {
		if ((w->why & PG_EXEC) != 0)
			ok = !nx && (!user || (s->cr4 & CR4_SMEP) == 0);
		else if (user && (s->cr4 & CR4_SMAP) != 0)
			ok = (w->why & PG_SYS) == 0 && (s->rflags & FL_AC) != 0;
		if ((w->why & PG_WRITE) != 0 && !write && (s->cr0 & CR0_WP) != 0)
			ok = false;
	}
	return (ok ? X_DONE : fault(w, PF_P));
}

/*
 * Set bits of an entry, unless somebody changed it since it was read: false.  An entry in ROM keeps
 * what it has.
 */
static bool
mark(struct walk *w, unsigned n, uint64_t bits)
{
	uint64_t val = w->e[n].val;
	void *p;
	bool same;

	if ((val & bits) == bits)
		return (true);
	p = soft_host(w->x->cpu, w->e[n].gpa, w->size, VM_PROT_RW);
	if (p == NULL)
		return (true);
	if (w->size == 4) {
		uint32_t old = (uint32_t)val;

		same = __atomic_compare_exchange_n((uint32_t *)p, &old, old | (uint32_t)bits, false,
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else {
		same = __atomic_compare_exchange_n((uint64_t *)p, &val, val | bits, false,
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	soft_wrote(w->x->cpu, w->e[n].gpa, w->size);
	return (same);
}

/* Accessed and dirty bits (4.8). */
static bool
mark_all(struct walk *w)
{
	if ((w->all & PTE_A) != 0 && ((w->why & PG_WRITE) == 0 || (w->e[w->n - 1].val & PTE_D) != 0))
		return (true);
	for (unsigned n = 0; n < w->n; n++) {
		bool leaf = n == w->n - 1;

		if (!mark(w, n, leaf && (w->why & PG_WRITE) != 0 ? PTE_A | PTE_D : PTE_A))
			return (false);
	}
	return (true);
}

/* PAE paging has bits 62:52 reserved, 4-level paging ignores them (tables 4-9 to 4-11, 4-15 to 4-20). */
static uint64_t
reserved64(const struct x86 *x)
{
	return ((x86_long(x) ? PTE_ADDR : PTE_ADDR | 0x7ff0000000000000ULL) & ~(AMD64_MAXPA - 1));
}

/* From a table of 64-bit entries at `level' down (4.4.2, 4.5). */
static enum x86_status
walk64(struct walk *w, uint64_t table, unsigned level, struct x86_page *page)
{
	uint64_t gpa, val, reserved;
	unsigned shift;

	for (;; level--) {
		shift = 12 + 9 * (level - 1);
		gpa = (table + 8 * ((w->lin >> shift) & 0x1ff)) & w->x->phys_mask;
		val = entry(w->x, gpa, 8);
		reserved = reserved64(w->x);
		if (level == 4 || (level == 3 && (w->x->features & X86_F_1G) == 0)) {
			reserved |= PTE_PS;
		} else if (level > 1 && (val & PTE_PS) != 0) {
			/* Bit 12 of a large page is its PAT bit. */
			reserved |= ((1ULL << shift) - 1) & ~0x1fffULL;
			TRY(take(w, gpa, val, reserved));
			break;
		}
		TRY(take(w, gpa, val, reserved));
		if (level == 1)
			break;
		table = val & PTE_ADDR;
	}
	if (level > 1)
		page->flags |= level == 2 ? SOFT_TLB_LARGE : SOFT_TLB_HUGE;
	page->gpa = (val & PTE_ADDR & ~((1ULL << shift) - 1)) | (w->lin & ((1ULL << shift) - 1));
	page->left = level > 1 ? (unsigned)((~w->lin & ((1ULL << shift) - 1)) >> 12) : (unsigned)(~w->lin >> 12 & 0x1ff);
	page->at = level > 1 ? 0 : gpa;
	return (allowed(w));
}

/* 32-bit paging (4.3), with PSE-36. */
static enum x86_status
walk32(struct walk *w, uint64_t cr3, struct x86_page *page)
{
	uint64_t gpa, val;

	gpa = ((cr3 & 0xfffff000U) + 4 * ((w->lin >> 22) & 0x3ff)) & w->x->phys_mask;
	val = entry(w->x, gpa, 4);
	if ((val & PTE_PS) != 0 && (w->x->s->cr4 & CR4_PSE) != 0) {
		/* Bits 20 to 13 are address bits 39 to 32, bit 21 is reserved (table 4-4). */
		TRY(take(w, gpa, val, 1ULL << 21));
		page->flags |= SOFT_TLB_LARGE;
		page->gpa = (val & 0xffc00000U) | ((val >> 13) & 0xff) << 32 | (w->lin & 0x3fffff);
		return (allowed(w));
	}
	TRY(take(w, gpa, val, 0));
	gpa = ((val & 0xfffff000U) + 4 * ((w->lin >> 12) & 0x3ff)) & w->x->phys_mask;
	val = entry(w->x, gpa, 4);
	TRY(take(w, gpa, val, 0));
	page->gpa = (val & 0xfffff000U) | (w->lin & 0xfff);
	return (allowed(w));
}

/* PAE paging: the four pointers are registers (4.4.1). */
static enum x86_status
walk_pae(struct walk *w, struct x86_page *page)
{
	uint64_t pdpte = w->x->s->pdpte[(w->lin >> 30) & 3];

	if ((pdpte & PTE_P) == 0)
		return (fault(w, 0));
	return (walk64(w, pdpte & PTE_ADDR, 2, page));
}

/*
 * Bits of a pointer: P, PWT, PCD; 2:1, 8:5 and what is above the address are reserved (table 4-8).
 */
enum x86_status
x86_load_pdptes(struct x86 *x, uint64_t cr3, uint64_t cr4)
{
	uint64_t p[4];

	for (unsigned n = 0; n < 4; n++) {
		p[n] = entry(x, ((cr3 & 0xffffffe0U) + 8 * n) & x->phys_mask, 8);
		if ((p[n] & PTE_P) != 0 && (p[n] & (reserved64(x) | 0xfff0000000000000ULL | 0x1e6)) != 0)
			return (GP0(x));
	}
	for (unsigned n = 0; n < 4; n++)
		x->s->pdpte[n] = p[n];
	return (X_DONE);
}

static enum x86_status
walk_once(struct walk *w, struct x86_page *page)
{
	const struct amd64_state *s = w->x->s;

	w->n = 0;
	w->all = UINT64_MAX;
	w->any = 0;
	page->flags = SOFT_TLB_R;
	page->left = 0;
	w->size = (s->cr4 & CR4_PAE) != 0 ? 8 : 4;
	if (x86_long(w->x))
		return (walk64(w, s->cr3 & PTE_ADDR, 4, page));
	if ((s->cr4 & CR4_PAE) != 0)
		return (walk_pae(w, page));
	return (walk32(w, s->cr3, page));
}

enum x86_status
x86_walk(struct x86 *x, uint64_t lin, unsigned why, struct x86_page *page)
{
	struct walk w = { .x = x, .lin = lin, .why = why };

	if ((x->s->cr0 & CR0_PG) == 0) {
		page->gpa = lin & x->phys_mask;
		page->flags = SOFT_TLB_R | SOFT_TLB_W;
		page->left = 0;
		return (X_DONE);
	}
	w.user = x->cpl == 3 && (why & PG_SYS) == 0;
	do {
		TRY(walk_once(&w, page));
	} while (!mark_all(&w));
	page->gpa &= x->phys_mask;
	/* A later store needs no walk if it is allowed and the dirty bit is set already. */
	if (((w.all & PTE_W) != 0 || (!w.user && (x->s->cr0 & CR0_WP) == 0)) &&
	    ((why & PG_WRITE) != 0 || (w.e[w.n - 1].val & PTE_D) != 0))
		page->flags |= SOFT_TLB_W;
	if ((w.e[w.n - 1].val & PTE_G) != 0 && (x->s->cr4 & CR4_PGE) != 0)
		page->flags |= SOFT_TLB_GLOBAL;
	page->val = w.e[w.n - 1].val | PTE_A | ((why & PG_WRITE) != 0 ? PTE_D : 0);
	return (X_DONE);
}

bool
x86_walk_on(struct x86 *x, struct x86_page *page)
{
	uint64_t val;

	/* Without A20 what follows in a large page does not follow in memory. */
	if (page->left == 0 || x->phys_mask != UINT64_MAX)
		return (false);
	page->left--;
	if (page->at == 0) {
		page->gpa += VM_PAGE_SIZE;
		return (true);
	}
	page->at += 8;
	val = entry(x, page->at, 8);
	if (((val ^ page->val) & ~PTE_ADDR) != 0 || (val & reserved64(x)) != 0)
		return (false);
	page->gpa = val & PTE_ADDR;
	return (true);
}
