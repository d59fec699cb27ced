/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.h - what stress.c asks of an architecture: amd64/stress.c and arm64/stress.c, with their stress.S.
 *
 * Tables have one shape on both: root, middle (amd64: two levels) and leaves; WINDOW is 4 GiB, the first two leaf tables there are the shared
 * one and a space's own.  RAM, the devices and the code are at their own addresses in every space.
 */
#ifndef _STRESS_H_
#define	_STRESS_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	NCPU		4
#define	PAGE		4096UL
#define	WORDS		(PAGE / 8)
#define	LEAVES		512U

#define	WINDOW		0x100000000UL
#define	SHARED_VA(slot)	(WINDOW + (slot) * PAGE)
#define	OWN_VA(slot)	(WINDOW + LEAVES * PAGE + (slot) * PAGE)

enum { P_NONE, P_READ, P_WRITE, P_CODE };

/* Interrupts that processors send one another. */
enum { IPI_COUNT, IPI_SYNC };

/* What went wrong first (RESULT(0) on). */
enum failure {
	F_NONE,
	F_FAULT,		/* an exception that nobody expects: number, PC, address */
	F_READ,			/* through the shared window: slot, got, want */
	F_READ_FAULTS,		/* slot, faulted, protection */
	F_ADD_FAULTS,
	F_FRAME,		/* a page's content changed: frame, got, want */
	F_DIRTY,		/* a page was written, its entry says not: slot, entry */
	F_CODE,			/* a function: which, got, want */
	F_OWN_READ,		/* through an address space of one's own: slot, got, want */
	F_OWN_FAULTS,
	F_WORK,			/* registers lost something: got, want */
	F_SELF,			/* code that changes itself: got, want */
	F_SUMS,			/* stores were lost, or done twice: processor, found, done */
	F_IPIS,			/* interrupts were lost: processor, found, sent */
};

/* stress.c, called from an architecture's part. */
extern _Atomic uint32_t stop_all;
void	stress_main(unsigned cpu);
void	on_timer(unsigned cpu);
void	on_ipi(unsigned cpu, unsigned which);
void	fail(enum failure what, uint64_t a, uint64_t b, uint64_t c);

/* The architecture. */

uint64_t md_param(unsigned n);
void	md_result(unsigned n, uint64_t val);
/* The harness says that it is time to stop. */
bool	md_told_to_stop(void);
void	md_finish(void) __attribute__((noreturn));

/* This processor's interrupts and timer; on return interrupts are taken. */
void	md_start(unsigned cpu);
void	md_timer(uint64_t count);
void	md_interrupts(bool on);
/* Until an interrupt; they are on. */
void	md_wait(void);
void	md_pause(void);
void	md_ipi(unsigned cpu, unsigned which);

/* Entries. */
uint64_t md_leaf(uint64_t pa, unsigned prot, bool global);
uint64_t md_table(uint64_t pa);
/* An entry of a leaf page was written through. */
bool	md_is_dirty(uint64_t entry);
/* Can a valid entry be replaced by another valid one? */
extern const bool md_replaces;
/* Fill a space's pages: root and middle, which lead to the two leaf tables. */
#define	SPACE_PAGES	3
void	md_space(uint64_t *pages, uint64_t *shared, uint64_t *own);
/* The entry that leads to a space's own leaf table. */
uint64_t *md_own_entry(uint64_t *pages);
/* Turn translation on, if it is not, or go to another space.  keep: what its tag has is right still. */
void	md_switch(const uint64_t *pages, unsigned tag, bool keep);

/* Entries were changed: order that with what follows. */
void	md_changed(void);
/* Forget a page on this processor: of global entries, or of all tags too.  On all processors: true if that can be done from here. */
#define	FORGET_ALL_TAGS	1U			/* in va */
void	md_forget(uint64_t va);
bool	md_forget_everywhere(uint64_t va);
/* Forget one tag's page, or everything, on this processor.  current: it is the space that is used.  false: can only be done by md_switch(). */
bool	md_forget_own(unsigned tag, uint64_t va, bool current);
bool	md_forget_tag(unsigned tag, bool current);

/* Functions: to return a number (16 bits), to jump to another at a distance, at addr, which is written as one word. */
#define	CODE_STRIDE	64U
void	md_code_return(uint64_t addr, uint32_t val, bool first);
void	md_code_jump(uint64_t addr, uint64_t to, bool first);
/* Code was written on this processor. */
void	md_code_sync(uint64_t addr);
/* What an IPI_SYNC's handler does beyond md_forget(). */
void	md_sync(void);

/* Accesses that may fault, which is returned. */
bool	md_probe_read(uint64_t va, uint64_t *val);
bool	md_probe_add(uint64_t va);
uint32_t md_call(uint64_t addr);
/* All registers, vectors too, loaded from in, worked on n times with loads and stores, and stored: 64 words. */
void	md_work(const uint64_t *in, uint64_t *out, uint64_t n);
/* Write a number (16 bits) into an instruction ahead in the same block, of this processor's, which returns it. */
uint32_t md_self(unsigned cpu, uint32_t val);

#endif /* _STRESS_H_ */
