/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tlb.h - a vCPU's translations, and its way to guest memory.
 *
 * A direct-mapped table per access mode (a core decides what its modes are: user, supervisor, ...) finds the host address
 * of a page.  An entry's tag is the page's virtual address with a number in its low bits: the tag of the address space (PCID,
 * ASID) that it belongs to.  A new number makes all entries of an address space void at once.  Zero is never a tag.
 *
 * A core may have a second level: what falls out of the first one, because another page has its place or the same address is in
 * use in another address space, is found there (soft_tlb_again()) instead of by a walk.  What the guest's tables call global belongs
 * to every address space, and is found there in each.
 *
 * wtag is set only if a store needs nothing else: the guest may write there and has its dirty bit set, the page is marked for
 * whoever tracks dirty pages, and nothing was decoded from it.  Whatever takes one of these back bumps a generation and lets every
 * vCPU pass an event check, where soft_catch_up() drops the write tags.
 */
#ifndef _VMMAPI_SOFT_TLB_H_
#define	_VMMAPI_SOFT_TLB_H_

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct soft_cpu;

#define	SOFT_TLB_BITS	11
#define	SOFT_TLB_SIZE	(1U << SOFT_TLB_BITS)
#define	SOFT_ITLB_SIZE	256U
#define	SOFT_TLB_MODES	6		/* rows; a core may have one for loads and one for stores */
#define	SOFT_TLB_NONE	SOFT_TLB_MODES		/* the row that stays empty: every access is slow */
#define	SOFT_TLB_TAGS	0xfffU			/* bits of the tag of an address space; odd numbers */

#define	SOFT_PAGE(va)	((va) & ~(uint64_t)0xfff)

struct soft_tlbe {
	uint64_t	 rtag, wtag;
	uintptr_t	 addend;	/* host address = virtual address + addend */
	uint64_t	 gpa;		/* of the page; in its low bits soft_tlb.global, of the time when it was entered, or 0 */
};

/* Where code is: a page by its place in memory, not by its address (code.h). */
struct soft_itlbe {
	uint64_t	 tag;
	const uint8_t	*host;		/* of the page */
	uint64_t	 place;
	uint64_t	 global;	/* as in the low bits of soft_tlbe.gpa */
};

#define	SOFT_TLB_REGIONS 64U

/* Pages of a row that were entered one behind the other. */
struct soft_stream {
	uint64_t	 next;		/* the page behind them, with its tag */
	unsigned	 run;		/* how many they are */
};
#define	SOFT_TLB_AHEAD	16U

struct soft_tlb {
	struct soft_tlbe e[SOFT_TLB_MODES + 1][SOFT_TLB_SIZE];
	struct soft_tlbe second[SOFT_TLB_MODES][SOFT_TLB_SIZE];
	struct soft_itlbe i[SOFT_TLB_MODES][SOFT_ITLB_SIZE];
	/* Which 4 MiB regions have pieces of large pages; which 1 GiB regions of larger ones. */
	uint64_t	 large[64];
	uint64_t	 huge;
	struct soft_stream stream[SOFT_TLB_MODES][2];	/* without and with SOFT_TLB_W */
	unsigned	 writes;	/* rows, as bits, in which an entry may have a wtag */
	bool		 has_second;
	uint64_t	 global;	/* of entries that belong to every address space: 12 bits, odd; another one after a flush */
	uint64_t	 gen;		/* of what is found by address and tag (jump.h); from 1 on */
	/* Pages where something was found since gen changed, by regions of 4 MiB; which of those have any. */
	uint64_t	 code[SOFT_TLB_REGIONS][16];
	uint64_t	 regions;
	uint32_t	 last_tag;
	uint32_t	 nspaces;
	uint16_t	*space;		/* tag of each address space, 0: none */
};

/* Permissions of a translation, and the size of the page it came from. */
#define	SOFT_TLB_R	1U
#define	SOFT_TLB_W	2U
#define	SOFT_TLB_LARGE	4U		/* more than 4 KiB, at most 4 MiB */
#define	SOFT_TLB_HUGE	8U		/* more */
#define	SOFT_TLB_GLOBAL	16U		/* it belongs to every address space */

/* nspaces: numbers of address spaces that there can be. */
struct soft_tlb *soft_tlb_create(uint32_t nspaces, bool second);
void	soft_tlb_free(struct soft_tlb *t);
/* The tag of an address space; a new one if it has none.  May void every entry, every other tag and the key of jump.h. */
uint16_t soft_tlb_tag(struct soft_tlb *t, uint32_t space);
void	soft_tlb_flush(struct soft_tlb *t);				/* everything */
void	soft_tlb_flush_space(struct soft_tlb *t, uint32_t space);	/* it needs a new tag */
/* A region's row of soft_tlb.code; halves of the address space and programs' mappings far apart are to be apart. */
static inline unsigned
soft_tlb_region(uint64_t va)
{
	return ((unsigned)(va >> 22 ^ va >> 28 ^ va >> 34 ^ va >> 57) & (SOFT_TLB_REGIONS - 1));
}

/* What was found by address and tag is not to be trusted any more: the core makes its key anew. */
static inline void
soft_tlb_forget_jumps(struct soft_tlb *t)
{
	t->gen++;
	for (; t->regions != 0; t->regions &= t->regions - 1)
		memset(t->code[__builtin_ctzll(t->regions)], 0, sizeof(t->code[0]));
}

/* Something at va is going to be found by address and tag. */
static inline void
soft_tlb_note_code(struct soft_tlb *t, uint64_t va)
{
	unsigned r = soft_tlb_region(va);

	t->code[r][va >> 18 & 15] |= 1ULL << (va >> 12 & 63);
	t->regions |= 1ULL << r;
}

/*
 * The page, or large page, at va: in every address space, or with a second level in the one that has a tag, and what is global.  false:
 * nothing there was found by address and tag.
 */
bool	soft_tlb_flush_page(struct soft_tlb *t, uint64_t va, uint64_t tag);
void	soft_tlb_drop_writes(struct soft_tlb *t);
/*
 * Enter the translation of the page at va, if it is memory.  In guest code.  With SOFT_TLB_W the guest's tables allow a store and
 * are marked; the page is marked dirty here.
 */
void	soft_tlb_fill(struct soft_cpu *cpu, struct soft_tlb *t, unsigned row, uint16_t tag, uint64_t va, uint64_t gpa,
	    unsigned flags);
/* The same where nobody missed it. */
void	soft_tlb_enter(struct soft_cpu *cpu, struct soft_tlb *t, unsigned row, uint16_t tag, uint64_t va, uint64_t gpa,
	    unsigned flags);
/*
 * How many pages behind the one that was just entered a core should enter as well, if its tables have them with the same rights and need no
 * marks: the more, the longer the row was gone through from page to page.  None where somebody wants to know which pages are written.
 */
unsigned soft_tlb_ahead(const struct soft_cpu *cpu, const struct soft_tlb *t, unsigned row, unsigned flags);
/* The entry for fetches at va; NULL if gpa is no memory that code can be fetched from. */
const struct soft_itlbe *soft_tlb_fill_code(struct soft_cpu *cpu, struct soft_tlb *t, unsigned mode, uint16_t tag,
	    uint64_t va, uint64_t gpa, unsigned flags);

/* Where a page is in a row of the second level; tag 0: a global one. */
#define	SOFT_TLB_SPREAD	41U

static inline unsigned
soft_tlb_second(uint64_t va, uint64_t tag)
{
	return ((unsigned)(va >> 12 ^ va >> (12 + SOFT_TLB_BITS) ^ tag * SOFT_TLB_SPREAD) & (SOFT_TLB_SIZE - 1));
}

/* What the second level has of va comes to the first: the entry there, or NULL. */
struct soft_tlbe *soft_tlb_again(struct soft_tlb *t, unsigned row, uint64_t tag, uint64_t va, bool write);

/* [va, va + size) in one page, readable or writable without more: its host address, else NULL. */
static inline void *
soft_tlb_hit(const struct soft_tlbe *row, uint64_t tag, uint64_t va, unsigned size, bool write)
{
	const struct soft_tlbe *e = &row[(va >> 12) & (SOFT_TLB_SIZE - 1)];

	if (__builtin_expect((write ? e->wtag : e->rtag) == (SOFT_PAGE(va) | tag) && (va & 0xfff) <= 4096 - size, 1))
		return ((void *)(uintptr_t)(va + e->addend));
	return (0);
}

#endif /* _VMMAPI_SOFT_TLB_H_ */
